"""What a chart of the dashboard is, and what charts are drawn with: SVG in which every text is escaped.

A chart is one element with a title. Its geometry is stretched to the width there is, its words are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.style import GUTTER
from llx_magic.dashboard.timeline import View
from llx_magic.units import number

MINUS = "\N{MINUS SIGN}"

WIDE = 600
"""Units of a chart's width, whatever its width on the screen."""

AXIS = 18
"""Height of a time axis in pixels."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: a new one is a file with such a declaration and a row in ``CHARTS``.

    ``heading`` stands above it and does not change. ``draw`` returns an SVG element whose height depends on the number
    of backends alone. ``style`` has the rules of its marks; each selector begins with ``.llx``.
    """

    name: str
    heading: str
    draw: Callable[[Snapshot, View], str]
    style: str


def svg(height: int, title: str, plot: str, words: str) -> str:
    """Put a chart together: ``plot`` in its own units, ``words`` in pixels and percents of the plot.

    The gutters are the element's padding, so words left of the plot have negative places.
    """
    return (
        f"<svg class='g' role='img' height='{height}'><title>{escape(title)}</title>"
        f"<svg viewBox='0 0 {WIDE} {height}' preserveAspectRatio='none'>{plot}</svg>{words}</svg>"
    )


def left(words: str, y: int) -> str:
    """Write words left of the plot, at ``y`` pixels from its top."""
    return f"<text x='-{GUTTER}' y='{y}'>{words}</text>"


def scale(words: str, y: int) -> str:
    """Write what a height of the plot means, left of it."""
    return f"<text class='e' x='-8' y='{y}'>{words}</text>"


def right(words: str, y: int) -> str:
    """Write words right of the plot."""
    return f"<text x='100%' dx='8' y='{y}'>{words}</text>"


def path(kind: str, marks: Iterable[str], colour: str = "") -> str:
    """Draw all marks of a kind as one path, or nothing where there are none; ``kind`` is its class."""
    drawn = "".join(marks)
    look = f" stroke='{colour}'" if colour else ""
    return f"<path class='{kind}'{look} d='{drawn}'/>" if drawn else ""


def place(at: float, view: View) -> int:
    """Return where a time stands, in units of the plot's width."""
    return min(WIDE, max(0, round(WIDE * (at - view.since) / view.span)))


def time_axis(view: View, height: int) -> str:
    """Label where the view begins, its middle and now."""
    minutes = view.span / 60
    y = height - 5
    return (
        f"<g class='a'><text y='{y}'>{MINUS}{number(minutes)} min</text><text class='m' x='50%' y='{y}'>"
        f"{MINUS}{number(minutes / 2)}</text>"
        f"<text class='e' x='100%' y='{y}'>now</text></g>"
    )


def grid(height: int) -> str:
    """Draw upright lines where the view begins, in its middle and now."""
    return path("lg", [f"M0 0V{height}M{WIDE // 2} 0V{height}M{WIDE} 0V{height}"])
