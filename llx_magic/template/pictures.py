"""Plots in a prompt, in words; a whole figure is an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.template.tables import Limits, Shown
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure


def figure(value: SubFigure, _limits: Limits) -> Shown:
    """Say what is in a part of a figure, a line for each plot."""
    title = one_line(value.get_suptitle())
    head = f"figure with {_count(len(value.axes), 'plot')}" + (f', title "{title}"' if title else "")
    return Shown("\n".join([head, *(f"- {_said(axes)}" for axes in value.axes)]))


def plot(value: Axes, _limits: Limits) -> Shown:
    """Say what a reader of the plot reads: titles, axes, legend, and how much is drawn."""
    return Shown(_said(value))


def _said(axes: Axes) -> str:
    titles = [axes.get_title(loc=where) for where in ("left", "center", "right")]
    legend = axes.get_legend()
    entries = [entry.get_text() for entry in legend.get_texts()] if legend else axes.get_legend_handles_labels()[1]
    drawn = ((axes.lines, "line"), (axes.patches, "patch"), (axes.collections, "collection"), (axes.images, "image"))
    facts = [
        "plot" + "".join(f' "{one_line(title)}"' for title in titles if title),
        _axis("x", axes.get_xlabel(), axes.get_xlim()),
        _axis("y", axes.get_ylabel(), axes.get_ylim()),
        ", ".join(_count(len(artists), what) for artists, what in drawn if len(artists)) or "nothing drawn",
        f"legend: {', '.join(map(one_line, entries))}" if entries else "",
    ]
    return "; ".join(filter(None, facts))


def _axis(name: str, label: str, limits: tuple[float, float]) -> str:
    return f"{name} axis" + (f' "{one_line(label)}"' if label else "") + f" from {limits[0]:.6g} to {limits[1]:.6g}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "es" if what.endswith("ch") else "s")
