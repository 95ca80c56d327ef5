"""How each kind of value is written into a prompt, and what the user hears of what was cut."""

from __future__ import annotations

import re
from collections import OrderedDict
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import PurePosixPath
from threading import Lock

import matplotlib.figure
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.reply import Reply
from llx_magic.template.errors import InterpolationError
from llx_magic.template.tables import Limits
from llx_magic.template.template import Template


def rendered(value, rows=20, text="{{ value }}"):
    return Template(text, limits=Limits(rows, "the switch")).render({"value": value})


def shown(value, rows=20):
    return rendered(value, rows).text


def test_a_frame_is_a_markdown_table_with_header_and_index():
    frame = pd.DataFrame({"city": ["Bern", "Rome"], "size": [1.5, 3.0]}, index=pd.Index(["a", "b"], name="key"))
    assert shown(frame) == (
        "| key | city | size |\n"
        "| --- | --- | --- |\n"
        "| a | Bern | 1.5 |\n"
        "| b | Rome | 3.0 |"
    )  # fmt: skip


def test_a_long_frame_is_cut_and_says_so():
    lines = shown(pd.DataFrame({"a": range(1234)})).splitlines()
    assert lines[-1] == "(first 20 of 1,234 rows)"
    assert lines[-2] == "| 19 |"
    assert len(lines) == 23


def test_a_frame_that_just_fits_has_no_note():
    assert shown(pd.DataFrame({"a": range(3)}), 3).endswith("\n| 2 |")


def test_a_wide_frame_is_cut_and_says_so():
    lines = shown(pd.DataFrame([range(100)] * 50), 5).splitlines()
    assert lines[-1].startswith("(first 5 of 50 rows, first 30 of 100 columns, without 30, 31, 32")
    assert lines[0].count("|") == 31


def test_a_frame_of_a_million_rows_is_not_walked_through():
    class Counted:
        times = 0

        def __str__(self):
            Counted.times += 1
            return "cell"

    frame = pd.DataFrame({"a": pd.Series([Counted()] * 1_000_000, dtype=object)})
    assert shown(frame).endswith("(first 20 of 1,000,000 rows)")
    assert shown(frame["a"]).endswith("(first 20 of 1,000,000 rows)")
    assert Counted.times == 40


def test_a_multi_index_has_a_column_for_each_level():
    index = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["k", None])
    columns = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])
    assert shown(pd.DataFrame([[1, 2], [3, 4]], index, columns)) == (
        "| k |  | a / b | a / c |\n| --- | --- | --- | --- |\n| x | 1 | 1 | 2 |\n| y | 2 | 3 | 4 |"
    )
    assert shown(index) == "[('x', 1), ('y', 2)]"


def test_duplicate_and_non_string_columns_are_shown_as_they_are():
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["a", "a", 0, pd.Timestamp("2024-01-02")])
    assert shown(frame).splitlines()[0] == "| a | a | 0 | 2024-01-02 |"
    assert shown(frame).splitlines()[2] == "| 1 | 2 | 3 | 4 |"


def test_an_empty_frame_says_that_it_is_empty():
    assert shown(pd.DataFrame()) == "(empty DataFrame: no rows, no columns)"
    assert shown(pd.DataFrame({"a": []})) == "| a |\n| --- |\n(no rows shown)"
    assert shown(pd.DataFrame(index=["r"])) == "|  |\n| --- |\n| r |"
    assert shown(pd.DataFrame({"a": [1]}), 0).endswith("(first 0 of 1 rows, no rows shown)")


def test_a_cell_keeps_to_its_cell():
    frame = pd.DataFrame({"a|b": ["x|y", "one\ntwo\r\nthree\u2028four", "`code`", "x" * 999, r"C:\|\\|"]})
    lines = shown(frame).splitlines()
    assert lines[0] == r"| a\|b |"
    assert lines[2] == r"| x\|y |"
    assert lines[3] == "| one<br>two<br>three<br>four |"
    assert lines[4] == "| `code` |"
    assert lines[5] == f"| {'x' * 999} |"
    assert lines[6] == r"| C:\\\|\\\\\| |"


