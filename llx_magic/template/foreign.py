"""Tables of other libraries, through narwhals; one that has not been computed is refused, since a prompt only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from llx_magic.template import frames
from llx_magic.template.cells import Precision
from llx_magic.template.errors import RefusedError
from llx_magic.template.tables import MAX_COLUMNS, Column, Limits, Shown, Table, markdown

if TYPE_CHECKING:
    import narwhals as nw
    import pandas as pd
    from narwhals.typing import IntoDataFrame, IntoSeries

LIBRARIES = frozenset(
    {"polars", "pyarrow", "modin", "cudf", "duckdb", "_duckdb", "ibis", "dask", "pyspark", "sqlframe", "narwhals"}
)
"""The packages whose tables and columns narwhals reads."""

_COMPUTED = {
    "polars": "head(20).collect()",
    "narwhals": "head(20).collect()",
    "duckdb": "limit(20).df()",
    "_duckdb": "limit(20).df()",
    "ibis": "head(20).to_pandas()",
    "xarray": "compute()",
    "pyspark": "limit(20).toPandas()",
    "sqlframe": "limit(20).toPandas()",
}
"""How the first rows of a table that is not computed yet become data."""


class _Exchanged(Protocol):
    def to_pandas(self) -> pd.DataFrame: ...


def table(value: object, limits: Limits) -> Shown | None:
    """Return a table or a column of another library; None for a value that is neither.

    Raises RefusedError for one that is not computed yet, with what makes it data.
    """
    import narwhals as nw

    read: object = nw.from_native(whole(value), allow_series=True, pass_through=True)
    if isinstance(read, nw.LazyFrame):
        raise RefusedError(lazy(value))
    if isinstance(read, nw.DataFrame):
        return _frame(read, limits)
    if isinstance(read, nw.Series):
        return markdown(Table([_column(read.head(limits.rows), read.name or "value")], len(read)), limits)
    return None


def exchanged(value: object, limits: Limits) -> Shown:
    """Return a table that speaks only the dataframe interchange protocol (``__dataframe__``).

    https://data-apis.org/dataframe-protocol/latest/
    """
    import warnings

    import narwhals.stable.v1 as nw

    read = nw.from_native(cast("IntoDataFrame", value), eager_or_interchange_only=True)
    # pandas calls the protocol outdated (https://github.com/pandas-dev/pandas/issues/56732); whoever has such a table
    # cannot help it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = cast("_Exchanged", read).to_pandas()
    return frames.frame(frame, limits)


def lazy(value: object) -> str:
    """Say how a value that is not computed yet becomes data."""
    library = type(value).__module__.partition(".")[0]
    computed = _COMPUTED.get(library, "head(20)" if hasattr(type(value), "head") else "compute()")
    example = f"x = ….{computed}"
    return f"the {type(value).__name__} is not computed yet; assign it first, for example {example}, then {{{{ x }}}}"


def whole(value: object) -> object:
    """Return what narwhals reads for the two of pyarrow's classes that it does not."""
    if not type(value).__module__.startswith("pyarrow"):
        return value
    import pyarrow as pa

    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    return pa.chunked_array([value]) if isinstance(value, pa.Array) else value


def _frame(read: nw.DataFrame[IntoDataFrame], limits: Limits) -> Shown:
    height, width = read.shape
    if not width:
        return Shown("(empty DataFrame: no rows, no columns)")
    part = read.head(limits.rows)
    columns = [_column(part.get_column(name)) for name in read.columns[:MAX_COLUMNS]]
    return markdown(Table(columns, height, read.columns[MAX_COLUMNS:]), limits)


def _column(values: nw.Series[IntoSeries], name: str | None = None) -> Column:
    import narwhals as nw

    kind: object = values.dtype
    while hasattr(kind, "inner"):
        kind = kind.inner
    precision: Precision = "f" if kind == nw.Float32 else "d"
    return Column(values.name if name is None else name, values.to_list(), precision)
