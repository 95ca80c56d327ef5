"""The embedded model as an ordinary backend: its process is started by the first prompt and spoken to over loopback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.local.fetch import inspect
from llx_magic.backends.local.modelfile import MODEL
from llx_magic.backends.local.server import SERVER, LocalServer
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady
from llx_magic.errors import ModelUnavailable, ProfileError
from llx_magic.keys.secret import Proof, Secret

if TYPE_CHECKING:
    from pathlib import Path

    from llx_magic.backends.http.backend import HttpBackend
    from llx_magic.backends.local.process import Serving
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import Answer, ChatRequest


@dataclass(frozen=True, slots=True)
class _ChildKey:
    """The key that one child was started with."""

    serving: Serving

    @property
    def may_block(self) -> bool:
        return False

    def read(self) -> Proof:
        key = Secret(self.serving.key)
        return Proof(key, secrets=(key,))


class LocalBackend:
    """Answers with the embedded model.

    ``cache`` is the folder that holds the model's file, by default the one that ``pull`` fills. ``server`` is the
    process's shared one unless another is given.
    """

    def __init__(
        self, name: str, model: str = MODEL, *, cache: Path | None = None, server: LocalServer | None = None
    ) -> None:
        if model != MODEL:
            raise ProfileError(f"{name}: the embedded model is called {MODEL}, got {model!r}")
        self.name = name
        self.model = model
        self._cache = cache
        self._server = server or SERVER
        self._clients: tuple[tuple[Serving, HttpBackend], ...] = ()

    async def prepare(self) -> Self:
        """Return itself.

        Raises:
            NotReady: for what is missing (the model, its runtime, a library), with what mends it.
        """
        file = await asyncio.to_thread(inspect, self._cache)
        problem = file.problem or await self._server.obstacle(file)
        if problem is not None:
            raise NotReady(problem)
        return self

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        """Start the process if it is not running, and ask it; limits and latencies run from then on.

        Raises:
            BackendFailed: of kind network where the process cannot be started or dies; else as any server's.
        """
        file = await asyncio.to_thread(inspect, self._cache)
        if file.problem is not None:  # it was changed since it was looked at
            raise BackendFailed(Failure(kind=FailureKind.NOT_SENT, message=file.problem))
        try:
            ready = await self._client(await self._server.ready(file)).prepare()
        except ModelUnavailable as problem:
            raise BackendFailed(Failure(kind=FailureKind.NETWORK, message=str(problem))) from None
        except NotReady as problem:
            raise BackendFailed(Failure(kind=FailureKind.NOT_SENT, message=str(problem))) from None
        try:
            return await ready.answer(request, progress)
        except BackendFailed as failed:
            if failed.failure.kind is FailureKind.NETWORK:
                await self._server.see_off()
            raise

    async def aclose(self) -> None:
        """Close the connections opened on the running loop; the process stays for others."""
        for _, backend in self._clients:
            await backend.aclose()

    def _client(self, serving: Serving) -> HttpBackend:
        for known, backend in self._clients:
            if known == serving:
                return backend
        from llx_magic.backends.http.backend import HttpBackend
        from llx_magic.backends.wires.wire import wire_named

        endpoint = Endpoint(f"{serving.url}/v1", self.model)
        backend = HttpBackend(self.name, endpoint, _ChildKey(serving), wire_named("openai"))
        # the one before is kept until closed: another loop may still be reading from it
        self._clients = (*self._clients[-1:], (serving, backend))
        return backend