@given(st.lists(st.text(), min_size=1, max_size=5))
def test_whatever_the_cells_hold_each_row_is_one_line(cells):
    assert len(shown(pd.DataFrame({"a": pd.Series(cells, dtype=object)})).splitlines()) == 2 + len(cells)


def test_numbers_and_gaps_read_as_they_were_meant():
    values = [0.1 + 0.2, 2.0, float("nan"), 1e20, -0.5, None, pd.NaT, np.float64(1.5), 10**20, True, np.inf]
    column = [line.strip("| ") for line in shown(pd.Series(values, dtype=object)).splitlines()]
    assert column[2:] == [
        "0.30000000000000004",
        "2.0",
        "NaN",
        "1e+20",
        "-0.5",
        "None",
        "NaT",
        "1.5",
        "1" + "0" * 20,
        "True",
        "inf",
    ]


def test_a_series_is_a_table_with_one_value_column():
    assert shown(pd.Series([1, 2], name="n")) == "| n |\n| --- |\n| 1 |\n| 2 |"
    assert shown(pd.Series(["a"], index=["k"])) == "|  | value |\n| --- | --- |\n| k | a |"
    assert shown(pd.Series(range(5)), 2).endswith("(first 2 of 5 rows)")


def test_an_index_is_a_list():
    assert shown(pd.DataFrame(columns=["a", "b c"]).columns) == "['a', 'b c']"
    assert shown(pd.RangeIndex(10**9), 2) == "[0, 1] (first 2 of 1,000,000,000 values)"
    assert shown(pd.date_range("2024-01-01", periods=1)) == "[2024-01-01]"


def test_a_class_derived_from_a_frame_is_a_table_too():
    class Derived(pd.DataFrame):
        pass

    assert shown(Derived({"a": [1]})).startswith("| a |")


def test_an_array_has_shape_and_dtype_and_bounded_text():
    assert shown(np.array([1, 2], dtype="int32")) == "array of shape (2,), dtype int32: [1 2]"
    assert shown(np.eye(2)) == "array of shape (2, 2), dtype float64:\n[[1.0 0.0]\n [0.0 1.0]]"
    assert shown(np.array(5)) == "array of shape (), dtype int64: 5"
    assert len(shown(np.zeros(10**6))) < 200


def test_a_number_of_numpy_is_the_number():
    assert shown(np.float64(1.5)) == "1.5"


def test_a_part_of_a_figure_is_said_in_words():
    figure = matplotlib.figure.Figure().subfigures()
    left, right = figure.subplots(1, 2)
    figure.suptitle("Sales\nof 2024")
    left.plot([0, 10], [1, 3], label="north")
    left.plot([0, 10], [2, 2], label="south")
    left.set(title="Revenue", xlabel="month", ylabel="EUR", xlim=(0, 12), ylim=(0, 5))
    left.legend()
    right.bar(["a", "b"], [1, 2])
    right.scatter([0], [1])
    lines = shown(figure).splitlines()
    assert lines[0] == 'figure with 2 plots, title "Sales of 2024"'
    assert lines[1] == (
        '- plot "Revenue"; x axis "month" from 0 to 12; y axis "EUR" from 0 to 5; 2 lines; legend: north, south'
    )
    assert lines[2].endswith("2 patches, 1 collection")
    assert shown(left) == lines[1].removeprefix("- ")
    assert shown(matplotlib.figure.Figure().subfigures()) == "figure with 0 plots"
    assert "nothing drawn" in shown(matplotlib.figure.Figure().subplots())


def test_a_reply_is_its_text():
    reply = Reply(
        text="Bern | `{{ x }}`",
        backend="b",
        model="m",
        usage=None,
        attempts=1,
        seconds=1.0,
        ttft=None,
        finish_reason="stop",
    )
    assert shown(reply) == "Bern | `{{ x }}`"


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        (None, "None"),
        (True, "True"),
        ("", ""),
        ("```py\nx\n```\n", "```py\nx\n```\n"),
        ([1, "a", None], "[1, 'a', None]"),
        ({"a": [1.5]}, "{'a': [1.5]}"),
        (0.1 + 0.2, "0.30000000000000004"),
        (b"x", "b'x'"),
    ],
)
def test_other_values_are_as_python_shows_them(value, rendered):
    assert shown(value) == rendered


