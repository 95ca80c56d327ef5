"""Foreign text made fit for a message of ours: one line, cut, and without the key."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import string
from urllib.parse import quote

LONGEST_DETAIL = 300
"""How many characters of a server's own message are shown."""

LONGEST_READ = 6000
"""How many characters of foreign text are looked through, for a key or for words that tell a kind of failure."""

_LONGEST_SPELLING = 20
"""More characters than any spelling of one ASCII character has."""

SHORTEST_FRAGMENT = 12
"""How many characters of a key in a row are taken for a part of it."""

_LONGEST_SPELT = 1024
"""How long a key may be for its parts and other codings to be looked for; no provider's is nearly as long."""

_MOST_REPEATS = 4
"""How many backslashes one may have become by being escaped."""


def one_line(text: str, limit: int = LONGEST_DETAIL) -> str:
    """Return the text on one line: white space folded, control characters dropped, cut with an ellipsis."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 20]).split())
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


class Redactor:
    """Replaces a key by ``***`` wherever a server repeats it, and cuts what is too long to be looked through.

    Each character of the key is matched as itself, percent-encoded (once or more), escaped as in JSON or as in HTML,
    in any mixture and in either case. Parts of it are replaced too, from ``SHORTEST_FRAGMENT`` characters on, as they
    are, escaped, in base64 or in hexadecimal, in either case. Of a longer text about the first ``LONGEST_READ``
    characters are returned.
    """

    __slots__ = ("_key", "_longest", "_pattern", "_spelt")

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._longest = sum(_LONGEST_SPELLING * (_MOST_REPEATS if each == "\\" else 1) for each in key or "")
        self._pattern: re.Pattern[str] | None = None
        self._spelt: str | None = None

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Redactor(***)"

    def __call__(self, text: str) -> str:
        """Return the text without the key."""
        if not self._key:
            return text[:LONGEST_READ]
        read = text[: LONGEST_READ + self._longest]
        shown = read
        if len(read) >= len(self._key):  # no spelling is shorter than the key itself
            if self._pattern is None:
                self._pattern = re.compile(_pattern(self._key), re.IGNORECASE)
            shown = self._pattern.sub("***", read)
        # The cut may have left the beginning of a key, which the pattern no longer sees.
        return self._without_fragments(shown if len(read) == len(text) else shown[: -self._longest])

    def in_pieces(self) -> PieceRedactor:
        """Return what takes the key out of a reply's text as it comes."""
        return PieceRedactor(self._key or "")

    def _without_fragments(self, text: str) -> str:
        if len(text) < SHORTEST_FRAGMENT or not self._key or not SHORTEST_FRAGMENT <= len(self._key) <= _LONGEST_SPELT:
            return text
        if self._spelt is None:
            self._spelt = _spelt(self._key).translate(_LOWER)
        folded = text.translate(_LOWER)
        shown, kept, at, last = "", 0, 0, len(text) - SHORTEST_FRAGMENT
        while at <= last:
            if folded[at : at + SHORTEST_FRAGMENT] not in self._spelt:
                at += 1
                continue
            end = at + SHORTEST_FRAGMENT
            while end < len(text) and folded[end + 1 - SHORTEST_FRAGMENT : end + 1] in self._spelt:
                end += 1
            shown += text[kept:at] + "***"
            kept = at = end
        return shown + text[kept:]


class PieceRedactor:
    """Replaces a key in a text that comes in pieces, wherever the text is cut; everything else stays exactly as it is.

    Only the key as it is, since this is the model's own text. What may be the beginning of a key is held back until
    the next piece decides, apart from ``SHOWN_AT_ONCE`` characters of it. A key of fewer than ``SHORTEST_REAL``
    characters is a placeholder for servers that want some word, and may well occur in an honest reply.
    """

    SHORTEST_REAL = 20
    SHOWN_AT_ONCE = 7

    __slots__ = ("_begun", "_key", "_shown")

    def __init__(self, key: str) -> None:
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
        if not self._key:
            return piece
        text, given = self._begun + piece, self._shown
        clean, after = [], 0
        while (at := text.find(self._key, after)) >= 0:
            clean += (text[given:at], "***")
            after = given = at + len(self._key)
        begin = self._beginning(text, after)
        ready = begin if len(text) - begin > self.SHOWN_AT_ONCE else len(text)
        self._begun, self._shown = text[begin:], max(given, ready) - begin
        clean.append(text[given:ready])
        return "".join(clean)

    def rest(self) -> str:
        """Return what was held back, now that the text has ended."""
        held, self._begun, self._shown = self._begun[self._shown :], "", 0
        return held

    def _beginning(self, text: str, after: int) -> int:
        """Return where in the text a key may begin that is not yet whole, or its length."""
        at = text.find(self._key[0], max(after, len(text) - len(self._key) + 1))
        while at >= 0:
            if self._key.startswith(text[at:]):
                return at
            at = text.find(self._key[0], at + 1)
        return len(text)


def _spelt(key: str) -> str:
    """Return the key in each of the codings of which a part is recognised, apart from each other."""
    raw = key.encode("ascii", "replace")
    codings = [key, quote(key, safe=""), html.escape(key), json.dumps(key)[1:-1], repr(key)[1:-1], raw.hex()]
    for before in range(3):  # where a key begins in the three bytes that make four characters
        packed = base64.b64encode(b"\0" * before + raw).decode()
        inner = packed[-(-before * 8 // 6) : len(packed) - 4]
        codings += [inner, inner.translate(_URL_SAFE)]
    return "\n".join(dict.fromkeys(codings))


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
