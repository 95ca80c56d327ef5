"""Foreign text made fit for a message of ours: one line, cut, and without the key."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import string
from collections.abc import Container, Iterator, Sequence
from urllib.parse import quote

LONGEST_DETAIL = 300
"""How many characters of a server's own message are shown."""

LONGEST_READ = 6000
"""How many characters of foreign text are looked through, for a key or for words that tell a kind of failure."""

_LONGEST_SPELLING = 20
"""More characters than any spelling of one ASCII character has."""

SHORTEST_FRAGMENT = 12
"""How many characters of a key in a row are taken for a part of it."""

SHORTEST_KEY = 8
"""How many characters a key has at least; fewer are a placeholder, such as ``EMPTY``, and a word like any other."""

_LONGEST_IN_PATTERN = 256
"""How long a key may be for a pattern of the whole of it, which takes long to compile; providers' are shorter."""

_MOST_REPEATS = 4
"""How many backslashes one may have become by being escaped."""


def one_line(text: str, limit: int = LONGEST_DETAIL) -> str:
    """Return the text on one line: white space folded, control characters dropped, cut with an ellipsis."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 20]).split())
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


class Redactor:
    """Replaces keys by ``***`` wherever a server repeats them, and cuts what is too long to be looked through.

    Each character of a key is matched as itself, percent-encoded (once or more), escaped as in JSON or as in HTML,
    in any mixture and in either case. Parts of it are replaced too, from ``SHORTEST_FRAGMENT`` characters on, as they
    are, escaped, in base64 or in hexadecimal, in either case. A key of more than ``_LONGEST_IN_PATTERN`` characters
    is replaced part by part only, one of fewer than ``SHORTEST_KEY`` not at all: it would take honest words away.
    Of a longer text about the first ``LONGEST_READ`` characters are returned.
    """

    __slots__ = ("_keys",)

    def __init__(self, *keys: str | None) -> None:
        self._keys = tuple(_KeyInText(key) for key in dict.fromkeys(keys) if key and len(key) >= SHORTEST_KEY)

    def __repr__(self) -> str:
        """Show nothing of the keys."""
        return "Redactor(***)"

    def __call__(self, text: str) -> str:
        """Return the text without the keys."""
        if not self._keys:
            return text[:LONGEST_READ]
        longest = max(key.longest for key in self._keys)
        shown = read = text[: LONGEST_READ + longest]
        for key in self._keys:
            shown = key.without(shown)
        if len(read) == len(text):
            return shown[:LONGEST_READ]
        # What the cut has split begins within the end that is dropped.
        seen, mark, end = shown.rpartition("***")
        return (seen + mark + end[:-longest])[:LONGEST_READ]

    def in_pieces(self) -> PieceRedactor:
        """Return what takes the keys out of a reply's text as it comes."""
        pieces: PieceRedactor | None = None
        for key in self._keys:
            pieces = PieceRedactor(key.value, pieces)
        return pieces or PieceRedactor("")


