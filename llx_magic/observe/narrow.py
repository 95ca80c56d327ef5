"""Tables in plain text for a terminal that is narrower than they are."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest

_INDENT = "    "
_NARROWEST = 8
"""No column is made narrower."""

_PART = re.compile(r"[^\s,/]*[,/]|[^\s,/]+|\s+")
"""Where a line may end: behind a blank, a comma and a slash."""


def screen_width() -> int | None:
    """Return the width of the terminal to which standard output goes, in characters; None where it goes elsewhere."""
    with suppress(OSError, ValueError, AttributeError):
        if sys.stdout.isatty():
            return os.get_terminal_size(sys.stdout.fileno()).columns or None
    return None


def narrow_table(cells: Sequence[Sequence[str]], width: int) -> str:
    """Return a table no wider than ``width``, as far as its first column allows; its headings are the first of cells.

    The last cell of each row stands below the others, indented. Where these are too wide still, all but the first
    column are folded, the widest most.
    """
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]) - 1)]
    while sum(widths) + 2 * len(widths) - 2 > width and max(widths[1:], default=0) > _NARROWEST:
        widths[widths.index(max(widths[1:]), 1)] -= 1
    lines = list[str]()
    for number, row in enumerate(cells):
        folded = [list(_folded(cell, room)) for cell, room in zip(row, widths, strict=False)]
        for beside in zip_longest(*folded, fillvalue=""):
            lines.append("  ".join(map(str.ljust, beside, widths)).rstrip())
        lines += [f"{_INDENT}{line}" for line in _folded(row[-1], width - len(_INDENT)) if line]
        if number == 0:
            lines.append("-" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join(lines)


def _folded(text: str, width: int) -> Iterator[str]:
    """Yield a text in lines no longer than the width, one at least; what has no place to break is cut anywhere."""
    line, width = "", max(width, 1)
    for part in _PART.findall(text):
        if line and len(line) + len(part.rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += part if line else part.lstrip()
        while len(line.rstrip()) > width:
            yield line[:width]
            line = line[width:]
    yield line.rstrip()
