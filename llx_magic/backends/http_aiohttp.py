"""aiohttp's connections behind httpx's interface for transports: a call costs a fraction of what httpx's own take.

aiohttp's exceptions end here: some of them hold the request's headers, and so the key.
"""

from __future__ import annotations

import functools
import io
import weakref
from typing import TYPE_CHECKING, cast

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from llx_magic.backends.http_sending import SENDING, Sending, without_frames

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import AsyncIterator

    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

LONGEST_HEADER_LINE = 64 * 1024
"""How many bytes a line of a response's head may have."""

_LARGE_BODY = 2**20
"""From how many bytes on a body is sent in pieces."""

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
        body = request.content
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
            if response.connection is not None and isinstance(handler := response.connection.protocol, _Handler):
                handler.serve(response.content)
            return httpx.Response(
                response.status, headers=response.raw_headers, stream=_Body(response), request=request
            )
        raise problem

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = self._response.content.readany
        while True:
            try:
                data = await read()
            except (aiohttp.ClientError, HttpProcessingError) as error:
                problem = _in_words_of_httpx(error)
                break
            if not data:
                return
            yield data
        raise problem

    async def aclose(self) -> None:
        """Let others use the connection, or close it where the body was not read to its end."""
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


class _Handler(ResponseHandler):
    """One connection, which notes for the request that it serves whether a byte came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.sending: Sending | None = None
        self._body: aiohttp.StreamReader | None = None

    def data_received(self, data: bytes) -> None:
        if self.sending is not None:
            self.sending.arrived = True
        super().data_received(data)

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        super().set_exception(exc, exc_cause or exc)
        self._tell_body()

    def serve(self, body: aiohttp.StreamReader) -> None:
        """Have the reader of a body told what is wrong with it.

        aiohttp keeps a chunk that is malformed to itself where the head came before, and its reader waits for ever.
        """
        self._body = body
        self._tell_body()

    def _tell_body(self) -> None:
        problem, body = self.exception(), self._body
        if problem is not None and body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(problem)


class _Connector(aiohttp.TCPConnector):
    """Tells the request that is being sent which connection it gets, and when."""

    def __init__(self, *, ssl: ssl.SSLContext, limit: int, keepalive_timeout: float) -> None:
        super().__init__(ssl=ssl, limit=limit, keepalive_timeout=keepalive_timeout)
        self._factory = cast("functools.partial[ResponseHandler]", functools.partial(_Handler, loop=self._loop))

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """Return a connection that stands: one from the pool, or a new one."""
        connection = await super().connect(req, traces, timeout)
        sending = SENDING.get()
        if sending is not None:
            handler = connection.protocol
            if isinstance(handler, _Handler):
                sending.reused = handler.sending is not None
                handler.sending = sending
            else:
                sending.arrived = True
            sending.stands()
        return connection

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
