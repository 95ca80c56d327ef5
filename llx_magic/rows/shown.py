"""The first rows of a result as a screen has place for them: a few columns, each cell on one line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Number
from typing import NamedTuple, Self

from llx_magic.observe.report import text_table
from llx_magic.rows.flat import flat
from llx_magic.rows.layout import ABOUT
from llx_magic.template.cells import plain
from llx_magic.template.errors import RefusedError
from llx_magic.text.screen import one_line
from llx_magic.units import NOTHING

_COLUMNS = 12
_CELL, _TEXT_CELL = 100, 32
"""The most characters of a cell, in HTML and as text."""

_LONG_WORD = re.compile(r"\S{25,}")
_TOLD = ("llx_status", "llx_error", "llx_backend")


class Shown(NamedTuple):
    """Headings, for each row as many texts, and the places of the columns that have nothing but numbers."""

    names: list[str]
    rows: list[list[str]]
    numbers: frozenset[int] = frozenset()

    @classmethod
    def of(cls, table: object, prefix: str) -> Self:
        """Return what is shown of a table: its first and its last columns, its errors only where there are some.

        How long a row took and what it used is in the table alone; ``prefix`` begins the names of these columns.
        """
        names, rows = flat(table)
        values = list(rows)
        aside = {f"{prefix}{name}" for name in ABOUT if name not in _TOLD}
        errors = f"{prefix}llx_error"
        wanted = [
            at
            for at, name in enumerate(names)
            if name not in aside and (name != errors or any(row[at] is not None for row in values))
        ]
        half = _COLUMNS // 2
        shown = wanted[:half] + wanted[half:][-half:]
        numbers = {place for place, at in enumerate(shown) if _are_numbers([row[at] for row in values])}
        return cls(
            [names[at] for at in shown], [[_cell(row[at]) for at in shown] for row in values], frozenset(numbers)
        )

    def as_text(self) -> str:
        """Return it as plain text, each cell cut to a few words."""
        names, *rows = ([one_line(cell, _TEXT_CELL) for cell in line] for line in (self.names, *self.rows))
        return text_table(names, rows)


def _are_numbers(values: Iterable[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(each, Number) and not isinstance(each, bool) for each in known)


def _cell(value: object) -> str:
    """Return a value on one line; a word that no line could break is cut."""
    try:
        text = NOTHING if value is None else one_line(plain(value), _CELL)
    except RefusedError:  # a table within a cell, say
        text = f"a {type(value).__name__}"
    return _LONG_WORD.sub(lambda word: f"{word[0][:24]}…", text)
