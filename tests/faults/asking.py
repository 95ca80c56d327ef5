"""Asking one backend directly, as the engine would, for tests of what it makes of a server's behaviour."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.wires.wire import Wire, wire_named
from llx_magic.core.failure import BackendFailed, Failure, NotReady
from llx_magic.core.message import Message
from llx_magic.core.ports import Backend, Progress
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.engine.attempt import Attempt
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import KeyMissing
from llx_magic.keys.secret import Proof, as_secret
from tests.engine.kit import settings_with

KEY = "sk-test/Se+cret=0123456789"
QUESTION = (Message("user", "Why test?"),)


@dataclass
class FixedKey:
    """A key source with one value; ``missing`` makes it one that has none."""

    value: str | None = KEY
    may_block: bool = False
    silence: str = "the keyring does not answer; unlock it"
    missing: str = ""

    def read(self) -> Proof:
        if self.missing:
            raise KeyMissing(self.missing)
        key = as_secret(self.value)
        return Proof(key, secrets=(key,) if key else ())


@dataclass
class Pieces:
    """What a backend reported while it answered; ``seen`` is set at the first piece of text."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    rates: list[RateFacts] = field(default_factory=list)
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    def on_sending(self, to: str) -> None:
        pass

    def on_connected(self) -> None:
        pass

    def on_text(self, piece: str) -> None:
        self.text.append(piece)
        self.seen.set()

    def on_reasoning(self, piece: str) -> None:
        self.reasoning.append(piece)

    def on_usage(self, usage: Usage) -> None:
        pass

    def on_rates(self, facts: RateFacts) -> None:
        self.rates.append(facts)


def question(*, streaming: bool = True, **params) -> ChatRequest:
    return ChatRequest(messages=QUESTION, params=params, streaming=streaming)


async def answer_of(asked: Backend, request: ChatRequest | None = None, progress: Progress | None = None) -> Answer:
    """Ask a backend once, as the engine does but without its limits."""
    ready = await asked.prepare()
    return await ready.answer(request or question(), progress or Pieces())


async def answer_at(
    endpoint: Endpoint, wire: Wire, request: ChatRequest, key: str | None = None, progress: Progress | None = None
) -> Answer:
    """Ask a service once in a form, and close the connection."""
    backend = HttpBackend("alpha", endpoint, FixedKey(key), wire)
    try:
        return await answer_of(backend, request, progress)
    finally:
        await backend.aclose()


class Unheard:
    """Hears of an attempt and does nothing."""

    def on_first(self, seconds: float) -> None: ...

    def on_piece(self, piece: str) -> None: ...

    def on_thought(self, piece: str) -> None: ...

    def on_rates(self, facts: RateFacts, sent_at: float | None) -> None: ...


async def attempt(asked: Backend, request: ChatRequest | None = None, **settings) -> Answer:
    """Ask a backend once as the engine does, under the limits of some settings."""
    held_to = Attempt(LoopClock(), settings_with(**settings), Unheard())
    return await held_to.run(await asked.prepare(), request or question())


def obstacle(asked: Backend) -> str | None:
    """Return why nothing can be sent now, or None."""

    async def run() -> str | None:
        try:
            await asked.prepare()
        except NotReady as problem:
            return str(problem)
        finally:
            await asked.aclose()
        return None

    return asyncio.run(run())


def backend_at(base_url: str, key: FixedKey | None = None, name: str = "alpha") -> HttpBackend:
    return HttpBackend(name, Endpoint(base_url, "some-model"), key or FixedKey(), wire_named("openai"))


@contextlib.asynccontextmanager
async def backend(base_url: str, key: FixedKey | None = None, name: str = "alpha"):
    """A backend that gives its connections back at the end."""
    made = backend_at(base_url, key, name)
    try:
        yield made
    finally:
        await made.aclose()


def ask(base_url: str, *, streaming: bool = True, key: FixedKey | None = None) -> tuple[Answer | Failure, Pieces]:
    """Ask once and return the answer or the failure, and the pieces that were reported."""

    async def run() -> tuple[Answer | Failure, Pieces]:
        pieces = Pieces()
        async with backend(base_url, key) as asked:
            try:
                return await answer_of(asked, question(streaming=streaming), pieces), pieces
            except BackendFailed as failed:
                return failed.failure, pieces

    return asyncio.run(asyncio.wait_for(run(), 30))
