"""A request's parts as they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from llx_magic.core.events import Event
from llx_magic.core.reply import Arrival, Part, Reply

Watch = Callable[[Arrival | Event], None]
"""Takes the pieces of the reply and the decisions of one request, in order, on the thread that runs it."""


async def parts_of(
    start: Callable[[Watch], Awaitable[Reply]], on_event: Callable[[Event], None] = lambda _event: None
) -> AsyncIterator[Part]:
    """Yield a request's parts as they arrive, the reply last; leaving the loop early cancels the request.

    ``on_event`` gets what is no part.
    The request runs in a task of its own, so that no time-out is ever suspended inside the consumer's code.
    """
    queue: asyncio.Queue[Arrival | None] = asyncio.Queue()

    def watch(part: Arrival | Event) -> None:
        if isinstance(part, Event):
            on_event(part)
        else:
            queue.put_nowait(part)

    async def run() -> Reply:
        try:
            return await start(watch)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (part := await queue.get()) is not None:
            yield part
        yield await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report what the consumer chose not to wait for
