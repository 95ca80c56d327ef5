"""By what a stored reply is found again: what was asked, and of whom."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from llx_magic.core.message import File, Image, Message, Piece
from llx_magic.core.reply import Effort
from llx_magic.text.values import JsonValue

Key = tuple[bytes, int]
"""What was asked, and its occurrence: equal prompts share 0, samples of one prompt are numbered."""

_SILENT = frozenset({
    "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store", "stream",
    "stream_options", "user",
})  # fmt: skip
"""The parameters that change no answer: who asks, how it is billed, kept and sent."""


class Keys:
    """Makes the keys of prompts; those of one run differ in their messages alone.

    Nothing of models and their parameters, backends, addresses, time-outs or the place of a row is in a key. So a table
    that was sorted, or got new rows, finds its replies again, and so does a profile with one backend more.
    """

    __slots__ = ("_asked",)

    def __init__(self, *, schema: Mapping[str, JsonValue] | None, effort: Effort | None, as_json: bool) -> None:
        self._asked = blake2b(digest_size=16, person=b"llx reply 1")
        # A schema stays in its order: models fill it in so.
        told = [None if schema is None else json.dumps(schema), effort, as_json]
        self._asked.update(json.dumps(told).encode())

    def of(self, messages: Iterable[Message]) -> bytes:
        """Return the key, 16 bytes, of messages whose images and files are read."""
        asked = self._asked.copy()
        for message in messages:
            for piece in message.pieces:
                for part in (message.role.encode(), *_parts(piece)):
                    asked.update(b"%d:" % len(part))
                    asked.update(part)
            asked.update(b".")
        return asked.digest()


def asked_of(model: str, params: Mapping[str, JsonValue]) -> bytes:
    """Return whom a reply was asked of, 8 bytes: the model that the profile names, with the parameters it was sent.

    A stored reply counts where one of a profile's candidates has the same today.
    """
    return blake2b(json.dumps([model, _params(params)]).encode(), digest_size=8, person=b"llx asked 1").digest()


def judged_by(*who: JsonValue) -> bytes:
    """Return by whom a row was found to be at fault, 8 bytes, in the place of whom a reply was asked of.

    Such a fault is a matter of all who could have been asked, and counts for nobody else.
    """
    return blake2b(json.dumps(who).encode(), digest_size=8, person=b"llx judged 1").digest()


def _params(params: Mapping[str, JsonValue]) -> str:
    """Return what of the parameters changes an answer; 0 and 0.0 are the same."""
    told = {name: _plain(value) for name, value in params.items() if name not in _SILENT}
    return json.dumps(told, sort_keys=True)


def _plain(value: JsonValue) -> JsonValue:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _parts(piece: Piece) -> tuple[bytes, ...]:
    """Return what of a piece a model is told, each part of its own; a name of an image is not sent."""
    match piece:
        case Image():
            return b"image", piece.media_type.encode(), _bytes(piece.url), _digest(piece.data)
        case File():
            return b"file", piece.media_type.encode(), _bytes(piece.url), _digest(piece.data), _bytes(piece.name)
        case _:
            return (_bytes(piece),)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=32).digest()
