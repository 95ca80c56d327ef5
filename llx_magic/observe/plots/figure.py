"""A figure that a notebook shows as a cell's value, without pyplot and its global state; imports matplotlib.

https://matplotlib.org/stable/gallery/user_interfaces/web_application_server_sgskip.html

A notebook gets it as SVG whose ink and paper are those of its theme, so it changes with the theme; where HTML is not
shown there is a PNG. A style that the user has chosen (``matplotlib.style``) holds instead.
"""

from __future__ import annotations

import html
import io
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from matplotlib import get_data_path, rc_context, rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PIXELS_PER_INCH = 96
"""How large an inch of the figure is shown."""

SHARPNESS = 2
"""Pixels of the picture for each one shown, so that it is sharp on dense screens too."""

INK, PAPER = "#1f2329", "#fefeff"
"""What stands for the theme's ink and paper; colours that nobody else would choose."""

# https://jupyterlab.readthedocs.io/en/stable/developer/css.html, https://code.visualstudio.com/api/extension-guides/webview
_THEMED = {
    INK: "var(--jp-content-font-color1,var(--vscode-foreground,currentColor))",
    PAPER: "var(--jp-layout-color0,var(--vscode-editor-background,transparent))",
}

FONT = "DejaVu Sans"
"""A font that matplotlib brings along, for machines that have none."""

_TO_LEAVE_OUT = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)

_OUTLINE = re.compile(r' d="[^"]*"')
_FINER = re.compile(r"(?<=\.\d\d)\d+")
"""Digits of coordinates that nobody can see."""

Png = tuple[bytes, dict[str, int]]
"""A picture, and the width and height at which a front end shows it."""


def in_theme() -> AbstractContextManager[None]:
    """Return what makes all that is drawn within it follow the theme, unless the user has chosen a style."""
    if rcParams["text.color"] != "black" or rcParams["figure.facecolor"] != "white":
        return nullcontext()
    return rc_context({
        "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "xtick.color": INK,
        "ytick.color": INK, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "figure.facecolor": PAPER,
        "axes.facecolor": PAPER, "savefig.facecolor": PAPER,
    })  # fmt: skip


def fonts() -> str:
    """Return the folder that ``FONT`` is in."""
    return str(Path(get_data_path(), "fonts", "ttf"))


class ShownFigure(Figure):
    """A Figure that is shown as a picture where it is the value of a cell; ``alt`` is what it shows, in words."""

    alt = "a plot"

    def _repr_png_(self) -> Png:
        width, height = self._pixels()
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=PIXELS_PER_INCH * SHARPNESS)
        return picture.getvalue(), {"width": width, "height": height}

    def _repr_html_(self) -> str:
        picture = io.StringIO()
        with rc_context({"svg.hashsalt": "llx", "svg.fonttype": "path"}):
            self.savefig(picture, format="svg", metadata={"Date": None})
        drawn = _TO_LEAVE_OUT.sub("", picture.getvalue())
        drawn = _OUTLINE.sub(lambda found: _FINER.sub("", found[0]), " ".join(drawn.split()))
        for colour, themed in _THEMED.items():
            drawn = drawn.replace(colour, themed)
        width, _height = self._pixels()
        said = (
            f'<svg role="img" aria-label="{html.escape(self.alt)}" style="max-width:{width}px;height:auto;width:100%" '
        )
        return f"<div>{drawn.replace('<svg ', said, 1)}</div>"

    def _pixels(self) -> tuple[int, int]:
        width, height = self.get_size_inches()
        return round(width * PIXELS_PER_INCH), round(height * PIXELS_PER_INCH)


class ShownAxes(Axes):
    """Axes that show their whole figure where they are the value of a cell."""

    def _repr_png_(self) -> Png | None:
        figure = self.get_figure(root=True)
        return figure._repr_png_() if isinstance(figure, ShownFigure) else None

    def _repr_html_(self) -> str | None:
        figure = self.get_figure(root=True)
        return figure._repr_html_() if isinstance(figure, ShownFigure) else None


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of that many inches; nothing else keeps the figure alive."""
    figure = ShownFigure(figsize=(width, height), layout="constrained")
    return figure.add_subplot(axes_class=ShownAxes)
