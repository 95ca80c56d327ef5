"""How a request was decided, as an HTML table with a bar for each step.

Every row says in words what its bar shows, so the table reads the same to a screen reader, without colours and where
a front end leaves the bars out. Colours follow JupyterLab's theme and have a fallback each.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from llx_magic.core.trace import Step, Trace
from llx_magic.observe.palette import ANSWERED, FAILED
from llx_magic.observe.report import AS_WRITTEN
from llx_magic.text.screen import one_line
from llx_magic.units import duration, number

_QUIET = "var(--jp-ui-font-color2,#888)"

_LEAST = 0.6
"""The least width of a bar, in percent, so that the shortest attempt can be seen."""

_CELL = "text-align:left;vertical-align:top;padding:2px 6px;white-space:normal;overflow-wrap:anywhere"
_NUMBER = "text-align:right;vertical-align:top;padding:2px 6px;white-space:nowrap;font-variant-numeric:tabular-nums"


class Look(NamedTuple):
    """What stands in the tags: of the table, of its cells, and of those that hold a figure."""

    table: str
    cell: str
    number: str


INLINE = Look(
    ' style="width:100%;max-width:60em;table-layout:fixed;border-collapse:collapse"',
    f' style="{_CELL}"',
    f' style="{_NUMBER}"',
)
"""For a table by itself, which brings its style along."""

BY_SHEET = Look("", "", "")
"""For a table in an element of class ``tr`` on a page whose style sheet has ``SHEET`` in it, so that it is short."""

SHEET = f"""
.llx .tr table{{width:100%;max-width:60em;table-layout:fixed;border-collapse:collapse;color:inherit;font-size:12px}}
.llx .tr caption{{text-align:left;caption-side:top;overflow-wrap:anywhere;color:inherit;padding:2px 6px}}
.llx .tr th,.llx .tr td{{{_CELL};border:0;max-width:none}}
.llx .tr tr>:first-child{{{_NUMBER}}}
"""


def as_html(trace: Trace, look: Look = INLINE, most: int | None = None) -> str:
    """Return the waterfall as an HTML table: when, who, a bar from start to end, what happened.

    Of more steps than ``most`` the first and the last are shown, and the others counted.

    The bar of an attempt is an outline until its first token, marked by an upright line, and filled from there; a
    failed one ends in a cross, one that another outran is grey; a wait is dotted; what takes no time is a dot. Every
    text is escaped and on one line.
    """
    if not trace.events:
        return f"<p>{html.escape(trace.headline)}</p>"
    steps = trace.steps
    total = max([trace.seconds, *(step.end or 0.0 for step in steps)])
    columns = "".join(f'<col style="width:{width}"/>' for width in ("12%", "18%", "28%", "42%"))
    scale = f'0 s<span style="float:right">{duration(total)}</span>'
    return (
        f"<table {AS_WRITTEN}{look.table}>"
        f'<caption style="text-align:left;caption-side:top;overflow-wrap:anywhere">{_text(trace.headline)}</caption>'
        f"<colgroup>{columns}</colgroup>"
        f'<thead><tr><th scope="col"{look.number}>time</th><th scope="col"{look.cell}>backend</th>'
        f'<th scope="col"{look.cell}><div style="font-weight:normal;color:{_QUIET}">{scale}</div></th>'
        f'<th scope="col"{look.cell}>what happened</th></tr></thead>'
        f"<tbody>{''.join(_rows(steps, total, look, most))}</tbody></table>"
    )


def _rows(steps: Sequence[Step], total: float, look: Look, most: int | None) -> Iterator[str]:
    left_out = len(steps) - most + 1 if most is not None and len(steps) > most else 0
    begin = len(steps) - left_out - 1 if left_out else len(steps)
    yield from (_row(step, total, look) for step in steps[:begin])
    if left_out:
        yield f'<tr><td></td><td colspan="3"{look.cell}>{number(left_out)} further steps</td></tr>'
        yield _row(steps[-1], total, look)


def _row(step: Step, total: float, look: Look) -> str:
    return (
        f"<tr><td{look.number}>{duration(step.begin)}</td>"
        f'<th scope="row"{look.cell}>{_text(step.backend)}</th>'
        f"<td{look.cell}>{_bar(step, total)}</td>"
        f"<td{look.cell}>{_text(step.text)}</td></tr>"
    )


def _bar(step: Step, total: float) -> str:
    begin = _percent(step.begin, total)
    if step.kind == "attempt":
        shapes = "".join(_attempt(step, total))
    elif step.kind == "wait":
        end = total if step.end is None else step.end
        shapes = (
            f'<line x1="{begin:.2f}%" x2="{_percent(end, total):.2f}%" y1="8" y2="8" '
            f'style="stroke:{_QUIET};stroke-width:2;stroke-dasharray:2 3"/>'
        )
    else:
        shapes = f'<circle cx="{begin:.2f}%" cy="8" r="3" style="fill:{_QUIET}"/>'
    return f'<svg aria-hidden="true" width="100%" height="16" style="display:block;overflow:visible">{shapes}</svg>'


def _attempt(step: Step, total: float) -> Iterator[str]:
    end = total if step.end is None else step.end
    is_failed = not step.ok and not step.outrun and step.end is not None
    colour = ANSWERED if step.ok else FAILED if is_failed else _QUIET
    begin, until = _percent(step.begin, total), _percent(end, total)
    begin = min(begin, 100 - _LEAST)
    until = max(until, begin + _LEAST)
    first = until if step.first_token is None else min(_percent(step.first_token, total), until)
    yield (
        f'<rect x="{begin:.2f}%" y="3" width="{until - begin:.2f}%" height="10" '
        f'style="fill:none;stroke:{colour};stroke-width:1.5"/>'
    )
    if step.first_token is not None:
        yield f'<rect x="{first:.2f}%" y="3" width="{until - first:.2f}%" height="10" style="fill:{colour}"/>'
        yield f'<line x1="{first:.2f}%" x2="{first:.2f}%" y1="0" y2="16" style="stroke:currentColor;stroke-width:1.5"/>'
    if is_failed:
        cross = '<path d="M-4 4 4 12M4 4-4 12" style="stroke:currentColor;stroke-width:2"/>'
        yield f'<svg x="{until:.2f}%" style="overflow:visible">{cross}</svg>'


def _percent(at: float, total: float) -> float:
    return min(100.0, at / total * 100) if total > 0 else 0.0


def _text(text: str) -> str:
    return html.escape(one_line(text))
