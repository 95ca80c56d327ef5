"""Time that leaps, and how what is under way on it is stopped."""

from __future__ import annotations

import itertools

import pytest

from llx_magic.engine.leaps import LeapingClock, Stopped, arriving, on_leaping_time


async def _endless(clock: LeapingClock) -> None:
    for _ in itertools.count():
        await clock.sleep(1.0)


def test_what_is_under_way_is_stopped_in_its_midst():
    looks = iter((False, False, True))
    with pytest.raises(Stopped):
        on_leaping_time(0.0, _endless, lambda: next(looks))


def test_what_is_not_wanted_is_not_begun():
    begun = list[LeapingClock]()

    async def begin(clock: LeapingClock) -> None:
        begun.append(clock)

    with pytest.raises(Stopped):
        on_leaping_time(0.0, begin, lambda: True)
    assert begun == []


def test_it_is_exactly_the_time_of_each_call_and_what_comes_from_outside_is_last_at_its_moment():
    order = list[tuple[str, float]]()

    async def note(clock: LeapingClock, what: str, pause: float) -> None:
        await clock.sleep(pause)
        order.append((what, clock.now()))

    async def begin(clock: LeapingClock) -> None:
        arrivals = [(0.0, lambda: note(clock, "first", 0.3)), (0.3, lambda: note(clock, "second", 0.0))]
        await arriving(clock, arrivals)

    on_leaping_time(0.0, begin)
    assert order == [("first", 0.3), ("second", 0.3)]
