"""aiohttp's connections behind our own port: a call costs a fraction of what httpx's take.

aiohttp's exceptions end here: some of them hold the request's headers, and so the key
(https://docs.aiohttp.org/en/stable/client_reference.html#aiohttp.RequestInfo).
"""

from __future__ import annotations

import functools
import io
import select
import time
import weakref
from typing import TYPE_CHECKING, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from llx_magic.backends.http.transport import KEPT_ALIVE_SECONDS, Broken, Fault, Sending, is_stale, without_frames

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import AsyncIterator, Callable

    from aiohttp.client_reqrep import ClientRequest, ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

    from llx_magic.backends.http.transport import Request

LONGEST_HEADER_LINE = 64 * 1024
"""How many bytes a line of a response's head may have."""

_LAST_CHUNK = b"0\r\n\r\n"
"""How a body in chunks ends, unless fields follow it: https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""

_NO_TIMEOUTS = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class AiohttpTransport:
    """Sends on aiohttp's connections, straight to the server."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._session = aiohttp.ClientSession(
            connector=_Connector(ssl=context, limit=0, keepalive_timeout=KEPT_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=_NO_TIMEOUTS,
            auto_decompress=False,
            trust_env=False,
            max_line_size=LONGEST_HEADER_LINE,
            max_field_size=LONGEST_HEADER_LINE,
        )
        # A session that is dropped unclosed, since its loop has ended, would complain on standard error:
        # https://github.com/aio-libs/aiohttp/issues/1175
        weakref.finalize(self, self._session.detach)

    async def send(self, request: Request, on_connected: Callable[[], None]) -> _Response:
        """Send a request and return its response when the head has come.

        Raises:
            Broken: with no other exception chained to it.
        """
        sending = Sending(on_connected)
        try:
            response = await self._session.request(
                request.method,
                URL(request.url, encoded=True),
                headers=request.revealed(),
                data=_Body(request.body, sending),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            closed_from_here = self._session.closed
            problem: BaseException = sending.explain(_broken(error), closed_from_here=closed_from_here)
        except BaseException as error:  # noqa: BLE001 - a cancellation, say, whose frames hold the headers
            problem = without_frames(error)
        else:
            return _Response(response, sending, _handler_of(response.connection))
        raise problem

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


class _Body(aiohttp.BytesIOPayload):
    """The body of a request, sent in pieces where it is large; it tells the connector what it is sent for."""

    def __init__(self, data: bytes, sending: Sending) -> None:
        super().__init__(io.BytesIO(data))
        self.sending = sending


class _Response:
    """A response whose bytes are given as they come, those before a fault included."""

    def __init__(self, response: aiohttp.ClientResponse, sending: Sending, handler: _Handler | None) -> None:
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.headers.items():
            before = self.headers.get(name := name.lower())
            self.headers[name] = value if before is None else f"{before}, {value}"
        self._response = response
        self._sending = sending
        self._handler = handler
        if handler is not None:
            handler.serve(response.content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = self._response.content.readany
        while True:
            try:
                data = await read()
            except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
                problem = _broken(error)
                break
            if data:
                yield data
            elif self._handler is not None and self._handler.broken is not None:
                problem = _broken(self._handler.broken)
                break
            else:
                return
        raise self._sending.explain(problem)

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

        That would pass for the answer to what is asked next: https://www.rfc-editor.org/rfc/rfc9112#section-9.2
        """
        if self.should_close or self.transport is None or is_stale(self.idle_since):
            return True
        waiting = self.transport.get_extra_info("socket")
        return waiting is not None and _is_readable(waiting.fileno())

    def take(self, sending: Sending) -> None:
        """Serve a request."""
        reused = self.sending is not None
        self.sending, self.idle, self._head_is_due, self._body = sending, False, True, None
        self._payload_of_reply, self._came, self._last = None, 0, b""
        sending.stands(reused=reused)

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
        # Heads below 200 only announce another: https://www.rfc-editor.org/rfc/rfc9110#section-15.2
        if self._head_is_due and message.code >= 200:
            self._head_is_due, self._payload_of_reply = False, payload

    def _take_head(self, data: bytes) -> None:
        try:
            if self.sending is not None:
                self.sending.take(len(data))
        except Broken as endless:
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
    # select() knows no descriptor above 1023: https://man7.org/linux/man-pages/man2/select.2.html
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
        body = req.body
        assert isinstance(body, _Body)
        if handler is None:
            body.sending.arrived = True
            body.sending.stands(reused=False)
        else:
            handler.take(body.sending)
        return connection

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        surplus = isinstance(protocol, _Handler) and protocol.has_surplus
        super()._release(key, protocol, should_close=should_close or surplus)
        if isinstance(protocol, _Handler):
            protocol.idle, protocol.idle_since = True, time.time()

    def __del__(self, _warnings: object = None) -> None:
        """Close nothing where the loop has ended, or belongs to the process that this one was forked from."""


def _broken(error: Exception) -> Broken:
    """Return what one of aiohttp's exceptions means."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Broken(Fault.CLOSED, cause=error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return Broken(Fault.CLOSED, cause=error.os_error)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return Broken(Fault.PROTOCOL, error.message.partition("\n")[0].rstrip(": "))
    if isinstance(error, aiohttp.ClientError):
        return Broken(Fault.CLOSED, cause=OSError(*error.args) if isinstance(error, OSError) else None)
    if isinstance(error, UnicodeError):
        return Broken(Fault.NAME)
    return Broken(Fault.OTHER, str(error) or type(error).__name__, cause=error)
