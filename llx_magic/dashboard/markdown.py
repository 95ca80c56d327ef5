"""The dashboard as Markdown: for a message to colleagues, an issue, or a log of what happened."""

from __future__ import annotations

import re
from collections.abc import Iterable

from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.lines import Line, lines_of
from llx_magic.dashboard.rows import figures
from llx_magic.dashboard.svg import TO
from llx_magic.dashboard.view import View
from llx_magic.observe.status.standing import Standing
from llx_magic.observe.status.status import status_of
from llx_magic.text.screen import one_line

_COLUMNS = ("", "backend", "now", "visits answered", f"half {TO} 19 of 20 within", "tokens/min", "cost")


def markdown(snapshot: Snapshot, view: View, when: str) -> str:
    """Return the sentence, a table of the backends, and the latest prompts; no text in it is taken for Markdown."""
    status = status_of(snapshot)
    told = [f"# {_text(status.profile)}, {when}", f"**{_text(status.sentence)}**", _text(status.prompts)]
    rows = [_row([str(place), *_cells(each)]) for place, each in enumerate(status.standings, 1)]
    told.append("\n".join([_row(_COLUMNS), _row(["---"] * len(_COLUMNS)), *rows]))
    lines = lines_of(view, snapshot.at)
    times = f", by {view.axis.name}" if view.axis.is_simulated else ""
    told += [f"## {lines.title}{times}", "\n".join(map(_line, lines.shown))] if lines.shown else []
    return "\n\n".join(filter(None, told)) + "\n"


def _cells(standing: Standing) -> list[str]:
    rate, answered, seconds, tokens, floor, cost = figures(standing.backend)
    now = ": ".join(filter(None, [standing.now, standing.why]))
    share = f"{rate} ({answered})" if rate else answered
    return [
        _text(each) for each in (standing.name, now, share, seconds, ", ".join(filter(None, [tokens, floor])), cost)
    ]


def _line(line: Line) -> str:
    told = " · ".join(filter(None, [line.tag, *line.hops]))
    return f"- {_text(f'#{line.trace.request}')} at {line.when}, {line.took}: {_text(told)}"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(text: str) -> str:
    """Return text on one line, each sign that Markdown, HTML or a formula could begin with escaped."""
    return re.sub(r"([\\`*_\[\]<>|~$&#!])", r"\\\1", one_line(text, 1000))