def test_a_class_of_the_users_that_is_called_like_one_of_pandas_is_not_taken_for_it():
    class DataFrame:
        def __str__(self):
            return "mine"

    assert shown(DataFrame()) == "mine"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Sum up {{ df }} in a line", "Sum up \n\n{table}\n\n in a line"),
        ("Sum up: {{ df }}\nplease", "Sum up: \n\n{table}\nplease"),
        ("a\n{{ df }} b", "a\n{table}\n\n b"),
        ("a\n\n  {{ df }}\n\nb", "a\n\n  {table}\n\nb"),
        ("{{ df['a'] }} and {{ df }}", "{series}\n\n and \n\n{table}"),
    ],
)
def test_a_table_has_its_lines_to_itself(text, wanted):
    frame = pd.DataFrame({"a": [1, 2]})
    table = "| a |\n| --- |\n| 1 |\n| 2 |"
    assert Template(text).render({"df": frame}).text == wanted.format(table=table, series=table)


# Every digit


@pytest.mark.parametrize(
    ("values", "dtype", "texts"),
    [
        ([4006381333931, None], "float64", ["4006381333931.0", "NaN"]),
        ([123456789012.34, 0.1 + 0.2], "float64", ["123456789012.34", "0.30000000000000004"]),
        ([0.1, 16777217.0], "float32", ["0.1", "16777216.0"]),
        ([0.1, None], "Float32", ["0.1", "<NA>"]),
        ([0.1, None], "float[pyarrow]", ["0.1", "<NA>"]),
        ([0.1, 65504.0], "float16", ["0.1", "65504.0"]),
        ([4006381333931, None], "Int64", ["4006381333931", "<NA>"]),
        ([True, None], "boolean", ["True", "<NA>"]),
        (["a", "b"], "category", ["a", "b"]),
        ([1e300, 5e-324], "float64", ["1e+300", "5e-324"]),
    ],
)
def test_a_number_of_a_column_has_every_digit_that_it_has(values, dtype, texts):
    lines = shown(pd.DataFrame({"a": pd.Series(values, dtype=dtype)})).splitlines()
    assert [line.strip("| ") for line in lines[2:]] == texts


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back_from_its_text(number):
    assert float(shown(number)) == number


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_single_precision_float_is_read_back_from_the_shortest_text(number):
    text = shown(pd.Series([number], dtype="float32")).splitlines()[-1].strip("| ")
    assert np.float32(text) == np.float32(number)
    assert len(text) <= max(len(repr(float(number))), len(repr(float(str(np.float32(number))))))


@given(st.floats(width=16, allow_nan=False, allow_infinity=False))
def test_a_half_precision_float_is_read_back(number):
    text = shown(pd.Series([number], dtype="float16")).splitlines()[-1].strip("| ")
    assert np.float16(text) == np.float16(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.1), "0.1"),
        (np.int64(4006381333931), "4006381333931"),
        (Decimal("1.10"), "1.10"),
        (Fraction(1, 3), "1/3"),
        (1 + 0.1j, "(1+0.1j)"),
        ([np.float64(1.5), np.float32(0.1), np.int8(3), np.str_("a")], "[1.5, 0.1, 3, 'a']"),
        ({"when": pd.Timestamp("2024-01-05"), "day": date(2024, 1, 5)}, "{'when': 2024-01-05, 'day': 2024-01-05}"),
        ([float("nan"), None, pd.NaT, pd.NA], "[NaN, None, NaT, <NA>]"),
        ([np.array([0.1, 2], dtype="float32")], "[[0.1, 2.0]]"),
        (({1}, (), (1,), set(), frozenset([2])), "({1}, (), (1,), set(), {2})"),
        ({"a": 1}.keys(), "['a']"),
        (OrderedDict(a=np.float64(0.5)), "{'a': 0.5}"),
        (
            np.array([pd.Timestamp("2024-01-05"), 0.1], dtype=object),
            "array of shape (2,), dtype object: [2024-01-05 0.1]",
        ),
        (pd.Timestamp("2024-01-05"), "2024-01-05"),
        (pd.Timestamp("2024-01-05 10:30"), "2024-01-05 10:30:00"),
        (datetime.fromisoformat("2024-01-05"), "2024-01-05 00:00:00"),
        (pd.array([0.1, None], dtype="Float32"), "[0.1, <NA>]"),
        (pd.Series(["b", "a", "b"]).unique(), "['b', 'a']"),
        (np.ma.array([1, 2], mask=[False, True]), "array of shape (2,), dtype int64: [1 None]"),
        (np.ma.array(["a", "b"], mask=[False, True]), "array of shape (2,), dtype <U1: ['a' None]"),
        ([np.ma.masked], "[None]"),
        (np.ma.masked, "None"),
        (np.array([[0.1, 4006381333931.0]]), "array of shape (1, 2), dtype float64: [[0.1 4006381333931.0]]"),
        (np.array([0.1], dtype="float32"), "array of shape (1,), dtype float32: [0.1]"),
        (np.array([1 - 0.1j]), "array of shape (1,), dtype complex128: [1.0-0.1j]"),
    ],
)
def test_a_value_has_every_digit_wherever_it_stands(value, text):
    assert shown(value) == text


