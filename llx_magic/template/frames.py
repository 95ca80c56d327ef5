"""pandas' tables as a prompt shows them; whoever holds one has pandas imported already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from llx_magic.template import cells
from llx_magic.template.cells import PRECISIONS
from llx_magic.template.tables import MAX_COLUMNS, Column, Limits, Shown, Table, markdown

if TYPE_CHECKING:
    import pandas as pd
    from pandas._typing import S1
    from pandas.io.formats.style import Styler


def frame(value: pd.DataFrame, limits: Limits) -> Shown:
    """Return a table with the row labels, unless they only number the rows."""
    height, width = value.shape
    if not height and not width:
        return Shown("(empty DataFrame: no rows, no columns)")
    part = value.iloc[: limits.rows, :MAX_COLUMNS]
    labels = [*_labels(part.index, always=not width)]
    columns = [_column(name, part.iloc[:, at]) for at, name in enumerate(part.columns)]
    return markdown(Table([*labels, *columns], height, list(value.columns[MAX_COLUMNS:]), len(labels)), limits)


def series(value: pd.Series[S1], limits: Limits) -> Shown:
    """Return a table with one column, named "value" where the series has no name."""
    part = value.iloc[: limits.rows]
    labels = [*_labels(part.index)]
    return markdown(
        Table([*labels, _column("value" if part.name is None else part.name, part)], len(value), (), len(labels)),
        limits,
    )


def index(value: pd.Index[S1], limits: Limits) -> Shown:
    """Return labels, or an array of pandas, as a list."""
    part = list(value[: limits.rows])
    texts = zip(part, cells.column(part), strict=True)
    quoted = [cells.literal(item) if isinstance(item, str | tuple) else text for item, text in texts]
    listed = f"[{', '.join(quoted)}]"
    if len(part) == len(value):
        return Shown(listed)
    said = f"{len(part):,} of {len(value):,} values"
    return Shown(f"{listed} (first {said})", (f"{said} sent" + (f" ({limits.more_rows})" if limits.more_rows else ""),))


def styled(value: Styler, limits: Limits) -> Shown:
    """Return the table that is styled; colours are not for a model."""
    styled_frame: pd.DataFrame = vars(value)["data"]
    return frame(styled_frame, limits)


def steps(times: pd.DatetimeIndex, frequency: str) -> int:
    """Return how many steps of a frequency lie between the first and the last of some points in time."""
    from pandas.tseries.frequencies import to_offset

    try:
        nanoseconds = to_offset(frequency).nanos
    except ValueError:  # a month has no fixed length; steps so long are few
        return 0
    return int((times.max() - times.min()).total_seconds() * 1e9 / nanoseconds) if len(times) else 0


def unstacked(labels: pd.MultiIndex, level: object) -> tuple[int, int]:
    """Return how many rows and columns there are once a level of the labels, or several, becomes columns."""
    names = list(labels.names)
    wanted = level if isinstance(level, list | tuple) else [level]
    moved = {names.index(each) if each in names else int(str(each)) % labels.nlevels for each in wanted}
    left = [at for at in range(labels.nlevels) if at not in moved]
    kept = labels.droplevel(sorted(moved)).nunique() if left else 1
    return kept, labels.droplevel(left).nunique() if left else len(labels)


def _labels(labels: pd.Index[S1], *, always: bool = False) -> Iterator[Column]:
    numbered = type(labels).__name__ == "RangeIndex" and labels.name is None
    if numbered and not always and (not len(labels) or (labels[0], labels[-1]) == (0, len(labels) - 1)):
        return
    for level in range(labels.nlevels):
        name = labels.names[level]
        yield Column("" if name is None else name, list(labels.get_level_values(level)))


def _column(name: object, values: pd.Series[S1]) -> Column:
    kind: object = getattr(values.dtype, "numpy_dtype", values.dtype)
    size = getattr(kind, "itemsize", 8) if getattr(kind, "kind", "") == "f" else 8
    # The array and not the series: a series hands out single precision as double, with digits that it never had.
    return Column(name, list(values.array), PRECISIONS.get(size, "d"))
