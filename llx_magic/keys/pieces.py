"""Removes keys from a text that arrives in pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from llx_magic.keys.readings import UNSEEN, seen
from llx_magic.keys.secret import Unshown
from llx_magic.text.screen import split_at_open_sequence

SHORTEST_REAL: Final = 20
"""The least length of a key that is looked for in a reply; a shorter one may be an ordinary word."""

SHOWN_AT_ONCE: Final = 7
"""How many characters are shown of a text that may turn out to be the beginning of a key."""

SHORTEST_FRAGMENT: Final = 12
"""The least number of consecutive characters that count as a part of a key."""

_HEAD: Final = 8


class Beginnings(Unshown):
    """An index of the beginnings of keys; it finds any of them in a text in one pass, however many there are."""

    __slots__ = ("_by_head", "_short", "first", "longest")

    def __init__(self, keys: Iterable[str]) -> None:
        by_head: dict[str, list[str]] = {}
        for key in {seen(key).text for key in keys}:
            if len(key) >= SHORTEST_REAL:
                by_head.setdefault(key[:_HEAD], []).append(key)
        self._by_head = {head: sorted(same, key=len, reverse=True) for head, same in by_head.items()}
        self._short = frozenset(head[:length] for head in by_head for length in range(1, _HEAD))
        self.longest = max((len(key) for same in by_head.values() for key in same), default=0)
        self.first = _first_letters(by_head)
        """Matches where a key may begin; None where there are no keys."""

    def whole_at(self, text: str, at: int) -> int:
        """Return the length of the key at this position, or 0."""
        same = self._by_head.get(text[at : at + _HEAD], ())
        return next((len(key) for key in same if text.startswith(key, at)), 0)

    def ends_within(self, text: str, at: int) -> bool:
        """Return whether the text from this position to its end is the beginning of a key."""
        if len(text) - at < _HEAD:
            return text[at:] in self._short
        if len(text) - at >= self.longest:
            return False
        begun = text[at:]
        return any(key.startswith(begun) for key in self._by_head.get(begun[:_HEAD], ()))


def _first_letters(heads: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern for the first letter of a key, followed by its second letter or by the end of the text."""
    seconds: dict[str, str] = {}
    for head in heads:
        seconds[head[0]] = seconds.get(head[0], "") + re.escape(head[1])
    each = (rf"{re.escape(one)}[{UNSEEN}]*(?:[{two}\x1b\x9b]|\Z)" for one, two in seconds.items())
    return re.compile("|".join(each)) if seconds else None


class PieceRedactor(Unshown):
    """Replaces keys by ``***`` in a text that arrives in pieces, wherever it is cut. The rest stays as it is.

    Only keys in plain form are replaced, with or without invisible characters between their letters, since this is
    the model's own text. The possible beginning of a key is held back, except for ``SHOWN_AT_ONCE`` characters of
    it, until the next piece tells whether it is one. If the text ends within a key, a beginning of
    ``SHORTEST_FRAGMENT`` characters or more is replaced too.

    ``find`` returns the keys; it is called with the first piece, since a request is signed after its reader was made.
    """

    __slots__ = ("_begun", "_find", "_known", "_shown")

    def __init__(self, find: Callable[[], Beginnings]) -> None:
        self._find = find
        self._known: Beginnings | None = None
        self._begun = ""
        """The end of the text so far, if a key may begin there."""
        self._shown = 0
        """How many characters of it have been shown."""

    def feed(self, piece: str) -> str:
        """Return the text that can be shown now; it may be empty."""
        known = self._known
        if known is None:
            known = self._known = self._find()
        first = known.first
        if first is None or not (self._begun or first.search(piece)):
            return piece
        text, given = self._begun + piece, self._shown
        found, begin = _searched(text, known, first)
        clean: list[str] = []
        for at, end in found:
            clean += (text[given:at], "***")
            given = end
        ready = begin if len(text) - begin > SHOWN_AT_ONCE else len(text)
        self._begun, self._shown = text[begin:], max(given, ready) - begin
        clean.append(text[given:ready])
        return "".join(clean)

    def rest(self) -> str:
        """Return the text that was held back, now that the end has come: ``***`` where it is enough of a key."""
        if not self._begun:
            return ""
        held = "***" if len(seen(self._begun).text) >= SHORTEST_FRAGMENT else self._begun[self._shown :]
        self._begun, self._shown = "", 0
        return held


def _searched(text: str, known: Beginnings, first: re.Pattern[str]) -> tuple[list[tuple[int, int]], int]:
    """Return where whole keys are, and where an incomplete one may begin (or the length of the text)."""
    most_held = 4 * known.longest + 256  # since a server may send invisible characters without end
    read, place = seen(split_at_open_sequence(text)[0])
    found: list[tuple[int, int]] = []
    after = 0
    while candidate := first.search(read, after):
        at = candidate.start()
        if length := known.whole_at(read, at):
            after = at + length
            found.append(place(at, after))
        elif known.ends_within(read, at) and len(text) - (begin := place(at, at + 1)[0]) <= most_held:
            return found, begin
        else:
            after = at + 1
    return found, len(text)
