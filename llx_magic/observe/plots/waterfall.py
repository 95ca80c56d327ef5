"""How one request was decided, as a plot: the same picture as the HTML waterfall, for figures and files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.observe.palette import ANSWERED, FAILED
from llx_magic.observe.plots import marks as drawing
from llx_magic.observe.plots.marks import MISSED, ink
from llx_magic.text.screen import one_line
from llx_magic.units import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from llx_magic.core.trace import Step, Trace

_LONGEST_TEXT = 100
_BAR = 0.32
_LEAST = 0.004
"""The least width of a bar, as a share of the request, so that the shortest attempt can be seen."""


def plot_waterfall(trace: Trace, *, ax: Axes | None = None) -> Axes:
    """Draw a request from the first decision to the answer: a row per skip, attempt, wait and change, top down.

    An attempt is an outline until its first token, marked by an upright line, and filled from there; one that failed is
    hatched and ends in a cross; a wait is dotted; what takes no time is a dot.
    """
    steps = trace.steps
    with drawing.style(ax):
        ax = drawing.axes_or_new(ax, 1.1 + 0.46 * max(2, len(steps)), trace.headline)
        if not steps:
            return drawing.say_nothing(ax, "Waterfall")
        drawing.title(ax, trace.headline)
        total = max([trace.seconds, *(step.end or 0.0 for step in steps)]) or 1e-3
        for row, step in enumerate(steps):
            _step(ax, row + 0.18, step, total)
            _say(ax, row - 0.24, one_line(step.text, _LONGEST_TEXT))
        ax.set_xlim(0, total * 1.01)
        ax.xaxis.set_major_formatter(lambda seconds, _place: duration(seconds))
        ax.set_xlabel("time from the start of the request")
        drawing.rows(ax, [step.backend for step in steps])
        return ax


def _say(ax: Axes, high: float, text: str) -> None:
    ax.text(
        0.006, high, text, transform=ax.get_yaxis_transform(), parse_math=False, fontsize="x-small", va="center",
        clip_on=True,
    )  # fmt: skip


def _step(ax: Axes, row: float, step: Step, total: float) -> None:
    end = total if step.end is None else min(step.end, total)
    if step.kind == "attempt":
        _attempt(ax, row, step, end, total)
    elif step.kind == "wait":
        ax.plot([step.begin, end], [row] * 2, linestyle=":", linewidth=2, color=ink(ax))
    else:
        ax.plot([step.begin], [row], marker="o", markersize=5, color=ink(ax), clip_on=False)


def _attempt(ax: Axes, row: float, step: Step, end: float, total: float) -> None:
    failed = not step.ok and not step.outrun and step.end is not None
    colour = FAILED if failed else ANSWERED if step.ok else ink(ax)
    begin = min(step.begin, total * (1 - _LEAST))
    until = max(end, begin + total * _LEAST)
    first = step.first_token
    outline = ax.barh(row, until - begin, left=begin, height=_BAR, facecolor="none", edgecolor=colour, linewidth=1.2)
    outline[0].set_hatch("////" if failed else "")
    if first is not None:
        first = min(first, until)
        ax.barh(row, until - first, left=first, height=_BAR, facecolor=colour, linewidth=0)
        ax.plot([first] * 2, [row - 0.22, row + 0.22], linewidth=1.6, color=ink(ax))
    if failed:
        drawing.dots(ax, [(row, until)], **{**MISSED, "color": ink(ax), "clip_on": False})