def test_a_list_that_holds_itself_is_not_followed_for_ever():
    value = [1]
    value.append(value)
    assert shown(value) == "[1, ...]"


# Times


@pytest.mark.parametrize(
    ("times", "texts"),
    [
        (["2024-01-05", None], ["2024-01-05", "NaT"]),
        (["2024-01-05", "2024-01-06 10:30"], ["2024-01-05 00:00:00", "2024-01-06 10:30:00"]),
    ],
)
def test_days_have_no_midnight_unless_another_time_of_day_is_among_them(times, texts):
    column = pd.Series(pd.to_datetime(times, format="mixed"))
    assert [line.strip("| ") for line in shown(column).splitlines()[2:]] == texts
    assert [line.strip("| ") for line in shown(pl.from_pandas(column)).splitlines()[2:]] == [
        text.replace("NaT", "None") for text in texts
    ]


def test_the_days_of_an_index_and_of_a_heading_have_no_midnight():
    days = pd.date_range("2024-01-05", periods=2, name="day")
    assert shown(pd.DataFrame({"a": [1, 2]}, index=days)).splitlines()[2] == "| 2024-01-05 | 1 |"
    assert shown(pd.DataFrame([[1, 2]], columns=days)).splitlines()[0] == "| 2024-01-05 | 2024-01-06 |"
    assert shown(days) == "[2024-01-05, 2024-01-06]"


def test_time_zones_are_kept():
    zoned = pd.Series(pd.to_datetime(["2024-01-05"])).dt.tz_localize("Europe/Oslo")
    assert shown(zoned).endswith("| 2024-01-05 00:00:00+01:00 |")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (pd.to_timedelta(["1D", "2D"]), "1 days"),
        (pd.to_timedelta(["1D", "2h"]), "1 days 00:00:00"),
        (pd.period_range("2024-01", periods=2, freq="M"), "2024-01"),
        (pd.interval_range(0, 2), "(0, 1]"),
    ],
)
def test_durations_periods_and_intervals_are_as_they_are_read(values, text):
    assert shown(pd.Series(values)).splitlines()[2] == f"| {text} |"


# Labels, and what is cut


def test_labels_that_only_number_the_rows_are_left_out():
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert shown(frame).splitlines()[0] == "| a |"
    assert shown(frame[frame.a > 1]).splitlines()[2] == "| 1 | 2 |"
    assert shown(frame.rename_axis("n")).splitlines()[0] == "| n | a |"
    assert shown(frame[1:]).splitlines()[0] == "|  | a |"


def test_nested_values_stand_in_one_cell():
    assert shown(pd.DataFrame({"a": [{"x": ["p|q", 1.5]}]})).splitlines()[2] == r"| {'x': ['p\|q', 1.5]} |"


