"""The one event loop of the process on which cells, the command line and synchronous callers run their requests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread  # where a thread imports it during a fork, its lock is released that nobody took
import contextlib
import inspect
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Generic, TypeVar

from llx_magic.core.machine import trouble_of
from llx_magic.errors import LlxError
from llx_magic.locks import ForkSafeLock

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

SLICE_SECONDS = 0.2
"""How long the calling thread waits at a time: on Windows a wait without end cannot be interrupted
(https://bugs.python.org/issue35935).
"""


class BackgroundLoop:
    """A daemon thread with an event loop, started when first used, and anew in a forked child.

    A notebook's own loop is busy while a cell runs, so requests of cells need another one.
    """

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._closers: list[Callable[[], Coroutine[object, None, None]]] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    @property
    def running(self) -> bool:
        """Whether the thread is up."""
        return self._thread is not None and self._thread.is_alive() and self._pid == os.getpid()

    def submit(self, work: Coroutine[object, None, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop and return its future; cancelling that cancels the coroutine.

        Raises:
            RuntimeError: as of ``hand``; so is ``LlxError``.
        """
        try:
            return self.hand(lambda loop: asyncio.run_coroutine_threadsafe(work, loop))
        except (LlxError, OSError, RuntimeError, MemoryError):
            work.close()
            raise

    def hand(self, give: Callable[[asyncio.AbstractEventLoop], R]) -> R:
        """Have ``give`` hand something to the loop, which runs meanwhile, and return what it returns.

        Raises:
            RuntimeError: on the loop's own thread, which would wait for itself for ever.
            LlxError: where this machine has nothing left to start the loop with.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a synchronous call cannot be made from the thread that would have to answer it")
        try:
            with self._lock:  # so that stop() cannot end the loop between looking and handing over
                return give(self._ready_loop())
        except (OSError, RuntimeError, MemoryError) as problem:
            if (trouble := trouble_of(problem)) is None:
                raise
        raise LlxError(f"{trouble}; nothing was sent")

    def tell(self, do: Callable[[], object]) -> None:
        """Have the loop call a function, after all that was handed to it before; once it has ended, nothing is done."""
        loop = self._loop
        if loop is not None and self.running:
            with contextlib.suppress(RuntimeError):  # it ends just now
                loop.call_soon_threadsafe(do)

    def at_end(self, close: Callable[[], Coroutine[object, None, None]]) -> None:
        """Run ``close`` on the loop before it ends, each time that it ends."""
        self._closers.append(close)

    def run(self, work: Coroutine[object, None, T]) -> T:
        """Run a coroutine to its end while the calling thread waits.

        An interrupt cancels the coroutine, lets it close what it opened, and is then raised here.
        """
        nothing: Running[T, None] = self.start(lambda _watch: work)
        try:
            return nothing.follow(lambda _parts: 0.0)
        finally:
            if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:  # it was refused, or cancelled before it began
                work.close()

    def start(self, work: Callable[[Callable[[P], None]], Coroutine[object, None, T]]) -> Running[T, P]:
        """Prepare the coroutine that ``work`` returns; it reports parts through the function that ``work`` is given."""
        return Running(self, work)

    def stop(self) -> None:
        """Cancel what still runs and end the thread; a later call starts a new one."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None or self._pid != os.getpid():
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)

    def _ready_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or not self.running:
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_serve, args=(loop, self._closers), name="llx_magic", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be started just now
                loop.close()
                raise
            self._pid, self._loop, self._thread = os.getpid(), loop, thread
        return self._loop

    def _forget(self) -> None:
        """Start afresh in a forked child: the thread is not there."""
        self._loop = self._thread = None


