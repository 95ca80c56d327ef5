"""Many rows at once: in order, while somebody is free, a few in each turn of the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from llx_magic.engine.clocks import VirtualClock
from llx_magic.engine.dispatch import MOST_AT_HAND, ROWS_A_TURN, Dispatcher
from llx_magic.engine.loops import within


class Places(NamedTuple):
    places: int
    at: float | None = None


class Numbers:
    """Rows that are numbers; each takes a second, and `places` of them may be under way."""

    is_full = False

    def __init__(self, count: int, *, places: int = 4, is_at_hand: bool = False) -> None:
        self.clock = VirtualClock()
        self.is_at_hand = is_at_hand
        self.readers: set[int] = set()
        self.left = list(range(count))
        self.places = places
        self.opens_at = 0.0
        self.gone = False
        self.asked: list[tuple[float, int]] = []
        self.under_way = self.most_under_way = self.most_unread = 0
        self.back: dict[int, float] = {}
        self.dispatcher: Dispatcher[int] = Dispatcher(self.clock, self)

    def read(self, most: int) -> list[int]:
        self.readers.add(threading.get_ident())
        some, self.left = self.left[:most], self.left[most:]
        return some

    def take(self, rows: Sequence[int]) -> Sequence[int]:
        if self.gone and 0 not in rows:
            raise OSError("gone")
        return rows

    async def ask(self, row: int) -> float | None:
        self.asked.append((self.clock.now(), row))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.clock.sleep(1.0)
        finally:
            self.under_way -= 1
        return self.back.pop(row, None)

    def room(self, waiting: int) -> Places:
        if self.clock.now() < self.opens_at:
            return Places(0, self.opens_at)
        return Places(max(0, self.places - self.under_way))

    def ends_at(self, row: int) -> float | None:
        return None

    def expire(self, row: int) -> None:
        raise AssertionError(row)

    async def run(self) -> list[int]:
        await self.dispatcher.run()
        return [row for _at, row in self.asked]


async def test_rows_are_sent_in_their_order():
    assert await Numbers(50).run() == list(range(50))


async def test_no_more_are_under_way_than_there_are_places():
    numbers = Numbers(50, places=7)
    await numbers.run()
    assert numbers.most_under_way == 7
    assert numbers.clock.now() == 8.0


async def test_nothing_is_sent_before_somebody_is_free():
    numbers = Numbers(3)
    numbers.opens_at = 30.0
    await numbers.run()
    assert {at for at, _row in numbers.asked} == {30.0}


async def test_a_row_that_comes_back_is_sent_before_a_new_one():
    numbers = Numbers(4, places=1)
    numbers.back = {0: 0.0}
    assert await numbers.run() == [0, 0, 1, 2, 3]


async def test_a_row_that_comes_back_for_later_lets_others_go_first():
    numbers = Numbers(4, places=1)
    numbers.back = {0: 2.5}
    assert await numbers.run() == [0, 1, 2, 0, 3]


async def test_a_row_that_comes_back_last_is_waited_for():
    numbers = Numbers(1)
    numbers.back = {0: 100.0}
    await numbers.run()
    assert numbers.asked == [(0.0, 0), (100.0, 0)]


async def test_only_a_few_times_as_many_rows_are_read_as_are_under_way():
    numbers = Numbers(1000)
    task = asyncio.ensure_future(numbers.run())
    await numbers.clock.sleep(2.5)
    assert 1000 - len(numbers.left) <= 8 + 4 * 3 + 8
    numbers.dispatcher.stop()
    await task


@pytest.mark.parametrize("is_at_hand", [True, False])
async def test_rows_are_read_on_the_loop_only_where_they_are_at_hand(is_at_hand):
    numbers = Numbers(50, is_at_hand=is_at_hand)
    assert await numbers.run() == list(range(50))
    assert (threading.get_ident() in numbers.readers) == is_at_hand


@pytest.mark.parametrize("is_at_hand", [True, False])
async def test_no_virtual_time_passes_while_rows_are_read(is_at_hand):
    numbers = Numbers(10_000, is_at_hand=is_at_hand)
    numbers.take = lambda rows: []
    for seconds in range(1, 100):
        numbers.clock.call_later(seconds, lambda: None)
    await numbers.run()
    assert numbers.clock.now() < 2  # the last of it may be read when the loop has nothing else to do


async def test_reading_rows_at_hand_leaves_turns_to_others_where_none_has_to_be_asked():
    numbers = Numbers(10_000, is_at_hand=True)
    numbers.take = lambda rows: []
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    assert await numbers.run() == []
    counting.cancel()
    assert turns >= 10_000 / MOST_AT_HAND


async def test_what_a_row_raises_ends_the_run_and_cancels_the_others():
    numbers = Numbers(50)
    numbers.gone = True
    with pytest.raises(OSError, match="gone"):
        await numbers.run()
    assert numbers.under_way == 0


async def test_stop_cancels_what_is_under_way():
    numbers = Numbers(50)
    task = asyncio.ensure_future(numbers.run())
    await numbers.clock.sleep(1.5)
    numbers.dispatcher.stop()
    assert len(await task) == 8
    assert numbers.under_way == 0


async def test_a_prompt_beside_them_waits_for_a_few_rows_only():
    """However many places become free at once."""
    numbers = Numbers(500, places=200)
    task = asyncio.ensure_future(numbers.run())
    begun = []
    while len(numbers.asked) < 200:
        before = len(numbers.asked)
        await asyncio.sleep(0)
        begun.append(len(numbers.asked) - before)
    assert max(begun) <= ROWS_A_TURN
    numbers.dispatcher.stop()
    await task


async def test_a_limit_of_time_cancels_the_work():
    clock = VirtualClock()
    with pytest.raises(TimeoutError):
        await within(clock, 5.0, clock.sleep(10.0))
    assert clock.now() == 5.0


async def test_a_cancellation_outweighs_a_limit_of_time():
    clock = VirtualClock()
    task = asyncio.ensure_future(within(clock, 5.0, clock.sleep(10.0)))
    await clock.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
