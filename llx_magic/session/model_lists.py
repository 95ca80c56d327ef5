"""Which models each service offers: asked once, kept for a day in the cache folder, without any key."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.local.modelfile import CONTEXT_TOKENS, MODEL
from llx_magic.backends.reading.listing import Listed
from llx_magic.core.failure import BackendFailed, NotReady
from llx_magic.engine.background import BACKGROUND
from llx_magic.errors import LlxError
from llx_magic.files.folders import cache_folder
from llx_magic.files.private import locked, private_folder, read_file, write_file
from llx_magic.profiles.document import ModelProfile
from llx_magic.session.members import credential_of, endpoint_of, member_problem, provider_of, wire_of

KEPT_SECONDS = 86_400.0
"""For how long a list is taken for what the service offers."""

LONGEST_COMPLETION = 0.3
"""How many seconds completion waits for a list."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """What a service offered at a time; ``at`` is in Unix seconds."""

    at: float
    models: tuple[Listed, ...]


class ModelLists:
    """The lists of the services that were asked, by address and form; ``wall_clock`` gives Unix seconds."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._known: dict[Path, ModelList] = {}
        self.changes = 0
        """Grows with each list that came."""
        self._asking: dict[Path, concurrent.futures.Future[tuple[Listed, ...]]] = {}

    async def ask(self, member: ModelProfile) -> tuple[Listed, ...]:
        """Return what the member's service offers now, and keep it.

        Raises:
            LlxError: one line, where that cannot be found out.
        """
        endpoint = endpoint_of(member)
        if problem := member_problem(member):
            raise LlxError(problem)
        if endpoint is None and provider_of(member).name == "local":
            return (Listed(MODEL, CONTEXT_TOKENS),)
        if endpoint is None:
            raise LlxError(f"provider {provider_of(member).name} has no list of models: it takes any name for one")
        backend = HttpBackend(member.name, endpoint, credential_of(member, endpoint), wire_of(member, endpoint))
        try:
            models = await backend.models()
        except (NotReady, BackendFailed) as problem:
            why = str(problem)
        else:
            self._keep(_file_of(member, endpoint), ModelList(self._wall_clock(), models))
            return models
        finally:
            await backend.aclose()
        raise LlxError(why)

    def kept(self, member: ModelProfile) -> tuple[Listed, ...]:
        """Return what the member's service offered when it was asked within the last day; else nothing."""
        endpoint = endpoint_of(member)
        if endpoint is None:
            return ()
        path = _file_of(member, endpoint)
        if path not in self._known:
            self._known[path] = _read(path)
        found = self._known[path]
        return found.models if 0 <= self._wall_clock() - found.at < KEPT_SECONDS else ()

    def soon(self, member: ModelProfile) -> tuple[Listed, ...]:
        """Return what is kept, or what comes within 300 ms; what comes later is kept for the next time.

        A keyring is not opened for this, nor a login asked: either may put a question to the user.
        """
        endpoint = endpoint_of(member)
        found = self.kept(member)
        if found or endpoint is None or member_problem(member) or credential_of(member, endpoint).may_block:
            return found
        path = _file_of(member, endpoint)
        asking = self._asking.get(path)
        if asking is None or asking.done():
            asking = self._asking[path] = BACKGROUND.submit(self.ask(member))
        try:
            return asking.result(LONGEST_COMPLETION)
        except (TimeoutError, LlxError, concurrent.futures.CancelledError):
            return ()

    def window(self, member: ModelProfile) -> int | None:
        """Return how many tokens the member's model takes, where its service has said so within the last day."""
        return next((each.window for each in self.kept(member) if each.name == member.model), None)

    def _keep(self, path: Path, found: ModelList) -> None:
        self._known[path] = found
        self.changes += 1
        with contextlib.suppress(OSError, LlxError):  # a list that cannot be kept is asked for again
            private_folder(path.parent)
            with locked(path.parent, path.parent):
                write_file(path, msgspec.json.encode(found))


def _file_of(member: ModelProfile, endpoint: Endpoint) -> Path:
    asked = f"{endpoint.base_url}\n{wire_of(member, endpoint).form.__name__}"
    return cache_folder() / "models" / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> ModelList:
    try:
        return msgspec.json.decode(read_file(path), type=ModelList)
    except (LlxError, OSError, msgspec.MsgspecError, ValueError):
        return ModelList(0.0, ())


MODEL_LISTS = ModelLists()
"""The process's own."""
