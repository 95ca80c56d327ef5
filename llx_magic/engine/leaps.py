"""A loop whose time leaps: for many thousand requests whose every wait is known, such as those of a replay."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING

from llx_magic.core.ports import T

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

SLICE_SECONDS = 0.2
"""How long the calling thread waits at a time: on Windows a wait without end cannot be interrupted
(https://bugs.python.org/issue35935).
"""

MOMENT = 1e-7
"""How far beyond its time a leap ends: a loop makes no call that is due at just the time it has."""


class _Selector(selectors.BaseSelector):
    """Waits for nothing: where the loop would sleep, its time is put forward by as much."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: FileDescriptorLike, events: int, data: object = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what another thread has woken the loop for; else leap to the next call, if it is not due."""
        if timeout is not None and timeout <= 0:
            return []
        if found := self._real.select(0):
            return found
        if timeout is None:
            return self._real.select()
        self.now += timeout + MOMENT
        return []

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class _LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.leaping = _Selector()
        super().__init__(self.leaping)

    def time(self) -> float:
        return self.leaping.now


class _LeapTimer:
    late = 0.0

    def __init__(self, handle: asyncio.TimerHandle) -> None:
        self._handle = handle

    def cancel(self) -> None:
        self._handle.cancel()


class LeapingClock:
    """The time of such a loop, in Unix seconds."""

    epoch = 0.0

    def __init__(self, loop: asyncio.AbstractEventLoop, start: float) -> None:
        self._loop = loop
        self._start = start

    def now(self) -> float:
        """Return the moment at which the loop began, and what has passed since."""
        return self._start + self._loop.time()

    def call_later(self, delay: float, callback: Callable[[], object]) -> _LeapTimer:
        """Call back ``delay`` seconds later."""
        return _LeapTimer(self._loop.call_later(max(0.0, delay), callback))

    async def sleep(self, delay: float) -> None:
        """Return ``delay`` seconds later."""
        await asyncio.sleep(delay)

    def hold(self) -> None:
        """Do nothing: nobody works on another thread."""

    def release(self) -> None:
        """Do nothing."""


Arrival = tuple[float, Callable[[], Coroutine[object, None, None]]]
"""When something begins, on the clock, and what makes the coroutine that is run from then on."""


async def arriving(clock: LeapingClock, arrivals: Iterable[Arrival]) -> None:
    """Begin each thing at its time, and return when all have ended; the times must not fall.

    Raises:
        Exception: what one of them raised, when the others have been cancelled.
    """
    async with asyncio.TaskGroup() as group:
        for when, begin in arrivals:
            if when > clock.now():
                await clock.sleep(when - clock.now())
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
    loop, is_over = _LeapingLoop(), threading.Event()
    task = loop.create_task(work(LeapingClock(loop, start)))

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
