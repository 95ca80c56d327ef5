"""httpx's own connections: slower, but they know every kind of proxy."""

from __future__ import annotations

import functools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import httpx

from llx_magic.backends.http.sending import SENDING, Sending, is_stale, without_frames
from llx_magic.keys.redaction import LIVE_KEYS

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from llx_magic.backends.http.proxies import Proxy

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")

_BEYOND_THE_PROXY = ("proxy.start_tls.started", "socks.start_tls.started")
"""From where on it is the server itself that is spoken to, through a tunnel."""

_NO_TIMEOUTS = {"connect": None, "read": None, "write": None, "pool": None}


class _Connection(Protocol):
    """A connection as httpcore's trace hands it over, before a request goes out on it."""

    read: Callable[..., Awaitable[bytes]]

    async def aclose(self) -> None:
        """Close it."""


class HttpxTransport(httpx.AsyncBaseTransport):
    """Sends through clients of httpx: no redirects, no time-outs, ``proxy`` and nothing else of the environment.

    Each request has a client to itself, which is used again only after a body that was read to its end. The pool
    inside a client does not withstand being cancelled at every moment: cancelled between connecting and sending, or
    while it closes a reply, it keeps that connection for ever.
    """

    def __init__(
        self, context: ssl.SSLContext, *, proxy: Proxy | None, kept_alive: int, kept_alive_seconds: float
    ) -> None:
        self._new = functools.partial(
            httpx.AsyncClient,
            verify=context,
            timeout=None,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=kept_alive_seconds),
            follow_redirects=False,
            trust_env=False,
            proxy=None if proxy is None else _for_httpx(proxy, context),
        )
        self._proxy = proxy
        self._closed = False
        self._kept_alive = kept_alive
        self._idle: dict[bytes, deque[tuple[httpx.AsyncClient, float]]] = {}
        self._busy: set[httpx.AsyncClient] = set()
        self._surplus: list[httpx.AsyncClient] = []
        _guard_logs()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response's head."""
        sending = SENDING.get() or Sending(lambda: None)
        sending.at_proxy = self._proxy is not None
        forwarded = self._proxy is not None and self._proxy.scheme != "socks5" and request.url.scheme == "http"
        hooks = _Hooks(sending, forwarded=forwarded)
        request.extensions = {"timeout": _NO_TIMEOUTS, "trace": hooks.trace}
        client = self._pop_idle(request.url.netloc) or self._new()
        self._busy.add(client)
        try:
            response = await client.send(request, stream=True, follow_redirects=False)
        except BaseException as error:  # noqa: BLE001 - a cancellation too leaves its connection behind
            problem = error if isinstance(error, Exception) else without_frames(error)
        else:
            keep, drop = functools.partial(self._keep, client, request.url), functools.partial(self._drop, client)
            body = _Body(response, keep, drop)
            return httpx.Response(response.status_code, headers=response.headers, stream=body, request=request)
        await hooks.aclose()
        await self._drop(client)
        if self._closed:
            sending.reused = False  # it was closed from here, so the server may be answering
        raise problem

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed, self._kept_alive = True, 0
        self._surplus += self._busy
        while self._idle:
            self._surplus += (client for client, _since in self._idle.popitem()[1])
        await self._close_surplus()

    def _pop_idle(self, place: bytes) -> httpx.AsyncClient | None:
        idle = self._idle.get(place)
        while idle:
            client, since = idle.pop()
            if not is_stale(since):
                return client
            self._surplus.append(client)
        return None

    async def _keep(self, client: httpx.AsyncClient, url: httpx.URL) -> None:
        if _holds_surplus(client, url):
            await self._drop(client)
            return
        self._busy.discard(client)
        idle = self._idle.setdefault(url.netloc, deque())
        idle.append((client, time.time()))
        while len(idle) > self._kept_alive:
            self._surplus.append(idle.popleft()[0])
        await self._close_surplus()

    async def _drop(self, client: httpx.AsyncClient) -> None:
        self._busy.discard(client)
        self._surplus.append(client)
        await self._close_surplus()

    async def _close_surplus(self) -> None:
        while self._surplus:  # whoever is cancelled here leaves the rest to the next
            await self._surplus.pop().aclose()


