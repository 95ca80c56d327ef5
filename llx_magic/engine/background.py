"""The one event loop of the process on which cells, the command line and synchronous callers run their requests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import concurrent.futures.thread  # where a thread imports it during a fork, its lock is released that nobody took
import contextlib
import inspect
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Generic, TypeVar, cast

from llx_magic.core.machine import trouble_of
from llx_magic.errors import LlxError
from llx_magic.locks import ForkSafeLock

T = TypeVar("T")
P = TypeVar("P")

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
            RuntimeError: on the loop's own thread, which would wait for itself for ever.
            LlxError: where this machine has nothing left to start it with.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a synchronous call cannot be made from the thread that would have to answer it")
        try:
            with self._lock:  # so that stop() cannot end the loop between looking and submitting
                return asyncio.run_coroutine_threadsafe(work, self._ready_loop())
        except (OSError, RuntimeError, MemoryError) as problem:
            work.close()
            if (trouble := trouble_of(problem)) is None:
                raise
        raise LlxError(f"{trouble}; nothing was sent")

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

    def cancel(self, future: concurrent.futures.Future[T]) -> None:
        """Cancel a submitted coroutine and give it a moment to close its connection."""
        done = threading.Event()
        future.cancel()
        loop = self._loop
        if loop is not None and self.running:
            loop.call_soon_threadsafe(loop.call_soon, done.set)
            done.wait(SLICE_SECONDS)

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
    """A coroutine for the background loop and the parts that it has reported; ``begin`` or ``follow`` starts it."""

    def __init__(self, loop: BackgroundLoop, work: Callable[[Callable[[P], None]], Coroutine[object, None, T]]) -> None:
        self._loop = loop
        self._parts: deque[P] = deque()
        self._arrived = threading.Event()
        self._done = threading.Event()
        self._work = work
        self._future: concurrent.futures.Future[T] | None = None
        self._task: asyncio.Task[T] | None = None
        self._is_given_up = False

    def begin(self) -> concurrent.futures.Future[T]:
        """Start the coroutine, unless it has been started."""
        if self._future is None:
            self._future = self._loop.submit(self._run())
            self._future.add_done_callback(self._finish)
        return self._future

    def cancel(self) -> None:
        """Cancel it; ``follow`` then raises ``concurrent.futures.CancelledError``."""
        if self._future is not None:
            self._loop.cancel(self._future)

    def follow(self, draw: Callable[[list[P]], float], on_interrupt: Callable[[], None] | None = None) -> T:
        """Wait for the end and draw, on the calling thread, what is reported meanwhile.

        ``draw`` gets all parts that have come in since its last call, sometimes none, and is called once more at the
        end; it returns the seconds until its next call. So a fast stream does not mean many redraws. An interrupt,
        or an error of ``draw``, cancels the coroutine. ``on_interrupt`` takes the place of that for the first
        interrupt: it makes the coroutine end by itself, and what that returns is returned.
        """
        try:
            future = self.begin()
            try:
                self._draw_until_done(draw)
            except KeyboardInterrupt:
                if on_interrupt is None:
                    raise
                on_interrupt()
                self._draw_until_done(draw)
        except KeyboardInterrupt:
            self.cancel()
            draw(_drain(self._parts))
            raise
        finally:  # who cannot draw, or was interrupted twice, will not be back for the reply that would be paid for
            self._give_up()
        draw(_drain(self._parts))
        return future.result()

    def _draw_until_done(self, draw: Callable[[list[P]], float]) -> None:
        while not self._done.is_set():
            self._arrived.wait(SLICE_SECONDS)
            self._arrived.clear()
            self._pause(draw(_drain(self._parts)))

    async def _run(self) -> T:
        """Run the coroutine as a task that is known here, so that it can be cancelled without its future."""
        self._task = cast("asyncio.Task[T]", asyncio.current_task())
        if self._is_given_up:
            raise asyncio.CancelledError
        return await self._work(self._take)

    def _give_up(self) -> None:
        """Cancel what still runs, also where an interrupt broke into ``Future.cancel``.

        That method marks the future as cancelled before it tells the loop, and does nothing when called again.
        """
        self._is_given_up = True
        if self._future is not None:
            self._future.cancel()
        if self._task is not None and not self._task.done():
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the task with it
                self._task.get_loop().call_soon_threadsafe(_cancel_once, self._task)

    def _pause(self, seconds: float) -> None:
        while seconds > 0 and not self._done.wait(min(seconds, SLICE_SECONDS)):
            seconds -= SLICE_SECONDS

    def _take(self, part: P) -> None:
        self._parts.append(part)
        self._arrived.set()

    def _finish(self, _future: concurrent.futures.Future[T]) -> None:
        self._done.set()
        self._arrived.set()


async def together(works: Iterable[Coroutine[object, None, T]]) -> list[T]:
    """Return what each of the coroutines returns; they run at the same time."""
    return list(await asyncio.gather(*works))


async def awaited(future: concurrent.futures.Future[T]) -> T:
    """Return what a coroutine returns that was submitted to another loop."""
    return await asyncio.wrap_future(future)


def _cancel_once(task: asyncio.Task[T]) -> None:
    """Cancel a task that is not being cancelled; a second time would break off the closing of its connection."""
    if not task.cancelling():
        task.cancel()


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
