"""From what a user gives as data to its rows."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence, Set, Sized
from pathlib import Path

from llx_magic.errors import UsageProblem, brief
from llx_magic.rows.records import Records, Stream
from llx_magic.rows.rows import Source
from llx_magic.template.foreign import LIBRARIES
from llx_magic.text.wording import listed

_ALLOWED = (
    "rows are a DataFrame, a Series, a list or an iterator, a dictionary of columns, "
    "or the path of a CSV, JSONL or Parquet file"
)


_LONGEST_PATH = 4_096
"""The most characters of a path; what is longer is a text."""


def source_of(data: object, *, keep: bool = True, client: object = None) -> Source:
    """Return the rows of some data.

    A frame's rows are its columns. A list, a Series or an iterator is of dictionaries, or of single values. An iterator
    is read as its rows are asked for; with ``keep`` its rows are kept for the table of the results. What is missing in
    a frame, whatever it is called there (NaN, NaT, NA, null), is None in a row. A frame of Dask is computed one
    partition at a time, on the cluster of the ``client`` where one is given.

    Raises:
        UsageProblem: for what is no table, and for one in which two columns have the same name.
    """
    source = _source_of(data, keep=keep, client=client)
    if twice := [name for name, count in Counter(source.columns).items() if count > 1]:
        raise UsageProblem(f"two columns of the data are called {listed(map(brief, twice))}; rename one of them first")
    if broken := [name for name in source.columns if isinstance(name, str) and not _is_whole(name)]:
        raise UsageProblem(f"the name of a column holds half of a surrogate pair: {brief(broken[0])}; rename it first")
    return source


def _is_whole(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _source_of(data: object, *, keep: bool, client: object) -> Source:
    from llx_magic.rows.frames import PandasRows

    if isinstance(data, str | os.PathLike):
        return _of_file(data)
    packages = {base.__module__.partition(".")[0] for base in type(data).__mro__}
    if "pandas" in packages and (found := PandasRows.of(data)) is not None:
        return found
    if (packages & LIBRARIES or hasattr(data, "__narwhals_dataframe__")) and (read := _of_library(data, client)):
        return read
    if isinstance(data, Mapping):
        return PandasRows.of_columns(data)
    if isinstance(data, Sequence) and not isinstance(data, bytes | bytearray | memoryview):
        return Records(data)
    if isinstance(data, Set):
        raise UsageProblem("a set has no order, so its replies could not be told apart; give sorted(…) of it")
    if isinstance(data, AsyncIterable):
        raise UsageProblem("an asynchronous iterator is not read; collect it first: [each async for each in …]")
    if isinstance(data, Iterable) and not isinstance(data, bytes | bytearray | memoryview):
        return Records(list(data)) if isinstance(data, Sized) else Stream(data, keep=keep)
    raise UsageProblem(f"{_ALLOWED}; got {brief(data)}")


def _of_library(data: object, client: object) -> Source | None:
    """Return the rows of another library's table; None for what is none."""
    if type(data).__module__.startswith("dask.dataframe"):
        from llx_magic.rows.partitioned import PartitionedRows

        if (lazy := PartitionedRows.of(data, client)) is not None:
            return lazy
    from llx_magic.rows.foreign import foreign

    return foreign(data)


def _of_file(named: str | os.PathLike[str]) -> Source:
    from llx_magic.rows.reading import ENDINGS, read_rows

    path = Path(named)
    if isinstance(named, str) and ("\n" in named or len(named) > _LONGEST_PATH or not path.suffix):
        raise UsageProblem(
            f"{brief(named)} is no path of a file that ends in {ENDINGS}; a text alone is a list: [text]"
        )
    return read_rows(path)
