"""Foreign text made fit for a message of ours: one line, cut, and without the key."""

from __future__ import annotations

import html
import itertools
import re

LONGEST_DETAIL = 300
"""How many characters of a server's own message are shown."""

LONGEST_READ = 6000
"""How many characters of foreign text are looked through, for a key or for words that tell a kind of failure."""

_LONGEST_SPELLING = 20
"""More characters than any spelling of one ASCII character has."""

_MOST_REPEATS = 4
"""How many backslashes one may have become by being escaped."""


def one_line(text: str, limit: int = LONGEST_DETAIL) -> str:
    """Return the text on one line: white space folded, control characters dropped, cut with an ellipsis."""
    folded = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 20]).split())
    return folded if len(folded) <= limit else folded[: limit - 1].rstrip() + "…"


class Redactor:
    """Replaces a key by ``***`` wherever a server repeats it, and cuts what is too long to be looked through.

    Each character of the key is matched as itself, percent-encoded (once or more), escaped as in JSON or as in HTML,
    in any mixture and in either case. Of a longer text about the first ``LONGEST_READ`` characters are returned.
    """

    __slots__ = ("_key", "_longest", "_pattern")

    def __init__(self, key: str | None) -> None:
        self._key = key
        self._longest = sum(_LONGEST_SPELLING * (_MOST_REPEATS if each == "\\" else 1) for each in key or "")
        self._pattern: re.Pattern[str] | None = None

    def __repr__(self) -> str:
        """Show nothing of the key."""
        return "Redactor(***)"

    def __call__(self, text: str) -> str:
        """Return the text without the key."""
        if not self._key:
            return text[:LONGEST_READ]
        read = text[: LONGEST_READ + self._longest]
        if len(read) < len(self._key):
            return read  # no spelling is shorter than the key itself
        if self._pattern is None:
            self._pattern = re.compile(_pattern(self._key), re.IGNORECASE)
        shown = self._pattern.sub("***", read)
        # The cut may have left the beginning of a key, which the pattern no longer sees.
        return shown if len(read) == len(text) else shown[: -self._longest]


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
