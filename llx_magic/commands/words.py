"""A line split into words as a shell splits it; a backslash stays, since paths on Windows have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from llx_magic.errors import UsageProblem

_WORD = re.compile(r"""(?:[^\s"']++|"[^"]*(?:"|\Z)|'[^']*(?:'|\Z))++""")
_PIECE = re.compile(r"""\"([^"]*)("|\Z)|'([^']*)('|\Z)|([^"']+)""")
_CODE = re.compile(r"[^\W\d][\w.]*[(\[]")
_QUOTED = re.compile(r"""\"[^"]*(?:"|\Z)|'[^']*(?:'|\Z)""")


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


def words_of(line: str, *, has_code: bool = False) -> Iterator[Word]:
    """Yield the words of a line; quotes group and vanish, and only the last word can have one that is open.

    With ``has_code`` a word may be an expression such as ``df[df["n"] > 1]`` or ``["a", "b"]``: then its brackets
    group, and its quotes stay.
    """
    return _expressions(line) if has_code else _words(line)


def _expressions(line: str) -> Iterator[Word]:
    begun: Word | None = None
    for word in _words(line):
        if begun is None and not _begins_code(word.raw, line[word.start :]):
            yield word
            continue
        start = word.start if begun is None else begun.start
        begun = Word(line[start : word.end], line[start : word.end], start, word.quote)
        if _is_closed(begun.raw):
            yield begun
            begun = None
    if begun is not None:
        yield begun


def _begins_code(word: str, rest: str) -> bool:
    """Return whether an expression begins; a bracket without a name before it may be an ordinary one, left open."""
    return _CODE.match(word) is not None or (word.startswith(("[", "(")) and _is_closed(rest))


def _is_closed(typed: str) -> bool:
    outside = _QUOTED.sub("", typed)
    return sum(map(outside.count, "([{")) <= sum(map(outside.count, ")]}"))


def _words(line: str) -> Iterator[Word]:
    for match in _WORD.finditer(line):
        text, quote = [], ""
        for double, ends_double, single, ends_single, plain in _PIECE.findall(match[0]):
            text.append(double or single or plain)
            quote = "" if plain or ends_double or ends_single else match[0][-len(double or single) - 1]
        yield Word("".join(text), match[0], match.start(), quote)


def split(line: str, *, has_code: bool = False) -> list[str]:
    """Return the words of a line; ``has_code`` is that of ``words_of``.

    Raises:
        UsageProblem: for a quote that is not closed.
    """
    words = list(words_of(line, has_code=has_code))
    if words and words[-1].quote:
        raise UsageProblem(f"a quote is not closed in: {line.strip()}")
    return [word.text for word in words]
