"""What the plots are drawn with: axes, titles, lanes, lines, legends and the axis of time."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llx_magic.core.trace import NOTHING_ASKED
from llx_magic.observe.palette import Style
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Key = tuple[str, "Artist"]
"""What a legend says of a mark, and the mark."""

DAY = 86_400.0
"""The seconds of what matplotlib counts time in."""

_WIDTH = 8.0
_LONGEST_NAME = 22
_TITLE_LINE = 68


def axes_or_new(ax: Axes | None, height: float) -> Axes:
    """Return the Axes given, or those of a new figure ``height`` inches high."""
    if ax is not None:
        return ax
    from llx_magic.observe.plots.figure import new_axes

    return new_axes(_WIDTH, height)


def title(ax: Axes, text: str) -> None:
    """Write the title, on up to three lines."""
    lines = textwrap.wrap(one_line(text), _TITLE_LINE, max_lines=3, placeholder=" …")
    ax.set_title("\n".join(lines), loc="left", fontsize="medium", parse_math=False)


def say_nothing(ax: Axes, what: str, text: str = NOTHING_ASKED) -> Axes:
    """Say why there is nothing to draw of what the title names."""
    title(ax, what)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center")
    return ax


def ink() -> str:
    """Return the colour of text, so that a dark style of the user's holds here too."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def short(name: str) -> str:
    """Return a name that fits, cut in its middle, since long names mostly differ at the end."""
    name = one_line(name)
    half = _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[1 - half :]}"


def lanes(ax: Axes, names: Sequence[str]) -> None:
    """Make the upright axis one lane per name, the first at the top."""
    ax.set_yticks(range(len(names)), labels=[short(name) for name in names], parse_math=False)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def line_of(ax: Axes, moments: pd.Series, y: pd.Series, style: Style, **look: object) -> Line2D:
    """Draw a line over time in a backend's style, but for what ``look`` says otherwise."""
    line = ax.plot(days_of(moments), y.to_numpy())[0]
    line.set(**look_of(style) | look)
    return line


def look_of(style: Style) -> dict[str, object]:
    """Return a backend's style in matplotlib's words."""
    dash = (0, style.dash) if style.dash else "-"
    return {"color": style.colour, "marker": style.marker, "markersize": 5, "linestyle": dash}


def key_of(**look: object) -> Line2D:
    """Return a mark for a legend."""
    from matplotlib.lines import Line2D

    mark = Line2D([], [])
    mark.set(**look)
    return mark


def legend(ax: Axes, keys: Sequence[Key]) -> None:
    """Explain the marks beside the plot; the texts are set afterwards, since a leading underscore would hide one."""
    if not keys:
        return
    drawn = ax.legend(
        [mark for _, mark in keys],
        ["-"] * len(keys),
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize="small",
    )
    for text, (label, _) in zip(drawn.get_texts(), keys, strict=True):
        text.set_parse_math(False)
        text.set_text(label)


def time_axis_of(ax: Axes, moments: pd.Series) -> None:
    """Make the level axis one of time that holds all the moments, with a margin."""
    days = days_of(moments)
    begin, end = min(days), max(days)
    margin = (end - begin) * 0.02
    time_axis(ax, begin - margin, end + margin)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def time_axis(ax: Axes, begin: float, end: float) -> None:
    """Make the level axis one of local time, from day to day of matplotlib's count; a moment becomes a second."""
    from dateutil.tz import tzlocal  # type: ignore[import-untyped]
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date

    if end <= begin:
        begin, end = begin - 0.5 / DAY, begin + 0.5 / DAY
    zone = tzlocal()
    locator = AutoDateLocator(zone, minticks=4, maxticks=12)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator, zone))  # type: ignore[no-untyped-call]
    ax.set_xlim(begin, end)
    ax.set_xlabel(f"time ({num2date(end, zone).tzname()})")  # type: ignore[no-untyped-call]


def days_of(moments: pd.Series) -> list[float]:
    """Return the moments in matplotlib's own count of days."""
    from matplotlib.dates import date2num

    days: list[float] = date2num(moments.dt.tz_localize(None).to_numpy()).tolist()  # type: ignore[no-untyped-call]
    return days