def _holds_surplus(client: httpx.AsyncClient, url: httpx.URL) -> bool:
    """Return whether more came than the reply: h11 would take it for the answer to what is asked next.

    Neither httpx nor httpcore has a public way to h11, so whatever cannot be told counts as more.
    """
    pool = getattr(client._transport_for_url(url), "_pool", None)  # noqa: SLF001
    for connection in getattr(pool, "connections", (None,)):
        inner: object = connection
        while (within := getattr(inner, "_connection", None)) is not None:
            inner = within
        state = getattr(inner, "_h11_state", None)
        if state is None or state.trailing_data != (b"", False):
            return True
    return False


def _for_httpx(proxy: Proxy, context: ssl.SSLContext) -> httpx.Proxy:
    to_proxy = context if proxy.scheme == "https" else None
    return httpx.Proxy(proxy.url, ssl_context=to_proxy, auth=proxy.credentials)


class _Body(httpx.AsyncByteStream):
    """The bytes of a response as they come; tells at its end whether it was read whole."""

    def __init__(
        self,
        response: httpx.Response,
        keep: Callable[[], Awaitable[None]],
        drop: Callable[[], Awaitable[None]],
    ) -> None:
        self._response = response
        self._keep = keep
        self._drop = drop
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._response.aiter_raw():
            yield data
        self._whole = True

    async def aclose(self) -> None:
        """Let others use the connection, or close it where the body was not read to its end."""
        ended = self._drop
        try:
            await self._response.aclose()
            if self._whole:
                ended = self._keep
        finally:
            await ended()


class _WithoutKey(logging.Filter):
    """Lets every record through, with every key of the process taken out of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (without := LIVE_KEYS.without(said)) != said:
            record.msg, record.args = without, ()
        return True


@functools.cache
def _guard_logs() -> None:
    """Stand before the loggers of httpx, which write responses, and what is wrong with them, as they came."""
    guard = _WithoutKey()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(guard)


class _Hooks:
    """Learns from httpcore's trace whether a connection is new, when it stands, and whether anything came."""

    def __init__(self, sending: Sending, *, forwarded: bool) -> None:
        self._sending = sending
        self._forwarded = forwarded
        self._connected_anew = False
        self._handshaking: _Connection | None = None  # the bare connection, until the request goes out on it

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        if event.endswith("connect_tcp.started"):
            self._connected_anew = True
        elif event.endswith("connect_tcp.complete"):
            self._handshaking = cast("_Connection", info["return_value"])
            _note_arrivals(self._handshaking)
        elif event in _BEYOND_THE_PROXY:
            self._sending.at_proxy = False
        elif event.endswith("start_tls.complete"):
            _note_arrivals(cast("_Connection", info["return_value"]))
        elif event.endswith("send_request_headers.started"):
            to_proxy = getattr(info.get("request"), "method", None) == b"CONNECT"
            if not to_proxy:
                self._sending.reused = not self._connected_anew
                self._sending.at_proxy = self._forwarded
                self._sending.stands()
                self._handshaking = None

    async def aclose(self) -> None:
        """Close a connection that was given up before it stood: httpcore leaves it open in a TLS handshake."""
        if self._handshaking is not None:
            await self._handshaking.aclose()


def _note_arrivals(connection: _Connection) -> None:
    """Have each later reading of the connection noted for the task that reads.

    httpcore calls a connection that ends within the head of a reply one that ended without a reply.
    """
    read = connection.read

    async def noted(*arguments: object, **named: object) -> bytes:
        data = await read(*arguments, **named)
        if data and (sending := SENDING.get()):
            sending.take(len(data))
        return data

    connection.read = noted