@pytest.mark.parametrize(
    ("value", "note"),
    [
        (pd.DataFrame({"a": range(500)}), "value: 20 of 500 rows sent (the switch)"),
        (pd.Series(range(500)), "value: 20 of 500 rows sent (the switch)"),
        (pl.DataFrame({"a": range(500)}), "value: 20 of 500 rows sent (the switch)"),
        (pd.RangeIndex(500), "value: 20 of 500 values sent (the switch)"),
        (pd.DataFrame([range(40)]), "value: 30 of 40 columns sent, without 30, 31, 32, 33, 34, 35, 36, 37, 38, 39"),
        (pd.DataFrame({"a": ["x" * 61_000]}), "value: 2,000 of 61,000 characters of a cell sent"),
        (
            pd.DataFrame({"a": ["x" * 61_000, "y" * 3000]}),
            "value: 2 cells cut to 2,000 characters, the longest has 61,000",
        ),
        (np.zeros((100, 100)), "value: 36 of 10,000 values sent"),
    ],
)
def test_the_user_hears_what_was_cut(value, note):
    assert rendered(value).notes == (note,)


def test_what_is_whole_has_no_note():
    assert rendered(pd.DataFrame({"a": range(20)})).notes == ()


def test_a_note_names_its_expression_and_comes_once():
    frame = pd.DataFrame({"a": range(9)})
    done = Template("{{ df.tail(5) }}{{ df.tail(5) }}{{ df }}", limits=Limits(3)).render({"df": frame})
    assert done.notes == ("df.tail(5): 3 of 5 rows sent", "df: 3 of 9 rows sent")


def test_a_cut_cell_says_how_long_it_was():
    assert "x… (2,000 of 5,000 characters) |" in shown(pd.DataFrame({"a": ["x" * 5000]}))


@pytest.mark.parametrize(
    "value",
    [
        object(), (item for item in [1]), iter([1]), pd.DataFrame({"a": [1]}).groupby("a"), map(str, [1]),
        memoryview(b"hi"), Lock(), [object()], {"k": object()}, np.array([object()]), pd.DataFrame({"a": [object()]}),
    ],
)  # fmt: skip
def test_what_would_show_only_its_address_is_refused(value):
    with pytest.raises(InterpolationError, match=r"no text of its own|read only once"):
        shown(value)


def test_an_address_inside_a_text_that_says_more_is_left_out():
    """It is another in each process, so that no stored reply would be found again."""
    assert shown(partial(len, rendered)) == "functools.partial(<built-in function len>, <function rendered>)"


@pytest.mark.parametrize(
    "value", [ValueError("jump to nothing at 0xdeadbeef, in main"), PurePosixPath("/dumps at 0x00401000"),
              b"<page at 0x00401000>", re.compile(" at 0x0040100[0-9]>")]
)  # fmt: skip
def test_an_address_that_is_data_stays(value):
    assert shown(value) == str(value)
    assert shown([value]) == f"[{value}]"


def test_the_values_of_a_set_have_the_same_order_in_each_process():
    """Python's own order of texts is another in each."""
    assert shown({"c", "a", "b"}) == "{'a', 'b', 'c'}"
    assert shown({"x": frozenset({10, 9, 1.5})}) == "{'x': {1.5, 9, 10}}"
    assert shown({frozenset({"b"}), ("a",), None}) == "{('a',), None, {'b'}}"
    assert {shown({float("nan"), 3.0, 1.0, *range(each)}) for each in [1] * 50} == {"{0, 1.0, 3.0, NaN}"}
    assert rendered({"c", "a"}, text="{{ value|tojson }} {{ value|join('-') }}").text == '["a", "c"] a-c'


def test_a_table_inside_a_list_is_refused_since_it_would_be_cut_in_silence():
    with pytest.raises(InterpolationError, match="give it braces of its own"):
        shown([pd.DataFrame({"a": range(100)})])


def test_a_value_that_no_prompt_takes_is_refused():
    """Shared over and over, a small list is a text without an end."""
    value = ["x" * 100]
    for _ in range(10):
        value = [value] * 10
    with pytest.raises(InterpolationError, match="longer than a prompt takes"):
        shown(value)
