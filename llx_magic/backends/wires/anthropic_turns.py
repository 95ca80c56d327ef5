"""Messages as turns of Anthropic's form: who speaks, and the blocks that the turn is made of. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.wires.wire import base64_of, unsayable
from llx_magic.core.message import File, Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llx_magic.core.message import Message, Piece
    from llx_magic.text.values import JsonValue

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTS = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")
"""What a file's media type begins with that is sent as plain text."""


def system_of(messages: Iterable[Message]) -> str:
    """Return what all system messages say: in this form it stands outside of the turns.

    Raises:
        BackendFailed: of kind bad request, where one of them shows an image or a file.
    """
    found = [message for message in messages if message.role == "system" and not message.is_blank]
    if any(not isinstance(piece, str) for message in found for piece in message.pieces):
        raise unsayable("an image or a file in a system prompt: put it into the prompt itself")
    return "\n\n".join(message.text for message in found)


def turns_of(messages: Iterable[Message]) -> list[JsonValue]:
    """Return the turns of user and assistant, which alternate: those that follow each other become one.

    What is blank is left out, and so is the white space after an assistant's last words, which the model is to go on
    with: the service refuses both.

    Raises:
        BackendFailed: of kind bad request, for a file or an image of a type that the service does not read, and where
            the user does not speak first.
    """
    turns: list[tuple[str, list[dict[str, JsonValue]]]] = []
    for message in messages:
        blocks = [_block(piece) for piece in message.pieces if not isinstance(piece, str) or piece.strip()]
        if message.role == "system" or not blocks:
            continue
        if turns and turns[-1][0] == message.role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((message.role, blocks))
    if not turns or turns[0][0] != "user":
        raise unsayable("a conversation in which the user does not speak first")
    last = turns[-1][1][-1]
    if turns[-1][0] == "assistant" and isinstance(words := last.get("text"), str):
        last["text"] = words.rstrip()
    return [{"role": role, "content": [*blocks]} for role, blocks in turns]


def _block(piece: Piece) -> dict[str, JsonValue]:
    """Return a piece as a content block (https://platform.claude.com/docs/en/build-with-claude/pdf-support)."""
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
