"""A thread of its own for work that may block for ever."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic

from llx_magic.core.ports import T


class OwnThread(Generic[T]):
    """Makes calls one after the other, all on the same thread, which does not keep the process from ending.

    Those of a pool do: the interpreter joins them, whatever they wait for
    (https://docs.python.org/3/library/concurrent.futures.html#threadpoolexecutor).
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or raise what it raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Callable[[], T]] = loop.create_future()

        def make() -> None:
            outcome = _outcome_of(work)
            with contextlib.suppress(RuntimeError):  # the loop has been closed, and nobody waits there
                loop.call_soon_threadsafe(_tell, future, outcome)

        self._calls.put(make)
        return (await future)()

    def end(self) -> None:
        """Let the thread end after what it has been given; nobody waits for that."""
        self._calls.put(None)

    def _run(self) -> None:
        while (make := self._calls.get()) is not None:
            make()
            del make  # so that what was read does not stay here until the next call


def _outcome_of(work: Callable[[], T]) -> Callable[[], T]:
    """Make a call; return what gives its outcome where it is wanted."""
    raised: Exception
    try:
        value = work()
    except Exception as error:  # noqa: BLE001 - it is for whoever waits
        raised = error
    except BaseException as error:  # noqa: BLE001 - in a task, SystemExit and its like would end the whole loop
        raised = RuntimeError(f"{type(error).__name__} was raised: {error}")
        raised.__cause__ = error
    else:
        return lambda: value

    def fail() -> T:
        raise raised

    return fail


def _tell(future: asyncio.Future[T], outcome: T) -> None:
    if not future.done():
        future.set_result(outcome)
