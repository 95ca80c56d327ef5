"""Injected time: it moves by hand or jumps, calls fall due in order, and nothing is left behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from llx_magic.engine.clocks import STARTED_AT, LoopClock, ManualClock, VirtualClock
from tests.engine.kit import settle


@pytest.fixture
def fast_switching():
    """Threads take turns so often that a change made in two steps is seen half made."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def test_by_hand_calls_fall_due_in_the_order_of_their_times_each_at_its_own_time():
    clock, made = ManualClock(), []
    for delay in (3.0, 1.0, 2.0, 9.0):
        clock.call_later(delay, lambda delay=delay: made.append(delay))
    clock.advance(5.0)
    await settle()
    assert made == [1.0, 2.0, 3.0]
    assert clock.now() == 5.0
    assert clock.waiting() == 1


async def test_a_call_that_was_cancelled_is_never_made_even_when_it_is_due_already():
    clock, made = ManualClock(), []
    timer = clock.call_later(1.0, lambda: made.append("too late"))
    clock.advance(1.0)
    timer.cancel()
    await settle()
    assert made == []
    assert clock.waiting() == 0


async def test_a_sleep_that_was_cancelled_leaves_nothing_behind():
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep(10.0))
    await settle()
    assert clock.waiting() == 1
    sleeping.cancel()
    await settle()
    assert clock.waiting() == 0


async def test_time_can_be_moved_from_another_thread():
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep(60.0))
    await settle()
    threading.Thread(target=clock.advance, args=(60.0,)).start()
    await sleeping
    assert clock.now() == 60.0


def test_no_time_is_lost_when_several_threads_move_it_at_once(fast_switching):
    clock = ManualClock()

    def move() -> None:
        for _ in range(2000):
            clock.advance(0.5)
            clock.hold_up(0.5)

    threads = [threading.Thread(target=move) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert clock.now() == 8000.0


def test_a_loop_that_has_ended_does_not_disturb_the_others():
    clock, made = ManualClock(), []

    async def ask(name: str) -> None:
        clock.call_later(1.0, lambda: made.append(name))

    asyncio.run(ask("gone"))

    async def main() -> None:
        await ask("here")
        clock.advance(1.0)
        await settle()

    asyncio.run(main())
    assert made == ["here"]


async def test_virtual_time_jumps_when_everybody_waits_and_waits_are_exact():
    clock, woken = VirtualClock(), []

    async def sleeper(name: str, seconds: float) -> None:
        for _ in range(2):
            await clock.sleep(seconds)
            woken.append((name, clock.now()))

    began = time.monotonic()
    await asyncio.gather(sleeper("day", 86_400.0), sleeper("hour", 3600.0))
    assert woken == [("hour", 3600.0), ("hour", 7200.0), ("day", 86_400.0), ("day", 172_800.0)]
    assert time.monotonic() - began < 3600.0


async def test_virtual_time_does_not_move_while_nobody_waits_for_it():
    clock = VirtualClock()
    await clock.sleep(0)
    await settle()
    assert clock.now() == 0.0


async def test_real_time_passes_as_that_of_the_loop():
    clock, loop = LoopClock(), asyncio.get_running_loop()
    began = clock.now() - loop.time()
    await asyncio.sleep(0.01)
    assert abs(clock.now() - loop.time() - began) < 60.0
    assert abs(clock.epoch + clock.now() - time.time()) < 60.0


def test_another_process_reads_the_same_time():
    clock = LoopClock()
    code = "from llx_magic.engine.clocks import LoopClock; print(LoopClock().now() + LoopClock().epoch)"
    before = clock.now() + clock.epoch
    read = float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert before <= read <= clock.now() + clock.epoch


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="the clock has this name on Linux alone")
def test_real_time_goes_on_while_the_machine_sleeps():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = LoopClock().now() - STARTED_AT
    assert before - 1e-5 <= now <= time.clock_gettime(time.CLOCK_BOOTTIME) + 1e-5


async def test_time_does_not_pass_while_the_loop_uses_what_it_waited_for():
    clock, fired = VirtualClock(), []
    clock.call_later(1.0, lambda: fired.append(clock.now()))
    await _turns(6)
    clock.hold()
    clock.release()  # what was waited for has come
    await _turns(VirtualClock.IDLE_TURNS - 1)
    assert fired == []
    await _turns(4)
    assert fired == [1.0]


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
