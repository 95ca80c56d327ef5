"""A line split into words as a shell splits it; a backslash stays, since paths on Windows have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from llx_magic.errors import UsageProblem

_WORD = re.compile(r"""(?:[^\s"']++|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z))++""")
_PIECE = re.compile(r"""\"([^"]*)("|\Z)|'([^']*)('|\Z)|([^"']+)""")


class Word(NamedTuple):
    """A word of a line: without its quotes, as it was typed, where it stands, and the quote that is open at its end."""

    text: str
    raw: str
    start: int
    quote: str = ""

    @property
    def end(self) -> int:
        """Where what follows it begins."""
        return self.start + len(self.raw)


def words_of(line: str) -> Iterator[Word]:
    """Yield the words of a line; quotes group and vanish, and only the last word can have one that is open."""
    for match in _WORD.finditer(line):
        text, quote = [], ""
        for double, ends_double, single, ends_single, plain in _PIECE.findall(match[0]):
            text.append(double or single or plain)
            quote = "" if plain or ends_double or ends_single else match[0][-len(double or single) - 1]
        yield Word("".join(text), match[0], match.start(), quote)


def split(line: str) -> list[str]:
    """Return the words of a line.

    Raises:
        UsageProblem: for a quote that is not closed.
    """
    words = list(words_of(line))
    if words and words[-1].quote:
        raise UsageProblem(f"a quote is not closed in: {line.strip()}")
    return [word.text for word in words]