class _KeyInText:
    """One key as it may stand in a foreign text; what it is looked for with is made when first needed."""

    __slots__ = ("_parts", "_pattern", "longest", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        spelled = value if len(value) <= _LONGEST_IN_PATTERN else "\\" * SHORTEST_FRAGMENT
        self.longest = sum(_LONGEST_SPELLING * (_MOST_REPEATS if each == "\\" else 1) for each in spelled)
        """More characters than what is looked for may take: so many are read beyond those that are shown."""
        self._pattern: re.Pattern[str] | None = None
        self._parts: Container[str] | None = None

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "_KeyInText(***)"

    def without(self, text: str) -> str:
        return self._without_parts(self._without_whole(text))

    def _without_whole(self, text: str) -> str:
        if not len(self.value) <= min(len(text), _LONGEST_IN_PATTERN):  # no spelling is shorter than the key itself
            return text
        if self._pattern is None:
            self._pattern = re.compile(_pattern(self.value), re.IGNORECASE)
        return self._pattern.sub("***", text)

    def _without_parts(self, text: str) -> str:
        if min(len(text), len(self.value)) < SHORTEST_FRAGMENT:
            return text
        if self._parts is None:
            self._parts = _parts(self.value)
        found = list(_found(self._parts, text, range(len(text) + 1)))
        if _ESCAPE.search(text):
            found = sorted((*found, *_found(self._parts, *_unescaped(text))))
        shown, kept = "", 0
        for begin, end in found:
            if begin > kept or not shown:  # else it goes on where the one before it ends
                shown += text[kept:begin] + "***"
            kept = max(kept, end)
        return shown + text[kept:]


class PieceRedactor:
    """Replaces a key in a text that comes in pieces, wherever the text is cut; everything else stays exactly as it is.

    Only the key as it is, since this is the model's own text. What may be the beginning of a key is held back until
    the next piece decides, apart from ``SHOWN_AT_ONCE`` characters of it. Where the text ends within a key, a
    beginning of ``SHORTEST_FRAGMENT`` characters or more is replaced like the whole. A key of fewer than
    ``SHORTEST_REAL`` characters is a placeholder for servers that want some word, and may well occur in an honest
    reply. ``before`` takes out another key first.
    """

    SHORTEST_REAL = 20
    SHOWN_AT_ONCE = 7

    __slots__ = ("_before", "_begun", "_key", "_shown")

    def __init__(self, key: str, before: PieceRedactor | None = None) -> None:
        self._before = before
        self._key = key if len(key) >= self.SHORTEST_REAL else ""
        self._begun = ""
        """The end of the text so far where the key may begin with it."""
        self._shown = 0
        """How much of that was given out."""

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "PieceRedactor(***)"

    def feed(self, piece: str) -> str:
        """Return what can be shown now; it may be empty."""
        if self._before is not None:
            piece = self._before.feed(piece)
        if not self._key:
            return piece
        text, given = self._begun + piece, self._shown
        clean: list[str] = []
        after = 0
        while (at := text.find(self._key, after)) >= 0:
            clean += (text[given:at], "***")
            after = given = at + len(self._key)
        begin = self._beginning(text, after)
        ready = begin if len(text) - begin > self.SHOWN_AT_ONCE else len(text)
        self._begun, self._shown = text[begin:], max(given, ready) - begin
        clean.append(text[given:ready])
        return "".join(clean)

    def rest(self) -> str:
        """Return what was held back, now that the text has ended: ``***`` for so much of a key that it is one."""
        first = ""
        if self._before is not None:
            before, self._before = self._before, None
            first = self.feed(before.rest())
        held = "***" if len(self._begun) >= SHORTEST_FRAGMENT else self._begun[self._shown :]
        self._begun, self._shown = "", 0
        return first + held

    def _beginning(self, text: str, after: int) -> int:
        """Return where in the text a key may begin that is not yet whole, or its length."""
        at = text.find(self._key[0], max(after, len(text) - len(self._key) + 1))
        while at >= 0:
            if self._key.startswith(text[at:]):
                return at
            at = text.find(self._key[0], at + 1)
        return len(text)


def _parts(key: str) -> Container[str]:
    """Return what holds each part of the key in each coding: for a long key a set, where no search takes longer."""
    raw = key.encode("ascii", "replace")
    codings = [key, quote(key, safe=""), html.escape(key), json.dumps(key)[1:-1], repr(key)[1:-1], raw.hex()]
    codings.append(_unescaped(key)[0])
    for before in range(3):  # where a key begins in the three bytes that make four characters
        packed = base64.b64encode(b"\0" * before + raw).decode()
        inner = packed[-(-before * 8 // 6) : len(packed) - 4]
        codings += [inner, inner.translate(_URL_SAFE)]
    folded = dict.fromkeys(coding.translate(_LOWER) for coding in codings)
    if len(key) <= _LONGEST_IN_PATTERN:
        return "\n".join(folded)
    size = SHORTEST_FRAGMENT
    return frozenset(coding[at : at + size] for coding in folded for at in range(len(coding) - size + 1))


def _found(parts: Container[str], read: str, begins: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Give where each stretch of ``read`` that is a part begins and ends, in the text of which it was read."""
    folded, at = read.translate(_LOWER), 0
    while at <= len(read) - SHORTEST_FRAGMENT:
        if folded[at : at + SHORTEST_FRAGMENT] not in parts:
            at += 1
            continue
        end = at + SHORTEST_FRAGMENT
        while end < len(read) and folded[end + 1 - SHORTEST_FRAGMENT : end + 1] in parts:
            end += 1
        yield begins[at], begins[end]
        at = end


def _unescaped(text: str) -> tuple[str, list[int]]:
    """Return the text without escapes, and where each of its characters begins in the text, then the text's length."""
    read: list[str] = []
    begins: list[int] = []
    at = 0
    for found in _ESCAPE.finditer(text):
        read.append(text[at : found.start()])
        begins += range(at, found.start())
        code, at = found[found.lastindex or 0], found.end()
        if found.lastindex:
            read.append(chr(int(code, 10 if found.lastgroup == "decimal" else 16)))
        elif code.startswith("&"):
            read.append(html.unescape(code))
        else:
            continue  # what a backslash escapes is the character after it
        begins.append(found.start())
    return "".join((*read, text[at:])), [*begins, *range(at, len(text) + 1)]


_ESCAPE = re.compile(
    r"\\++(?:u([0-9a-f]{4}))?+|%(?:25){0,8}([0-9a-f]{2})|&#0{0,8}(?P<decimal>[0-9]{1,3});|&#x0{0,8}([0-9a-f]{1,2});"
    "|&(?:amp|lt|gt|quot);",
    re.IGNORECASE,
)
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_URL_SAFE = str.maketrans("+/", "-_")


def _pattern(key: str) -> str:
    """Return a pattern that takes time in proportion to the text, whatever the text is.

    Every repeat is bounded. How many of several backslashes belong to the key and how many escape the character
    after them is the one thing that could be read in many ways, so a decision on it is final (an atomic group).
    """
    parts = [(character, len(list(same))) for character, same in itertools.groupby(key)]
    spelled = ""
    for (character, count), (following, _) in itertools.zip_longest(parts, parts[1:], fillvalue=("", 0)):
        if character != "\\":
            spelled += _spellings(character) * count
        elif following:
            spelled += rf"(?>{_spellings(character)}{{{count},{_MOST_REPEATS * count}}}?(?={_spellings(following)}))"
        else:
            spelled += rf"{_spellings(character)}{{{count},{_MOST_REPEATS * count}}}+"
    return spelled


def _spellings(character: str) -> str:
    code = ord(character)
    named = html.escape(character)
    spellings = [
        rf"\\{{1,8}}u{code:04x}", f"%(?:25){{0,8}}{code:02x}", f"&#0{{0,8}}{code};", f"&#x0{{0,8}}{code:x};"
    ]  # fmt: skip
    if named != character:
        spellings.append(re.escape(named))
    # As itself last: the letter u would otherwise match the beginning of its own escape.
    spellings.append(re.escape(character) if character == "\\" else rf"\\?{re.escape(character)}")
    return f"(?:{'|'.join(spellings)})"
