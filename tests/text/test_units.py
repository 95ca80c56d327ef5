"""Figures as text: never nothing for something, never a whole for a part, plain in debug lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llx_magic import units

MAGNITUDES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds_of(text: str) -> float:
    """Read a duration back."""
    parts = re.findall(r"([\d.,]+) (ms|s|min|h|d)", text)
    return sum(float(figure.replace(",", "")) * MAGNITUDES[unit] for figure, unit in parts)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "N/A"), (float("nan"), "N/A"), (0, "0 s"), (1e-9, "<0.001 ms"), (5e-5, "0.05 ms"), (0.0002, "0.2 ms"),
        (0.0015, "1.5 ms"), (0.00999, "10 ms"), (0.34, "340 ms"), (0.9996, "1 s"), (1.523, "1.52 s"), (9.996, "10 s"),
        (12, "12 s"), (12.34, "12.3 s"), (59.96, "1 min"), (85, "1 min 25 s"), (3540, "59 min"),
        (3595, "59 min 55 s"), (3599.6, "1 h"), (7500, "2 h 5 min"), (86_399, "1 d"), (273_600, "3 d 4 h"),
        (10_800, "3 h"), (-3, "-3 s"),
    ],
)  # fmt: skip
def test_a_duration_is_written_in_the_units_that_people_use(seconds, text):
    assert units.duration(seconds) == text


@pytest.mark.parametrize(
    ("limit_ms", "text"),
    [(1, "1 ms"), (8000, "8000 ms"), (60_000, "1 min"), (85_000, "1 min 25 s"), (10_800_000, "3 h")],
)
def test_a_limit_reads_as_its_setting_is_written_and_from_a_minute_on_as_a_duration(limit_ms, text):
    assert units.limit(limit_ms) == text


@given(st.floats(min_value=1e-6, max_value=1e9))
@example(0.99999)
@example(59.9999)
@example(3599.99)
def test_a_duration_never_reads_as_nothing_nor_as_a_full_larger_unit(seconds):
    text = units.duration(seconds)
    assert seconds_of(text) > 0
    assert not re.search(r"(?<![\d,.])(1,?000(\.\d+)? ms|60(\.\d+)? s|60 min|24 h)\b", text)
    assert seconds_of(text) == pytest.approx(seconds, rel=0.06)


@given(st.floats(min_value=1e-6, max_value=1e7))
def test_a_duration_rounded_up_is_never_shorter(seconds):
    assert seconds_of(units.duration_ceil(seconds)) >= seconds * (1 - 1e-12)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "now"), (-1, "now"), (1e-9, "in 1 s"), (0.3, "in 1 s"), (1.2, "in 2 s"), (None, "N/A")]
)
def test_a_countdown_reads_now_only_when_nothing_is_left(seconds, text):
    assert units.in_time(seconds) == text


@pytest.mark.parametrize(
    ("figure", "text"),
    [(None, "N/A"), (0, "0"), (999, "999"), (999.6, "1 k"), (1234, "1.2 k"), (12_345, "12.3 k"), (999_600, "1 M"),
     (3_400_000, "3.4 M"), (2e9, "2 G"), (7e13, "70,000 G"), (0.042, "0.042"), (-1500, "-1.5 k")],
)  # fmt: skip
def test_a_short_count_has_two_or_three_digits_and_a_letter(figure, text):
    assert units.count(figure) == text


@pytest.mark.parametrize(
    ("figure", "text"),
    [(None, "N/A"), (0, "0"), (1_234_567, "1,234,567"), (1234.6, "1,235"), (45.23, "45.2"),
     (0.0004, "0.0004"), (3e15, "3,000,000,000,000,000")],
)  # fmt: skip
def test_a_number_is_whole_where_it_is_whole_and_has_separators(figure, text):
    assert units.number(figure) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(299, 300, "99.7%"), (3, 3, "100.0%"), (0, 3, "0.0%"), (9999, 10_000, "99.99%"), (1, 1_000_000, "0.0001%"),
     (6, 8, "75.0%"), (1, 0, "N/A"), (None, 1, "N/A")],
)  # fmt: skip
def test_a_share_is_whole_or_nothing_only_where_it_is_exactly_so(part, whole, text):
    assert units.percent(part, whole) == text


def test_a_noun_is_singular_after_one_alone():
    assert [units.plural(n, "failure") for n in (0, 1, 2, 1200)] == [
        "0 failures", "1 failure", "2 failures", "1,200 failures",
    ]  # fmt: skip
    assert units.plural(2, "reply", "replies") == "2 replies"


@pytest.mark.parametrize(
    ("figure", "text"),
    [(1e6, "1000000"), (2.5e6, "2500000"), (499.7, "499.7"),
     (1e-7, "0.0000001"), (10**16, "10000000000000000"), (500, "500")],
)  # fmt: skip
def test_a_limit_in_a_debug_line_has_all_its_digits_and_no_power_of_ten(figure, text):
    assert units.exact(figure) == text


@pytest.mark.parametrize(
    ("figure", "limit", "text"),
    [(420.4, 500, "420"), (499.7, 500, "499.7"), (499.9996, 500, "499.9996"), (499.96, 500, "499.96"),
     (0.4, 0.5, "0.4"), (1_234_567.2, 1e7, "1234567"), (0, 500, "0"), (0.3, 500, "0.3")],
)  # fmt: skip
def test_what_is_below_a_limit_reads_as_below_it(figure, limit, text):
    assert units.below(figure, limit) == text


@given(st.floats(min_value=0, max_value=1e12), st.floats(min_value=1e-6, max_value=1e12))
def test_what_is_below_reads_back_as_below_whatever_the_figures(value, limit):
    if value < limit:
        assert float(units.below(value, limit)) < limit


def test_milliseconds_are_whole_but_where_they_would_read_as_none():
    assert [units.milliseconds(s) for s in (1.456, 30.5, 0, 0.0002, None)] == [
        "1456ms", "30500ms", "0ms", "0.2ms", "N/A",
    ]  # fmt: skip


def test_exactly_one_millisecond_between_two_clock_readings_is_one():
    assert units.ceil_milliseconds(1000.001 - 1000.0) == 1
    assert units.ceil_milliseconds(0.0010001) == 2


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("next try in 1 min 25 s.", "next try in 1~min~25~s."),
        ("half within 900 ms, 606 tokens", "half within 900~ms, 606~tokens"),
        ("2 h 5 min ago, 3 d 4 h", "2~h~5~min ago, 3~d~4~h"),
        ("12 s 4 of 5, 3 sets, 5 min later", "12~s 4 of 5, 3 sets, 5~min later"),
    ],
)
def test_within_a_duration_and_before_a_unit_no_line_may_end(text, kept):
    assert units.unbroken(text) == kept.replace("~", "\N{NO-BREAK SPACE}")
