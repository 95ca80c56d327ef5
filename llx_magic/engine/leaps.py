"""A loop whose time leaps: for many thousand requests whose every wait is known, such as those of a replay."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING

from llx_magic.core.moments import TICK
from llx_magic.core.ports import T

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

SLICE_SECONDS = 0.2
"""How long the calling thread waits at a time: on Windows a wait without end cannot be interrupted
(https://bugs.python.org/issue35935).
"""


class _LeapTimer:
    """A call to come, and the time that it is then; ``callback`` is None when it has been made or is not to be."""

    __slots__ = ("callback", "when")

    late = 0.0

    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class LeapingClock:
    """Time in Unix seconds that stands still as long as anything is to be done, and then is that of the next call."""

    epoch = 0.0

    def __init__(self, start: float) -> None:
        self._now = start
        self._order = itertools.count()
        self._calls: list[tuple[float, int, _LeapTimer]] = []

    def now(self) -> float:
        """Return the moment to which the last leap led; at first it is that of the beginning."""
        return self._now

    def call_later(self, delay: float, callback: Callable[[], object]) -> _LeapTimer:
        """Call back ``delay`` seconds later."""
        when = self._now + max(0.0, delay)
        return self._call(when, when, callback)

    async def sleep(self, delay: float) -> None:
        """Return ``delay`` seconds later."""
        if delay <= 0:
            await asyncio.sleep(0)
        else:
            await self._reach(self._now + delay, self._now + delay)

    async def after_all(self, when: float) -> None:
        """Return at a moment when everything else has been done that is due at it."""
        await self._reach(when, when + TICK)

    def hold(self) -> None:
        """Do nothing: nobody works on another thread."""

    def release(self) -> None:
        """Do nothing."""

    def leap(self) -> bool:
        """Make the next call, at its time; return whether there was one."""
        while self._calls:
            timer = heapq.heappop(self._calls)[2]
            if timer.callback is not None:
                self._now = max(self._now, timer.when)
                timer.callback()
                return True
        return False

    async def _reach(self, when: float, turn: float) -> None:
        reached = asyncio.get_running_loop().create_future()
        timer = self._call(when, turn, lambda: None if reached.done() else reached.set_result(None))
        try:
            await reached
        finally:
            timer.cancel()

    def _call(self, when: float, turn: float, callback: Callable[[], object]) -> _LeapTimer:
        """Call back at a moment, before all whose turn is later."""
        timer = _LeapTimer(when, callback)
        heapq.heappush(self._calls, (turn, next(self._order), timer))
        return timer


class _Selector(selectors.BaseSelector):
    """Lets a clock leap where its loop has nothing else to do."""

    def __init__(self, clock: LeapingClock) -> None:
        self._clock = clock
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what another thread has woken the loop for; else leap, if nothing is to be done now."""
        if timeout is not None and timeout <= 0:
            return []
        return self._real.select(0) or ([] if self._clock.leap() else self._real.select(timeout))

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


Arrival = tuple[float, Callable[[], Coroutine[object, None, None]]]
"""When something begins, on the clock, and what makes the coroutine that is run from then on."""


async def arriving(clock: LeapingClock, arrivals: Iterable[Arrival]) -> None:
    """Begin each thing at its time, and return when all have ended; the times must not fall.

    What has ended by then is over: whoever asked one thing after another asked each knowing of the one before.

    Raises:
        Exception: what one of them raised, when the others have been cancelled.
    """
    async with asyncio.TaskGroup() as group:
        for when, begin in arrivals:
            await clock.after_all(when)
            group.create_task(begin())


async def cut_at(clock: LeapingClock, seconds: float, work: Coroutine[object, None, object]) -> None:
    """Carry something out for so long at most; then it is cancelled, and nothing is raised."""
    task = asyncio.ensure_future(work)
    timer = clock.call_later(seconds, task.cancel)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    finally:
        timer.cancel()


class Stopped(Exception):
    """What was under way on leaping time is not wanted any longer."""


def never() -> bool:
    """Return that it is wanted still."""
    return False


def on_leaping_time(
    start: float, work: Callable[[LeapingClock], Coroutine[object, None, T]], is_stopped: Callable[[], bool] = never
) -> T:
    """Run a coroutine to its end, from the moment ``start`` on, while the calling thread waits.

    It runs on a thread of its own, since a notebook's own has a running loop. An interrupt cancels the coroutine and is
    then raised here.

    Raises:
        Stopped: as soon as ``is_stopped`` says so; it is asked now and then.
    """
    if is_stopped():
        raise Stopped
    outcome: list[Callable[[], T]] = []
    clock = LeapingClock(start)
    loop, is_over = asyncio.SelectorEventLoop(_Selector(clock)), threading.Event()
    task = loop.create_task(work(clock))

    def run() -> None:
        try:
            with contextlib.suppress(BaseException):  # the task keeps it for whoever waits
                loop.run_until_complete(task)
            outcome.append(task.result)
        finally:
            loop.close()
            is_over.set()

    threading.Thread(target=run, name="llx-replay", daemon=True).start()
    try:
        while not is_over.wait(SLICE_SECONDS):
            if is_stopped():
                raise Stopped
    except (KeyboardInterrupt, Stopped):
        with contextlib.suppress(RuntimeError):  # it has just ended
            loop.call_soon_threadsafe(task.cancel)
        is_over.wait()
        raise
    return outcome[0]()
