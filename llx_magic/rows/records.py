"""Rows that are a list or an iterator: of dictionaries, or of single values. Their table is pandas'."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from llx_magic.errors import UsageProblem, brief
from llx_magic.rows.rows import ROW, Column, Source, is_plain

if TYPE_CHECKING:
    import pandas as pd


class Records(Source):
    """A list. The columns are the keys of all its dictionaries; a key that one of them lacks is None there."""

    def __init__(self, data: Sequence[object]) -> None:
        self._read = data
        self.is_at_hand = type(data) in (list, tuple) and all(map(is_plain, data))
        self._has_names = isinstance(data[0], Mapping) if data else True
        self.is_single = not self._has_names
        self.columns = (ROW,) if self.is_single else tuple(_names(data))
        for place, record in enumerate(data):
            self._check(place, record)

    def joined(self, columns: Mapping[str, Column], places: Sequence[int] | None = None) -> pd.DataFrame:
        """Return a frame of the list and further columns."""
        from llx_magic.rows.frames import PandasRows, inferred

        if self._has_names:
            records = [record for record in self._read if isinstance(record, Mapping)]
            given = {name: [record.get(name) for record in records] for name in _names(records)}
        else:
            given = {ROW: list(self._read)}
        return PandasRows(inferred(given, len(self._read))).joined(columns, places)

    def _height(self) -> int | None:
        return len(self._read)

    def records(self) -> Iterator[Mapping[Hashable, object]]:
        """Yield every row of the list."""
        return map(self._record, self._read)

    def _check(self, place: int, record: object) -> None:
        if isinstance(record, Mapping) != self._has_names:
            first = "a dictionary" if self._has_names else "no dictionary"
            raise UsageProblem(f"row {place} is {brief(record)}, but the first row is {first}; rows must be alike")

    def _record(self, record: object) -> Mapping[Hashable, object]:
        if not isinstance(record, Mapping):
            return {ROW: record}
        return {**dict.fromkeys(self.columns), **record}


class Stream(Records):
    """An iterator; its first row is read at once, since it names the columns, and the others when they are asked for.

    A later row may bring further columns. With ``keep`` the rows are kept, so that they can be gone through again and a
    table be made of them.
    """

    def __init__(self, data: Iterable[object], *, keep: bool) -> None:
        self._rest = iter(data)
        self._kept = list(islice(self._rest, 1))
        self._keep = keep
        super().__init__(self._kept)
        self.is_at_hand = False

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Say that the first row is read, which a run over the rest would leave out without a sign."""
        try:
            yield
        except UsageProblem as problem:
            if self._kept:
                problem.args = (f"{problem}; the iterator's first row is read: make it anew",)
            raise

    @property
    def reached(self) -> int:
        """How many rows were read."""
        return len(self._kept) * self.samples

    def _height(self) -> None:
        return None

    def records(self) -> Iterator[Mapping[Hashable, object]]:
        """Yield what was read already, and then the rest as it comes."""
        place = 0
        for record in self._kept:
            yield self._record(record)
            place += 1
        for record in self._rest:
            self._check(place, record)
            if isinstance(record, Mapping):
                self.columns = tuple(dict.fromkeys((*self.columns, *record)))
            if self._keep:
                self._kept.append(record)
            yield self._record(record)
            place += 1


def _names(records: Iterable[object]) -> dict[Hashable, None]:
    names: dict[Hashable, None] = {}
    for record in records:
        if isinstance(record, Mapping):
            names |= dict.fromkeys(record)
    return names
