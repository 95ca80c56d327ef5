"""Rows of a pandas frame, and the frame with further columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sized
from typing import Self

import pandas as pd

from llx_magic.errors import UsageProblem, brief
from llx_magic.observe.frames.columns import series
from llx_magic.rows.rows import ROW, Column, Row, Source, row_of
from llx_magic.text.screen import one_line

_CHUNK = 512
"""How many rows at a time become values of Python; the rest stay as the frame has them."""

_EXACT = 2**53
"""Whole numbers below this are the same as floats."""


class PandasRows(Source):
    """A frame, or a Series: the ``row`` of a Series is its value, and so is the Series' name."""

    def __init__(self, frame: pd.DataFrame, *, is_series: bool = False) -> None:
        self._frame = frame
        self._is_series = is_series
        self.columns = tuple(frame.columns)

    @classmethod
    def of(cls, data: object) -> Self | None:
        """Return the rows of a frame, a Series or an index; None for anything else of pandas'."""
        if isinstance(data, pd.DataFrame):
            return cls(data)
        if isinstance(data, pd.Index):
            data = data.to_series(index=pd.RangeIndex(len(data)))
        if isinstance(data, pd.Series):
            return cls(data.to_frame(ROW if data.name is None else data.name), is_series=True)
        return None

    @classmethod
    def of_columns(cls, data: Mapping[object, object]) -> Self:
        """Return the rows of a dictionary of columns.

        Raises:
            UsageProblem: where a value of it is no column, or the columns are not equally long.
        """
        for name, column in data.items():
            if isinstance(column, str | bytes | Mapping) or not isinstance(column, Sized):
                raise UsageProblem(f"a dictionary is read as columns, and {brief(name)} is no list: {brief(column)}")
        try:
            return cls(pd.DataFrame(dict(data)))
        except ValueError as problem:
            raise UsageProblem(f"no table can be made of the dictionary: {one_line(str(problem), 200)}") from None

    def joined(self, columns: Mapping[str, Column]) -> pd.DataFrame:
        """Return the frame with its own index, types and order of columns, and the new columns behind them."""
        frame = self._frame
        if self.samples > 1:
            frame = frame.iloc[[place for place in range(len(frame)) for _ in range(self.samples)]]
        new = pd.DataFrame({name: series(column.values, column.kind, 0.0) for name, column in columns.items()})
        new.index = frame.index
        if frame.columns.nlevels > 1:
            rest = ("",) * (frame.columns.nlevels - 1)
            new.columns = pd.MultiIndex.from_tuples([(name, *rest) for name in columns], names=frame.columns.names)
        together = pd.concat([frame, new], axis=1)
        together.columns.names = frame.columns.names
        together.attrs = dict(frame.attrs)
        return together

    def _height(self) -> int:
        return len(self._frame)

    def _rows(self) -> Iterator[Row]:
        for begin in range(0, len(self._frame), _CHUNK):
            part = self._frame.iloc[begin : begin + _CHUNK]
            columns = [_values(part.iloc[:, at]) for at in range(len(self.columns))]
            for values in zip(*columns, strict=True) if columns else ((),) * len(part):
                row = dict(zip(self.columns, values, strict=True))
                yield {**row_of(row), ROW: values[0]} if self._is_series else row_of(row)


def _values(column: pd.Series) -> list[object]:
    """Return the values of a column as Python's own, and None where they are missing."""
    values = column.tolist()
    missing = column.isna().tolist()
    return [None if is_missing else value for value, is_missing in zip(values, missing, strict=True)]


def inferred(columns: Mapping[Hashable, list[object]], height: int) -> pd.DataFrame:
    """Return a frame of values of Python, whose whole numbers stay whole where some of them are missing."""
    series_of = {name: _inferred(values) for name, values in columns.items()}
    return pd.DataFrame(series_of, index=pd.RangeIndex(height), columns=list(columns))


def _inferred(values: list[object]) -> pd.Series:
    kinds = {type(value) for value in values}
    given = kinds - {type(None)}
    if given == {int} and any(value is None for value in values):
        return _whole(values)
    if given == {bool} and type(None) in kinds:
        return pd.Series(values, dtype="boolean")
    if given == {int, float} and any(isinstance(each, int) and abs(each) > _EXACT for each in values):
        return pd.Series(values, dtype="object")
    if (len(given) > 1 and given != {int, float}) or any(issubclass(kind, list | dict | tuple) for kind in given):
        return pd.Series(values, dtype="object")
    return pd.Series(values, dtype=None if given else "object")


def _whole(values: list[object]) -> pd.Series:
    try:
        return pd.Series(values, dtype="Int64")
    except (OverflowError, TypeError):  # longer than 64 bits
        return pd.Series(values, dtype="object")
