"""The blocks that a turn of Anthropic's form is made of. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.wires.wire import base64_of, unsayable
from llx_magic.core.message import File, Image

if TYPE_CHECKING:
    from llx_magic.core.message import Piece
    from llx_magic.text.values import JsonValue

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTS = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")
"""What a file's media type begins with that is sent as plain text."""


def block_of(piece: Piece) -> dict[str, JsonValue]:
    """Return a piece as a content block (https://platform.claude.com/docs/en/build-with-claude/pdf-support).

    Raises:
        BackendFailed: of kind bad request, for a file or an image of a type that the service does not read.
    """
    if isinstance(piece, str):
        return {"type": "text", "text": piece}
    kind = piece.media_type.partition(";")[0].strip().lower().replace("image/jpg", "image/jpeg")
    if isinstance(piece, Image) or kind in _IMAGES:
        return {"type": "image", "source": _url(piece) or _base64(piece, _readable_image(kind))}
    source = _url(piece)
    if source is None and kind == "application/pdf":
        source = _base64(piece, kind)
    elif source is None and kind.startswith(_TEXTS):
        source = {"type": "text", "media_type": "text/plain", "data": piece.data.decode("utf-8", "replace")}
    elif source is None:
        raise unsayable(f"a file of the type {kind or 'unknown'}: it reads PDF and text")
    return {"type": "document", "source": source, "title": piece.name}


def _readable_image(kind: str) -> str:
    if kind not in _IMAGES:
        raise unsayable(f"an image of the type {kind or 'unknown'}: it reads JPEG, PNG, GIF and WebP")
    return kind


def _url(piece: Image | File) -> JsonValue:
    return {"type": "url", "url": piece.url} if piece.url else None


def _base64(piece: Image | File, kind: str) -> JsonValue:
    return {"type": "base64", "media_type": kind, "data": base64_of(piece)}
