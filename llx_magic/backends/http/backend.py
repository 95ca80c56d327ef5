"""A model behind an OpenAI-compatible HTTP address. httpx is imported when the first prompt is sent."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from llx_magic.backends.concessions import Extra, conceded, is_lasting, refused_at, remember
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.connections import CLIENTS, new_transport, way_to
from llx_magic.backends.http.decompress import STEP, decoder_for
from llx_magic.backends.http.errors import Peer, foreign_errors, translate
from llx_magic.backends.http.keys import KeyReader
from llx_magic.backends.http.sending import SENDING, Sending
from llx_magic.backends.http.silence import Silence
from llx_magic.backends.paths import other_url, settled, url_at, with_path
from llx_magic.backends.reading.body import BodyDecoder
from llx_magic.backends.reading.status import refused
from llx_magic.backends.wires.openai import ReplyReader, request_body
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady
from llx_magic.core.reply import Answer
from llx_magic.errors import KeyMissing
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.providers.table import provider_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from llx_magic.core.ports import HeaderSource, KeySource, Progress, Ready
    from llx_magic.core.reply import ChatRequest

__all__ = ["Endpoint", "OpenAIBackend"]

LARGEST_ERROR_BODY = 64 * 1024
"""How much of an error's body is read, in bytes."""

ERROR_BODY_SECONDS = 2.0
"""How long an error's body is waited for: the status already says what to do."""


class OpenAIBackend:
    """One model that is asked over HTTP.

    The key is read anew for each request and kept nowhere. The HTTP client is shared with all backends on the same
    event loop; ``aclose`` gives it back.
    """

    def __init__(self, name: str, endpoint: Endpoint, key: KeySource, headers: HeaderSource | None = None) -> None:
        self._name = name
        self._endpoint = endpoint
        self._key = KeyReader(key)
        self._headers = headers
        self._problem = endpoint.problem()
        known = None if self._problem else provider_at(endpoint.base_url)
        takes_all = known is None or known.takes_stream_options
        self._without = frozenset[Extra]() if takes_all else frozenset((Extra.USAGE,))
        self._url: tuple[str, httpx.URL] | None = None

    def __repr__(self) -> str:
        """Name the backend and nothing that could be a credential."""
        return f"OpenAIBackend({self._name!r}, model={self._endpoint.model!r})"

    @property
    def name(self) -> str:
        """The profile's name."""
        return self._name

    @property
    def model(self) -> str:
        """The model asked for."""
        return self._endpoint.model

    async def warm_up(self) -> None:
        """Import the HTTP library, read the trusted certificates and make the running loop's client; no key is read."""
        with contextlib.suppress(NotReady):  # the prompt will say so
            if self._problem is None:
                CLIENTS.borrow(self, way_to(self._endpoint))

    async def prepare(self) -> Ready:
        """Return what sends to this backend, with the key that is valid now.

        Raises:
            NotReady: where the address, the environment or the key stands in the way.
        """
        if self._problem is not None:
            raise NotReady(self._problem)
        url = self._address()
        CLIENTS.borrow(self, way_to(self._endpoint))
        credential = await self._credential()  # last, so that no error before it can hold the key
        if isinstance(credential, str):
            raise NotReady(credential)
        return _Sender(self, url, credential)

    async def send(self, url: httpx.URL, credential: _Credential, request: ChatRequest, progress: Progress) -> Answer:
        """Send one request and return the whole reply; address and credential are those that ``prepare`` found.

        Raises:
            BackendFailed: for every way in which no usable reply came. Its chain holds no other exception, since
                those of the HTTP library refer to the request and so to the key.
        """
        outcome = await self._attempt(url, credential, request, progress)
        if isinstance(outcome, Failure) and (other := other_url(self._endpoint, outcome)):
            again = await self._attempt(_readable(other), credential, request, progress)
            outcome = settled(self._endpoint, outcome, again)
        if isinstance(outcome, Failure):
            raise BackendFailed(with_path(self._endpoint, outcome))
        return outcome

    async def aclose(self) -> None:
        """Give the running loop's client back; it is closed when no other backend uses it."""
        await CLIENTS.give_back(self)

    async def _attempt(
        self, url: httpx.URL, credential: _Credential, request: ChatRequest, progress: Progress
    ) -> Answer | Failure:
        """Send, and send again at once without what the server refuses of the things that a reply can do without."""
        without = self._without | refused_at(self._endpoint)
        on_trial: set[Extra] = set()
        while True:
            asked = replace(request, streaming=False) if Extra.STREAM in without else request
            reader = ReplyReader(self._name, self.model, progress)
            try:
                body = request_body(asked, self.model, without)
                outcome = await self._exchange(_outgoing(url, body, credential), reader, progress)
            except BackendFailed as failed:
                outcome = failed.failure
            except NotReady as problem:  # the environment has changed since
                outcome = Failure(kind=FailureKind.NOT_SENT, message=str(problem))
            if isinstance(outcome, Answer):
                remember(self._endpoint, on_trial)
                return outcome
            extra = None if reader.taken else conceded(outcome, asked, without)
            if extra is None:
                return outcome
            without |= {extra}
            if is_lasting(outcome):
                on_trial.add(extra)

    async def _exchange(self, outgoing: httpx.Request, reader: ReplyReader, progress: Progress) -> Answer | Failure:
        way = way_to(self._endpoint)
        peer = Peer(self._endpoint.label, way.proxy, encrypted=outgoing.url.scheme == "https")
        exchange = _Exchange(outgoing, reader, progress, peer)
        outcome = await exchange.run(CLIENTS.borrow(self, way))
        if outcome is None:
            # The pool may hold more connections that died with this one, so the second try brings its own.
            async with new_transport(way) as fresh:
                outcome = await exchange.run(fresh)
        return outcome if outcome is not None else Failure(kind=FailureKind.NETWORK, message="no connection")

    async def _credential(self) -> _Credential | str:
        """Return the key in a form that no traceback shows, or in one line why there is none that can be sent."""
        try:
            key = await self._key.read()
            own, secrets = self._headers.read() if self._headers is not None else ({}, ())
        except KeyMissing as missing:
            return str(missing)
        return self._endpoint.key_problem(key) or self._header_problem() or _Credential(key, own, secrets)

    def _header_problem(self) -> str | None:
        secret = self._headers is not None and self._headers.hold_secrets
        return self._endpoint.unencrypted_problem() if secret else None

    def _address(self) -> httpx.URL:
        address = url_at(self._endpoint)
        if self._url is None or self._url[0] != address:
            self._url = address, _readable(address)
        return self._url[1]


