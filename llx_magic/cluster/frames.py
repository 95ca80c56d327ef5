"""A DataFrame of Dask: its partitions computed one at a time, and the same frame, still lazy, with further columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from llx_magic.cluster.waiting import Client, check_waiting, client_of_dask, wait_for
from llx_magic.errors import LlxError
from llx_magic.units import plural

if TYPE_CHECKING:
    import pandas as pd
    from dask.dataframe import DataFrame


class Piece(NamedTuple):
    """What stands beside one partition: the rows of it that are in the table (None for all), and their new columns.

    ``height`` is how many rows the partition had when it was asked, None where it was not computed then; all rows of
    such a one get the only row of ``new``.
    """

    partition: int
    height: int | None
    rows: Sequence[int] | None
    new: pd.DataFrame


class Partitions:
    """A frame of Dask, or a column as a frame; ``client`` is whose cluster computes it, None for Dask's own choice.

    That choice is made here, on the thread of whoever calls: elsewhere Dask would not know of the task that this is.
    """

    def __init__(self, frame: DataFrame, client: Client | None = None) -> None:
        self._frame = frame
        self._client = client_of_dask() if client is None else client
        self.columns = tuple(frame.columns)
        self.count: int = frame.npartitions

    def compute(self, partition: int) -> pd.DataFrame:
        """Return a partition; blocks for as long as that takes.

        Raises:
            UsageProblem: as ``check_waiting``.
            LlxError: where the client is closed meanwhile.
        """
        part = self._frame.partitions[partition]
        if (client := self._client) is None:
            return cast("pd.DataFrame", part.compute())
        self.check_waiting()

        async def compute() -> object:
            return await client.compute(part)

        return cast("pd.DataFrame", wait_for(client, compute()))

    def check_waiting(self) -> None:
        """See to it that the calling thread may wait for partitions to be computed.

        Raises:
            UsageProblem: where that would be for ever.
        """
        if self._client is not None:
            check_waiting(self._client, "data: the client by which Dask computes it", "await lb.map(…)")

    def beside(self, pieces: Iterable[Piece], blank: pd.DataFrame, head: pd.DataFrame | None) -> DataFrame:
        """Return the lazy frame of the pieces' rows with their new columns.

        ``blank`` are these of a row that was not asked, ``head`` the first rows, where they have been computed.
        """
        from dask.dataframe import from_delayed
        from dask.delayed import delayed

        parts, join = self._frame.to_delayed(), delayed(beside, pure=True)  # type: ignore[no-untyped-call]
        made = [
            join(head, len(head), *piece[2:])
            if head is not None and _is_within(piece, head)
            else join(parts[piece.partition], *piece[1:])
            for piece in pieces
        ]
        meta = beside(self._frame._meta, None, None, blank)  # noqa: SLF001 - as Dask's own documentation does
        return cast("DataFrame", from_delayed(made, meta=meta, verify_meta=False))


def frame_of(data: object, unnamed: str) -> DataFrame | None:
    """Return a frame of Dask, or a column as one, ``unnamed`` where it has no name; None for anything else."""
    from dask.dataframe import DataFrame, Series

    if isinstance(data, Series):
        return cast("DataFrame", data.to_frame(name=unnamed if data.name is None else data.name))
    return data if isinstance(data, DataFrame) else None


def beside(part: pd.DataFrame, height: int | None, rows: Sequence[int] | None, new: pd.DataFrame) -> pd.DataFrame:
    """Return rows of a partition with their new columns behind its own; on whatever machine that is computed.

    Raises:
        LlxError: where it has not as many rows as when it was asked: nobody knows which replies belong to which.
    """
    if height is not None and len(part) != height:
        raise LlxError(
            f"a partition has {plural(len(part), 'row')} now and had {height} when it was asked: the data must be the "
            "same each time that it is computed (persist() keeps it)"
        )
    chosen = part if rows is None else part.iloc[list(rows)]
    if height is None:
        new = new.iloc[[0] * len(chosen)]
    return chosen.assign(**{str(name): new[name].array for name in new.columns})


def _is_within(piece: Piece, head: pd.DataFrame) -> bool:
    """Return whether the piece is of first rows alone, which are there already."""
    return piece.partition == 0 and piece.rows is not None and all(row < len(head) for row in piece.rows)
