"""aiohttp's connections behind httpx's interface for transports: a call costs a fraction of what httpx's own take.

aiohttp's exceptions end here: some of them hold the request's headers, and so the key.
"""

from __future__ import annotations

import functools
import io
import select
import time
import weakref
from typing import TYPE_CHECKING, cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from llx_magic.backends.http.sending import SENDING, Sending, is_stale, without_frames

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import AsyncIterator

    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

LONGEST_HEADER_LINE = 64 * 1024
"""How many bytes a line of a response's head may have."""

_LARGE_BODY = 2**20
"""From how many bytes on a body is sent in pieces."""

_LAST_CHUNK = b"0\r\n\r\n"
"""How a body in chunks ends, unless fields follow it."""

_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends on aiohttp's connections: no redirects, no time-outs, no proxies, no cookies, nothing decompressed.

    It belongs to the event loop that runs where it is made.
    """

    def __init__(self, context: ssl.SSLContext, *, kept_alive_seconds: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=_Connector(ssl=context, limit=0, keepalive_timeout=kept_alive_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_NO_TIMEOUTS,
            auto_decompress=False,
            trust_env=False,
            max_line_size=LONGEST_HEADER_LINE,
            max_field_size=LONGEST_HEADER_LINE,
        )
        # A session that is dropped unclosed, since its loop has ended, would complain on standard error.
        weakref.finalize(self, self._session.detach)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response's head.

        Raises:
            httpx.TransportError: with nothing chained to it but what the system said.
        """
        body, sending = request.content, SENDING.get()
        try:
            response = await self._session.request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=[(name.decode("ascii"), value.decode("ascii")) for name, value in request.headers.raw],
                data=body if len(body) < _LARGE_BODY else io.BytesIO(body),
                allow_redirects=False,
            )
        except aiohttp.ClientError as error:
            problem: BaseException = _in_words_of_httpx(error)
        except BaseException as error:  # noqa: BLE001 - a cancellation, say, whose frames hold the headers
            problem = without_frames(error)
        else:
            body_read = _Body(response, _handler_of(response.connection))
            return httpx.Response(response.status, headers=response.raw_headers, stream=body_read, request=request)
        if self._session.closed and sending is not None:
            sending.reused = False  # it was closed from here, so the server may be answering
        raise problem

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


