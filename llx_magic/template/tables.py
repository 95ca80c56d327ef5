"""Tables in a prompt: Markdown, cut at a stated number of rows, columns and characters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llx_magic.core.message import File, Image
from llx_magic.template import cells
from llx_magic.template.cells import Precision
from llx_magic.text.screen import one_line

MAX_COLUMNS = 30
"""Columns of a table that are shown; a note says which are not."""

MAX_CELL = 2_000
"""Characters of one cell of a table; a note says how many there are."""

_NAMES_LENGTH = 200
"""Characters of the names of the columns that are not shown."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a table is shown.

    ``rows`` is how many rows; ``more_rows`` says how the user changes that, for the note that some were left out.
    """

    rows: int = 20
    more_rows: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A value as a prompt shows it.

    ``cuts`` say to the user what is not in the text, as in "20 of 500 rows sent". ``apart`` is for what keeps its form
    only where nothing else stands on its lines. ``pieces`` are images or files, in the place of a text.
    """

    text: str
    cuts: tuple[str, ...] = ()
    apart: bool = False
    pieces: tuple[Image | File, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is shown: its name, and the values of the rows that are shown."""

    name: object
    values: Sequence[object]
    precision: Precision = "d"


@dataclass(frozen=True, slots=True)
class Table:
    """The part of a table that is shown, and how much there is: rows in all, and the names of the other columns."""

    columns: Sequence[Column]
    height: int
    left_out: Sequence[object] = ()
    labels: int = 0
    """How many of the first columns are the labels of the rows, and none of the table's own."""


def markdown(table: Table, limits: Limits) -> Shown:
    """Return a GitHub Markdown table; its last line says what was left out, to the model, and the cuts to the user."""
    columns = [cells.column(column.values, column.precision) for column in table.columns]
    names = _names([column.name for column in table.columns])
    height = len(table.columns[0].values) if table.columns else 0
    lines = [_row(names), _row(["---"] * len(names))]
    lines += [_row([_fitting(column[row]) for column in columns]) for row in range(height)]
    rows, width = _part(height, table.height), len(table.columns) - table.labels
    total = width + len(table.left_out)
    left_out = one_line(", ".join(_names(table.left_out)), _NAMES_LENGTH)
    notes = [
        f"first {rows} rows" if rows else "",
        f"first {_part(width, total)} columns, without {left_out}" if left_out else "",
        "" if height else "no rows shown",
    ]
    switch = f" ({limits.more_rows})" if limits.more_rows else ""
    cuts = [
        f"{rows} rows sent{switch}" if rows else "",
        f"{_part(width, total)} columns sent, without {one_line(left_out, 40)}" if left_out else "",
        _long_cells([len(text) for column in columns for text in column if len(text) > MAX_CELL]),
    ]
    said = ", ".join(filter(None, notes))
    return Shown("\n".join([*lines, f"({said})"] if said else lines), tuple(filter(None, cuts)), apart=True)


def _part(shown: int, total: int) -> str:
    return f"{shown:,} of {total:,}" if total > shown else ""


def _long_cells(lengths: list[int]) -> str:
    if not lengths:
        return ""
    if len(lengths) == 1:
        return f"{MAX_CELL:,} of {lengths[0]:,} characters of a cell sent"
    return f"{len(lengths)} cells cut to {MAX_CELL:,} characters, the longest has {max(lengths):,}"


def _fitting(text: str) -> str:
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}… ({MAX_CELL:,} of {len(text):,} characters)"


def _names(names: Sequence[object]) -> list[str]:
    """Return the names of columns: a column under several headings has them all, and days have no midnight."""
    texts = cells.column(names)
    return [cells.joined(name) if isinstance(name, tuple) else texts[at] for at, name in enumerate(names)]


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, texts))} |"


def _cell(text: str) -> str:
    """Return the text on one line, with no ``|`` that would end the cell."""
    # A backslash before the bar would escape the escape, so it is doubled there, and only there:
    # https://github.github.com/gfm/#tables-extension-
    return re.sub(r"(?<!\\)(\\*+)\|", r"\1\1\\|", "<br>".join(text.splitlines()))
