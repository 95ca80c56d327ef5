"""What a coroutine gives while it runs, as it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from llx_magic.core.events import Event
from llx_magic.core.reply import Arrival, Part, Reply

T = TypeVar("T")
R = TypeVar("R")

Watch = Callable[[Arrival | Event], None]
"""Takes the pieces of the reply and the decisions of one request, in order, on the thread that runs it."""


class Stream(Generic[T]):
    """What a coroutine gives piece by piece, for one consumer. Leaving early cancels the coroutine."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[T] | None] = asyncio.Queue()

    @property
    def backlog(self) -> int:
        """How many pieces wait for the consumer."""
        return self._queue.qsize()

    def put(self, piece: T) -> None:
        """Give a piece; on the loop that runs the coroutine."""
        self._queue.put_nowait((piece,))

    async def of(self, work: Awaitable[R]) -> AsyncGenerator[T | R]:
        """Run the coroutine and yield its pieces, and what it returns last.

        It runs in a task of its own, so that no time-out is ever suspended inside the consumer's code.
        """

        async def run() -> R:
            try:
                return await work
            finally:
                self._queue.put_nowait(None)

        task = asyncio.create_task(run())
        try:
            while (piece := await self._queue.get()) is not None:
                yield piece[0]
            yield await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report what the consumer chose not to wait for


def parts_of(
    start: Callable[[Watch], Awaitable[Reply]], on_event: Callable[[Event], None] = lambda _event: None
) -> AsyncIterator[Part]:
    """Yield a request's parts as they arrive, the reply last; leaving the loop early cancels the request.

    ``on_event`` gets what is no part.
    """
    stream: Stream[Arrival] = Stream()

    def watch(part: Arrival | Event) -> None:
        if isinstance(part, Event):
            on_event(part)
        else:
            stream.put(part)

    return stream.of(start(watch))
