"""The one event loop of the process on which cells, the command line and synchronous callers run their requests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")
P = TypeVar("P")

SLICE_SECONDS = 0.2
"""How long the calling thread waits at a time: on Windows a wait without end cannot be interrupted."""


class BackgroundLoop:
    """A daemon thread with an event loop, started when first used, and anew in a forked child.

    A notebook's own loop is busy while a cell runs, so requests of cells need another one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()

    @property
    def running(self) -> bool:
        """Whether the thread is up."""
        return self._thread is not None and self._thread.is_alive() and self._pid == os.getpid()

    def submit(self, work: Coroutine[object, None, T]) -> concurrent.futures.Future[T]:
        """Start a coroutine on the loop and return its future; cancelling that cancels the coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._ready_loop())

    def run(self, work: Coroutine[object, None, T]) -> T:
        """Run a coroutine to its end while the calling thread waits.

        An interrupt cancels the coroutine, lets it close what it opened, and is then raised here.
        """
        return self.follow(lambda _watch: work, lambda _parts: 0.0)

    def follow(
        self, start: Callable[[Callable[[P], None]], Coroutine[object, None, T]], draw: Callable[[list[P]], float]
    ) -> T:
        """Run what ``start`` returns and draw, on the calling thread, what it reports meanwhile.

        ``start`` is given a function that takes a part from the loop's thread. ``draw`` is called with the parts that
        have come in since the last time, now and then with none, and once more at the end; it returns the seconds
        until it wants to be called again. So there is one hand-over for each drawing, however many parts there are.
        An interrupt, or an error of ``draw``, cancels the coroutine.
        """
        parts: deque[P] = deque()
        arrived, done = threading.Event(), threading.Event()

        def watch(part: P) -> None:
            parts.append(part)
            arrived.set()

        def finish(_future: concurrent.futures.Future[T]) -> None:
            done.set()
            arrived.set()

        future = self.submit(start(watch))
        future.add_done_callback(finish)
        try:
            while not done.is_set():
                arrived.wait(SLICE_SECONDS)
                arrived.clear()
                done.wait(draw(_drain(parts)))
        except KeyboardInterrupt:
            self.cancel(future)
            draw(_drain(parts))
            raise
        except BaseException:  # who cannot draw will not be back for the reply, so nobody should go on paying for it
            self.cancel(future)
            raise
        draw(_drain(parts))
        return future.result()

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
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop)
        thread.join(5)

    def _ready_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or not self.running:
                self._pid = os.getpid()
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(self._loop,), name="llx_magic", daemon=True)
                self._thread.start()
            return self._loop


def _drain(parts: deque[P]) -> list[P]:
    return [parts.popleft() for _ in range(len(parts))]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cancel_all() -> None:
    this = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not this]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)


BACKGROUND = BackgroundLoop()
"""The process's own."""
