"""The latest requests as waterfalls on one scale; nothing of a model's text is in them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from llx_magic.core.events import RequestAnswered, RequestEnded, RequestFailed, RequestPutBack
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.trace import Step, Trace
from llx_magic.dashboard.charts.chart import AXIS, WIDE, Chart, grid, left, path, right, scale, svg
from llx_magic.dashboard.style import MUTED
from llx_magic.dashboard.timeline import REQUESTS_KEPT, View
from llx_magic.observe.palette import STATE_COLOURS
from llx_magic.text.screen import one_line
from llx_magic.units import duration

ROW = 20
"""Height of a request's row in pixels."""


def draw(snapshot: Snapshot, view: View) -> str:
    """Draw the latest requests as waterfalls on one scale; nothing of a model's text is in them."""
    height = ROW * REQUESTS_KEPT + AXIS
    ends = [_seconds(trace, snapshot.at) for trace in view.requests]
    longest = max(ends, default=0.0) or 1.0
    marks: dict[str, list[str]] = {kind: [] for kind in "xywa"}
    words, told = [], []
    for row, trace in enumerate(view.requests):
        y = ROW * row + 9
        for step in trace.steps:
            for kind, begin, end in _segments(step, ends[row]):
                start = min(round(WIDE * begin / longest), WIDE - 3)
                marks[kind].append(f"M{start} {y}H{max(start + 2, round(WIDE * end / longest) - 1)}")
        who = escape(_ending(trace))
        told.append(f"{trace.request} {_ending(trace)}")
        words.append(left(f"#{trace.request}", y + 4) + scale(duration(ends[row]), y + 4) + right(who, y + 4))
    y = height - 5
    if any(ends):
        words.append(
            f"<g class='a'><text y='{y}'>0</text><text class='e' x='100%' y='{y}'>{duration(longest)}</text></g>"
        )
    elif not ends:
        words.append("<text x='8' y='13'>none yet</text>")
    plot = grid(height - AXIS) + "".join(path(f"l{kind}", drawn) for kind, drawn in marks.items())
    return svg(height, f"Latest requests: {', '.join(told) or 'none yet'}", plot, "".join(words))


def _segments(step: Step, until: float) -> Iterable[tuple[str, float, float]]:
    """Return the pieces of one step's bar: x failed, y until the first token, a answering, w waiting."""
    end = until if step.end is None else step.end
    if step.kind == "wait":
        yield "w", step.begin, min(end, until)
    elif step.outrun:
        yield "y", step.begin, end
    elif step.kind == "attempt" and not step.ok and step.end is not None:
        yield "x", step.begin, end
    elif step.kind == "attempt":
        first = end if step.first_token is None and step.end is None else step.first_token or step.begin
        yield "y", step.begin, first
        if end > first:
            yield "a", first, end


def _seconds(trace: Trace, now: float) -> float:
    last = trace.events[-1]
    return (last.at if isinstance(last, RequestEnded) else max(now, last.at)) - trace.events[0].at


def _ending(trace: Trace) -> str:
    last = trace.events[-1]
    if not isinstance(last, RequestEnded):
        return "… running"
    if isinstance(last, RequestAnswered):
        return f"✓ {one_line(last.backend, 12)}"
    if isinstance(last, RequestPutBack):
        return "↩ put back"
    return "✗ failed" if isinstance(last, RequestFailed) else "\N{EN DASH} cancelled"


CHART = Chart(
    name="requests",
    heading=(
        "<b>Latest requests</b> hatched: failed · thin: until the first token · filled: answering · line: waiting"
    ),
    draw=draw,
    style=f"""
.llx .lx{{stroke-width:10;stroke:{STATE_COLOURS["open"]};stroke-dasharray:4 2}}
.llx .ly{{stroke-width:3;stroke:{STATE_COLOURS["closed"]}}}
.llx .la{{stroke-width:10;stroke:{STATE_COLOURS["closed"]}}}
.llx .lw{{stroke-width:1;stroke:{MUTED}}}
""",
)
