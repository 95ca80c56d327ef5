"""Rows of the tables of other libraries, through narwhals, and these tables with further columns."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, cast

import narwhals as nw

from llx_magic.errors import UsageProblem
from llx_magic.rows.rows import ROW, Column, Source
from llx_magic.template.foreign import whole
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from narwhals.typing import IntoDataFrame, IntoLazyFrame, IntoSeries

    from llx_magic.rows.typed import Typed

ELSEWHERE = {"dask": "x.compute()", "pyspark": "x.toPandas()", "sqlframe": "x.toPandas()"}
"""Libraries whose tables may be on other machines, and how one of them comes to this."""


class ForeignRows(Source):
    """A table or a column of polars, pyarrow, modin, …; the ``row`` of a column is its value, and so is its name."""

    def __init__(self, frame: nw.DataFrame[IntoDataFrame], *, is_series: bool = False, note: str = "") -> None:
        self._frame = frame
        self.is_single = is_series
        self.columns = tuple(frame.columns)
        self.note = note

    def joined(self, columns: Mapping[str, Column], places: Sequence[int] | None = None) -> object:
        """Return the table of its own library with the new columns behind its own."""
        frame = self._frame if places is None else self._frame[list(places)]
        new = [_series(name, column, frame.implementation) for name, column in columns.items()]
        return nw.to_native(frame.with_columns(*new))

    def _height(self) -> int:
        return len(self._frame)

    def records(self) -> Iterator[Mapping[Hashable, object]]:
        """Yield the columns of every row by their names."""
        for record in self._frame.iter_rows(named=True):
            yield cast("dict[Hashable, object]", record)


def foreign(data: object) -> Source | None:
    """Return the rows of another library's table or column; None for what narwhals does not know.

    What is computed only when it is asked for is computed once, and the note says so.

    Raises:
        UsageProblem: where it would have to be brought from other machines, or cannot be computed.
    """
    name, library = type(data).__name__, type(data).__module__.partition(".")[0]
    if library in ELSEWHERE:
        raise UsageProblem(
            f"the {name} of {library} is not computed yet, and may be larger than this machine; give a table that is, "
            f"for example {ELSEWHERE[library]}"
        )
    try:
        read: object = nw.from_native(whole(data), allow_series=True, pass_through=True)
        if isinstance(read, nw.LazyFrame):
            return _computed(read, name)
    except Exception as problem:  # noqa: BLE001 - any library may say in its own way what is wrong with its table
        raise UsageProblem(f"the {name} cannot be read: {one_line(str(problem), 300)}") from None
    if isinstance(read, nw.Series):
        return ForeignRows(read.alias(read.name or ROW).to_frame(), is_series=True)
    return ForeignRows(read) if isinstance(read, nw.DataFrame) else None


def _computed(read: nw.LazyFrame[IntoLazyFrame], name: str) -> Source:
    frame = read.collect()
    native = type(nw.to_native(frame))
    note = f"the {name} was computed once; the table is a {native.__name__} of {frame.implementation.value}"
    return ForeignRows(frame, note=note)


def _series(name: str, column: Column, library: nw.Implementation) -> nw.Series[IntoSeries]:
    """Return a new column; where a value is beyond its type, such as a number of 30 digits, all of it are texts."""
    dtype, module = dtype_of(column, library), library.to_native_namespace()
    try:
        return nw.new_series(name, _values(column.values, dtype), dtype, backend=module)
    except Exception:  # noqa: BLE001 - every library has its own errors for such a value
        return nw.new_series(name, _values(column.values, nw.String()), nw.String(), backend=module)


def dtype_of(column: Column, library: nw.Implementation) -> nw.dtypes.DType:
    """Return the type of a column for a library: nested values are structs and lists where the schema names all fields.

    Where it does not, they are texts in JSON, since these libraries have no type for any object.
    """
    if isinstance(column.kind, tuple):
        return nw.Enum(column.kind) if library is nw.Implementation.POLARS else nw.Categorical()
    if column.kind == "object" and column.typed is not None:
        return nested(column.typed) or nw.String()
    return _SIMPLE.get(column.kind, nw.String())


_TEXT = nw.String()
_SIMPLE: dict[str, nw.dtypes.DType] = {
    "string": _TEXT,
    "Int64": nw.Int64(),
    "float64": nw.Float64(),
    "boolean": nw.Boolean(),
    "time": nw.Datetime("us", "UTC"),
    "date": nw.Date(),
}


def nested(typed: Typed) -> nw.dtypes.DType | None:
    """Return the type of a nested value; None where its schema does not name every field of it. Times are texts."""
    kind = typed.kind
    if kind != "object":
        return _TEXT if isinstance(kind, tuple) or kind in {"time", "date"} else _SIMPLE[kind]
    if (each := typed.items) is not None:
        inner = nested(each)
        return None if inner is None else nw.List(inner)
    fields: dict[str, nw.dtypes.DType] = {}
    for name, field in typed.properties.items():
        if (inner := nested(field)) is None:
            return None
        fields[name] = inner
    return nw.Struct(fields) if fields else None


def _values(values: list[object], dtype: nw.dtypes.DType) -> list[object]:
    """Return values as a library takes them: times as such, and what has no type of its own as JSON."""
    if isinstance(dtype, nw.Datetime):
        return [_moment(value) if isinstance(value, str) else None for value in values]
    if isinstance(dtype, nw.Date):
        return [date.fromisoformat(value) if isinstance(value, str) else None for value in values]
    if isinstance(dtype, nw.String):
        return [None if value is None else _text(value) for value in values]
    return values


def _text(value: object) -> str:
    """Return a text, or any other value as JSON; half of a surrogate pair is nothing that these libraries hold."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
