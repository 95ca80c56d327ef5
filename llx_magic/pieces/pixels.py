"""Pictures as services take them: one still frame, upright, no larger than asked, in a format that all of them read."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.sources import MOST_PIXELS
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_READ = ("PNG", "JPEG", "MPO", "GIF", "WEBP", "BMP", "TIFF", "ICO", "PPM", "AVIF")
"""The formats that are read. Pillow knows more; one of them (EPS) would start a program."""

_TAKEN = frozenset({"PNG", "JPEG", "GIF", "WEBP"})
"""The formats that every service takes which takes images."""

_LARGEST = 4 << 20
"""How many bytes a PNG may have before a JPEG is made of it: some services take 5 MiB as base64 at most."""

_TELLING = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "comment", "photoshop"})
"""What stands beside the pixels of a photograph: where and when it was taken, and by whom."""


class Encoded(NamedTuple):
    """A picture as it is sent; ``size`` is its width and height."""

    media_type: str
    data: bytes
    size: tuple[int, int]


def encoded(source: bytes | Picture, longest: int) -> Encoded:
    """Return a picture as it is sent: at most ``longest`` pixels wide and high.

    Bytes that can be sent are sent as they are, if nothing but the picture is in them.

    Raises:
        UnreadableError: for what is no picture, is broken, or has too many pixels.
    """
    try:
        with warnings.catch_warnings():  # what a decoder puts up with in a broken file is nothing to tell the user
            warnings.simplefilter("ignore")
            picture = _opened(source) if isinstance(source, bytes) else source
            _check_size(picture.size)
            if isinstance(source, bytes) and picture.format in _TAKEN and _may_stay(picture, len(source), longest):
                picture.load()
                return Encoded(f"image/{picture.format.lower()}", source, picture.size)
            return _written(_upright(picture, longest), picture.format or "PNG")
    except UnreadableError:
        raise
    except MemoryError:
        raise UnreadableError("the image needs more memory than there is") from None
    except Exception as problem:  # noqa: BLE001 - a broken file makes a decoder raise anything
        why = one_line(str(problem), 100) or type(problem).__name__
        raise UnreadableError(f"the image cannot be read ({why})") from None


def _opened(data: bytes) -> Picture:
    from PIL import Image, UnidentifiedImageError

    Image.init()
    try:
        return Image.open(io.BytesIO(data), formats=[name for name in _READ if name in Image.OPEN])
    except Image.DecompressionBombError:
        raise UnreadableError(_too_many()) from None
    except UnidentifiedImageError:
        known = "PNG, JPEG, GIF, WebP, BMP, TIFF"
        raise UnreadableError(f"is no image of a format that is read: {known} and the like") from None


def _check_size(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise UnreadableError(_too_many(f"{size[0]:,} x {size[1]:,} pixels are "))


def _too_many(how_many: str = "") -> str:
    return f"{how_many or 'its pixels are '}more than {MOST_PIXELS // 1_000_000} million, the most that is read"


def _may_stay(picture: Picture, size: int, longest: int) -> bool:
    """Return whether the bytes hold one still picture that every service reads, and nothing else."""
    return (
        max(picture.size) <= longest
        and size <= _LARGEST
        and picture.mode in ("1", "L", "LA", "P", "RGB", "RGBA")
        and not getattr(picture, "is_animated", False)
        and _TELLING.isdisjoint(picture.info)
        and not picture.getexif()
        and not getattr(picture, "text", None)
    )


def _upright(picture: Picture, longest: int) -> Picture:
    """Return the first frame as it is meant to be seen, scaled, in grey or colours of 8 bits."""
    from PIL import Image, ImageOps

    if picture.format == "JPEG":
        picture.draft(picture.mode, (longest, longest))  # decodes no more than is needed
    turned = ImageOps.exif_transpose(picture)
    plain = _plain(turned)
    made = plain.copy() if plain is picture else plain  # which is the user's own
    made.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=3.0)
    made.info = {}
    return made


def _plain(picture: Picture) -> Picture:
    if picture.mode[0] in "IF":
        # Pillow would cut grey of 16 or 32 bits off at 255: https://github.com/python-pillow/Pillow/issues/3011
        import numpy as np
        from PIL import Image

        grey = np.asarray(picture).astype(float)
        low, high = (0.0, 65_535.0) if picture.mode.startswith("I;16") else (float(grey.min()), float(grey.max()))
        return Image.fromarray(((grey - low) / ((high - low) or 1) * 255).astype(np.uint8))
    if picture.has_transparency_data:
        return picture.convert("RGBA")
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


def _written(picture: Picture, given: str) -> Encoded:
    """Return the picture as JPEG where it was one, or would be large otherwise; else as PNG."""
    is_opaque = picture.mode != "RGBA"
    for name in ("JPEG",) if is_opaque and given in ("JPEG", "MPO") else ("PNG", "JPEG"):
        page = io.BytesIO()
        picture.save(page, format=name, **({"quality": 90} if name == "JPEG" else {}))
        if page.tell() <= _LARGEST or not is_opaque:
            break
    return Encoded(f"image/{name.lower()}", page.getvalue(), picture.size)
