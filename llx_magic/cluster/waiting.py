"""Waiting for a client of Dask: which one Dask itself would use, whether a thread may wait for it, and how it does."""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
from collections.abc import Awaitable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from llx_magic.core.ports import T
from llx_magic.errors import LlxError, UsageProblem

LOOK_SECONDS = 1.0
"""How often a thread that waits for a client looks whether the client is still there."""


class _Loop(Protocol):
    asyncio_loop: asyncio.AbstractEventLoop


class Client(Protocol):
    """What is used here of ``distributed.Client``."""

    status: str
    loop: _Loop

    def compute(self, what: object) -> Awaitable[object]: ...  # noqa: D102


def is_closed(client: Client) -> bool:
    """Return whether a client has been closed, and will not be back."""
    return client.status in ("closed", "closing")


def client_of_dask() -> Client | None:
    """Return the client by which Dask would compute here: that of the task, or the current one; None for no cluster."""
    import dask

    chosen = dask.config.get("scheduler", None)
    if "distributed" not in sys.modules or chosen not in (None, "distributed", "dask.distributed"):
        return None
    from distributed import get_client

    try:
        found = cast("Client", get_client())
    except ValueError:
        return None
    return None if is_closed(found) else found


def check_waiting(client: Client, who: str, instead: str) -> None:
    """See to it that the calling thread may wait for what a client does; ``who`` says which, ``instead`` what to call.

    Raises:
        UsageProblem: where the client's loop is the one that the caller keeps busy meanwhile, or does not run.
    """
    loop = client.loop.asyncio_loop
    if loop is _loop_of_this_thread() or not loop.is_running():
        raise UsageProblem(
            f"{who} works on the event loop of the code that waits here, so both would wait for ever; "
            f"use `{instead}`, or Client(…, asynchronous=False); nothing was sent"
        )


def wait_for(client: Client, work: Coroutine[object, None, T]) -> T:
    """Return what a coroutine gives that runs on the client's loop; whoever calls has checked that it may wait.

    Raises:
        LlxError: where the loop of the client ends meanwhile.
    """
    loop = client.loop.asyncio_loop
    submitted = asyncio.run_coroutine_threadsafe(work, loop)
    while True:
        concurrent.futures.wait([submitted], LOOK_SECONDS)
        if submitted.done():
            return submitted.result()
        if not loop.is_running():
            submitted.cancel()
            raise LlxError("the client of Dask was closed while it computed the data: run it again with a new one")


@contextmanager
def stepped_aside() -> Iterator[None]:
    """Let a worker's thread whose task waits here be another task's meanwhile, which may be what is waited for.

    https://distributed.dask.org/en/stable/task-launch.html
    """
    if "distributed" not in sys.modules or not _has_a_place():
        yield
        return
    from distributed import rejoin, secede

    secede()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        rejoin()  # type: ignore[no-untyped-call]


def _has_a_place() -> bool:
    """Return whether this is a worker's thread with a task that has not stepped aside yet."""
    from distributed import get_worker
    from distributed.threadpoolexecutor import thread_state

    try:
        get_worker()
    except ValueError:
        return False
    return getattr(thread_state, "proceed", False)


def _loop_of_this_thread() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
