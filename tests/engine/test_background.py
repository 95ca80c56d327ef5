"""The background loop: work from any thread, parts handed over for drawing, and every way out cancels the work."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading

import pytest

from llx_magic.engine.background import BackgroundLoop


@pytest.fixture
def loop():
    loop = BackgroundLoop()
    yield loop
    loop.stop()


class Work:
    """Reports that it has begun, then waits until it is cancelled."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()

    async def __call__(self, watch=lambda _part: None) -> None:
        watch("begun")
        self.begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def test_the_thread_starts_with_the_first_work_and_not_before(loop):
    assert not loop.running
    assert loop.run(double(21)) == 42
    assert loop.running


def test_work_runs_on_one_thread_whoever_asks(loop):
    async def where() -> int:
        return threading.get_ident()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        threads = set(pool.map(lambda _n: loop.run(where()), range(32)))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_an_error_of_the_work_is_raised_where_it_was_waited_for(loop):
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop.run(fail())
    assert loop.run(double(1)) == 2


def test_it_serves_a_caller_whose_own_loop_is_running(loop):
    async def cell() -> int:
        return loop.run(double(4))

    assert asyncio.run(cell()) == 8


def test_every_part_is_drawn_once_and_in_order_however_they_are_batched(loop):
    async def report(watch) -> str:
        for n in range(1000):
            watch(n)
            if n % 100 == 0:
                await asyncio.sleep(0)
        return "done"

    drawn: list[int] = []
    assert loop.start(report).follow(lambda parts: drawn.extend(parts) or 0.0) == "done"
    assert drawn == list(range(1000))


def test_what_was_reported_before_a_failure_is_drawn_too(loop):
    async def report(watch) -> None:
        watch("half")
        raise ZeroDivisionError

    drawn: list[str] = []
    with pytest.raises(ZeroDivisionError):
        loop.start(report).follow(lambda parts: drawn.extend(parts) or 0.0)
    assert drawn == ["half"]


@pytest.mark.parametrize("what", [KeyboardInterrupt, BrokenPipeError], ids=lambda kind: kind.__name__)
def test_an_interrupt_or_an_error_of_drawing_cancels_the_work_and_is_raised(loop, what):
    work = Work()

    def draw(parts) -> float:
        if parts:
            raise what
        return 0.0

    with pytest.raises(what):
        loop.start(work).follow(draw)
    assert work.ended.wait(10)


def test_a_second_interrupt_while_the_first_one_cancels_does_not_leave_the_work_running(loop):
    """``Future.cancel`` marks the future before it tells the loop; an interrupt between the two must lose nothing."""
    work, held = Work(), threading.Event()

    async def hold() -> None:
        held.wait(30)

    def interrupt(*_given: object) -> float:
        raise KeyboardInterrupt

    def interrupt_the_prompt(_parts: list[str]) -> float:
        assert work.begun.wait(30)
        raise KeyboardInterrupt

    loop.submit(hold())  # so that the second interrupt stands before what the loop adds to the future
    running = loop.start(work)
    running.begin().add_done_callback(interrupt)
    held.set()
    with pytest.raises(KeyboardInterrupt):
        running.follow(interrupt_the_prompt)
    assert work.ended.wait(30)


def test_cancelling_a_submitted_future_cancels_its_work(loop):
    work = Work()
    future = loop.submit(work())
    assert work.begun.wait(10)
    loop.cancel(future)
    assert work.ended.wait(10)
    assert future.cancelled()


def test_stopping_cancels_what_runs_and_the_next_work_starts_anew(loop):
    work = Work()
    loop.submit(work())
    assert work.begun.wait(10)
    loop.stop()
    assert work.ended.is_set()
    assert not loop.running
    assert loop.run(double(2)) == 4


def test_stopping_twice_or_before_anything_ran_is_harmless(loop):
    loop.stop()
    loop.stop()
    assert not loop.running
