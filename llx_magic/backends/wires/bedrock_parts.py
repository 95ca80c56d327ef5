"""The turns of a conversation in the blocks of Amazon Bedrock's Converse. No I/O.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llx_magic.backends.wires.turns import turns_of
from llx_magic.backends.wires.wire import base64_of, unsayable
from llx_magic.core.message import File, Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llx_magic.core.message import Message, Piece
    from llx_magic.text.values import JsonValue

_IMAGES: Final = ("png", "jpeg", "gif", "webp")
_DOCUMENTS: Final = {
    "application/pdf": "pdf", "text/csv": "csv", "text/html": "html", "text/plain": "txt", "text/markdown": "md",
    "application/msword": "doc", "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}  # fmt: skip
_ENDINGS: Final = {**{each: each for each in _DOCUMENTS.values()}, "htm": "html", "markdown": "md", "text": "txt"}

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9\-()\[\]]+")
"""What the name of a document may not have; of blanks it may have one in a row."""

_LONGEST_NAME = 190


def blocks_of(messages: Iterable[Message], *, as_system: bool) -> tuple[list[JsonValue], list[JsonValue]]:
    """Return the system prompt and the turns; where not ``as_system``, it stands before what the user says first.

    Raises:
        BackendFailed: of kind bad request, for a piece that Converse has no word for, and as ``turns_of`` does.
    """
    system, turns = turns_of(messages, apart=as_system)
    names: set[str] = set()
    said: list[JsonValue] = [
        {"role": role, "content": _with_text([_block(each, names) for each in pieces])} for role, pieces in turns
    ]
    return [{"text": each} for each in system], said


def _with_text(blocks: list[JsonValue]) -> list[JsonValue]:
    """Return the blocks with a text beside documents, which the service requires: the first one's name."""
    kinds = {name for each in blocks if isinstance(each, dict) for name in each}
    if "document" not in kinds or "text" in kinds:
        return blocks
    first = next(each["document"] for each in blocks if isinstance(each, dict) and "document" in each)
    return [{"text": first["name"] if isinstance(first, dict) else ""}, *blocks]


def _block(piece: Piece, names: set[str]) -> JsonValue:
    match piece:
        case str():
            return {"text": piece}
        case Image():
            return {"image": {"format": _image_format(piece), "source": {"bytes": base64_of(piece)}}}
        case File():
            if piece.url:
                raise unsayable("a file at an address: read it and give its bytes")
            kind, name = _document_format(piece), _name(piece, names)
            return {"document": {"format": kind, "name": name, "source": {"bytes": base64_of(piece)}}}


def _image_format(image: Image) -> str:
    if image.url:
        raise unsayable("an image at an address: read it and give its bytes")
    kind = image.media_type.partition(";")[0].strip().lower().removeprefix("image/")
    kind = "jpeg" if kind == "jpg" else kind
    if kind not in _IMAGES:
        raise unsayable(f"images of type {kind or 'unknown'}, only {', '.join(_IMAGES)}")
    return kind


def _document_format(file: File) -> str:
    named = _parts_of(file.name)[1].lower()
    kind = _DOCUMENTS.get(file.media_type.partition(";")[0].strip().lower())
    if named in _ENDINGS and kind in (None, "txt"):  # a table or a page may be labelled as plain text
        kind = _ENDINGS[named]
    if kind is None:
        raise unsayable(f"files of type {file.media_type or named or 'unknown'}, only {', '.join(_DOCUMENTS.values())}")
    return kind


def _name(file: File, taken: set[str]) -> str:
    """Return a legal name that no other document of the request has; it is told to the model."""
    stem = _NOT_IN_A_NAME.sub(" ", _parts_of(file.name)[0]).strip()[:_LONGEST_NAME].strip() or "file"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem} {number}"
    taken.add(name)
    return name


def _parts_of(name: str) -> tuple[str, str]:
    """Return the name of a file without its folders and its ending, and that ending."""
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, ending = last.rpartition(".")
    return (stem, ending) if dot and stem else (last, "")
