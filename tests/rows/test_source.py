"""Whatever data is given, it comes as rows; and as a table with further columns, everything of its own is as it was."""

import itertools
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest

from llx_magic.errors import UsageProblem
from llx_magic.rows.rows import Column
from llx_magic.rows.source import source_of

DAY = pd.Timestamp("2026-03-29 01:30", tz="Europe/Berlin")
FRAMES = {
    "labelled": pd.DataFrame({"b": [1, 2], "a": ["x", "y"]}, index=["second", "first"]),
    "same label twice": pd.DataFrame({"a": [1, 2, 3]}, index=[7, 7, 1]),
    "two levels": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("x", 1), ("x", 2)], names=["k", None])),
    "two headings": pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])),
    "categories": pd.DataFrame({"a": pd.Categorical(["m", None, "s"], ["s", "m", "l"], ordered=True)}),
    "time zone": pd.DataFrame({"at": [DAY, pd.NaT], "day": pd.to_datetime(["2026-01-01", "NaT"])}),
    "gaps": pd.DataFrame({"n": pd.array([1, None], "Int64"), "b": pd.array([None, True], "boolean"), "f": [1.5, None]}),
    "numbered columns": pd.DataFrame([[1, "x"], [2, "y"]]),
    "empty": pd.DataFrame({"a": pd.Series([], dtype="int64"), "b": pd.Series([], dtype="category")}),
    "only labels": pd.DataFrame(index=["x", "y"]),
    "nested": pd.DataFrame({"a": [[1, 2], {"k": None}, None]}),
    "times as labels": pd.DataFrame(
        {"a": [1.0, 2.0]}, index=pd.date_range("2026-01-01", periods=2, freq="D", name="d")
    ),
}


def new(count: int) -> dict[str, Column]:
    return {"reply": Column("string", [f"r{at}" for at in range(count)])}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_frame_keeps_its_index_its_types_and_the_order_of_its_columns(frame: pd.DataFrame) -> None:
    before = frame.copy(deep=True)
    joined = source_of(frame).joined(new(len(frame)))
    assert type(joined) is pd.DataFrame
    pd.testing.assert_frame_equal(joined.iloc[:, : frame.shape[1]], before, check_column_type=False, check_freq=True)
    pd.testing.assert_frame_equal(frame, before)
    assert list(joined.iloc[:, -1]) == [f"r{at}" for at in range(len(frame))]
    assert joined.shape == (len(frame), frame.shape[1] + 1)


def test_a_row_has_its_columns_by_name_and_all_of_them_as_row() -> None:
    assert list(source_of(FRAMES["labelled"])) == [
        {"b": 1, "a": "x", "row": {"b": 1, "a": "x"}},
        {"b": 2, "a": "y", "row": {"b": 2, "a": "y"}},
    ]


def test_values_are_pythons_own_and_what_is_missing_is_none() -> None:
    gaps, times = source_of(FRAMES["gaps"]), source_of(FRAMES["time zone"])
    assert [row["row"] for row in gaps] == [{"n": 1, "b": None, "f": 1.5}, {"n": None, "b": True, "f": None}]
    assert type(next(iter(gaps))["n"]) is int
    assert [row["at"] for row in times] == [DAY, None]
    assert [row["a"] for row in source_of(FRAMES["nested"])] == [[1, 2], {"k": None}, None]
    assert [row["a"] for row in source_of(FRAMES["categories"])] == ["m", None, "s"]


def test_columns_whose_names_are_no_words_are_reached_by_way_of_row() -> None:
    assert next(iter(source_of(FRAMES["numbered columns"])))["row"] == {0: 1, 1: "x"}
    assert next(iter(source_of(FRAMES["two headings"])))["row"] == {("a", "x"): 1, ("a", "y"): 2}


def test_a_column_that_is_called_row_is_that_column() -> None:
    assert list(source_of(pd.DataFrame({"row": ["x"]}))) == [{"row": "x"}]


def test_every_row_of_a_long_frame_comes_once_and_in_order() -> None:
    source = source_of(pd.DataFrame({"n": range(1_300)}))
    assert [row["n"] for row in source] == list(range(1_300))
    assert source.length == source.reached == 1_300


def test_the_row_of_a_series_is_its_value_and_so_is_its_name() -> None:
    named = pd.Series(["x", None], name="text", index=[5, 6])
    assert list(source_of(named)) == [{"text": "x", "row": "x"}, {"text": None, "row": None}]
    assert list(source_of(pd.Series([1]))) == [{"row": 1}]
    joined = source_of(named).joined(new(2))
    assert isinstance(joined, pd.DataFrame)
    assert (list(joined.columns), list(joined.index)) == (["text", "reply"], [5, 6])
    assert list(source_of(pd.Index(["a", "b"], name="k"))) == [{"k": "a", "row": "a"}, {"k": "b", "row": "b"}]


class Subclass(pd.DataFrame):
    """As geopandas has one."""

    @property
    def _constructor(self):
        return Subclass


def test_a_frame_of_a_class_of_its_own_stays_one() -> None:
    source = source_of(Subclass({"a": [1]}))
    assert source.columns == ("a",)
    assert isinstance(source.joined(new(1)), Subclass)


