"""Remembers the keys that this process has used and removes them from texts of servers, libraries and files."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Final

from llx_magic.key_shapes import begins_like_a_key
from llx_magic.keys.names import without_secrets
from llx_magic.keys.pieces import SHORTEST_FRAGMENT, Beginnings, PieceRedactor
from llx_magic.keys.readings import readings, unescaped
from llx_magic.keys.secret import Unshown
from llx_magic.locks import ForkSafeLock
from llx_magic.text.values import JsonValue

LONGEST_READ: Final = 6000
"""How many characters of a text of others are read, for keys and for words that tell the kind of a failure."""

_BEYOND: Final = 512
"""How many characters are read beyond that, but not shown, so that a key that the cut splits is still found."""

SHORTEST_KEY: Final = 8
"""The least length of a key; a shorter one is a placeholder such as ``EMPTY``, and may be an ordinary word."""

_MOST: Final = 128
"""How many keys are remembered, the latest used. A key that was replaced may still be in a late error."""

_SHORT: Final = 100
"""Up to how many characters a text has that is remembered with what was shown of it."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class LiveKeys(Unshown):
    """The keys and other secrets that this process has used; each is replaced by ``***`` wherever it is repeated.

    A key is found in every reading of a text (see ``readings``), in upper and lower case, whole or in parts of
    ``SHORTEST_FRAGMENT`` characters or more. A key of fewer than ``SHORTEST_KEY`` characters is not looked for,
    since ordinary words would be removed.
    """

    __slots__ = ("_beginnings", "_keys", "_lock", "_parts", "_shown")

    def __init__(self, *keys: str | None) -> None:
        self._keys: dict[str, None] = {}
        """In the order of their last use."""
        self._lock = ForkSafeLock()
        self._parts: dict[int, set[str]] | None = None
        self._beginnings: Beginnings | None = None
        self._shown: dict[str, str] = {}
        """Short texts of late, and what was shown of them: servers name the same model with each reply."""
        self.add(*keys)

    def add(self, *keys: str | None) -> None:
        """Remember keys as the latest used; beyond a limit, those that were used longest ago are forgotten."""
        with self._lock:
            for key in keys:
                if key is None or len(key) < SHORTEST_KEY:
                    continue
                is_new = key not in self._keys
                if is_new and self._parts is not None:
                    _note_parts(key, self._parts)
                self._keys.pop(key, None)
                self._keys[key] = None
                if is_new:  # last, since another thread may be reading a text while this one is not known in full
                    self._beginnings, self._shown = None, {}
            if len(self._keys) > 2 * _MOST:  # at twice the limit, since the index is then made again
                self._keys = dict.fromkeys(list(self._keys)[-_MOST:])
                self._parts = self._beginnings = None

    def holds(self, text: str) -> bool:
        """Return whether a text, with white space around it or not, is one of the keys."""
        return text.strip() in self._keys

    def without(self, text: str) -> str:
        """Return the text without the keys, cut at about ``LONGEST_READ`` characters."""
        if not self._keys:
            return text[:LONGEST_READ]
        if len(text) > _SHORT:
            return self._without(text)
        texts = self._shown
        shown = texts.get(text)
        if shown is None:
            shown = self._without(text)
            if len(texts) >= _MOST:
                texts.clear()
            texts[text] = shown
        return shown

    def _without(self, text: str) -> str:
        read = text[: LONGEST_READ + _BEYOND]
        found = sorted(self._found(read))
        shown, kept = "", 0
        for begin, end in found:
            if begin > kept or not shown:  # otherwise it continues the key before it
                shown += read[kept:begin] + "***"
            kept = max(kept, end)
        rest = read[kept:] if len(read) == len(text) else read[kept:-_BEYOND]
        return (shown + rest)[:LONGEST_READ]

    def in_pieces(self) -> PieceRedactor:
        """Return a redactor for the text of one reply, which arrives in pieces."""
        return PieceRedactor(self._known_beginnings)

    def _known_beginnings(self) -> Beginnings:
        beginnings = self._beginnings
        if beginnings is None:
            with self._lock:
                beginnings = self._beginnings = Beginnings(self._keys)
        return beginnings

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where a key, or a part of one, begins and ends."""
        parts = self._known_parts()
        if len(text) < min(parts, default=SHORTEST_FRAGMENT):
            return
        for reading in readings(text):
            folded = reading.text.translate(_LOWER)
            for size, known in parts.items():
                for begin, end in _runs(folded, size, known):
                    yield reading.place(begin, end)

    def _known_parts(self) -> dict[int, set[str]]:
        parts = self._parts
        if parts is None:
            with self._lock:
                parts = {}
                for key in self._keys:
                    _note_parts(key, parts)
                self._parts = parts
        return parts


def _note_parts(key: str, parts: dict[int, set[str]]) -> None:
    """Index all parts of a key by their length: of the key itself, and of its readings if it looks escaped."""
    for reading in unescaped(key):
        folded = reading.text.translate(_LOWER)
        size = min(len(folded), SHORTEST_FRAGMENT)
        if size >= SHORTEST_KEY // 2:  # undoing an escape makes a short key shorter still
            known = parts.setdefault(size, set())
            known.update(folded[at : at + size] for at in range(len(folded) - size + 1))


def _runs(text: str, size: int, known: set[str]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of each run of the text whose every part is a part of a key."""
    begin = end = -1
    for at in range(len(text) - size + 1):
        if text[at : at + size] in known:
            if at > end:
                if end > 0:
                    yield begin, end
                begin = at
            end = at + size
    if end > 0:
        yield begin, end


LIVE_KEYS: Final = LiveKeys()
"""The keys of this process. Every redaction looks for all of them, since one server may know the key of another."""


def named_secret(values: Mapping[str, JsonValue]) -> str | None:
    """Return the name of the first value that is a secret by its name or its look, or has one in it; else None."""
    return next((key for key, value in values.items() if without_secrets({key: value})[1] or _holds_a_key(value)), None)


def _holds_a_key(value: JsonValue) -> bool:
    if isinstance(value, str):
        return begins_like_a_key(value) or LIVE_KEYS.holds(value)
    if isinstance(value, dict | list):
        return any(_holds_a_key(each) for each in (value.values() if isinstance(value, dict) else value))
    return False
