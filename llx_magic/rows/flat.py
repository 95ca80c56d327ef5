"""A table of any kind as plain names and values: what is written to a file, and what is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from llx_magic.rows.source import source_of


class Flat(NamedTuple):
    """The names of the columns, and the values of each row in their order, None where they are missing."""

    names: list[str]
    rows: Iterator[list[object]]


def flat(table: object) -> Flat:
    """Return a table as names and values; the labels of its rows are columns too, unless they only number the rows."""
    from llx_magic.rows.frames import labelled

    source = source_of(labelled(table))
    return Flat([str(name) for name in source.columns], (list(record.values()) for record in source.records()))
