"""When a backend was out, drawn from its attempts."""

from __future__ import annotations

import random

import pytest

from llx_magic.core.outages import Rates, Seen, outages


def attempts(noise: float, *out: tuple[float, float], count: int = 800) -> tuple[list[float], list[bool]]:
    """Attempts every eight seconds on average, which fail while the backend is out, and else rarely."""
    draw, at, times, failed = random.Random(1), 0.0, [], []
    for _ in range(count):
        at += draw.expovariate(1 / 8)
        times.append(at)
        failed.append(any(begin <= at < end for begin, end in out) or draw.random() < noise)
    return times, failed


def test_outages_are_found_where_they_were():
    found = outages(Seen(*attempts(0.05, (1000, 1300), (4000, 4200))), random.Random(2).random)
    assert len(found.changes) == 4
    assert found.changes == pytest.approx((1000, 1300, 4000, 4200), abs=40)


def test_failures_now_and_then_are_no_outage():
    found = outages(Seen(*attempts(0.1)), random.Random(2).random)
    assert found.failing(3000) == pytest.approx(0.1, abs=0.04)


def test_a_backend_that_never_failed_never_fails():
    assert outages(Seen([1.0, 2.0], [False, False]), random.Random(2).random).failing(1.5) == 0


def test_a_backend_that_only_failed_always_fails():
    assert outages(Seen([1.0], [True]), random.Random(2).random).failing(50) == 1


def test_attempts_at_the_same_moment_are_taken():
    found = outages(Seen([1.0, 1.0, 1.0, 5.0], [True, False, True, False]), random.Random(2).random)
    assert 0 <= found.failing(1.0) <= 1


USUAL = Rates(up=0.01, out=0.95, share=0.2, lasts=180.0)


def out_of(found, *moments: float) -> float:
    return sum(map(found.is_out, moments)) / len(moments)


def test_one_that_was_not_asked_for_long_may_have_been_out_as_often_as_others():
    """Seen to be up in its first five minutes, and nobody asked in the two days after."""
    seen = [float(at) for at in range(0, 300, 10)]
    found = outages(Seen(seen, [False] * len(seen)), random.Random(3).random, USUAL, (0.0, 172_800.0))
    assert out_of(found, *seen) == 0
    assert 0.03 < out_of(found, *range(1000, 172_000, 500)) < 0.35


def test_how_often_one_goes_out_is_as_uncertain_as_few_outages_make_it():
    draw = random.Random(4).random

    def shares(seconds: float) -> list[float]:
        return sorted(USUAL.as_likely(seconds, draw).share for _ in range(300))

    few, many = shares(2_000.0), shares(90_000.0)
    assert few[285] / few[15] > 5
    assert many[285] / many[15] < 2
    assert many[150] == pytest.approx(0.2, rel=0.1)


def test_one_that_was_seen_to_be_up_all_the_time_is_never_out():
    seen = [float(at) for at in range(0, 20_000, 10)]
    found = outages(Seen(seen, [False] * len(seen)), random.Random(3).random, USUAL, (0.0, 20_000.0))
    assert out_of(found, *range(0, 20_000, 50)) == 0
    assert found.failing(50.0) == 0


def test_without_others_one_that_never_failed_is_never_out():
    found = outages(Seen([1.0, 5000.0], [False, False]), random.Random(3).random, None, (0.0, 9000.0))
    assert out_of(found, *range(0, 9000, 50)) == 0
