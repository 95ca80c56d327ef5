"""Tokens per minute over five minutes: the plan's figures, both bases, and a naive model on a grid of 10 ms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.tokens import TokenWindow


def window(*replies: tuple[float, float, int]) -> TokenWindow:
    tokens = TokenWindow()
    for started, finished, count in replies:
        tokens.add(started, finished, count)
    return tokens


def test_1050_tokens_in_15_seconds_read_4200():
    replies = [(3.0 * n, 3.0 * n + 3.0, 210) for n in range(5)]
    assert window(*replies).rate(15.0, "elapsed") == pytest.approx(4200)


def test_3200_tokens_over_the_full_window_read_640():
    replies = [(40.0 * n, 40.0 * n + 20.0, 400) for n in range(8)]
    assert window(*replies).rate(300.0, "elapsed") == pytest.approx(640)


def test_it_is_unknown_before_the_first_reply_and_after_five_quiet_minutes():
    tokens = window((0.0, 1.0, 100))
    assert TokenWindow().rate(0.0, "elapsed") is None
    assert tokens.rate(300.9, "elapsed") is not None
    assert tokens.rate(301.0, "elapsed") is None
    assert tokens.rate(301.0, "busy") is None


def test_a_reply_counts_no_more_just_five_minutes_after_its_end():
    tokens = TokenWindow()
    tokens.add(200.0, 200.02, 600)
    assert tokens.rate(500.019, "elapsed") == pytest.approx(120)
    assert tokens.rate(500.02, "elapsed") is None  # although 500.02 - 300 is less than 200.02


def test_elapsed_counts_a_pause_and_busy_does_not():
    tokens = window((0.0, 10.0, 500), (50.0, 60.0, 500))
    assert tokens.rate(120.0, "elapsed") == pytest.approx(500)
    assert tokens.rate(120.0, "busy") == pytest.approx(3000)


def test_two_replies_at_the_same_time_are_busy_only_once():
    assert window((0.0, 10.0, 500), (0.0, 10.0, 500)).rate(60.0, "busy") == pytest.approx(6000)


def test_the_oldest_request_counts_from_its_start_even_if_it_finished_last():
    assert window((10.0, 20.0, 100), (0.0, 30.0, 100)).rate(30.0, "elapsed") == pytest.approx(400)


def test_a_request_longer_than_the_window_is_divided_by_five_minutes():
    assert window((0.0, 1000.0, 1000)).rate(1000.0, "elapsed") == pytest.approx(200)
    assert window((0.0, 1000.0, 1000)).rate(1000.0, "busy") == pytest.approx(200)


def test_a_reply_that_took_no_time_at_all_gives_no_rate_yet():
    assert window((5.0, 5.0, 100)).rate(5.0, "elapsed") is None
    assert window((5.0, 5.0, 100)).rate(5.0, "busy") is None


def test_what_is_kept_does_not_grow_with_the_number_of_replies():
    tokens = TokenWindow()
    for n in range(100_000):
        tokens.add(n / 1000, n / 1000 + 0.5, 1)
    assert len(tokens.entries) <= 30_000
    assert len(tokens.starts) <= 30_000
    for n in range(2000):
        tokens.add(1000.0 + n, 1000.5 + n, 1)
    assert len(tokens.entries) <= 301
    assert len(tokens.starts) <= 301
    assert len(tokens.intervals) <= 301


def test_many_short_replies_with_pauses_are_kept_by_the_grain_and_stay_busy_only_while_they_lasted():
    tokens = TokenWindow()
    for n in range(100_000):
        tokens.add(n / 1000, n / 1000 + 0.0005, 1)
    assert len(tokens.intervals) <= 11_200
    assert tokens.rate(100.0, "busy") == pytest.approx(100_000 / (50 / 60), rel=0.001)


def naive(replies, now: float, basis: str) -> float | None:
    """The rule word by word: replies finished in the last 300 s, their tokens over the minutes of the basis."""
    first = round((now - 300) * 100)  # the grid's own numbers, since 500.02 - 300 is less than 200.02
    kept = [reply for reply in replies if first < round(reply[1] * 100)]
    if not kept:
        return None
    if basis == "elapsed":
        seconds = min(300.0, now - min(started for started, _, _ in kept))
    else:
        cells = {cell for started, finished, _ in kept for cell in range(round(started * 100), round(finished * 100))}
        seconds = len([cell for cell in cells if cell >= first]) / 100
    return sum(count for _, _, count in kept) / (seconds / 60) if seconds > 0 else None


STEP = st.tuples(st.integers(2, 20_000), st.integers(0, 15_000), st.integers(0, 5000))


@given(steps=st.lists(STEP, min_size=1, max_size=12), later=st.integers(0, 40_000))
def test_on_a_grid_of_10_ms_it_agrees_with_the_rule_word_by_word(steps, later):
    tokens, replies, clock = TokenWindow(), [], 20_000
    for pause, lasted, count in steps:
        clock += pause
        reply = ((clock - min(lasted, clock)) / 100, clock / 100, count)
        tokens.add(*reply)
        replies.append(reply)
    for now in (clock / 100, (clock + later) / 100):
        for basis in ("elapsed", "busy"):
            assert tokens.rate(now, basis) == pytest.approx(naive(replies, now, basis))
