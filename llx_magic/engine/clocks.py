"""Monotonic time in three forms: the loop's own, one that jumps, and one that is moved by hand."""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import time
import weakref
from collections.abc import Callable

from llx_magic.core.ports import Timer
from llx_magic.locks import ForkSafeLock


def _clock_that_never_sleeps() -> Callable[[], float]:
    """Return the monotonic clock that goes on while the machine sleeps.

    It is called otherwise on each system: https://docs.python.org/3/library/time.html#clock-id-constants. On Linux and
    macOS the one of ``time.monotonic`` stands still meanwhile, so that cool-downs would last and dates be behind.
    """
    kind = getattr(time, "CLOCK_BOOTTIME", None) or getattr(time, "CLOCK_MONOTONIC", None)
    return time.monotonic if kind is None else functools.partial(time.clock_gettime, kind)


_now = _clock_that_never_sleeps()
HELD_SECONDS = 0.001
"""How often, in real seconds, a clock that is held looks whether it may go on."""

STARTED_AT = time.time() - _now()
"""The Unix time at which that clock was zero, as the wall clock said when this process began."""


class LoopClock:
    """Real time, that in which the machine sleeps included, in Unix seconds, so that every process reads it alike.

    Setting the wall clock anew changes nothing in this process.
    """

    epoch = 0.0

    def now(self) -> float:
        """Return monotonic seconds, the same on every loop."""
        return STARTED_AT + _now()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running loop after ``delay`` seconds."""
        return _LoopTimer(_now() + delay, asyncio.get_running_loop().call_later(delay, callback))

    async def sleep(self, delay: float) -> None:
        """Return after ``delay`` seconds."""
        await asyncio.sleep(delay)

    def hold(self) -> None:
        """Do nothing: real time passes."""

    def release(self) -> None:
        """Do nothing."""


class _LoopTimer:
    __slots__ = ("_due", "_handle")

    def __init__(self, due: float, handle: asyncio.TimerHandle) -> None:
        self._due = due
        self._handle = handle

    @property
    def late(self) -> float:
        return _now() - self._due

    def cancel(self) -> None:
        self._handle.cancel()


class _HandTimer:
    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        self.loop = loop
        self.late = 0.0
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def fire(self) -> None:
        if self.callback is not None:
            self.callback()


class ManualClock:
    """Time that stands still until ``advance`` moves it; for tests of waits that would take seconds or minutes.

    Safe to advance from any thread: the calls that fall due are made on the loops that asked for them.
    """

    epoch = 1_767_225_600.0  # 2026-01-01T00:00:00Z, so that dates in examples never change

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = ForkSafeLock()
        self._order = itertools.count()
        self._timers: list[tuple[float, int, _HandTimer]] = []
        self._holds = self._held = 0

    def now(self) -> float:
        """Return the seconds advanced so far."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running loop once ``delay`` seconds have been advanced."""
        timer = _HandTimer(asyncio.get_running_loop(), callback)
        with self._lock:
            heapq.heappush(self._timers, (self._now + max(0.0, delay), next(self._order), timer))
        return timer

    async def sleep(self, delay: float) -> None:
        """Return once ``delay`` seconds have been advanced."""
        if delay <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(delay, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def hold(self) -> None:
        """Let no time pass by itself until ``release``."""
        with self._lock:
            self._holds += 1
            self._held += 1

    def release(self) -> None:
        """End what one ``hold`` began."""
        with self._lock:
            self._holds -= 1

    def advance(self, seconds: float) -> None:
        """Move time forward and make every call that falls due, in order."""
        with self._lock:
            target = self._now + seconds
            while due := self._pop_due(target):
                self._fire(due)
            self._now = target

    def hold_up(self, seconds: float) -> None:
        """Move time forward as a loop sees it that is held up meanwhile: the calls that fall due are made late."""
        with self._lock:
            self._now += seconds
            for when, _, timer in self._timers:
                timer.late = max(0.0, self._now - when)
        self.advance(0.0)

    def waiting(self) -> int:
        """Count the calls still to come."""
        with self._lock:
            return sum(timer.callback is not None for _, _, timer in self._timers)

    def _fire(self, timer: _HandTimer) -> None:
        if not timer.loop.is_closed():
            timer.loop.call_soon_threadsafe(timer.fire)

    def _pop_due(self, target: float) -> _HandTimer | None:
        """Return the next timer that falls due until then, and be at its time; to be called under the lock."""
        while self._timers and self._timers[0][0] <= target:
            when, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._now = max(self._now, when)
                return timer
        return None


class VirtualClock(ManualClock):
    """Time that jumps to the next call as soon as nothing else is to be done; waits are exact and instant.

    It serves profiles whose every backend is simulated: nothing in them waits for the outside world.
    """

    IDLE_TURNS = 12
    """Turns of the loop without a new timer after which everybody counts as waiting."""

    OTHER_LOOP_SECONDS = 0.05
    """Real seconds that another loop is given to use what it was woken for, before this one looks again."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back on the running loop at the virtual time ``delay`` seconds from now."""
        timer = super().call_later(delay, callback)
        loop = asyncio.get_running_loop()
        self._asked[loop] = self._asked.get(loop, 0) + 1
        self._watch(loop, self._asked[loop])
        return timer

    def _watch(self, loop: asyncio.AbstractEventLoop, asked: int) -> None:
        self._watch_for_idleness(loop, asked, self.IDLE_TURNS, self._held)

    def _watch_for_idleness(self, loop: asyncio.AbstractEventLoop, asked: int, turns: int, held: int) -> None:
        """Wait for so many idle turns, and count anew where the clock has been held more than ``held`` times since."""
        if asked != self._asked[loop]:
            return  # a later timer of this loop has its own watch
        if self._holds:
            loop.call_later(HELD_SECONDS, self._watch, loop, asked)
        elif held != self._held:
            loop.call_soon(self._watch, loop, asked)
        elif turns:
            loop.call_soon(self._watch_for_idleness, loop, asked, turns - 1, held)
        elif due := self._next_due():
            self._fire(due)
            self._watch_on(loop, due.loop, asked)

    def _next_due(self) -> _HandTimer | None:
        with self._lock:
            return self._pop_due(float("inf"))

    def _watch_on(self, loop: asyncio.AbstractEventLoop, woken: asyncio.AbstractEventLoop, asked: int) -> None:
        """Go on watching where something happens now; this loop looks again only if that other one has ended."""
        if woken is loop:
            loop.call_soon(self._watch, loop, asked)
            return
        if not woken.is_closed():
            woken.call_soon_threadsafe(self._watch, woken, self._asked[woken])
        loop.call_later(self.OTHER_LOOP_SECONDS, self._watch, loop, asked)
