"""How frames are made of values: of lists, one for each column, or of pieces that were packed before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.observe.frames.columns import JOINED, Kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

Piece = tuple[Sequence[object], int]
"""Values that follow each other, and how many they are; where there is one alone, all are the same."""


class Part(NamedTuple):
    """Some values of a column, piece after piece, and the rows where they stand; None for all rows."""

    pieces: Sequence[Piece]
    rows: np.ndarray | None = None

    @property
    def where(self) -> np.ndarray | slice:
        """The rows as an index."""
        return slice(None) if self.rows is None else self.rows

    def numbers(self, kind: str = "float64") -> np.ndarray:
        """Return the values as numbers; NaN where they are missing."""
        import numpy as np

        numbers = np.empty(sum(count for _, count in self.pieces), kind)
        at = 0
        for values, count in self.pieces:
            numbers[at : at + count] = np.asarray(values, kind)  # floats take None so, ten times as fast as one by one
            at += count
        return numbers

    def is_missing(self) -> bool:
        """Return whether there is no value at all."""
        return all(len(values) == 1 and values[0] is None for values, _ in self.pieces)


def read(columns: Mapping[str, tuple[str, Kind]], rows: Sequence[object], epoch: float) -> pd.DataFrame:
    """Make a frame of one attribute of every row per column."""
    values = {name: list(map(attrgetter(attribute), rows)) for name, (attribute, _) in columns.items()}
    return build({name: kind for name, (_, kind) in columns.items()}, values, epoch)


def frame_of(columns: Mapping[str, Kind], rows: Sequence[tuple[object, ...]], epoch: float) -> pd.DataFrame:
    """Make a frame of rows, each in the order of the columns."""
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return build(columns, dict(zip(columns, map(list, values), strict=True)), epoch)


def build(columns: Mapping[str, Kind], values: Mapping[str, list[object]], epoch: float) -> pd.DataFrame:
    """Make a frame of the values of each column; ``epoch`` is the Unix time at which the clock was zero."""
    return assembled({name: series(values[name], kind, epoch) for name, kind in columns.items()})


def assembled(columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the frame of columns that were made for it; they are not copied."""
    from llx_magic.observe.frames.inert import InertFrame

    return InertFrame(dict(columns), copy=False)


def series(values: list[object], kind: Kind, epoch: float) -> pd.Series:
    """Return a column of values, None where they are missing; ``epoch`` is added to those that are times."""
    import pandas as pd

    if kind == "object":
        return pd.Series(values, dtype="object")
    return spread([Part([(values, len(values))])], len(values), kind, epoch)


def spread(parts: Sequence[Part], length: int, kind: Kind, epoch: float) -> pd.Series:
    """Return a column of ``length`` rows; they are missing where no part has any, later parts outweigh earlier ones."""
    import pandas as pd

    return pd.Series(_spread(parts, length, kind, epoch), copy=False)


def _spread(parts: Sequence[Part], length: int, kind: Kind, epoch: float) -> np.ndarray | ExtensionArray:
    import numpy as np
    import pandas as pd

    if kind in ("string", JOINED):
        values, which = _indexed(parts, length)
        # pandas looks at each text once, not at each row. The type is named whole: "string" alone is another one where
        # pyarrow is installed.
        texts = np.array(list(_joined(values)) if kind == JOINED else values, "object")
        return pd.array(texts, dtype=pd.StringDtype("python")).take(which)
    if isinstance(kind, tuple):
        code_of: dict[object, int] = {word: code for code, word in enumerate(kind)}
        values, which = _indexed(parts, length)
        codes = np.array([code_of.get(word, -1) for word in values], "int8")[which]
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(kind)))
    if kind in ("Int64", "boolean"):
        return _nullable(parts, length, kind)
    column = np.full(length, np.nan) if kind in ("float64", "time") else np.zeros(length, kind)
    for part in parts:
        column[part.where] = part.numbers(str(column.dtype))
    return _moments(column + epoch) if kind == "time" else column


def _indexed(parts: Sequence[Part], length: int) -> tuple[list[object], np.ndarray]:
    """Return the values, and which of them each row has; the first is None, for what is missing."""
    import numpy as np

    every: list[object] = [None]
    which = np.zeros(length, "intp")
    for part in parts:
        found = np.empty(sum(count for _, count in part.pieces), "intp")
        at = 0
        for values, count in part.pieces:
            found[at : at + count] = len(every) + np.arange(len(values))
            every += values
            at += count
        which[part.where] = found
    return every, which


def _nullable(parts: Sequence[Part], length: int, kind: str) -> ExtensionArray:
    """Return a column of numbers or truths that may be missing."""
    import numpy as np
    import pandas as pd

    is_number = kind == "Int64"
    column, missing = np.zeros(length, "int64" if is_number else "bool"), np.ones(length, "bool")
    for part in parts:
        numbers = part.numbers()
        gaps = np.isnan(numbers)
        column[part.where] = np.where(gaps, 0.0, numbers)
        missing[part.where] = gaps
    return (pd.arrays.IntegerArray if is_number else pd.arrays.BooleanArray)(column, missing)


def _moments(seconds: np.ndarray) -> ExtensionArray:
    """Return Unix times as times of day in UTC."""
    import numpy as np
    import pandas as pd

    missing = np.isnan(seconds)
    moments = np.rint(np.where(missing, 0.0, seconds * 1e6)).astype("int64").view("M8[us]")
    moments[missing] = np.datetime64("NaT")
    return pd.DatetimeIndex(moments, tz="UTC").array


def _joined(values: Sequence[object]) -> Iterator[str | None]:
    known: dict[object, str] = {}
    for value in values:  # mostly the same few over and over
        if isinstance(value, tuple) and value not in known:
            known[value] = "; ".join(map(str, value))
        yield known.get(value)
