"""Rows of a DataFrame of Dask: partition by partition in, and as a lazy frame out, with further columns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self, cast

from llx_magic.cluster.frames import Partitions, Piece, frame_of
from llx_magic.rows.frames import PandasRows, new_columns
from llx_magic.rows.outcome import STATUSES
from llx_magic.rows.rows import ROW, Column, Source

if TYPE_CHECKING:
    import pandas as pd
    from dask.dataframe import DataFrame

    from llx_magic.cluster.waiting import Client

_HEAD = 5
"""How many of the first rows are kept, so that nothing is computed again where they are shown."""


class PartitionedRows(Source):
    """A frame of Dask, or a column of one, whose ``row`` is its value.

    A partition is computed when its first row is asked for, and forgotten after its last; how many rows there are shows
    only at the end. The table is lazy: its own columns are computed anew where they are wanted.
    """

    def __init__(self, partitions: Partitions, *, is_series: bool = False) -> None:
        self._partitions = partitions
        self._heights: list[int] = []
        self._head: pd.DataFrame | None = None
        self.columns = partitions.columns
        self.is_single = is_series

    @classmethod
    def of(cls, data: object, client: object) -> Self | None:
        """Return the rows of a frame or a column; None for anything else of Dask's."""
        frame = frame_of(data, ROW)
        if frame is None:
            return None
        return cls(Partitions(frame, cast("Client | None", client)), is_series=frame is not data)

    def check_waiting(self) -> None:
        """See to it that the calling thread may wait for partitions to be computed; as ``Source``."""
        self._partitions.check_waiting()

    @property
    def reached(self) -> int:
        """How many rows the partitions have that were computed."""
        return sum(self._heights) * self.samples

    def records(self) -> Iterator[Mapping[Hashable, object]]:
        """Yield the columns of every row by their names."""
        self._heights.clear()
        for partition in range(self._partitions.count):
            part = self._partitions.compute(partition)
            if not partition:
                self._head = part.iloc[:_HEAD]
            self._heights.append(len(part))
            yield from PandasRows(part).records()

    def joined(self, columns: Mapping[str, Column], places: Sequence[int] | None = None) -> DataFrame:
        """Return the lazy frame; partitions that were not computed are in it, as rows that were not asked."""
        new, blank = new_columns(columns), new_columns(_not_asked(columns))
        if places is None:
            pieces = list(self._whole(new))
            pieces += [Piece(each, None, None, blank) for each in range(len(pieces), self._partitions.count)]
        else:
            pieces = list(self._chosen(new, places)) or [Piece(0, None, [], blank)]
        return self._partitions.beside(pieces, blank, self._head)

    def _whole(self, new: pd.DataFrame) -> Iterator[Piece]:
        begin = 0
        for partition, height in enumerate(self._heights):
            yield Piece(partition, height, None, new.iloc[begin : begin + height])
            begin += height

    def _chosen(self, new: pd.DataFrame, places: Sequence[int]) -> Iterator[Piece]:
        begin = 0
        for partition, height in enumerate(self._heights):
            first, last = bisect_left(places, begin), bisect_left(places, begin + height)
            if first < last:
                rows = [place - begin for place in places[first:last]]
                yield Piece(partition, height, rows, new.iloc[first:last])
            begin += height

    def _height(self) -> None:
        return None


def _not_asked(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Return the columns of one row of which nothing was heard."""
    return {
        name: Column(column.kind, ["not asked" if column.kind == STATUSES else None], column.typed)
        for name, column in columns.items()
    }
