"""Where the expressions of a text begin and end; everything else in it is plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llx_magic.template.errors import unreadable

_MARK = re.compile(r"""['"(\[{}\])]""")
_IN_QUOTES = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in "'\""}


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each expression starts and ends, its braces included.

    Raises InterpolationError for a ``{{`` that nothing closes. Each character is looked at a fixed number of times,
    whatever the text, since anybody's text may stand in a prompt.
    """
    unclosed: set[str] = set()
    start = text.find("{{")
    while start >= 0:
        end = _end(text, start, unclosed)
        if end is None:
            raise unreadable(text, start, "'{{' has no '}}' that closes it outside of brackets and quotes")
        yield start, end
        start = text.find("{{", end)


def _end(text: str, start: int, unclosed: set[str]) -> int | None:
    """Return the position behind the ``}}`` that is in no string and no bracket.

    A quote that nothing closes is no string: ``{{ don't }}``. Then no later quote of its kind is closed either, for the
    search has passed them all, each behind a backslash; ``unclosed`` remembers it for the rest of the text.
    """
    depth = 0
    at = start + 2
    while found := _MARK.search(text, at):
        mark, at = found[0], found.end()
        if mark in _IN_QUOTES:
            if mark not in unclosed:
                closed = next((end.end() for end in _IN_QUOTES[mark].finditer(text, at) if end[0] == mark), None)
                if closed is None:
                    unclosed.add(mark)
                else:
                    at = closed
        elif mark in "([{":
            depth += 1
        elif not depth and text.startswith("}}", found.start()):
            return at + 1
        else:
            depth = max(0, depth - 1)
    return None
