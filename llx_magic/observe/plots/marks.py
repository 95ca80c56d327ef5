"""What the plots are drawn with: axes, titles, rows of backends, bands, marks, legends and the axis of time."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.observe.palette import ANSWERED, COOLING, FAILED, PROBE
from llx_magic.text.screen import one_line
from llx_magic.units import number

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

Key = tuple[str, "Artist"]
"""What a legend says of a mark, and the mark."""

DAY = 86_400.0
"""The seconds of what matplotlib counts time in."""

ROW = 0.84
"""How much of a row is drawn in; the rest keeps rows apart."""

_WIDTH = 8.0
_LONGEST_NAME = 22
_TITLE_LINE = 68
_KEYS_ON_A_LINE = 5


class Look(NamedTuple):
    """How a state is drawn: its colour, and what tells it apart without colour; heights are shares of a row."""

    height: float
    hatch: str
    colour: str


LOOKS = {
    "closed": Look(0.12, "", ANSWERED),
    "half-open": Look(0.45, "||||", PROBE),
    "open": Look(0.84, "////", FAILED),
    "disabled": Look(0.12, "xx", "#808080"),
    "cooling down": Look(0.6, "\\\\\\\\", COOLING),
}
"""The states of circuits and cool-downs; the same hatching means the same in every plot."""

MISSED = {"marker": "x", "color": FAILED, "linestyle": "", "markersize": 6, "markeredgewidth": 1.8}
"""A visit that failed."""


def style(ax: Axes | None) -> AbstractContextManager[None]:
    """Return what new axes are drawn in: the notebook's theme; on axes that are given the user's own style holds."""
    if ax is not None:
        return nullcontext()
    from llx_magic.observe.plots.figure import in_theme

    return in_theme()


def axes_or_new(ax: Axes | None, height: float, alt: str) -> Axes:
    """Return the Axes given, or those of a new figure ``height`` inches high that shows ``alt``."""
    if ax is not None:
        return ax
    from llx_magic.observe.plots.figure import ShownFigure, new_axes

    ax = new_axes(_WIDTH, height)
    figure = ax.get_figure(root=True)
    if isinstance(figure, ShownFigure):
        figure.alt = one_line(alt)
    return ax


def title(ax: Axes, text: str, keys: int = 0) -> None:
    """Write the title, on up to three lines, above a legend of so many keys."""
    lines = textwrap.wrap(one_line(text), _TITLE_LINE, max_lines=3, placeholder=" …")
    pad = 6 + 15 * math.ceil(keys / _KEYS_ON_A_LINE)
    ax.set_title("\n".join(lines), loc="left", fontsize="medium", parse_math=False, pad=pad)


def say_nothing(ax: Axes, what: str, text: str = NOTHING_ASKED) -> Axes:
    """Say why there is nothing to draw of what the title names."""
    title(ax, what)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center")
    return ax


def ink(ax: Axes) -> str:
    """Return the colour in which the axes are drawn: the theme's, or that of a style of the user's."""
    return str(ax.xaxis.label.get_color())


def short(name: str) -> str:
    """Return a name that fits, cut in its middle, since long names mostly differ at the end."""
    name = one_line(name)
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"


def rows(ax: Axes, names: Sequence[str], below: Sequence[str] = ()) -> None:
    """Make the upright axis one row per name, the first at the top; ``below`` are further words."""
    said = [*below, *[""] * (len(names) - len(below))]
    labels = [f"{short(name)}\n{more}" if more else short(name) for name, more in zip(names, said, strict=True)]
    ax.set_yticks(range(len(names)), labels=labels, parse_math=False)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    for row in range(1, len(names)):
        ax.axhline(row - 0.5, linewidth=0.6, color=ink(ax), alpha=0.25, zorder=0)


def bands(ax: Axes, bars: Iterable[tuple[float, float, float]], look: Look, *, pale: bool = False) -> None:
    """Draw bars of one look, given as (row, begin, days): one collection of faces, one of hatchings, a path per row.

    Thousands of them take no longer than one, since what is hatched is hatched path by path. ``pale`` is behind marks.
    """
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_rgba
    from matplotlib.path import Path

    half = (ROW if pale else look.height) / 2
    polygons: dict[float, list[tuple[tuple[float, float], ...]]] = {}
    for row, at, days in bars:
        low, high = row - half, row + half
        polygons.setdefault(row, []).append(((at, low), (at, high), (at + days, high), (at + days, low)))
    paths = [Path.make_compound_path_from_polys(np.array(each)) for each in polygons.values()]
    if paths:
        face = PathCollection(paths, facecolor=_face(look, pale=pale), linewidth=0, zorder=1)
        ax.add_collection(face)
    if paths and look.hatch:  # by itself, since SVG has no pale face below a hatching
        edge, hatch = to_rgba(look.colour, 0.5 if pale else 1.0), look.hatch[: 2 if pale else None]
        with rc_context({"hatch.color": look.colour}):
            lines = PathCollection(paths, facecolor="none", edgecolor=edge, hatch=hatch, zorder=1)
        lines.set_linewidth(0.0 if pale else 0.8)
        ax.add_collection(lines)


def _face(look: Look, *, pale: bool) -> tuple[float, float, float, float]:
    from matplotlib.colors import to_rgba

    return to_rgba(look.colour, 0.14 if pale else 0.3 if look.hatch else 1.0)


def dots(ax: Axes, places: Sequence[tuple[float, float]], **look: object) -> None:
    """Draw a mark at each place, given as (row, day)."""
    if places:
        marks = ax.plot([at for _, at in places], [row for row, _ in places])[0]
        marks.set(**{"linestyle": "", "markersize": 4.5, "color": ink(ax), "zorder": 3, **look})


def key_of(**look: object) -> Artist:
    """Return a mark for a legend."""
    from matplotlib.lines import Line2D

    mark = Line2D([], [])
    mark.set(**look)
    return mark


def band_key(look: Look, *, pale: bool = False) -> Artist:
    """Return a piece of a band for a legend."""
    from matplotlib import rc_context
    from matplotlib.patches import Patch

    face = "none" if look.hatch else _face(look, pale=pale)
    with rc_context({"hatch.color": look.colour}):
        return Patch(facecolor=face, edgecolor=look.colour, hatch=look.hatch[: 2 if pale else None], linewidth=0.8)


def legend(ax: Axes, keys: Sequence[Key]) -> None:
    """Explain the marks above the plot; the texts are set afterwards, since a leading underscore would hide one."""
    if not keys:
        return
    drawn = ax.legend(
        [mark for _, mark in keys],
        ["-"] * len(keys),
        loc="lower left",
        bbox_to_anchor=(-0.01, 1.0),
        ncols=_KEYS_ON_A_LINE,
        borderaxespad=0.1,
        columnspacing=1.2,
        handlelength=1.6,
        handletextpad=0.5,
        frameon=False,
        fontsize="small",
    )
    for text, (label, _) in zip(drawn.get_texts(), keys, strict=True):
        text.set_parse_math(False)
        text.set_text(label)


def time_axis(ax: Axes, begin: float, end: float, epoch: float = 0.0) -> None:
    """Make the level axis one of local time, from day to day of matplotlib's count; a moment becomes a second.

    Where ``epoch`` is the Unix time at which a simulated clock was zero, it is one of seconds since then.
    """
    from dateutil.tz import tzlocal  # type: ignore[import-untyped]
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date

    if end <= begin:
        begin, end = begin - 0.5 / DAY, begin + 0.5 / DAY
    if epoch:
        _seconds_axis(ax, begin, end, epoch)
        return
    zone = tzlocal()
    locator = AutoDateLocator(zone, minticks=4, maxticks=12)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, zone))  # type: ignore[no-untyped-call]
    ax.set_xlim(begin, end)
    ax.set_xlabel(f"time ({num2date(end, zone).tzname()})")  # type: ignore[no-untyped-call]


def _seconds_axis(ax: Axes, begin: float, end: float, epoch: float) -> None:
    from matplotlib.ticker import MaxNLocator

    round_ones = MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(begin * DAY - epoch, end * DAY - epoch)
    at = {(float(each) + epoch) / DAY: number(float(each)) for each in round_ones if each >= 0}
    ax.set_xticks(list(at), labels=list(at.values()))
    ax.set_xlim(begin, end)
    ax.set_xlabel("seconds since the simulation began")


def days_of(moments: pd.Series) -> list[float]:
    """Return the moments in matplotlib's own count of days."""
    from matplotlib.dates import date2num

    days: list[float] = date2num(moments.dt.tz_localize(None).to_numpy()).tolist()  # type: ignore[no-untyped-call]
    return days