class _Body(httpx.AsyncByteStream):
    """The bytes of a response as they come, those before a fault included."""

    def __init__(self, response: aiohttp.ClientResponse, handler: _Handler | None) -> None:
        self._response = response
        self._handler = handler
        if handler is not None:
            handler.serve(response.content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = self._response.content.readany
        while True:
            try:
                data = await read()
            except (aiohttp.ClientError, HttpProcessingError) as error:
                problem = _in_words_of_httpx(error)
                break
            if data:
                yield data
            elif self._handler is not None and self._handler.broken is not None:
                problem = _in_words_of_httpx(self._handler.broken)
                break
            else:
                return
        raise problem

    async def aclose(self) -> None:
        """Let others use the connection, or close it where the body was not read to its end."""
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


class _Handler(ResponseHandler):
    """One connection, which notes for the request that it serves whether a byte came.

    ``broken`` is the fault that ended a body half-way. ``idle`` says that no request is out on it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.sending: Sending | None = None
        self.broken: HttpProcessingError | None = None
        self.idle = False
        self.idle_since = 0.0
        self._head_is_due = False
        self._body: aiohttp.StreamReader | None = None
        self._payload_of_reply: StreamReader | None = None
        self._came = 0
        self._last = b""

    @property
    def has_surplus(self) -> bool:
        """Whether more came than the reply: its bytes, or the end of its last chunk, are not the last that came."""
        payload = self._payload_of_reply
        return payload is not None and self._came != payload.total_bytes and self._last != _LAST_CHUNK

    @property
    def is_dirty(self) -> bool:
        """Whether nothing may be asked on it: it may have died, or the server said what nobody asked for.

        That would pass for the answer to what is asked next.
        """
        if self.should_close or self.transport is None or is_stale(self.idle_since):
            return True
        waiting = self.transport.get_extra_info("socket")
        return waiting is not None and _is_readable(waiting.fileno())

    def take(self, sending: Sending) -> None:
        """Serve a request."""
        sending.reused = self.sending is not None
        self.sending, self.idle, self._head_is_due, self._body = sending, False, True, None
        self._payload_of_reply, self._came, self._last = None, 0, b""

    def data_received(self, data: bytes) -> None:
        if self.idle and data:  # nothing is aiohttp's way to go on with what it has
            self.close()
            return
        while self._head_is_due and data and self.exception() is None:
            head, separator, data = data.partition(b"\r\n\r\n")
            self._take_head(head + separator)  # what is malformed behind a head must not take the head with it
        if data:
            self._came += len(data)
            self._last = (self._last + data[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
            super().data_received(data)

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take a head that was read, and what its body will be read from."""
        super().feed_data(data, size)
        message, payload = data
        if self._head_is_due and message.code >= 200:  # those before it only announce it
            self._head_is_due, self._payload_of_reply = False, payload

    def _take_head(self, data: bytes) -> None:
        try:
            if self.sending is not None:
                self.sending.take(len(data))
        except httpx.RemoteProtocolError as endless:
            if self.transport is not None:
                self.transport.close()
            self.set_exception(HttpProcessingError(message=str(endless)))
        else:
            super().data_received(data)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc, exc_cause or exc)
        self._tell_body()

    def serve(self, body: aiohttp.StreamReader) -> None:
        """Have the reader of a body told what is wrong with it, after what came before.

        aiohttp keeps a chunk that is malformed to itself where the head came before, and its reader waits for ever.
        """
        self._body = body
        self._tell_body()

    def _tell_body(self) -> None:
        problem, body = self.exception(), self._body
        if body is None or body.is_eof() or body.exception() is not None:
            return
        if isinstance(problem, HttpProcessingError):
            self.broken = problem
            body.feed_eof()
        elif problem is not None:
            body.set_exception(problem)


def _handler_of(connection: Connection | None) -> _Handler | None:
    """Return the handler of a connection that is still held: a reply that has come whole has given it back."""
    handler = None if connection is None else connection.protocol
    return handler if isinstance(handler, _Handler) else None


def _is_readable(descriptor: int) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


class _Connector(aiohttp.TCPConnector):
    """Tells the request that is being sent which connection it gets, and when."""

    def __init__(self, *, ssl: ssl.SSLContext, limit: int, keepalive_timeout: float) -> None:
        super().__init__(ssl=ssl, limit=limit, keepalive_timeout=keepalive_timeout)
        self._factory = cast("functools.partial[ResponseHandler]", functools.partial(_Handler, loop=self._loop))

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection that stands: one from the pool that is silent, or a new one."""
        connection = await super().connect(req, traces, timeout)
        while (handler := _handler_of(connection)) is not None and handler.sending is not None and handler.is_dirty:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        if (sending := SENDING.get()) is not None:
            if handler is None:
                sending.arrived = True
            else:
                handler.take(sending)
            sending.stands()
        return connection

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        surplus = isinstance(protocol, _Handler) and protocol.has_surplus
        super()._release(key, protocol, should_close=should_close or surplus)
        if isinstance(protocol, _Handler):
            protocol.idle, protocol.idle_since = True, time.time()

    def __del__(self, _warnings: object = None) -> None:
        """Close nothing where the loop has ended, or belongs to the process that this one was forked from."""


def _in_words_of_httpx(error: aiohttp.ClientError | HttpProcessingError) -> httpx.TransportError:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _caused_by(httpx.ConnectError("the certificate was refused"), error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _caused_by(httpx.ConnectError("no connection"), error.os_error)
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return httpx.ReadError("the connection was closed")
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return httpx.RemoteProtocolError(error.message.partition("\n")[0].rstrip(": "))
    if isinstance(error, aiohttp.ClientPayloadError):
        return httpx.ReadError("the connection was closed")
    system = OSError(*error.args) if isinstance(error, OSError) else None
    return _caused_by(httpx.ReadError("the connection broke"), system)


def _caused_by(problem: httpx.TransportError, cause: BaseException | None) -> httpx.TransportError:
    problem.__cause__ = cause
    return problem
