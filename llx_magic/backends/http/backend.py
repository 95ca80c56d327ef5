"""A model behind an HTTP address, in whatever wire form. What connects is imported when the first prompt is sent."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from llx_magic.backends.http.connections import CLIENTS, way_to
from llx_magic.backends.http.errors import Peer
from llx_magic.backends.http.exchange import Exchange
from llx_magic.backends.http.findings import findings_of
from llx_magic.backends.http.keys import KeyReader
from llx_magic.backends.http.listing import all_models
from llx_magic.backends.http.transport import Request
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady
from llx_magic.core.ports import Account
from llx_magic.core.reply import Answer
from llx_magic.errors import KeyMissing
from llx_magic.keys.logins.login import LoginProblem
from llx_magic.keys.redaction import LIVE_KEYS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from llx_magic.backends.endpoint import Endpoint
    from llx_magic.backends.http.connections import Way
    from llx_magic.backends.http.exchange import Incoming
    from llx_magic.backends.http.findings import Findings
    from llx_magic.backends.http.listing import Page
    from llx_magic.backends.reading.listing import Listed
    from llx_magic.backends.reading.reader import Reader
    from llx_magic.backends.wires.wire import Wire
    from llx_magic.core.ports import Credential, Progress, Ready
    from llx_magic.core.rate_facts import RateFacts
    from llx_magic.core.reply import ChatRequest, Usage
    from llx_magic.keys.secret import Proof, Secret
    from llx_magic.text.values import JsonValue

Read = TypeVar("Read")

MOST_CONCESSIONS = 8
"""How often a request is sent again at once without something; no form has more that it can do without."""

_OF_EVERY_REQUEST = {
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",  # compression would only hold back a stream's pieces
    "Content-Type": "application/json",
    "User-Agent": "llx-magic",
}


class HttpBackend:
    """One model that is asked over HTTP.

    The credential is read anew for each visit and kept nowhere. Connections are shared with all backends on the same
    event loop; ``aclose`` gives them back.
    """

    def __init__(self, name: str, endpoint: Endpoint, credential: Credential, wire: Wire) -> None:
        self.name = name
        self.model = endpoint.model
        self._endpoint = endpoint
        self._wire = wire
        self._proof = KeyReader(credential.read, lambda: credential.may_block, lambda: credential.silence)
        self._problem = endpoint.problem()
        self._findings = findings_of(endpoint, wire.form)

    def __repr__(self) -> str:
        """Name the backend and nothing that could be a credential."""
        return f"HttpBackend({self.name!r}, model={self.model!r})"

    async def warm_up(self) -> None:
        """Import what connects, read the trusted certificates and open the running loop's transport; read no key."""
        with contextlib.suppress(NotReady):  # the prompt will say so
            if self._problem is None:
                CLIENTS.borrow(self, way_to(self._endpoint))

    async def prepare(self) -> Ready:
        """Return what sends to this backend, with the credential that is valid now.

        Raises:
            NotReady: where the address, the environment or the credential stands in the way.
        """
        return await self._ready(self._endpoint)

    async def models(self) -> tuple[Listed, ...]:
        """Return the models that the service lists.

        Raises:
            NotReady: as in ``prepare``, and where the service has no such list.
            BackendFailed: where the list cannot be had.
        """
        wire = self._wire
        if not wire.models_path:
            raise NotReady("this service has no list of the models that can be asked there")
        visit = await self._ready(replace(self._endpoint, base_url=wire.models_root(self._endpoint.base_url)))
        return await all_models(wire, self.name, visit.versions, visit.get)

    async def _ready(self, endpoint: Endpoint) -> _Visit:
        if self._problem is not None:
            raise NotReady(self._problem)
        if missing := self._wire.obstacle():
            raise NotReady(missing)
        way = way_to(endpoint)
        CLIENTS.borrow(self, way)
        proof = await self._credential()  # last, so that no error before it can hold the key
        if isinstance(proof, str):
            raise NotReady(proof)
        return _Visit(self, endpoint, self._wire, way, proof, self._findings)

    async def aclose(self) -> None:
        """Give the running loop's transports back; they are closed when no other backend uses them."""
        await CLIENTS.give_back(self)

    async def _credential(self) -> Proof | str:
        """Return what requests prove themselves with, or in one line why there is nothing that can be sent."""
        try:
            proof = await self._proof.read()
        except KeyMissing as missing:
            return str(missing)
        LIVE_KEYS.add(*(each.reveal() for each in proof.secrets))  # from now on no text repeats one of them
        problem = self._endpoint.unencrypted_problem() if proof.secrets else None
        return problem or proof


def _tell_usage(reader: Reader, progress: Progress) -> None:
    """Tell what a reply that does not become whole has cost, as far as the server said."""
    if (usage := reader.usage) is not None:
        progress.on_usage(usage)


class _Unwatched:
    """Stands for who would watch a reply, where none is asked for."""

    def on_sending(self, to: str) -> None:
        """Take nothing."""

    def on_connected(self) -> None:
        """Take nothing."""

    def on_text(self, piece: str) -> None:
        """Take nothing."""

    def on_reasoning(self, piece: str) -> None:
        """Take nothing."""

    def on_usage(self, usage: Usage) -> None:
        """Take nothing."""

    def on_rates(self, facts: RateFacts) -> None:
        """Take nothing."""


