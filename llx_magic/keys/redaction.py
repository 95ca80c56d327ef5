"""The keys that this process has used, and their removal from whatever a server, a library or a file says."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Final

from llx_magic.keys.pieces import SHORTEST_FRAGMENT, Beginnings, PieceRedactor
from llx_magic.keys.readings import readings, unescaped
from llx_magic.keys.secret import Unshown
from llx_magic.locks import ForkSafeLock

LONGEST_READ: Final = 6000
"""How many characters of foreign text are looked through, for a key or for words that tell a kind of failure."""

_BEYOND: Final = 512
"""How many characters are read beyond that: what the cut has split begins within them, and they are not shown."""

SHORTEST_KEY: Final = 8
"""How many characters a key has at least; fewer are a placeholder, such as ``EMPTY``, and a word like any other."""

_MOST: Final = 128
"""How many keys are remembered, those that were used last: one that was replaced may still come in a late error."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class LiveKeys(Unshown):
    """Keys and other secrets that were used in this process; each is replaced by ``***`` wherever it is repeated.

    A key is found in every reading of a text (see ``readings``), in any case, whole or in parts of
    ``SHORTEST_FRAGMENT`` characters or more; one of fewer than ``SHORTEST_KEY`` characters is not looked for, since
    honest words would be taken away.
    """

    __slots__ = ("_beginnings", "_keys", "_lock", "_parts")

    def __init__(self, *keys: str | None) -> None:
        self._keys: dict[str, None] = {}
        """The one that was used last is the last."""
        self._lock = ForkSafeLock()
        self._parts: dict[int, set[str]] | None = None
        self._beginnings: Beginnings | None = None
        self.add(*keys)

    def add(self, *keys: str | None) -> None:
        """Remember keys, as the ones that were used last; beyond a number the oldest are forgotten."""
        with self._lock:
            for key in keys:
                if key is None or len(key) < SHORTEST_KEY:
                    continue
                if key not in self._keys:
                    self._beginnings = None
                    if self._parts is not None:
                        _note_parts(key, self._parts)
                self._keys.pop(key, None)
                self._keys[key] = None
            if len(self._keys) > 2 * _MOST:  # seldom, since all that is made of them is made anew
                self._keys = dict.fromkeys(list(self._keys)[-_MOST:])
                self._parts = self._beginnings = None

    def holds(self, text: str) -> bool:
        """Return whether a text, with white space around it or not, is one of the keys."""
        return text.strip() in self._keys

    def without(self, text: str) -> str:
        """Return the text without the keys; of a longer one about the first ``LONGEST_READ`` characters."""
        if not self._keys:
            return text[:LONGEST_READ]
        read = text[: LONGEST_READ + _BEYOND]
        found = sorted(self._found(read))
        shown, kept = "", 0
        for begin, end in found:
            if begin > kept or not shown:  # else it goes on where the one before it ends
                shown += read[kept:begin] + "***"
            kept = max(kept, end)
        rest = read[kept:] if len(read) == len(text) else read[kept:-_BEYOND]
        return (shown + rest)[:LONGEST_READ]

    def in_pieces(self) -> PieceRedactor:
        """Return what takes the keys out of a reply's text as it comes."""
        beginnings = self._beginnings
        if beginnings is None:
            with self._lock:
                beginnings = self._beginnings = Beginnings(self._keys)
        return PieceRedactor(beginnings)

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Give where something of a key begins and ends."""
        parts = self._known_parts()
        if len(text) < min(parts, default=SHORTEST_FRAGMENT):
            return
        for reading in readings(text):
            folded = reading.text.translate(_LOWER)
            for size, known in parts.items():
                for begin, end in _stretches(folded, size, known):
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
    """Note all parts of a key by their length, as it is and as it is read where it looks escaped itself."""
    for reading in unescaped(key):
        folded = reading.text.translate(_LOWER)
        size = min(len(folded), SHORTEST_FRAGMENT)
        if size >= SHORTEST_KEY // 2:  # an escape within a short key takes some of its few characters
            known = parts.setdefault(size, set())
            known.update(folded[at : at + size] for at in range(len(folded) - size + 1))


def _stretches(text: str, size: int, known: set[str]) -> Iterator[tuple[int, int]]:
    """Give each stretch of the text all of whose parts are known."""
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
"""Those of this process: every redaction looks for all of them, since one server may know another one's key."""
