"""What rows are, whatever they come from, and what is put beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from llx_magic.observe.frames.columns import Kind
    from llx_magic.text.values import JsonValue

Row = dict[str, object]
"""One row: its columns by name, and as ``row`` all of them. Of a single value, ``row`` is that value."""

ROW = "row"


class Column(NamedTuple):
    """A new column: its type as pandas has it, its values, None where missing, and what its schema says of them."""

    kind: Kind
    values: list[object]
    schema: Mapping[str, JsonValue] | None = None


class Source(ABC):
    """Data as rows; iterating gives each row, ``samples`` times one after the other.

    ``columns`` are the names of the columns as far as they are known before anything is read, ``note`` what a user
    should know of how the data is read, or the empty string.
    """

    columns: tuple[Hashable, ...] = ()
    note: str = ""
    samples: int = 1

    @property
    def length(self) -> int | None:
        """How many rows iterating gives; None where only reading tells."""
        height = self._height()
        return None if height is None else height * self.samples

    def __iter__(self) -> Iterator[Row]:
        """Every row from the first one on, whenever it is called."""
        if self.samples == 1:
            return self._rows()
        return (row for row in self._rows() for _ in range(self.samples))

    @property
    def reached(self) -> int:
        """How many rows a table of what became of them has: all, or of an iterator those that were read."""
        return self.length or 0

    @abstractmethod
    def joined(self, columns: Mapping[str, Column]) -> object:
        """Return the data as it was given, as a table of its kind, with further columns behind its own."""

    @abstractmethod
    def _rows(self) -> Iterator[Row]: ...

    @abstractmethod
    def _height(self) -> int | None: ...


def row_of(columns: dict[Hashable, object]) -> Row:
    """Return a row of its columns: the template's names, and ``row`` for all of them where no column is called so."""
    named: dict[object, object] = {ROW: columns, **columns}
    return named  # type: ignore[return-value] # names that are no texts are reached by way of ``row``
