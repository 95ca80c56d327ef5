"""What can stand for a picture in a notebook, told by what its class is called, so that nothing is imported for it."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

from llx_magic.errors import brief
from llx_magic.pieces.errors import UnreadableError

if TYPE_CHECKING:
    import numpy as np
    from IPython.core.display import Image as Displayed
    from matplotlib.figure import Figure
    from PIL.Image import Image as Picture

MOST_PIXELS = 89_478_485
"""The most pixels of an image that is read, as in Pillow: 1/4 GiB of colours.

https://pillow.readthedocs.io/en/stable/reference/limits.html
"""

_FEWEST = 16
"""The shortest side in pixels that an array has which is taken for an image without being called one."""


def is_picture(value: object) -> bool:
    """Return whether a value is nothing but a picture, so that it is one in a prompt without being called one."""
    kinds = _kinds(value)
    if "numpy.ndarray" in kinds:
        array = cast("np.ndarray", value)
        is_colour = array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) >= _FEWEST
        return is_colour and str(array.dtype) == "uint8"
    return not kinds.isdisjoint({"matplotlib.Figure", "PIL.Image", "IPython.Image"})


def source_of(value: object, longest: int) -> bytes | str | Path | Picture:
    """Return what a picture is read from: its bytes, its https address, its path, or its pixels.

    ``value`` is whatever stands for one; ``longest`` bounds the sides of a drawing in pixels.

    Raises:
        UnreadableError: for what is no picture.
    """
    kinds = _kinds(value)
    made: bytes | str | Path | Picture | None = named(value)
    if made is not None:
        return made
    if "PIL.Image" in kinds:
        made = cast("Picture", value)
    elif "IPython.Image" in kinds:
        made = _displayed(cast("Displayed", value))
    elif "numpy.ndarray" in kinds:
        made = _coloured(cast("np.ndarray", value))
    else:
        figure: object = value if "matplotlib.Figure" in kinds else getattr(value, "figure", None)
        if "matplotlib.Figure" in _kinds(figure):  # or its axes, or a grid of seaborn
            made = _drawn(cast("Figure", figure), longest)
    if made is not None:
        return made
    raise UnreadableError(
        f"{brief(value)} is no image; it takes a path, bytes, an https address, a figure of matplotlib, an image of "
        "PIL or IPython, or an array of numpy"
    )


def named(value: object) -> bytes | str | Path | None:
    """Return the bytes, the path or the address that a value is; None for another kind of value."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, PathLike):
        return Path(value)
    return value if isinstance(value, str) else None


def _kinds(value: object) -> set[str]:
    return {f"{str(base.__module__).partition('.')[0]}.{base.__name__}" for base in type(value).__mro__}


def _drawn(figure: Figure, longest: int) -> bytes:
    """Return the figure as the notebook shows it, without the version of what drew it."""
    page = io.BytesIO()
    dots = min(figure.dpi, longest / max(figure.get_size_inches()))
    figure.savefig(page, format="png", dpi=dots, bbox_inches="tight", metadata={"Software": None})
    return page.getvalue()


def _displayed(image: Displayed) -> bytes | str | Path:
    if isinstance(image.data, bytes):
        return image.data
    if image.url:
        return str(image.url)
    if image.filename:
        return Path(image.filename)
    raise UnreadableError("the image of IPython holds no data")


def _coloured(array: np.ndarray) -> Picture:
    """Return the array as an image: whole numbers from 0 to 255, or others from 0 to 1.

    Raises:
        UnreadableError: for an array of another shape, kind or range.
    """
    import numpy as np
    from PIL import Image

    pixels = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    is_shaped = pixels.size and (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4)))
    if is_shaped and pixels.shape[0] * pixels.shape[1] <= MOST_PIXELS and pixels.dtype.kind in "buif":
        low, high = float(pixels.min()), float(pixels.max())
        if low >= 0 and high <= (255 if pixels.dtype.kind in "ui" else 1):
            scale = 1 if pixels.dtype.kind in "ui" else 255
            return Image.fromarray((pixels.astype(float) * scale + 0.5).astype(np.uint8))
    raise UnreadableError(
        f"an array of shape {array.shape} and type {array.dtype} is no image; one has a height, a width and mostly 3 "
        "or 4 colours, in whole numbers from 0 to 255 or in others from 0 to 1"
    )