class _Credential:
    """The headers that a request proves itself with, shown nowhere: from now on no text repeats a secret of theirs."""

    __slots__ = ("headers",)

    def __init__(self, key: str | None, own: Mapping[str, str], secrets: tuple[str, ...]) -> None:
        import httpx

        self.headers = httpx.Headers({"Authorization": f"Bearer {key}"} if key else {})
        self.headers.update(own)
        LIVE_KEYS.add(key, *secrets)


class _Sender:
    """One backend with what ``prepare`` found for a visit."""

    __slots__ = ("_backend", "_credential", "_url")

    def __init__(self, backend: OpenAIBackend, url: httpx.URL, credential: _Credential) -> None:
        self._backend = backend
        self._url = url
        self._credential = credential

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        return await self._backend.send(self._url, self._credential, request, progress)


def _readable(address: str) -> httpx.URL:
    import httpx

    try:
        url = httpx.URL(address)
        url.host  # noqa: B018 - a name that cannot be decoded is refused here and not with the request
    except (httpx.InvalidURL, ValueError):  # a UnicodeError is a ValueError
        raise NotReady("base-url must be an http or https address that can be read") from None
    return url


def _outgoing(url: httpx.URL, body: bytes, credential: _Credential) -> httpx.Request:
    import httpx

    headers = httpx.Headers(
        {
            "Accept": "application/json, text/event-stream",
            "Accept-Encoding": "identity",  # compression would only hold back a stream's pieces
            "Content-Type": "application/json",
            "User-Agent": "llx-magic",
        }
    )
    headers.update(credential.headers)
    return httpx.Request("POST", url, headers=headers, content=body)