class _Visit(msgspec.Struct, frozen=True, gc=False):
    """One backend with what ``prepare`` found: sends requests until one of them is answered or fails for good."""

    holder: HttpBackend
    endpoint: Endpoint
    wire: Wire
    way: Way
    proof: Proof
    findings: Findings

    def __repr__(self) -> str:
        return repr(self.holder)

    @property
    def account(self) -> Account:
        """Whose limits its requests count for."""
        return Account(self.endpoint.label, self.endpoint.model, self.proof.account)

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        """Send one request and return the whole reply.

        Raises:
            BackendFailed: for every way in which no usable reply came. Its chain holds no other exception, since
                those of the libraries refer to the request and so to the key.
        """
        findings, wire = self.findings, self.wire
        version = "" if wire.root_is_versioned(self.endpoint.path) else wire.version
        begins = version if wire.version_is_known or findings.is_versioned else ""
        outcome, path = await self._conceding(request, progress, begins)
        if isinstance(outcome, Failure) and version != begins and findings.may_be_below_a_version(outcome):
            again, _ = await self._conceding(request, progress, version)
            outcome = findings.settle(outcome, again)
        if isinstance(outcome, Failure):
            base = self.endpoint.path
            failure = findings.with_path(outcome, f"{base}{path}", f"{base}{version}{path}")
            raise BackendFailed(wire.explained(failure, self.holder.model))
        return outcome

    async def _conceding(self, request: ChatRequest, progress: Progress, version: str) -> tuple[Answer | Failure, str]:
        """Send, and send again at once without what the server refuses of the things that a reply can do without.

        Returned is also the path that was asked.
        """
        wire, name, model = self.wire, self.holder.name, self.holder.model
        without = self.findings.refused
        on_trial = frozenset[str]()
        path, left = "", MOST_CONCESSIONS
        while True:
            reader = wire.reader(name, model, progress)
            try:
                asked = wire.encode(request, model, without)
                path = asked.path
                url = self.endpoint.url(f"{version}{asked.path}")
                outcome = await self._sent(Request(url, self._headers(asked.headers), asked.body), reader, progress)
            except asyncio.CancelledError:
                _tell_usage(reader, progress)
                raise
            except BackendFailed as failed:
                outcome = failed.failure
            except (NotReady, LoginProblem) as problem:  # the environment has changed since
                outcome = Failure(kind=FailureKind.NOT_SENT, message=str(problem))
            if isinstance(outcome, Answer):
                self.findings.refused |= on_trial
                noted = (*outcome.notes, *asked.notes)
                return msgspec.structs.replace(outcome, notes=noted) if asked.notes else outcome, path
            _tell_usage(reader, progress)
            conceded = None if reader.taken else wire.conceded(outcome, request, without)
            if conceded is None or conceded.extra in without or not left:
                return outcome, path
            left -= 1
            without |= {conceded.extra}
            if conceded.lasts:
                on_trial |= {conceded.extra}

    @property
    def versions(self) -> tuple[str, ...]:
        """What may stand before a path of the form, the likeliest first."""
        if self.wire.root_is_versioned(self.endpoint.path):
            return ("",)
        known = self.wire.version_is_known or self.findings.is_versioned
        return (self.wire.version,) if known else tuple(dict.fromkeys(("", self.wire.version)))

    async def get(self, path: str, page: Page) -> JsonValue | Failure:
        """Ask for a page of a list."""
        try:
            return await self._sent(Request(self.endpoint.url(path), self._headers({}), b"", "GET"), page, _Unwatched())
        except (NotReady, LoginProblem) as problem:
            return Failure(kind=FailureKind.NOT_SENT, message=str(problem))

    def _sent(self, request: Request, reader: Incoming[Read], progress: Progress) -> Awaitable[Read | Failure]:
        endpoint, way = self.endpoint, self.way
        peer = Peer(endpoint.label, way.proxy, encrypted=endpoint.is_encrypted)
        exchange = Exchange(self._signed(request), reader, progress, peer)
        return exchange.run(CLIENTS.borrow(self.holder, way), way)

    def _headers(self, asked: Mapping[str, str]) -> Mapping[str, str | Secret]:
        key = self.proof.key
        return self._with_own({**_OF_EVERY_REQUEST, **asked, **(self.wire.proof(key) if key else {})})

    def _with_own(self, ours: Mapping[str, str | Secret]) -> Mapping[str, str | Secret]:
        """Return all headers; what the profile adds takes the place of those of the same name in any case."""
        own = self.proof.headers
        if not own:
            return ours
        theirs = {name.lower() for name in own}
        return {**{name: value for name, value in ours.items() if name.lower() not in theirs}, **own}

    def _signed(self, request: Request) -> Request:
        """Return the request with its signature, if the credential makes one; what the profile adds outweighs it.

        Raises:
            LoginProblem: where it cannot be signed.
        """
        if self.proof.sign is None:
            return request
        signed = self.proof.sign(request.method, request.url, request.revealed(), request.body)
        LIVE_KEYS.add(*(each.reveal() for each in signed.secrets))
        return replace(request, headers=self._with_own({**request.headers, **signed.headers}))
