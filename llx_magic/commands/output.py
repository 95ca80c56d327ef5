"""What an action gives back, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Output:
    """The result of a command: plain text, and HTML where a notebook can show it better (already escaped).

    ``aside`` is what a person should know beside it: shown below in a notebook, on standard error by the command line.
    """

    text: str
    html: str = ""
    aside: str = ""


def text_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in plain text: columns padded, no trailing blanks."""
    cells = [tuple(columns), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    padded.insert(1, "  ".join("-" * width for width in widths).rstrip())
    return "\n".join(padded)


def bullet_list(head: str, items: Iterable[str]) -> str:
    """Return a line with further lines indented below it."""
    return "\n".join([head, *(f"  {item}" for item in items)])
