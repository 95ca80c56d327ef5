"""A result is the user's table with what came of each row, and is shown as its summary and its first rows."""

import re

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from llx_magic.errors import UsageProblem
from llx_magic.rows.outcome import Outcome
from llx_magic.rows.result import frame_of
from llx_magic.rows.source import source_of
from tests.rows.results import layout_of, outcomes_of, result_of

TEXTS = pd.DataFrame({"text": ["a", "b", "c"]}, index=[10, 20, 30])


def test_the_frame_has_the_replies_behind_the_columns_of_the_data() -> None:
    frame = result_of(TEXTS, "yes", None, "no").frame
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns[:3]) == ["text", "reply", "llx_status"]
    assert list(frame.index) == [10, 20, 30]
    assert frame["reply"].tolist() == ["yes", pd.NA, "no"]
    assert frame["llx_status"].tolist() == ["answered", "failed", "answered"]
    assert frame.loc[20, "llx_error"] == "HTTP 400: too long"


def test_rows_that_were_never_asked_are_in_the_frame_too() -> None:
    frame = result_of(TEXTS, "yes").frame
    assert isinstance(frame, pd.DataFrame)
    assert frame["llx_status"].tolist() == ["answered", "not asked", "not asked"]


def test_failed_is_the_part_of_the_table_that_failed() -> None:
    failed = result_of(TEXTS, "yes", None, None).failed
    assert isinstance(failed, pd.DataFrame)
    assert list(failed.index) == [20, 30]
    none = result_of(TEXTS, "a", "b", "c").failed
    assert isinstance(none, pd.DataFrame)
    assert none.shape == (0, 11)
    one = result_of(pl.DataFrame({"a": [1, 2]}), "a", None).failed
    assert isinstance(one, pl.DataFrame)
    assert one["a"].to_list() == [2]


def test_the_summary_counts_and_says_in_one_line_how_it_went() -> None:
    stored = Outcome(place=0, status="stored", text="x", tokens_in=500, cost=1.0)
    paid = Outcome(place=1, status="answered", text="y", tokens_in=7, tokens_out=3, cost=0.25)
    result = result_of(TEXTS, stored, paid, None, cost_is_estimate=True, stopped="the budget of 1 USD is spent")
    assert str(result.summary) == (
        "3 rows · 1 answered, 1 from the store, 1 failed · stopped: the budget of 1 USD is spent · 1.5 s · "
        "7 + 3 tokens · about 0.25 USD"
    )
    assert result.summary.errors == (("HTTP 400: too long", 1),)


def test_a_row_with_the_prompt_of_another_is_not_called_one_from_the_store():
    paid = Outcome(place=0, status="answered", text="x", tokens_in=5, tokens_out=1)
    result = result_of(["a", "a"], paid, paid.shared_with(1))
    assert str(result.summary).startswith("2 rows · 1 answered, 1 with the same prompt · ")
    assert str(result.summary).endswith("5 + 1 tokens")


def test_it_is_shown_as_the_summary_the_errors_and_the_first_rows() -> None:
    shown = repr(result_of(["x"] * 9, *["yes"] * 7, None, None))
    first, cut, error, _, head, _, *rows = shown.splitlines()
    assert first.startswith("9 rows · 7 answered, 2 failed")
    assert (cut, error) == ("the first 5 of 9 rows are shown", "2 rows: HTTP 400: too long")
    assert head.split() == ["row", "reply", "llx_status", "llx_backend"]
    assert [row.split() for row in rows] == [["x", "yes", "answered", "fast"]] * 5


def test_no_word_makes_its_column_wider_than_a_screen() -> None:
    result = result_of(["x" * 300], "y " * 300)
    assert max(map(len, repr(result).splitlines())) < 100
    assert "x" * 50 not in result._repr_html_()


def test_in_a_notebook_it_is_a_table_in_which_nothing_acts() -> None:
    shown = result_of(["<b>$x$"], "<script>")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "mathjax_ignore" in shown
    assert "<th" in shown
    for heading in ("row", "reply", "llx_status", "llx_backend"):
        assert f">{heading}</th>" in shown
    assert "llx_error" not in shown


def test_numbers_are_right_aligned_and_texts_are_not() -> None:
    table = pd.DataFrame({"stars": [5, 1], "mean": [0.5, None], "mixed": [1, "x"], "good": [True, False]})
    shown = result_of(table, "yes", "no")._repr_html_()
    aligned = {name: side for side, name in re.findall(r"<th [^>]*text-align:(\w+)[^>]*>([^<]*)</th>", shown)}
    expected = {"stars": "right", "mean": "right", "mixed": "left", "good": "left", "reply": "left"}
    assert {name: aligned[name] for name in expected} == expected
    assert "text-align:right" in re.findall(r"<td [^>]*>5<", shown)[0]


def test_errors_have_a_column_in_a_notebook_where_a_row_has_one() -> None:
    assert "llx_error" in result_of(["x"], None)._repr_html_()


def test_a_wide_table_shows_its_first_columns_and_its_last() -> None:
    wide = pd.DataFrame([range(40)], columns=[f"c{at}" for at in range(40)])
    shown = result_of(wide, "yes")._repr_html_()
    assert ">c0</th>" in shown
    assert ">reply</th>" in shown
    assert ">c20</th>" not in shown


