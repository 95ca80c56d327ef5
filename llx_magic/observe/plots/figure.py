"""A figure that a notebook shows as a cell's value, without pyplot and its global state; imports matplotlib.

https://matplotlib.org/stable/gallery/user_interfaces/web_application_server_sgskip.html
"""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

PIXELS_PER_INCH = 96
"""How large an inch of the figure is shown."""

SHARPNESS = 2
"""Pixels of the picture for each one shown, so that it is sharp on dense screens too."""

Png = tuple[bytes, dict[str, int]]
"""A picture, and the width and height at which a front end shows it."""


class ShownFigure(Figure):
    """A Figure that is shown as a picture where it is the value of a cell."""

    def _repr_png_(self) -> Png:
        width, height = (round(inches * PIXELS_PER_INCH) for inches in self.get_size_inches())
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=PIXELS_PER_INCH * SHARPNESS)
        return picture.getvalue(), {"width": width, "height": height}


class ShownAxes(Axes):
    """Axes that show their whole figure where they are the value of a cell."""

    def _repr_png_(self) -> Png | None:
        figure = self.get_figure(root=True)
        return figure._repr_png_() if isinstance(figure, ShownFigure) else None


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of that many inches; nothing else keeps the figure alive."""
    figure = ShownFigure(figsize=(width, height), layout="constrained")
    return figure.add_subplot(axes_class=ShownAxes)