def test_attributes_of_a_frame_stay_with_it() -> None:
    frame = FRAMES["labelled"].copy()
    frame.attrs["source"] = "here"
    frame.columns.name = "what"
    joined = source_of(frame).joined(new(2))
    assert isinstance(joined, pd.DataFrame)
    assert (joined.attrs, joined.columns.name) == ({"source": "here"}, "what")


@pytest.mark.parametrize("many", [list, tuple, iter, lambda rows: (row for row in rows)])
def test_single_values_are_the_row(many) -> None:
    source = source_of(many(["x", 2]))
    assert source.columns == ("row",)
    assert list(source) == [{"row": "x"}, {"row": 2}]
    assert source.reached == 2
    joined = source.joined(new(2))
    assert isinstance(joined, pd.DataFrame)
    assert list(joined.columns) == ["row", "reply"]


def test_a_key_that_some_dictionaries_of_a_list_lack_is_none_there() -> None:
    source = source_of([{"a": 1}, OrderedDict(b="x")])
    assert source.columns == ("a", "b")
    assert [row["row"] for row in source] == [{"a": 1, "b": None}, {"a": None, "b": "x"}]


def test_a_dictionary_is_read_as_columns() -> None:
    source = source_of({"a": [1, 2], "b": ("x", "y")})
    assert [row["row"] for row in source] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None], "Int64"),
        ([1, 2], "int64"),
        ([2**80, None], "object"),
        ([True, None], "boolean"),
        ([1.5, None], "float64"),
        ([1, 1.5], "float64"),
        ([2**60 + 1, 1.5], "object"),
        ([[1], [2]], "object"),
        ([None, None], "object"),
        (["\ud83d", None], "object"),
        ([1, "x"], "object"),
    ],
)
def test_what_a_list_holds_is_in_its_table_digit_by_digit(values: list[object], kind: str) -> None:
    joined = source_of([{"a": value} for value in values]).joined({})
    assert isinstance(joined, pd.DataFrame)
    assert str(joined["a"].dtype) == kind
    assert [None if value is pd.NA or value != value else value for value in joined["a"].tolist()] == values


def test_an_iterator_is_read_as_its_rows_are_asked_for() -> None:
    numbers = itertools.count()
    source = source_of({"n": number} for number in numbers)
    assert (source.length, source.columns) == (None, ("n",))
    assert [row["n"] for row in itertools.islice(source, 3)] == [0, 1, 2]
    assert next(numbers) <= 4
    assert source.reached == 3


def test_what_was_read_of_an_iterator_comes_again_before_the_rest() -> None:
    source = source_of(iter("abcd"))
    assert [row["row"] for row in itertools.islice(source, 2)] == ["a", "b"]
    assert [row["row"] for row in source] == ["a", "b", "c", "d"]


def test_rows_of_an_iterator_are_not_kept_where_nobody_wants_them() -> None:
    source = source_of(iter(range(100)), keep=False)
    assert len(list(source)) == 100
    assert source.reached == 1


@pytest.mark.parametrize("data", [[], iter(()), {}, pd.DataFrame(), pd.Series([], dtype=object), ()])
def test_no_data_is_no_rows(data: object) -> None:
    source = source_of(data)
    assert list(source) == []
    joined = source.joined({"reply": Column("string", [])})
    assert isinstance(joined, pd.DataFrame)
    assert list(joined.columns)[-1] == "reply"
    assert len(joined) == 0


def test_samples_give_each_row_several_times() -> None:
    source = source_of(pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))
    source.samples = 2
    assert [row["a"] for row in source] == [1, 1, 2, 2]
    assert source.length == 4
    joined = source.joined(new(4), [0, 0, 1, 1])
    assert isinstance(joined, pd.DataFrame)
    assert list(joined.index) == ["x", "x", "y", "y"]
    listed = source_of(["a"])
    listed.samples = 3
    assert list(listed) == [{"row": "a"}] * 3


async def _asynchronous():
    yield 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "rows are a DataFrame, a Series, a list or an iterator, a dictionary of columns, or the path of"),
        (3, "got 3"),
        (b"abc", "got b'abc'"),
        ({"x", "y"}, "a set has no order"),
        (_asynchronous(), "an asynchronous iterator is not read; collect it first"),
        ({"a": 1}, "a dictionary is read as columns, and 'a' is no list: 1"),
        ({"a": [1], "b": [1, 2]}, "no table can be made of the dictionary: All arrays must be of the same length"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of the data are called 'a'; rename one of them"),
        ([{"a\ud83d": 1}], "the name of a column holds half of a surrogate pair: 'a\\ud83d'"),
        ([{"a": 1}, "x"], "row 1 is 'x', but the first row is a dictionary; rows must be alike"),
        (["x", {"a": 1}], "row 1 is {'a': 1}, but the first row is no dictionary"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(data: object, said: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        source_of(data)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_iterator_whose_rows_are_unlike_says_so_at_the_row() -> None:
    rows = iter(source_of(iter(["x", {"a": 1}])))
    assert next(rows) == {"row": "x"}
    with pytest.raises(UsageProblem, match="row 1 is"):
        next(rows)


def test_numbers_of_numpy_in_a_list_are_values_too() -> None:
    assert [row["row"] for row in source_of(np.array([1.5, 2.5]))] == [1.5, 2.5]