def test_labels_of_rows_are_shown() -> None:
    named = TEXTS.rename_axis("ticket")
    assert ">ticket</th>" in result_of(named, "x")._repr_html_()
    assert ">index</th>" in result_of(TEXTS, "x")._repr_html_()
    assert ">index</th>" not in result_of(TEXTS.reset_index(drop=True), "x")._repr_html_()


def test_a_value_that_no_prompt_shows_does_not_keep_a_result_from_being_shown() -> None:
    shown = repr(result_of([(1, TEXTS)], "yes"))
    assert "a tuple" in shown
    assert "yes" in shown


def test_a_result_without_rows_is_shown() -> None:
    result = result_of([])
    assert str(result.summary).startswith("0 rows · ")
    assert "reply" in repr(result)
    assert "reply" in result._repr_html_()


def test_retry_gives_the_result_of_all_rows() -> None:
    again = result_of(TEXTS, "yes", None, None).retry().frame
    assert isinstance(again, pd.DataFrame)
    assert again["reply"].tolist() == ["again"] * 3


def test_samples_are_rows_of_their_own_with_their_number() -> None:
    source = source_of(TEXTS)
    source.samples = 2
    frame = frame_of(source, outcomes_of("a", "b", "c"), layout_of())
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == [10, 10, 20, 20, 30, 30]
    assert frame["llx_sample"].tolist() == [0, 1, 0, 1, 0, 1]
    assert frame["reply"].tolist() == ["a", "b", "c", pd.NA, pd.NA, pd.NA]


POLARS = pl.DataFrame(
    {
        "n": [1, None],
        "c": pl.Series(["x", "y"], dtype=pl.Categorical),
        "at": pl.Series(["2026-01-01T00:00:00", None]).str.to_datetime(time_zone="Europe/Berlin"),
        "list": [[1, 2], None],
        "nan": [float("nan"), None],
    }
)
ARROW = pa.table({"n": pa.array([1, None], pa.int8()), "d": pa.array(["x", "y"]).dictionary_encode()})


def test_a_table_of_polars_stays_as_it_was() -> None:
    frame = result_of(POLARS, "yes", None).frame
    assert isinstance(frame, pl.DataFrame)
    assert frame.select(POLARS.columns).equals(POLARS)
    assert frame.schema["c"] == POLARS.schema["c"]
    assert frame["reply"].to_list() == ["yes", None]


def test_a_table_of_arrow_stays_as_it_was() -> None:
    frame = result_of(ARROW, "yes", None).frame
    assert isinstance(frame, pa.Table)
    assert frame.select(ARROW.column_names).equals(ARROW)
    assert frame.column("reply").to_pylist() == ["yes", None]


def test_null_is_none_in_a_row_of_every_library() -> None:
    assert [row["n"] for row in source_of(POLARS)] == [1, None]
    assert [row["row"] for row in source_of(ARROW)] == [{"n": 1, "d": "x"}, {"n": None, "d": "y"}]


def test_columns_of_other_libraries_are_rows_too() -> None:
    assert list(source_of(pl.Series("t", ["x"]))) == [{"row": "x", "t": "x"}]
    assert list(source_of(pl.Series(["x"]))) == [{"row": "x"}]
    assert list(source_of(pa.array([1, None]))) == [{"row": 1}, {"row": None}]
    assert isinstance(result_of(pl.Series(["x"]), "y").frame, pl.DataFrame)
    assert isinstance(result_of(pa.RecordBatch.from_pydict({"a": [1]}), "y").frame, pa.Table)


def test_a_lazy_frame_of_polars_is_computed_once_and_the_summary_says_so() -> None:
    result = result_of(POLARS.lazy().filter(pl.col("n") == 1), "yes")
    assert isinstance(result.frame, pl.DataFrame)
    assert str(result.summary).endswith("the LazyFrame was computed once; the table is a DataFrame of polars")


def test_a_relation_of_duckdb_is_computed_once_and_the_summary_says_so() -> None:
    result = result_of(duckdb.sql("select 1 as a, 'x' as b union all select 2, 'y'"), "yes", "no")
    assert isinstance(result.frame, pa.Table)
    assert "the DuckDBPyRelation was computed once; the table is a Table of pyarrow" in str(result.summary)


def test_a_table_that_may_be_on_other_machines_is_refused_in_one_line() -> None:
    bag = pytest.importorskip("dask.bag")
    with pytest.raises(UsageProblem, match=r"is not computed yet, .* for example x\.compute\(\)"):
        source_of(bag.from_sequence([1, 2], npartitions=1))


def test_a_query_that_fails_is_one_line() -> None:
    with pytest.raises(UsageProblem, match=r"the LazyFrame cannot be read: .*nothing_here"):
        source_of(POLARS.lazy().select("nothing_here"))


def test_two_columns_of_one_name_are_refused_in_a_table_of_arrow_too() -> None:
    with pytest.raises(UsageProblem, match=r"the Table cannot be read: .*'a' 2 times"):
        source_of(pa.table([[1], [2]], names=["a", "a"]))
