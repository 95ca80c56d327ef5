"""The calls that are made to a client of Dask, each on the client's own loop."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Protocol, cast

from llx_magic import __version__
from llx_magic.cluster.messages import Engine, Job
from llx_magic.cluster.waiting import Client, check_waiting, is_closed
from llx_magic.core.ports import P, T
from llx_magic.errors import LlxError, UsageProblem, brief
from llx_magic.locks import ForkSafeLock

PACKAGE = "llx-magic"

_TOKEN = uuid.uuid4().hex

_current = ForkSafeLock()


def this_process() -> str:
    """Return a name that no other process has: not on another machine, and not after a fork."""
    return f"{_TOKEN}-{os.getpid()}"


class UnfitError(LlxError):
    """A worker cannot ask anything; the text says why."""


class _Future(Protocol):
    key: str

    def exception(self) -> Awaitable[Exception | None]: ...


class _Client(Client, Protocol):
    """What is used of ``distributed.Client``; on its own loop its methods are awaited."""

    def as_current(self) -> AbstractContextManager[object]: ...
    def nthreads(self) -> Awaitable[Mapping[str, int]]: ...
    def run(
        self, function: Callable[..., str], *args: str, workers: list[str], on_error: str
    ) -> Awaitable[Mapping[str, object]]: ...
    def submit(self, made: type[Engine], job: Job, **options: object) -> _Future: ...
    def cancel(self, futures: list[_Future], *, force: bool) -> Awaitable[None]: ...


class Link:
    """A client of Dask, and the class of the engines that are made on its workers.

    Raises:
        UsageProblem: for something else, and for a client that is closed.
    """

    def __init__(self, client: object, engine: type[Engine]) -> None:
        if not _is_client(client):
            raise UsageProblem(f"client must be a dask.distributed.Client; got {brief(client)}")
        self._client = cast("_Client", client)
        self._engine = engine
        if self.is_closed:
            raise UsageProblem("client: it is closed; nothing was sent")

    @property
    def is_closed(self) -> bool:
        """Whether the client has been closed, and will not be back."""
        return is_closed(self._client)

    def check_waiting(self) -> None:
        """See to it that the calling thread may wait for what this client does.

        Raises:
            UsageProblem: where the client's loop is the one that the caller keeps busy meanwhile, or does not run.
        """
        check_waiting(self._client, "client: it", "await lb.map(…, client=client)")

    async def workers(self) -> set[str]:
        """Return the addresses of the workers that are there now.

        Raises:
            OSError: where the scheduler cannot be reached.
        """

        async def ask() -> set[str]:
            if self._client.status == "connecting":  # where a call would wait for the scheduler without a word
                raise OSError("the scheduler is away")
            return set(await self._client.nthreads())

        return await self._there(ask())

    async def hire(self, address: str, job: Job) -> Hired:
        """Have an engine made on a worker.

        Raises:
            UnfitError: where none can be made there.
            OSError: where the worker is gone.
        """
        return await self._there(self._hire(address, job))

    async def call(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call of an engine."""

        async def make() -> T:
            return await work(*args, **kwargs)

        return await self._there(make())

    async def dismiss(self, hired: Hired) -> None:
        """Have an engine forgotten by its worker."""

        async def dismiss() -> None:
            await self._client.cancel([hired.future], force=True)

        await self._there(dismiss())

    async def _hire(self, address: str, job: Job) -> Hired:
        said = await self._client.run(metadata.version, PACKAGE, workers=[address], on_error="return")
        _check_version(said[address])
        if (await self._client.run(this_process, workers=[address], on_error="return"))[address] == this_process():
            raise UnfitError(
                "it is a part of this very process, which asks as many rows without a cluster: "
                "leave out client, or start the cluster with processes=True"
            )
        future = self._client.submit(
            self._engine,
            job,
            key=f"llx-rows-{uuid.uuid4().hex}",
            workers=[address],
            allow_other_workers=False,
            actor=True,
            pure=False,
        )
        problem = await future.exception()
        if isinstance(problem, LlxError):
            raise UnfitError(str(problem))
        if problem is not None:
            raise problem
        return Hired(self._actor(address, future.key), future)

    def _actor(self, address: str, key: str) -> Engine:
        """Return what calls the engine through this client, whatever other clients there are in this process.

        An actor binds itself to the client that is current where it is made, and that is a setting of the whole
        process, so nobody else may change it meanwhile, and nothing is awaited.
        """
        from distributed import Actor

        with _current, self._client.as_current():
            return cast("Engine", Actor(self._engine, address, key))  # type: ignore[no-untyped-call]

    async def _there(self, work: Coroutine[object, None, T]) -> T:
        try:
            submitted = asyncio.run_coroutine_threadsafe(work, self._client.loop.asyncio_loop)
        except (RuntimeError, AttributeError) as problem:  # the loop has ended with the client
            work.close()
            raise OSError(f"the client is closed: {problem}") from None
        return await asyncio.wrap_future(submitted)


class Hired:
    """An engine on a worker: an actor, whose methods are called from here, and the future that keeps it there."""

    def __init__(self, engine: Engine, future: _Future) -> None:
        self.engine = engine
        self.future = future


def _is_client(given: object) -> bool:
    return any(f"{base.__module__}.{base.__qualname__}" == "distributed.client.Client" for base in type(given).__mro__)


def _check_version(said: object) -> None:
    """See to it that a worker has the same version.

    Raises:
        UnfitError: where it has another, or none.
        OSError: where it did not say, since it is gone.
    """
    if isinstance(said, metadata.PackageNotFoundError):
        raise UnfitError("llx-magic is not installed there")
    if isinstance(said, Exception):
        raise OSError(str(said))
    if said != __version__:
        raise UnfitError(f"it has llx-magic {said}, and here is {__version__}; install the same version on both")
