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


def test_work_that_cannot_even_begin_ends_its_callers_wait(loop):
    def no_coroutine(_watch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop.start(no_coroutine).follow(lambda _parts: 0.0)


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
    """The loop is held up by then, so that neither interrupt has reached the work when its caller leaves."""
    work, held = Work(), threading.Event()

    async def hold() -> None:
        held.wait(30)

    def interrupt_each_time(_parts: list[str]) -> float:
        assert work.begun.wait(30)
        loop.submit(hold())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loop.start(work).follow(interrupt_each_time)
    assert not work.ended.is_set()
    held.set()
    assert work.ended.wait(30)


def test_work_that_is_interrupted_may_close_what_it_opened(loop):
    """Only the first of several cancellations reaches it: a second one would break off the closing."""
    begun, closed = threading.Event(), threading.Event()

    async def work(watch) -> None:
        watch("begun")
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            closed.set()

    running = loop.start(work)

    def interrupt(_parts: list[str]) -> float:
        assert begun.wait(30)
        running.cancel()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        running.follow(interrupt)
    assert closed.wait(30)


def test_who_follows_what_another_thread_cancels_is_told_so(loop):
    work = Work()
    running = loop.start(work)

    def cancel(parts: list[str]) -> float:
        if parts:
            threading.Thread(target=running.cancel).start()
        return 0.0

    with pytest.raises(concurrent.futures.CancelledError):
        running.follow(cancel)
    assert work.ended.is_set()


def test_what_is_cancelled_before_its_first_step_ends_its_callers_wait(loop):
    """It is never run then, so that nothing inside of it could tell."""
    held = threading.Event()

    async def hold() -> None:
        held.wait(30)

    loop.submit(hold())
    running = loop.start(Work())
    running.begin()
    running.cancel()
    held.set()
    with pytest.raises(concurrent.futures.CancelledError):
        running.follow(lambda _parts: 0.0)


def test_a_drawing_rests_as_long_as_it_asks_whatever_comes_meanwhile(loop):
    """Else each of many pieces would wake the thread that draws."""

    async def report(watch) -> None:
        for n in range(200):
            watch(n)
            await asyncio.sleep(0.001)

    drawn: list[int] = []
    loop.start(report).follow(lambda parts: drawn.append(len(parts)) or 60.0)
    assert len(drawn) == 2
    assert sum(drawn) == 200


def test_cancelling_a_submitted_future_cancels_its_work(loop):
    work = Work()
    future = loop.submit(work())
    assert work.begun.wait(10)
    future.cancel()
    assert work.ended.wait(10)


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
