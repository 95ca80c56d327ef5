"""Tokens per minute: a curve for each backend, named at its end, and the thresholds."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.charts.chart import AXIS, WIDE, Chart, grid, path, place, right, scale, svg, time_axis
from llx_magic.dashboard.style import INK
from llx_magic.dashboard.timeline import View
from llx_magic.observe.palette import styles
from llx_magic.text.screen import one_line
from llx_magic.units import count, duration

CURVES = 112
"""Height of the plot in pixels."""


def draw(snapshot: Snapshot, view: View) -> str:
    """Draw each backend's tokens per minute, named at its end, and the thresholds."""
    style = styles(backend.name for backend in snapshot.backends)
    thresholds = sorted({backend.tpm_threshold for backend in snapshot.backends if backend.tpm_threshold is not None})
    known = [value for strip in view.strips for _, value in strip.tpm if value is not None]
    top = nice_ceiling(max([*known, *(1.1 * threshold for threshold in thresholds)], default=0.0))
    height = CURVES + AXIS

    def y(value: float) -> int:
        return round(CURVES - (CURVES - 8) * value / top)

    plot = [grid(CURVES), path("lg", [f"M0 {CURVES}H{WIDE}"])]
    plot += [path("lt", [f"M0 {y(threshold)}H{WIDE}"]) for threshold in thresholds]
    words = [scale(count(top), 12), time_axis(view, height)]
    if not any(y(level) > CURVES - 14 for level in thresholds):
        words.append(scale("0", CURVES))
    ends = []
    for strip in view.strips:
        points = [None if value is None else (place(at, view), y(value)) for at, value in strip.tpm]
        look = style[strip.name]
        dash = f" stroke-dasharray='{' '.join(map(str, look.dash))}'" if look.dash else ""
        if drawn := _polyline(points):
            plot.append(f"<path class='ln' stroke='{look.colour}'{dash} d='{drawn}'/>")
        if strip.tpm and strip.tpm[-1][1] is not None:
            ends.append((y(strip.tpm[-1][1]), strip.name))
    words += [right(escape(one_line(name, 15)), at + 4) for at, name in _apart(ends)]
    words += [scale(count(level), y(level) + 4) for level in thresholds if y(level) > 22]
    title = f"Tokens per minute, last {duration(view.span)}; the table says what they are now"
    return svg(height, title, "".join(plot), "".join(words))


def _polyline(points: Iterable[tuple[int, int] | None]) -> str:
    """Join the points in relative steps, which are shorter to send; there is a gap where one is None."""
    drawn: list[str] = []
    last: tuple[int, int] | None = None
    for point in points:
        if point is not None:
            drawn.append(
                f"M{point[0]} {point[1]}l0 0" if last is None else f"{point[0] - last[0]:+d}{point[1] - last[1]:+d}"
            )
        last = point
    return "".join(drawn)


def _apart(labels: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Move labels apart so that none covers another, from the lowest up; those that no longer fit are left out."""
    placed: list[tuple[int, str]] = []
    limit = CURVES
    for at, name in sorted(labels, reverse=True):
        limit = min(at, limit)
        if limit < 4:
            break
        placed.append((limit, name))
        limit -= 12
    return placed


def nice_ceiling(value: float) -> float:
    """Return the next round number, at least 10."""
    if value <= 10:
        return 10.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0) if step * power >= value)


CHART = Chart(
    name="rates",
    heading="<b>Tokens per minute</b> dashed: threshold",
    draw=draw,
    style=f"""
.llx .lt{{stroke-width:1;stroke:{INK};stroke-dasharray:5 4}}
.llx .ln{{stroke-width:2;stroke-linejoin:round}}
""",
)
