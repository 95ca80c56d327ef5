"""Rows of a pandas frame, and the frame with further columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import pandas as pd

from llx_magic.errors import UsageProblem, brief
from llx_magic.observe.frames.columns import Kind
from llx_magic.observe.frames.making import series
from llx_magic.rows.rows import ROW, Column, Source
from llx_magic.template.cells import joined
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from narwhals.typing import IntoDataFrame

_CHUNK = 512
"""How many rows at a time become values of Python; the rest stay as the frame has them."""

_PLAIN = frozenset({
    "string", "bytes", "integer", "floating", "mixed-integer-float", "boolean", "decimal", "empty",
    "date", "datetime", "datetime64", "timedelta", "timedelta64",
})  # fmt: skip
"""The kinds of columns that hold values of Python's and pandas' own alone
(https://pandas.pydata.org/docs/reference/api/pandas.api.types.infer_dtype.html).
"""

_EXACT = 2**53
"""Whole numbers below this are the same as floats."""


class PandasRows(Source):
    """A frame, or a Series: the ``row`` of a Series is its value, and so is the Series' name."""

    def __init__(self, frame: pd.DataFrame, *, is_series: bool = False) -> None:
        self._frame = frame
        kinds = (pd.api.types.infer_dtype(column, skipna=True) for _, column in frame.items())
        self.is_at_hand = all(kind in _PLAIN for kind in kinds)
        self.is_single = is_series
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

    def label(self, place: int) -> str:
        """Return what the index of the frame calls a row."""
        return one_line(str(self._frame.index[place]), 60)

    def joined(self, columns: Mapping[str, Column], places: Sequence[int] | None = None) -> pd.DataFrame:
        """Return the frame with its own index, types and order of columns, and the new columns behind them."""
        frame = self._frame if places is None else self._frame.iloc[list(places)]
        new = new_columns(columns)
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

    def records(self) -> Iterator[Mapping[Hashable, object]]:
        """Yield the columns of every row by their names."""
        for begin in range(0, len(self._frame), _CHUNK):
            part = self._frame.iloc[begin : begin + _CHUNK]
            columns = [_values(part.iloc[:, at]) for at in range(len(self.columns))]
            for values in zip(*columns, strict=True) if columns else ((),) * len(part):
                yield dict(zip(self.columns, values, strict=True))


def new_columns(columns: Mapping[str, Column]) -> pd.DataFrame:
    """Return new columns as a frame of their own, each of its type whatever is in it."""
    return pd.DataFrame({name: _typed(column.values, column.kind) for name, column in columns.items()})


def labelled(frame: object) -> object:
    """Return a frame of pandas with one heading for each column, and with the labels of its rows as columns.

    Labels that only number the rows are left out. Tables of other libraries are returned as they are.
    """
    if not isinstance(frame, pd.DataFrame):
        return frame
    named = frame.copy(deep=False)
    named.columns = _headings(frame)
    labels = frame.index
    if isinstance(labels, pd.RangeIndex) and labels.name is None and (not len(labels) or labels[0] == 0):
        return named
    names: list[Hashable] = []
    for at, name in enumerate(labels.names):
        unnamed = "index" if labels.nlevels == 1 else f"level_{at}"
        wanted = unnamed if name is None else str(name)
        while wanted in named.columns or wanted in names:
            wanted += "_"
        names.append(wanted)
    return named.reset_index(names=names)


def _values(column: pd.Series) -> list[object]:
    """Return the values of a column as Python's own, and None where they are missing."""
    values = column.tolist()
    missing = column.isna().tolist()
    return [None if is_missing else value for value, is_missing in zip(values, missing, strict=True)]


def _typed(values: list[object], kind: Kind) -> pd.Series:
    """Return a new column. A text that is no time, which some JSON schemas let pass, makes all of them texts."""
    if kind == "Int64":
        return _whole(values)
    if kind not in {"time", "date"}:
        return series(values, kind, 0.0)
    try:
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=kind == "time", format="ISO8601")
    except ValueError:
        return series(values, "string", 0.0)
    return times.astype("datetime64[us, UTC]" if kind == "time" else "datetime64[us]")


def inferred(columns: Mapping[Hashable, list[object]] | Mapping[str, list[object]], height: int) -> pd.DataFrame:
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
    try:
        return pd.Series(values, dtype=None if given else "object")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can name and Arrow's texts cannot hold
        return pd.Series(values, dtype="object")


def _whole(values: list[object]) -> pd.Series:
    try:
        return pd.Series(values, dtype="Int64")
    except (OverflowError, TypeError):  # longer than 64 bits
        return pd.Series(values, dtype="object")


def read_parquet(path: Path) -> pd.DataFrame:
    """Return the table of a Parquet file, whose whole numbers stay whole where some of them are missing.

    Raises:
        ImportError: without pyarrow.
    """
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path, partitioning=None)
    frame: pd.DataFrame = table.to_pandas()
    for name in set(frame.columns) & set(table.column_names):
        kind = table.schema.field(name).type
        if pyarrow.types.is_integer(kind) and pd.api.types.is_float_dtype(frame[name].dtype):
            whole = "UInt64" if pyarrow.types.is_unsigned_integer(kind) else "Int64"
            frame[name] = pd.array(table.column(name).to_pylist(), dtype=whole)
    return frame


def write_parquet(table: object, path: Path) -> None:
    """Write a table of any library as Parquet, which wants one text as the name of each column."""
    import narwhals as nw

    if not isinstance(table, pd.DataFrame):
        nw.from_native(cast("IntoDataFrame", table), eager_only=True).write_parquet(path)
        return
    named = table.copy(deep=False)
    named.columns = _headings(table)
    named.to_parquet(path, engine="pyarrow")


def _headings(frame: pd.DataFrame) -> pd.Index[str]:
    headings: list[Hashable] = list(frame.columns)
    return pd.Index([joined(name) if isinstance(name, tuple) else str(name) for name in headings])
