"""What rows are, whatever they come from, and what is put beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from llx_magic.observe.frames.columns import Kind
    from llx_magic.rows.typed import Typed

Row = dict[str, object]
"""One row: its columns by name, and as ``row`` all of them. Of a single value, ``row`` is that value."""

ROW = "row"

_PLAIN = frozenset({str, bytes, int, float, bool, type(None), date, datetime, timedelta, Decimal})


def is_plain(value: object) -> bool:
    """Return whether showing a value runs Python's own code alone; a user's may wait, or not stand a running loop."""
    return _PLAIN.issuperset(map(type, value.values() if type(value) is dict else (value,)))


class Column(NamedTuple):
    """A new column: its type as pandas has it, its values, None where missing, and what its schema says of them."""

    kind: Kind
    values: list[object]
    typed: Typed | None = None


class Source(ABC):
    """Data as rows; iterating gives each row, ``samples`` times one after the other.

    ``columns`` are the names of the columns as far as they are known before anything is read, ``note`` what a user
    should know of how the data is read, or the empty string.
    """

    columns: tuple[Hashable, ...] = ()
    note: str = ""
    samples: int = 1
    is_single: bool = False
    """Whether a row is one value, as of a Series or a list of texts; then ``row`` is that value."""
    is_at_hand: bool = False
    """Whether the rows are plain values in this process's memory, so that reading them waits for nobody."""

    @property
    def length(self) -> int | None:
        """How many rows iterating gives; None where only reading tells."""
        height = self._height()
        return None if height is None else height * self.samples

    def __iter__(self) -> Iterator[Row]:
        """Every row from the first one on, whenever it is called."""
        for record in self.records():
            row = self._row(record)
            for _ in range(self.samples):
                yield row

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Let what is refused before the run say what of the data can be read no more."""
        yield

    def check_waiting(self) -> None:  # noqa: B027 - most data needs nobody's loop
        """See to it that the calling thread may wait while the rows are read.

        Raises:
            UsageProblem: where that would be for ever.
        """

    @property
    def reached(self) -> int:
        """How many rows a table of what became of them has: all, or of an iterator those that were read."""
        return self.length or 0

    def label(self, place: int) -> str:
        """Return what a row is called: its place from 0, or what the data itself calls it."""
        return str(place)

    @abstractmethod
    def joined(self, columns: Mapping[str, Column], places: Sequence[int] | None = None) -> object:
        """Return the data as it was given, as a table of its kind, with further columns behind its own.

        ``places`` are the rows of the data that the table has, each as often as it is named; None stands for all.
        """

    @abstractmethod
    def records(self) -> Iterator[Mapping[Hashable, object]]:
        """Yield the columns of every row by their names, once each."""

    def _row(self, record: Mapping[Hashable, object]) -> Row:
        whole = next(iter(record.values())) if self.is_single else record
        named: dict[Hashable, object] = {ROW: whole, **record}
        return cast("Row", named)  # a name that is no text is reached by way of ``row``

    @abstractmethod
    def _height(self) -> int | None: ...
