"""What a coroutine gives while it runs, as it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from llx_magic.core.events import Event
from llx_magic.core.reply import Arrival, Delta, Part, Reply

T = TypeVar("T")
R = TypeVar("R")

Watch = Callable[[Arrival | Event], None]
"""Takes the pieces of the reply and the decisions of one request, in order, on the thread that runs it."""


class Stream(Generic[T]):
    """What a coroutine gives piece by piece, for one consumer. Leaving early cancels the coroutine."""

    def __init__(self) -> None:
        self._pieces: deque[T] = deque()
        self._consumer: asyncio.Future[None] | None = None

    @property
    def backlog(self) -> int:
        """How many pieces wait for the consumer."""
        return len(self._pieces)

    def put(self, piece: T) -> None:
        """Give a piece; on the loop that runs the coroutine."""
        self._pieces.append(piece)
        if self._consumer is not None:
            self._wake()

    async def of(self, work: Awaitable[R]) -> AsyncGenerator[T | R]:
        """Run the coroutine and yield its pieces, and what it returns last.

        It runs in a task of its own, so that no time-out is ever suspended inside the consumer's code.
        """

        async def run() -> R:
            try:
                return await work
            finally:
                self._wake()

        loop, pieces = asyncio.get_running_loop(), self._pieces
        task = loop.create_task(run())
        try:
            while True:
                while pieces:
                    yield pieces.popleft()
                if task.done():  # at once, where the loop's tasks are eager
                    break
                self._consumer = waiting = loop.create_future()
                await waiting
            yield await task
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report what the consumer chose not to wait for

    def _wake(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None and not consumer.done():
            consumer.set_result(None)


def parts_of(
    start: Callable[[Watch], Awaitable[Reply]], on_event: Callable[[Event], None] = lambda _event: None
) -> AsyncIterator[Part]:
    """Yield a request's parts as they arrive, the reply last; leaving the loop early cancels the request.

    ``on_event`` gets what is no part.
    """
    stream: Stream[Arrival] = Stream()

    def watch(part: Arrival | Event) -> None:
        # Of what is no event nearly all is text, and to find that it is none takes longer.
        if isinstance(part, Delta) or not isinstance(part, Event):
            stream.put(part)
        else:
            on_event(part)

    return stream.of(start(watch))