class _Exchange:
    """One request and the reading of its reply; run a second time only where the first met a dead connection."""

    def __init__(self, outgoing: httpx.Request, reader: ReplyReader, progress: Progress, peer: Peer) -> None:
        self._outgoing = outgoing
        self._reader = reader
        self._progress = progress
        self._peer = peer
        self._sending = Sending(progress.on_connected)
        self._reading = False

    async def run(self, transport: httpx.AsyncBaseTransport) -> Answer | Failure | None:
        """Return the answer or the failure; None where a pooled connection proved dead and nothing was received."""
        self._sending = Sending(self._progress.on_connected)
        try:
            return self._peer.explained(await self._converse(transport))
        except BackendFailed as failed:
            return failed.failure
        except foreign_errors() as error:
            if self._sending.may_repeat and _is_dead_connection(error):
                return None
            return self._cut_short(error)

    def _cut_short(self, error: Exception) -> Answer | Failure:
        if not self._reader.whole_if_cut:
            at_proxy = self._sending.at_proxy
            return translate(error, self._peer, at_proxy=at_proxy, reading=self._reading)
        try:
            return self._reader.end()
        except BackendFailed as failed:
            return failed.failure

    async def _converse(self, transport: httpx.AsyncBaseTransport) -> Answer | Failure:
        response = await self._open(transport)
        self._reading = True
        try:
            if not response.is_success:
                return await self._refusal(response)
            return await self._read(response)
        finally:
            await response.aclose()

    async def _open(self, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        """Send the request and return the response's head."""
        self._progress.on_sending(str(self._peer))
        token = SENDING.set(self._sending)  # after that, since a timer keeps the variables of where it was set
        try:
            response = await transport.handle_async_request(self._outgoing)
        finally:
            SENDING.reset(token)
            self._sending.end()
        if response.status_code == 407 and self._peer.proxy is not None:
            await response.aclose()
            raise BackendFailed(self._peer.refused("407 Proxy Authentication Required"))
        return response

    async def _refusal(self, response: httpx.Response) -> Failure:
        body = bytearray()
        try:
            async with Silence() as silence:
                silence.grant(ERROR_BODY_SECONDS)
                await _fill(body, response, LARGEST_ERROR_BODY)
        except foreign_errors():
            pass  # what came of the body is enough
        return refused(
            response.status_code,
            response.headers,
            bytes(body[:LARGEST_ERROR_BODY]),
            name=self._reader.name,
            wall_clock=time.time(),
        )

    async def _read(self, response: httpx.Response) -> Answer:
        """Read a reply to its end: the end mark, the connection's end, or silence after it may be whole."""
        reader, body = self._reader, BodyDecoder()
        reader.came_with(response.headers, time.time())
        content = decoder_for(response.headers.get("content-encoding", ""))
        async with Silence() as silence:
            async for data in response.aiter_raw():
                before = reader.done, reader.taken
                for piece in content.feed(data):
                    for event in body.feed(piece):
                        reader.take(event)
                    if len(piece) >= STEP:  # a few bytes can become gigabytes, while limits wait for their turn
                        await asyncio.sleep(0)
                if (reader.done, reader.taken) != before:
                    silence.grant(reader.patience)
        if not silence.over:
            for event in body.flush():
                reader.take(event)
        return reader.end()


def _is_dead_connection(error: Exception) -> bool:
    import httpx

    silent = isinstance(error, httpx.RemoteProtocolError) and "without sending a response" in str(error)
    return silent or isinstance(error, httpx.NetworkError)


async def _fill(body: bytearray, response: httpx.Response, limit: int) -> None:
    """Append the response's decoded body, stopping soon after the limit."""
    content = decoder_for(response.headers.get("content-encoding", ""))
    async for data in response.aiter_raw():
        for piece in content.feed(data):
            body += piece
            if len(body) > limit:
                return