class Running(Generic[T, P]):
    """A coroutine for the background loop and the parts that it has reported; ``begin`` or ``follow`` starts it.

    Waking a thread costs more than all else here, so a caller that draws nothing causes two wake-ups: the loop's when
    it begins and its own at the end. It waits for a plain lock: with an ``Event`` and a future in its place a call
    takes a third longer to be handed over and back (``benchmarks/hop.py``).
    """

    def __init__(self, loop: BackgroundLoop, work: Callable[[Callable[[P], None]], Coroutine[object, None, T]]) -> None:
        self._loop = loop
        self._work = work
        self._is_begun = False
        self._task: asyncio.Task[None] | None = None
        self._has_started = False
        self._ended: asyncio.Future[T] | None = None
        self._parts: deque[P] = deque()
        self._is_resting = False
        self._bell = threading.Lock()
        """Released by the loop's thread alone, when there is something to see; taken by the thread that follows."""
        self._bell.acquire()

    def begin(self) -> None:
        """Start the coroutine, unless it has been started."""
        if not self._is_begun:
            self._loop.hand(lambda loop: loop.call_soon_threadsafe(self._launch, loop))
            self._is_begun = True

    def cancel(self) -> None:
        """Cancel it; ``follow`` then raises ``concurrent.futures.CancelledError``."""
        self._loop.tell(self._stop)

    def follow(self, draw: Callable[[list[P]], float], on_interrupt: Callable[[], None] | None = None) -> T:
        """Wait for the end and draw, on the calling thread, what is reported meanwhile.

        ``draw`` gets all parts that have come in since its last call, sometimes none, and is called once more at the
        end; it returns the seconds until its next call. So a fast stream does not mean many redraws. An interrupt,
        or an error of ``draw``, cancels the coroutine. ``on_interrupt`` takes the place of that for the first
        interrupt: it makes the coroutine end by itself, and what that returns is returned.
        """
        try:
            self.begin()
            try:
                ended = self._draw_until_ended(draw)
            except KeyboardInterrupt:
                if on_interrupt is None:
                    raise
                on_interrupt()
                ended = self._draw_until_ended(draw)
        except KeyboardInterrupt:
            self.cancel()
            self._rest(SLICE_SECONDS)  # a moment for it to close its connection
            draw(_drain(self._parts))
            raise
        finally:  # who cannot draw, or was interrupted twice, will not be back for the reply that would be paid for
            if self._ended is None:
                self.cancel()
        draw(_drain(self._parts))
        if ended.cancelled():
            raise concurrent.futures.CancelledError
        return ended.result()

    def _draw_until_ended(self, draw: Callable[[list[P]], float]) -> asyncio.Future[T]:
        while self._ended is None:
            self._is_resting = False
            if not self._parts:
                self._bell.acquire(timeout=SLICE_SECONDS)
            self._is_resting = True
            self._rest(draw(_drain(self._parts)))
        return self._ended

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._ended is None and (left := until - time.monotonic()) > 0:
            self._bell.acquire(timeout=min(left, SLICE_SECONDS))

    def _launch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._task = loop.create_task(self._carried_out())

    def _stop(self) -> None:
        """Cancel it, unless it is being cancelled: a second time would break off the closing of its connection."""
        task = self._task
        if task is None or task.cancelling():
            return
        if not self._has_started:  # it never comes to its own end
            never: asyncio.Future[T] = task.get_loop().create_future()
            never.cancel()
            self._end(never)
        task.cancel()

    def _take(self, part: P) -> None:
        self._parts.append(part)
        if not self._is_resting:
            self._ring()

    async def _carried_out(self) -> None:
        """Do the work; whoever follows is woken before the task has ended, since waking takes longest."""
        self._has_started = True
        ended: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            ended.set_result(await self._work(self._take))
        except asyncio.CancelledError:
            ended.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever follows
            ended.set_exception(error)
            ended.exception()  # it is nobody's to report where nobody follows any more
        finally:
            self._end(ended)

    def _end(self, ended: asyncio.Future[T]) -> None:
        self._ended = ended
        self._ring()

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()


async def together(works: Iterable[Coroutine[object, None, T]]) -> list[T]:
    """Return what each of the coroutines returns; they run at the same time."""
    return list(await asyncio.gather(*works))


async def awaited(future: concurrent.futures.Future[T]) -> T:
    """Return what a coroutine returns that was submitted to another loop."""
    return await asyncio.wrap_future(future)


def _drain(parts: deque[P]) -> list[P]:
    return [parts.popleft() for _ in range(len(parts))]


def _serve(loop: asyncio.AbstractEventLoop, closers: list[Callable[[], Coroutine[object, None, None]]]) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_finish_all(closers))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _finish_all(closers: list[Callable[[], Coroutine[object, None, None]]]) -> None:
    """Cancel what still runs, what was submitted at the last moment included, and close what was opened."""
    await asyncio.sleep(0)
    this = asyncio.current_task()
    while others := [task for task in asyncio.all_tasks() if task is not this]:
        for task in others:
            task.cancel()
        await asyncio.wait(others, timeout=SLICE_SECONDS)
        if all(task.done() for task in others):
            await asyncio.sleep(0)
        else:
            break
    for close in closers:
        await close()


BACKGROUND = BackgroundLoop()
"""The process's own."""
