"""Small things that coroutines do with their loop: end in time, call what blocks, be called from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Coroutine

from llx_magic.core.ports import Clock, P, T


async def within(clock: Clock, when: float, work: Coroutine[object, None, T]) -> T:
    """Return what the coroutine returns; at ``when`` on the clock it is cancelled.

    Raises:
        TimeoutError: where it was.
    """
    task, is_late = asyncio.current_task(), False
    assert task is not None
    before = task.cancelling()

    def cut() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    timer = clock.call_later(max(0.0, when - clock.now()), cut)
    try:
        return await work
    except asyncio.CancelledError:
        if is_late and task.uncancel() <= before:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


async def off_loop(work: Callable[[], T]) -> T:
    """Return what a function returns that may block, called on a thread of its own."""
    return await asyncio.get_running_loop().run_in_executor(None, work)


def on_this_loop(callback: Callable[P, object]) -> Callable[P, None]:
    """Return what makes the call on the running loop, from whatever thread; nothing once that loop is closed."""
    loop = asyncio.get_running_loop()

    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(functools.partial(callback, *args, **kwargs))

    return call
