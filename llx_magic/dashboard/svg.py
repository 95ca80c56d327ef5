"""What the pictures of the dashboard are drawn with: SVG whose geometry is stretched to the width there is.

Places along the axis are units of ``WIDE``, or percents of the picture's width, so that a picture fits every page;
words, crosses and hatchings are not stretched with it. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from llx_magic.dashboard.view import Axis

CROSS = "\N{MULTIPLICATION SIGN}"
TO = "\N{EN DASH}"

WIDE = 600
"""Units of a picture's width, whatever its width on the screen."""


def svg(kind: str, height: int, title: str, *drawn: str) -> str:
    """Put a picture together of what is ``stretched`` and what is not; an empty title is for one that repeats words."""
    named = f" role='img'><title>{escape(title)}</title>" if title else " aria-hidden='true'>"
    return f"<svg class='{kind}' height='{height}'{named}{''.join(drawn)}</svg>"


def stretched(height: int, marks: str, wide: int = WIDE) -> str:
    """Draw marks whose places along the axis are units of the picture's width."""
    return f"<svg viewBox='0 0 {wide} {height}' preserveAspectRatio='none'>{marks}</svg>"


def path(kind: str, marks: Iterable[str]) -> str:
    """Draw all marks of a kind as one path, or nothing where there are none; ``kind`` is its class."""
    drawn = "".join(marks)
    return f"<path class='{kind}' d='{drawn}'/>" if drawn else ""


def place(at: float, axis: Axis) -> int:
    """Return where a time stands, in units of the picture's width."""
    return min(WIDE, max(0, round(WIDE * (at - axis.since) / max(axis.now - axis.since, 1e-9))))


def percents(unit: float) -> str:
    """Return units of the width as a percentage of it, as short as it goes."""
    return f"{100 * unit / WIDE:.1f}".removesuffix(".0") + "%"


def glyphs(kind: str, glyph: str, places: Iterable[int], y: int) -> str:
    """Write one glyph at many places of a line: one text, however many there are."""
    at = [percents(unit) for unit in places]
    return f"<text class='{kind}' x='{' '.join(at)}' y='{y}'>{glyph * len(at)}</text>" if at else ""


def band(kind: str, begin: float, end: float, title: str = "") -> str:
    """Draw a tinted band behind marks, from top to bottom; its class says whether it is hatched or dotted."""
    told = f"<title>{escape(title)}</title>" if title else ""
    lines = {"q": _DOTS, "o": _LINES}.get(kind, "")
    return f"<svg class='{kind}' x='{percents(begin)}' width='{percents(end - begin)}'>{told}{_TINT}{lines}</svg>"


_TINT = "<rect width='100%' height='100%'/>"
_LINES = "<path d='M-99 50H4e3'/>"
_DOTS = "<path d='M5 7H4e3M5 17H4e3M5 27H4e3M5 37H4e3M5 47H4e3M5 57H4e3'/>"
