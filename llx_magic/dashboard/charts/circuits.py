"""The circuits: a lane for each backend, what state its circuit was in, and where visits failed."""

from __future__ import annotations

from html import escape

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard.charts.chart import AXIS, WIDE, Chart, grid, left, path, place, right, svg, time_axis
from llx_magic.dashboard.style import INK
from llx_magic.dashboard.timeline import View
from llx_magic.observe.palette import STATE_COLOURS
from llx_magic.text.screen import one_line
from llx_magic.units import countdown, duration

LANE = 24
"""Height of a backend's lane in pixels."""

STATES = {"closed": "c", "half-open": "h", "open": "o", "disabled": "d"}
"""The style sheet's class of each state."""


_IN_SHORT = {
    "c": "closed", "h": "half-open", "o": "open", "q": "cooling down", "t": "below TPM", "d": "disabled",
}  # fmt: skip
"""What a lane ends in: without the countdown, which would have the whole chart sent again each second."""


def chip(backend: BackendSnapshot) -> tuple[str, str]:
    """Return the class and the words of a backend's state, such as ``open · 12 s``."""
    if backend.is_open:
        left = backend.seconds_until_probe
        return "o", f"open · {countdown(left)}" if left else "open · probe due"
    if backend.state == "half-open":
        return "h", "half-open · probe"
    if backend.cooling_down is not None:
        return "q", f"cooling down · {countdown(backend.cooling_down) if backend.cooling_down else 'one request first'}"
    if backend.below_threshold:
        return "t", f"{backend.state} · below TPM"
    return STATES.get(backend.state, "d"), backend.state


def draw(snapshot: Snapshot, view: View) -> str:
    """Draw a lane per backend: what state its circuit was in, and where visits failed."""
    height = LANE * len(view.strips) + AXIS
    marks: dict[str, list[str]] = {kind: [] for kind in "cdhoqf"}
    words = []
    for lane, (strip, backend) in enumerate(zip(view.strips, snapshot.backends, strict=True)):
        y = LANE * lane + 10
        words.append(left(escape(one_line(backend.name, 15)), y + 4) + right(_IN_SHORT[chip(backend)[0]], y + 4))
        for period in strip.periods:
            begin = min(place(period.begin, view), WIDE - 2)
            marks[STATES.get(period.state, "d")].append(f"M{begin} {y}H{max(begin + 2, place(period.end, view))}")
        marks["q"] += [f"M{place(begin, view)} {y + 9}H{place(end, view)}" for begin, end in strip.cool_downs]
        marks["f"] += [f"M{x} {y + 7}v6" for x in sorted({place(at, view) for at in strip.failures})]
    plot = grid(height - AXIS) + "".join(path(f"l{kind}", drawn) for kind, drawn in marks.items())
    title = f"Circuits, last {duration(view.span)}; the table says how they are now"
    return svg(height, title, plot, "".join(words) + time_axis(view, height))


CHART = Chart(
    name="circuits",
    heading=("<b>Circuits</b> line: closed · half bar: half-open · hatched: open · dots: cooling down · tick: failure"),
    draw=draw,
    style=f"""
.llx .lc,.llx .ld{{stroke-width:2;stroke:{STATE_COLOURS["closed"]}}}
.llx .ld{{stroke:{STATE_COLOURS["disabled"]};stroke-dasharray:1 4}}
.llx .lh{{stroke-width:7;stroke:{STATE_COLOURS["half-open"]}}}
.llx .lo{{stroke-width:14;stroke:{STATE_COLOURS["open"]};stroke-dasharray:4 2}}
.llx .lq{{stroke-width:3;stroke:{STATE_COLOURS["half-open"]};stroke-dasharray:2 3}}
.llx .lf{{stroke-width:2;stroke:{INK}}}
""",
)
