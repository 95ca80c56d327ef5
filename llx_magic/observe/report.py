"""The statistics of a profile as people read them: the plain layout, and a table in HTML."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Iterable, Sequence

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import Prompts
from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.observe.narrow import narrow_table
from llx_magic.text.screen import printable
from llx_magic.units import (
    CURRENCY,
    NOTHING,
    countdown,
    duration,
    in_time,
    milliseconds,
    number,
    percent,
    plural,
    whole,
)

AS_WRITTEN = 'class="tex2jax_ignore mathjax_ignore"'
"""Marks an element whose text no front end takes for a formula: a name or an error between dollars could be a link.

https://docs.mathjax.org/en/latest/options/document.html
"""


_CELL = "text-align:{};vertical-align:top;white-space:normal;padding:.3em .4em"


def plain(snapshot: Snapshot) -> str:
    """Return the statistics in their fixed text layout: totals, metrics of every backend, circuit states.

    What the layout has no place for stands below it: what was spent, rates of a short time, and, where not every prompt
    was answered, what became of the prompts, since a request of the layout is a visit to a backend;
    what hedges did too, since an outrun visit is a request that neither succeeded nor failed.
    """
    lines = [
        "Load Balancer Statistics",
        f"Profile: {snapshot.profile}",
        f"Total Requests: {snapshot.total_requests}",
        "",
        "Backend Metrics:",
    ]
    for backend in snapshot.backends:
        lines += [
            f"  {backend.name}",
            f"    Requests: {backend.requests}",
            f"    Success Rate: {percent(backend.success_rate)}",
            f"    Avg Latency: {milliseconds(backend.mean_latency)}",
            f"    Tokens: {backend.tokens}",
            f"    TPM: {NOTHING if (tpm := backend.shown_tpm) is None else whole(tpm)}",
            "",
        ]
    lines.append("Circuit Breaker States:")
    lines += [f"  {backend.name}: {backend.state}" for backend in snapshot.backends]
    if spent := spent_in_words(snapshot):
        lines += ["", f"Spent: {spent}"]
    if brief := [f"{each.name} {said}" for each in snapshot.backends for said in brief_rate(each)]:
        lines += ["", f"TPM of less than a minute says little: {', '.join(brief)}"]
    if cut := [each for each in snapshot.backends if each.hedges or each.outrun]:
        told = (f"{each.name} asked as well {number(each.hedges)}, outrun {number(each.outrun)}" for each in cut)
        lines += ["", f"Hedges (an outrun visit is a request, but no success and no failure): {'; '.join(told)}"]
    if (prompts := snapshot.prompts).asked != prompts.answered:
        visits = ["Total Requests counts visits to backends"] if snapshot.total_requests != prompts.asked else []
        lines += ["", f"Prompts: {' · '.join([prompts_in_words(prompts), *times_in_words(prompts), *visits])}"]
    return "\n".join(lines)


_COLUMNS: dict[str, Callable[[BackendSnapshot], str]] = {
    "backend": lambda it: it.name,
    "circuit": lambda it: circuit_in_words(it),  # noqa: PLW0108 - it is defined below
    "visits": lambda it: number(it.requests),
    "success rate": lambda it: percent(it.success_rate),
    "avg latency": lambda it: duration(it.mean_latency),
    "19 of 20 within": lambda it: duration(it.p95_latency),
    "first token": lambda it: duration(it.ttft),
    "tokens": lambda it: number(it.tokens),
    "cached": lambda it: number(it.cached_tokens),
    "reasoning": lambda it: number(it.reasoning_tokens),
    "cost": lambda it: number(it.cost, 4),
    "TPM": lambda it: " ".join([number(it.shown_tpm), *brief_rate(it)]),
    "tokens/s": lambda it: number(it.tokens_per_second),
    "attempts": lambda it: number(it.attempts),
    "time-outs": lambda it: number(it.timeouts),
    "cancelled": lambda it: number(it.cancelled),
    "asked as well": lambda it: number(it.hedges),
    "outrun": lambda it: number(it.outrun),
}
"""The columns of the table, and what stands in each."""

_WORDS = frozenset({"backend", "circuit"})
"""The columns that hold no numbers."""

_RARER: dict[str, Callable[[BackendSnapshot], object]] = {
    "cached": lambda it: it.cached_tokens,
    "reasoning": lambda it: it.reasoning_tokens,
    "cost": lambda it: it.cost,
    "tokens/s": lambda it: it.tokens_per_second,
    "attempts": lambda it: it.attempts > it.requests,
    "time-outs": lambda it: it.timeouts,
    "cancelled": lambda it: it.cancelled,
    "asked as well": lambda it: it.hedges,
    "outrun": lambda it: it.outrun,
}
"""Columns that are left out where they say nothing of any backend, so that the table fits a narrow page."""


def circuit_in_words(backend: BackendSnapshot) -> str:
    """Return the circuit's state with what it waits for, such as ``open, probe in 12 s``."""
    if backend.is_open:
        left = backend.seconds_until_probe
        return f"open, probe {in_time(left)}" if left else "open, probe due"
    if backend.cooling_down is not None:
        waits = f" {countdown(backend.cooling_down)}" if backend.cooling_down else ", one request is out first"
        return f"{backend.state}, cooling down{waits}"
    if backend.below_threshold:
        return f"{backend.state}, below TPM"
    return backend.state


def brief_rate(backend: BackendSnapshot) -> list[str]:
    """Return a remark on tokens per minute that are computed from less than a minute, as after one short reply."""
    seconds = backend.tpm_seconds
    return [f"over {duration(seconds)}"] if seconds is not None and seconds < 60 else []


