"""Tables and arrays of other libraries: as whole as those of pandas, and never computed for a prompt."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

from llx_magic.template.errors import InterpolationError
from llx_magic.template.tables import Limits
from llx_magic.template.template import Template


def rendered(value, rows=20):
    return Template("{{ value }}", limits=Limits(rows)).render({"value": value})


def shown(value, rows=20):
    return rendered(value, rows).text


def printed(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


ROWS = [{f"c{column}": f"text {row * 12 + column} " + "x" * 60 for column in range(12)} for row in range(30)]


@pytest.mark.parametrize(
    "make",
    [
        pl.DataFrame,
        pa.Table.from_pylist,
        pa.RecordBatch.from_pylist,
        lambda rows: duckdb.from_arrow(pa.Table.from_pylist(rows)).to_arrow_table(),
    ],
)
def test_a_table_of_another_library_reads_as_that_of_pandas(make):
    """30 rows of 12 columns, which polars' own form shows as 10 rows of 8, with the ends of the texts cut."""
    assert shown(make(ROWS), 30) == shown(pd.DataFrame(ROWS), 30)
    assert shown(make(ROWS)).endswith("(first 20 of 30 rows)")
    assert rendered(make(ROWS)).notes == ("value: 20 of 30 rows sent",)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (pl.Series("n", [4006381333931.0, None]), ["| n |", "| --- |", "| 4006381333931.0 |", "| None |"]),
        (pa.chunked_array([[1], [2]]), ["| value |", "| --- |", "| 1 |", "| 2 |"]),
        (pa.array(["a|b"]), ["| value |", "| --- |", r"| a\|b |"]),
        (pl.DataFrame(), ["(empty DataFrame: no rows, no columns)"]),
        (pl.DataFrame({"a": []}), ["| a |", "| --- |", "(no rows shown)"]),
    ],
)
def test_columns_and_empty_tables_of_other_libraries(value, lines):
    assert shown(value).splitlines() == lines


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pl.Series([0.1], dtype=pl.Float32), "0.1"),
        (pl.Series([[0.1, None]], dtype=pl.List(pl.Float32)), "[0.1, None]"),
        (pl.Series([dt.datetime.fromisoformat("2024-01-05")]), "2024-01-05"),
        (pl.Series([dt.date(2024, 1, 5)]), "2024-01-05"),
        (pl.Series([{"a": [1.5]}]), "{'a': [1.5]}"),
        (pl.Series([b"x"]), "b'x'"),
        (pl.Series(["a"], dtype=pl.Categorical), "a"),
        (pl.Series([float("nan")]), "NaN"),
    ],
)
def test_a_cell_of_polars_is_written_as_one_of_pandas(values, text):
    assert shown(values).splitlines()[2] == f"| {text} |"


@pytest.mark.parametrize(
    ("value", "way"),
    [
        (pl.DataFrame({"a": [1]}).lazy(), "x = ….head(20).collect()"),
        (duckdb.sql("select 1 as a"), "x = ….limit(20).df()"),
        (xr.DataArray(np.ones(3)).chunk(), "x = ….compute()"),
    ],
)
def test_what_is_not_computed_yet_is_refused_with_the_way_to_data(value, way):
    with pytest.raises(InterpolationError) as caught:
        shown(value)
    assert f"is not computed yet; assign it first, for example {way}, then {{{{ x }}}}" in str(caught.value)


def test_an_array_with_labels_says_its_dimensions():
    array = xr.DataArray([[0.1, 0.2]], dims=("x", "y"), coords={"y": [1, 2]}, name="t")
    text = shown(array)
    assert text.startswith('array "t" over (x: 1, y: 2), dtype float64')
    assert text.endswith("[[0.1 0.2]]")


def test_a_table_that_only_speaks_the_interchange_protocol_is_a_table():
    class Foreign:
        def __dataframe__(self, *args, **kwargs):
            return pa.table({"a": [1, 2]}).__dataframe__(*args, **kwargs)

    assert shown(Foreign()).splitlines() == ["| a |", "| --- |", "| 1 |", "| 2 |"]


def test_a_tensor_is_shown_from_wherever_it_is_kept():
    class Tensor:
        """As torch's: what is needed of it, under its module's name."""

        __module__ = "torch"

        def detach(self):
            return self

        cpu = detach

        def numpy(self):
            return np.array([0.1], dtype="float32")

    assert shown(Tensor()) == "tensor of shape (1,), dtype float32: [0.1]"


def test_looking_at_a_value_imports_no_library_of_tables():
    code = (
        "import sys; from llx_magic.template.template import Template\n"
        "Template('{{ [1, None, {}] }}').render({})\n"
        "print({'pandas', 'numpy', 'polars', 'narwhals', 'pyarrow', 'duckdb', 'xarray'} & set(sys.modules))"
    )
    assert printed(code) == "set()"


def test_a_table_of_polars_needs_no_pandas():
    code = (
        "import sys, polars; from llx_magic.template.template import Template\n"
        "Template('{{ df }}').render({'df': polars.DataFrame({'a': [0.5]})})\n"
        "print({'pandas', 'pyarrow', 'duckdb'} & set(sys.modules))"
    )
    assert printed(code) == "set()"
