"""Heights within a row: seconds on a logarithmic scale that all rows share, and rates from zero on each row's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from llx_magic.observe.plots.marks import ROW, ink
from llx_magic.units import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_LINES = 3
"""How many lines of a scale a row has at most."""

_ROUND = 1.6
"""How much more than the data the scale holds, as a ratio."""

_FAR = 10.0
"""A limit beyond so many times the slowest is above the scale."""

_FASTEST = 1e-4
"""Seconds below which what took no time at all, as on virtual time, is drawn."""


class LogScale:
    """Seconds from somewhat below the least to somewhat above the most, and to the limits that are not far above.

    There are at least two lines, at powers of ten.
    """

    def __init__(self, seconds: Iterable[float], limits: Iterable[float] = ()) -> None:
        known = [max(each, _FASTEST) for each in seconds if each > 0] or [1.0]
        most = max(known)
        most = max([most, *(limit for limit in limits if limit <= _FAR * most)])
        low, high = math.log10(min(known) / _ROUND), math.log10(most * _ROUND)
        first, last = math.ceil(low), math.floor(high)
        if last <= first:
            first, last = math.floor(low + 1e-9), math.ceil(high - 1e-9)
        self._low, self._high = min(low, first), max(high, last)
        self._lines = range(first, last + 1, math.ceil((last - first + 1) / _MOST_LINES))

    @property
    def top(self) -> float:
        """The seconds at the top of the scale."""
        return float(10.0**self._high)

    def height(self, seconds: float, row: int) -> float:
        """Return where so many seconds stand in a row; less than the scale holds is at its foot."""
        power = self._low if seconds <= 0 else max(self._low, math.log10(seconds))
        return row + ROW / 2 - ROW * (power - self._low) / (self._high - self._low)

    def draw(self, ax: Axes, rows: Iterable[int]) -> None:
        """Draw the lines of the scale in each row, and write what they mean beside the plot."""
        for row in rows:
            for power in self._lines:
                high = self.height(10.0**power, row)
                ax.axhline(high, linewidth=0.5, color=ink(ax), alpha=0.18, zorder=0)
                beside(ax, high, duration(10.0**power), "xx-small")


def beside(ax: Axes, high: float, text: str, size: str = "x-small") -> None:
    """Write what a height means, right of the plot."""
    ax.annotate(
        text, (1.0, high), xycoords=ax.get_yaxis_transform(), xytext=(4, 0), textcoords="offset points", fontsize=size,
        va="center", annotation_clip=False,
    )  # fmt: skip


def over_zero(rate: float, top: float, row: int) -> float:
    """Return where a rate stands in a row whose scale goes from zero to ``top``."""
    return below_zero(row) - ROW * rate / top


def below_zero(row: int) -> float:
    """Return the foot of a row, where its zero is."""
    return row + ROW / 2
