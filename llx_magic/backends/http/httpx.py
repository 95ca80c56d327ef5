"""httpx's own connections: slower, but they know every kind of proxy. Its exceptions end here."""

from __future__ import annotations

import functools
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

import httpx

from llx_magic.backends.http.transport import KEPT_ALIVE_SECONDS, Broken, Fault, Sending, is_stale, without_frames
from llx_magic.keys.redaction import LIVE_KEYS

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from llx_magic.backends.http.proxies import Proxy
    from llx_magic.backends.http.transport import Request

KEPT_ALIVE = 20
"""How many idle connections are kept for each place."""

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy", "httpcore.socks")

_BEYOND_THE_PROXY = ("proxy.start_tls.started", "socks.start_tls.started")
"""From where on it is the server itself that is spoken to, through a tunnel."""

_NO_TIMEOUTS = {"connect": None, "read": None, "write": None, "pool": None}


class HttpxTransport:
    """Sends through clients of httpx, by way of ``proxy`` where there is one.

    Each request has a client to itself, which is used again only after a body that was read to its end. The pool
    inside a client does not withstand being cancelled at every moment: cancelled between connecting and sending, or
    while it closes a reply, it keeps that connection for ever: https://github.com/encode/httpcore/issues/1093
    """

    def __init__(self, context: ssl.SSLContext, *, proxy: Proxy | None) -> None:
        through = None
        if proxy is not None:
            own_tls = context if proxy.scheme == "https" else None
            through = httpx.Proxy(proxy.url, ssl_context=own_tls, auth=proxy.credentials)
        self._new = functools.partial(
            httpx.AsyncClient,
            verify=context,
            timeout=None,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_ALIVE_SECONDS),
            follow_redirects=False,
            trust_env=False,
            proxy=through,
        )
        self._proxy = proxy
        self._closed = False
        self._idle: dict[tuple[str, bytes], deque[_Line]] = {}
        self._busy: set[_Line] = set()
        self._surplus: list[_Line] = []
        _guard_logs()

    async def send(self, request: Request, on_connected: Callable[[], None]) -> _Response:
        """Send a request and return its response when the head has come.

        Raises:
            Broken: with no other exception chained to it.
        """
        url = httpx.URL(request.url)
        sending = Sending(on_connected, at_proxy=self._proxy is not None)
        line = self._pop_idle(url) or _Line(self._new(), url)
        forwarded = self._proxy is not None and self._proxy.scheme != "socks5" and url.scheme == "http"
        line.take(sending, forwarded=forwarded)
        self._busy.add(line)
        try:
            extensions = {"timeout": _NO_TIMEOUTS, "trace": line.trace}
            asked = httpx.Request(
                request.method, url, headers=request.revealed(), content=request.body, extensions=extensions
            )
            response = await line.client.send(asked, stream=True, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
            problem: BaseException = _broken(error)
        except BaseException as error:  # noqa: BLE001 - a cancellation too leaves its connection behind
            problem = without_frames(error)
        else:
            line.head_is_due = False
            return _Response(response, sending, functools.partial(self._end, line))
        await line.hang_up()
        await self._end(line, whole=False)
        raise sending.explain(problem, closed_from_here=self._closed) if isinstance(problem, Broken) else problem

    async def aclose(self) -> None:
        """Close every connection."""
        self._closed = True
        self._surplus += self._busy
        while self._idle:
            self._surplus += self._idle.popitem()[1]
        await self._close_surplus()

    def _pop_idle(self, url: httpx.URL) -> _Line | None:
        idle = self._idle.get((url.scheme, url.netloc))
        while idle:
            line = idle.pop()
            if not is_stale(line.idle_since):
                return line
            self._surplus.append(line)
        return None

    async def _end(self, line: _Line, *, whole: bool) -> None:
        """Keep a connection whose reply was read to its end for the next request; close any other."""
        self._busy.discard(line)
        if self._closed or not whole or line.holds_surplus():
            self._surplus.append(line)
        else:
            line.idle_since = time.time()
            idle = self._idle.setdefault((line.url.scheme, line.url.netloc), deque())
            idle.append(line)
            if len(idle) > KEPT_ALIVE:
                self._surplus.append(idle.popleft())
        await self._close_surplus()

    async def _close_surplus(self) -> None:
        while self._surplus:  # whoever is cancelled here leaves the rest to the next
            await self._surplus.pop().client.aclose()


def _broken(error: Exception) -> Broken:
    """Return what one of httpx's exceptions means."""
    said = str(error)
    if isinstance(error, httpx.ProxyError):
        fault = Fault.PROXY
    elif isinstance(error, httpx.NetworkError) or " without sending " in said:
        fault = Fault.CLOSED
    elif isinstance(error, httpx.RemoteProtocolError):
        # What follows is the offending bytes as Python writes them, of no use to a reader.
        fault, said = Fault.PROTOCOL, said.partition(": bytearray(")[0]
    else:
        fault = Fault.NAME if isinstance(error, UnicodeError) else Fault.OTHER
    return Broken(fault, said or type(error).__name__, cause=error)


class _Response:
    """A response whose bytes are given as they come; tells at its end whether it was read whole."""

    def __init__(self, response: httpx.Response, sending: Sending, end: Callable[..., Awaitable[None]]) -> None:
        self.status = response.status_code
        self.headers = dict(response.headers)
        self._response = response
        self._sending = sending
        self._end = end
        self._whole = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._response.aiter_raw():
                yield data
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            problem = _broken(error)
        else:
            self._whole = True
            return
        raise self._sending.explain(problem)

    async def aclose(self) -> None:
        """Let others use the connection, or close it where the body was not read to its end."""
        whole = False
        try:
            await self._response.aclose()
            whole = self._whole
        finally:
            await self._end(whole=whole)


class _Connection(Protocol):
    """A connection as httpcore's trace hands it over, before a request goes out on it."""

    read: Callable[..., Awaitable[bytes]]

    async def aclose(self) -> None:
        """Close it."""


class _Line:
    """A client with its one connection; learns from httpcore's trace when that stands, and whether anything came."""

    def __init__(self, client: httpx.AsyncClient, url: httpx.URL) -> None:
        self.client = client
        self.url = url
        self.idle_since = 0.0
        self.head_is_due = False
        self._sending = Sending(lambda: None)
        self._forwarded = False
        self._connected_anew = False
        self._handshaking: _Connection | None = None  # the bare connection, until the request goes out on it

    def take(self, sending: Sending, *, forwarded: bool) -> None:
        """Serve a request; ``forwarded`` says that the proxy reads it, and does not only pass on its bytes."""
        self._sending, self._forwarded, self._connected_anew = sending, forwarded, False
        self.head_is_due = True

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        """Take one of httpcore's events (https://www.encode.io/httpcore/extensions/#trace)."""
        if event.endswith("connect_tcp.started"):
            self._connected_anew = True
        elif event.endswith("connect_tcp.complete"):
            self._handshaking = cast("_Connection", info["return_value"])
            self._note_arrivals(self._handshaking)
        elif event in _BEYOND_THE_PROXY:
            self._sending.at_proxy = False
        elif event.endswith("start_tls.complete"):
            self._note_arrivals(cast("_Connection", info["return_value"]))
        elif event.endswith("send_request_headers.started"):
            to_proxy = getattr(info.get("request"), "method", None) == b"CONNECT"
            if not to_proxy:
                self._sending.at_proxy = self._forwarded
                self._sending.stands(reused=not self._connected_anew)
                self._handshaking = None

    def _note_arrivals(self, connection: _Connection) -> None:
        """Have each later reading of the connection noted.

        httpcore calls a connection that ends within the head of a reply one that ended without a reply.
        """
        read = connection.read

        async def noted(*arguments: object, **named: object) -> bytes:
            data = await read(*arguments, **named)
            if data and self.head_is_due:
                self._sending.take(len(data))
            return data

        connection.read = noted

    async def hang_up(self) -> None:
        """Close a connection that was given up before it stood: httpcore leaves it open in a TLS handshake."""
        if self._handshaking is not None:
            await self._handshaking.aclose()

    def holds_surplus(self) -> bool:
        """Return whether more came than the reply: h11 would take it for the answer to what is asked next.

        Neither httpx nor httpcore has a public way to h11, so whatever cannot be told counts as more. What h11 keeps of
        it: https://h11.readthedocs.io/en/latest/api.html#switching-protocols
        """
        transport = self.client._transport_for_url(self.url)  # noqa: SLF001
        for connection in getattr(getattr(transport, "_pool", None), "connections", (None,)):
            inner: object = connection
            while (within := getattr(inner, "_connection", None)) is not None:
                inner = within
            state = getattr(inner, "_h11_state", None)
            if state is None or state.trailing_data != (b"", False):
                return True
        return False


class _WithoutKey(logging.Filter):
    """Lets every record through, with every key of the process taken out of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (without := LIVE_KEYS.without(said)) != said:
            record.msg, record.args = without, ()
        return True


@functools.cache
def _guard_logs() -> None:
    """Stand before the loggers of httpx, which write responses, and what is wrong with them, as they came.

    Their names: https://www.python-httpx.org/logging/
    """
    guard = _WithoutKey()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(guard)
