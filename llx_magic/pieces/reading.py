"""From what a user gives for an image or a file to what is sent."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from llx_magic.core.message import File, Image, Message, Piece
from llx_magic.errors import brief
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.paths import content_of
from llx_magic.pieces.pixels import encoded
from llx_magic.pieces.sources import named, source_of
from llx_magic.text.blocks import fenced

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_PDF = "application/pdf"
_PICTURES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
"""What files of images begin with; WebP has its mark later."""


def kind_of(content: bytes) -> Literal["image", "PDF"] | None:
    """Return what a file is by its beginning; None for anything else."""
    if content.startswith(b"%PDF-"):
        return "PDF"
    return "image" if content.startswith(_PICTURES) or content[8:12] == b"WEBP" else None


def read(messages: Iterable[Message], longest: int) -> tuple[Message, ...]:
    """Return messages whose images and files have all been read, with no blank text beside them.

    ``longest`` bounds the sides of images in pixels.

    Raises:
        UnreadableError: for the first that cannot be read.
    """
    return tuple(
        message if isinstance(message.content, str) else replace(message, content=_all(message.content, longest))
        for message in messages
    )


def _all(pieces: tuple[Piece, ...], longest: int) -> tuple[Piece, ...]:
    return tuple(_read(piece, longest) for piece in pieces if not isinstance(piece, str) or piece.strip())


def _read(piece: Piece, longest: int) -> Piece:
    """Return a piece as it is sent. What it is its content says: a PDF is a file, a picture an image, a text text."""
    if isinstance(piece, str) or piece.source is None:
        return piece
    is_image, name = isinstance(piece, Image), piece.name
    source = source_of(piece.source, longest) if is_image else _file_source(piece.source)
    if isinstance(source, str) and "://" in source:
        return replace(piece, source=None, url=_address(source))
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        name, source = path.name if name in ("", "file") else name, content_of(path)
    try:
        if not isinstance(source, bytes) or (is_image and kind_of(source) != "PDF"):
            return _image(source, name, longest)
        return _file(source, name, piece.media_type, longest)
    except UnreadableError as problem:
        raise UnreadableError(f"{name}: {problem}" if name else str(problem)) from None


def _file_source(given: object) -> bytes | str | Path:
    if (source := named(given)) is not None:
        return source
    raise UnreadableError(f"{brief(given)} is no file; it takes a path, bytes, or an https address")


def _address(given: str) -> str:
    parts = urlsplit(given)
    if parts.scheme.lower() == "https" and parts.hostname and given.isascii() and given.isprintable():
        return given
    raise UnreadableError(f"{brief(given)}: the address of an image or a file must begin with https://")


def _image(source: bytes | Picture, name: str, longest: int) -> Image:
    made = encoded(source, longest)
    return Image(media_type=made.media_type, data=made.data, name=name, size=made.size)


def _file(content: bytes, name: str, media_type: str, longest: int) -> Piece:
    known = media_type or mimetypes.guess_type(name)[0] or ""
    kind = kind_of(content)
    if kind == "PDF":
        return File(media_type=_PDF, data=content, name=name or "document.pdf")
    if not media_type and kind == "image":
        return _image(content, name, longest)
    if not media_type and b"\0" not in content:
        try:
            return f"{name or 'file'}:\n\n{fenced(content.decode('utf-8-sig'), '')}\n\n"
        except UnicodeDecodeError:
            pass  # it is no text
    return File(media_type=known or "application/octet-stream", data=content, name=name or "file")
