"""A request's parts as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Part, Reply, Restart
from llx_magic.engine.scope import Watch


async def parts_of(
    start: Callable[[Watch], Awaitable[Reply]], on_event: Callable[[Event], None] = lambda _event: None
) -> AsyncIterator[Part]:
    """Yield a request's parts as they arrive, the reply last; leaving the loop early cancels the request.

    ``on_event`` gets what is no part.
    The request runs in a task of its own, so that no time-out is ever suspended inside the consumer's code.
    """
    queue: asyncio.Queue[Delta | Restart | None] = asyncio.Queue()

    def watch(part: Delta | Restart | Event) -> None:
        if isinstance(part, Delta | Restart):
            queue.put_nowait(part)
        else:
            on_event(part)

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
