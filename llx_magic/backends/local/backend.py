"""The embedded model as an ordinary backend: its process is started by the first prompt and spoken to over loopback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.local.modelfile import MODEL, inspect
from llx_magic.backends.local.server import SERVER, LocalServer
from llx_magic.core.failure import BackendFailed, FailureKind, NotReady
from llx_magic.errors import ModelUnavailable, ProfileError
from llx_magic.keys.secret import Proof, Secret

if TYPE_CHECKING:
    from pathlib import Path

    from llx_magic.backends.http.backend import HttpBackend
    from llx_magic.backends.local.process import Serving
    from llx_magic.core.ports import Progress, Ready
    from llx_magic.core.reply import Answer, ChatRequest


@dataclass(frozen=True, slots=True)
class _ChildKey:
    """The key that one child was started with."""

    serving: Serving

    @property
    def may_block(self) -> bool:
        return False

    @property
    def silence(self) -> str:
        return ""

    def read(self) -> Proof:
        key = Secret(self.serving.key)
        return Proof(key, secrets=(key,))


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The process with its model loaded, ready for one request."""

    process: Ready
    server: LocalServer

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        try:
            return await self.process.answer(request, progress)
        except BackendFailed as failed:
            if failed.failure.kind is FailureKind.NETWORK:
                await self.server.see_off()
            raise


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

    async def prepare(self) -> Ready:
        """Start the process if it is not running, and return what asks it.

        Raises:
            NotReady: for what is missing (the model, its runtime, a library), with what mends it, and where the model
                cannot be loaded.
        """
        file = await asyncio.to_thread(inspect, self._cache)
        if file.problem is not None:
            raise NotReady(file.problem)
        try:
            serving = await self._server.ready(file)
        except ModelUnavailable as problem:
            raise NotReady(str(problem)) from None
        return _Loaded(await self._client(serving).prepare(), self._server)

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