def prompts_in_words(prompts: Prompts) -> str:
    """Return what became of the prompts: ``14 asked, 4 answered, 10 failed``, and the rarer outcomes that there are."""
    rarer = {"cancelled": prompts.cancelled, "running": prompts.running}
    told = {"asked": prompts.asked, "answered": prompts.answered, "failed": prompts.failed}
    told |= {name: count for name, count in rarer.items() if count}
    return ", ".join(f"{number(count)} {name}" for name, count in told.items())


def times_in_words(prompts: Prompts) -> list[str]:
    """Return how long whole prompts took, hops and waits included, or nothing where none was answered."""
    if prompts.median_seconds is None:
        return []
    return [f"half within {duration(prompts.median_seconds)}, 19 of 20 within {duration(prompts.p95_seconds)}"]


def spent_in_words(snapshot: Snapshot) -> str:
    """Return what was spent, and of how large a budget; empty where nothing was and there is none."""
    spent, budget = snapshot.spent, snapshot.budget
    if budget is not None:
        return f"{number(spent.amount, 4)} of {number(budget, 4)} {CURRENCY}"
    told = [number(spent.own, 4)] if spent.own else []
    return " and ".join([*told, f"about {number(spent.estimated, 4)} {CURRENCY}"] if spent.estimated else told)


def as_html(snapshot: Snapshot) -> str:
    """Return the statistics as an HTML table, and the latest errors below it; every text in it is escaped."""
    columns = {
        name: cell for name, cell in _COLUMNS.items() if name not in _RARER or any(map(_RARER[name], snapshot.backends))
    }
    rows = ([cell(backend) for cell in columns.values()] for backend in snapshot.backends)
    errors = [
        f"<b>{_breakable(each.name)}</b>, last error: {_breakable(each.last_error)}"
        for each in snapshot.backends
        if each.last_error
    ]
    below = f'<div {AS_WRITTEN} style="overflow-wrap:anywhere">{"<br>".join(errors)}</div>' if errors else ""
    numbers = [at for at, name in enumerate(columns) if name not in _WORDS]
    return html_table(columns, rows, caption=caption(snapshot), numbers=numbers) + below


def caption(snapshot: Snapshot) -> str:
    """Return what stands above every view: the profile, the visits to its backends, and its prompts."""
    visits = plural(snapshot.total_requests, "visit")
    text = f"{snapshot.profile}: {visits} to {plural(len(snapshot.backends), 'backend')}"
    spent = f"; spent {words}" if (words := spent_in_words(snapshot)) else ""
    if snapshot.prompts.asked:
        told = "; ".join([prompts_in_words(snapshot.prompts), *times_in_words(snapshot.prompts)])
        return f"{text}; prompts: {told}{spent}"
    return text if snapshot.total_requests else f"{text} ({NOTHING_ASKED})"


AS_TABLES = "font-size:var(--jp-ui-font-size1,inherit)"
"""The style of words that stand beside a table, in the size that JupyterLab gives tables; others have one size."""

_CAPTION = "text-align:left;white-space:nowrap"
"""A caption is never wider than its table, which may be of one narrow column: it stays on its line."""


def html_table(
    columns: Iterable[str], rows: Iterable[Iterable[str]], *, caption: str = "", numbers: Collection[int] = ()
) -> str:
    """Return an HTML table, each text printable, escaped, and never taken for a formula.

    Texts are left-aligned, and the columns at the places in ``numbers`` right-aligned.

    Headings and cells take several lines where the page is narrow. A table that still is wider scrolls by itself, since
    some front ends cut what is wider than the page.
    """
    left, right = _CELL.format("left"), _CELL.format("right")

    def line(cells: Iterable[str], tag: str) -> str:
        told = (
            f'<{tag} style="{right if at in numbers else left}">{_breakable(cell)}' for at, cell in enumerate(cells)
        )
        return "".join(f"{cell}</{tag[:2]}>" for cell in told)

    head = line(columns, 'th scope="col"')
    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    title = f'<caption style="{_CAPTION}">{html.escape(printable(caption))}</caption>' if caption else ""
    table = f'<table style="margin-left:0">{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div {AS_WRITTEN} style="overflow-x:auto">{table}</div>'


def html_lines(lines: Iterable[str]) -> str:
    """Return what stands below a table as HTML, a line each, printable, escaped, and never taken for a formula."""
    told = "<br>".join(html.escape(printable(line)) for line in lines)
    return f'<div {AS_WRITTEN} style="{AS_TABLES};overflow-wrap:anywhere">{told}</div>' if told else ""


def text_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[int] = (), width: int | None = None
) -> str:
    """Return a table in plain text: columns padded, no trailing blanks; aligned as in ``html_table``.

    Where it would be wider than ``width``, the last column stands below each row, and others are folded.
    """
    cells = [tuple(columns), *map(tuple, rows)]
    if width is not None and sum(max(map(len, column)) + 2 for column in zip(*cells, strict=True)) - 2 > width:
        return narrow_table(cells, width)
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        sides = (str.rjust if at in numbers else str.ljust for at in range(len(row)))
        return "  ".join(side(cell, width) for side, cell, width in zip(sides, row, widths, strict=True)).rstrip()

    padded = [line(row) for row in cells]
    padded.insert(1, "  ".join("-" * width for width in widths).rstrip())
    return "\n".join(padded)


def _breakable(cell: str) -> str:
    """Return a cell, escaped: its line may break in addresses and in lists without blanks, but not before a unit."""
    text = re.sub(r"\S{15,}", lambda word: re.sub("[,/?]", r"\g<0><wbr>", word[0]), html.escape(printable(cell)))
    return re.sub(r"(?<=\d) (?=(?:ms|s|min|h|d|k|M|G)\b)", "&nbsp;", text)
