"""How the images and files of a prompt are shown to who asks it: a line for each, and small pictures in a notebook."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable

from llx_magic.core.message import File, Image, label_of
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.pixels import encoded

_TALL = 120
"""The height of a picture in a notebook, in pixels of the screen."""

_LONGEST = 3 * _TALL
"""The long side of what the notebook keeps, sharp on dense screens too."""

_BOX = "display:inline-block;vertical-align:top;max-width:100%;margin:0 .6em .4em 0;overflow-wrap:anywhere"
_PICTURE = f"display:block;max-height:{_TALL}px;max-width:100%;background:#fff;border:1px solid #888"
_CAPTION = "color:var(--jp-ui-font-color2, #888);font-size:85%"


def piece_facts(piece: Image | File) -> str:
    """Return what is sent of an image or a file: ``image plot.png, PNG, 640 x 480 pixels, 23 kB``."""
    if piece.url:
        return f"{label_of(piece)}, read by the backend from its address"
    facts = [label_of(piece), piece.media_type.rpartition("/")[2].upper()]
    if isinstance(piece, Image) and piece.size is not None:
        facts.append(f"{piece.size[0]:,} x {piece.size[1]:,} pixels")
    return ", ".join([*facts, f"{max(1, round(len(piece.data) / 1000)):,} kB"])


def as_html(pieces: Iterable[Image | File]) -> str:
    """Return the images, made small, and the names of the files: static, and readable on light and dark pages."""
    return "".join(_boxed(piece) for piece in pieces)


def _boxed(piece: Image | File) -> str:
    caption = html.escape(piece_facts(piece))
    shown = f'<div class="tex2jax_ignore mathjax_ignore" style="{_CAPTION}">{caption}</div>'
    if isinstance(piece, Image) and piece.data:
        try:
            made = encoded(piece.data, _LONGEST)
        except UnreadableError:  # whoever made it gave bytes that nothing here reads
            return f'<div style="{_BOX}">{shown}</div>'
        address = f"data:{made.media_type};base64,{base64.b64encode(made.data).decode('ascii')}"
        shown = f'<img alt="{caption}" src="{address}" style="{_PICTURE}">{shown}'
    return f'<div style="{_BOX}">{shown}</div>'
