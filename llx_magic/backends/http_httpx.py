"""httpx's own connections: slower, but they know every kind of proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import httpx

from llx_magic.backends.http_sending import SENDING, Sending

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

_NO_TIMEOUTS = {"connect": None, "read": None, "write": None, "pool": None}


class _Connection(Protocol):
    """A connection as httpcore's trace hands it over, before a request goes out on it."""

    read: Callable[..., Awaitable[bytes]]

    async def aclose(self) -> None:
        """Close it."""


class HttpxTransport(httpx.AsyncBaseTransport):
    """Sends through a client of httpx: no redirects, no time-outs, the environment's proxies where ``proxies``."""

    def __init__(self, context: ssl.SSLContext, *, proxies: bool, kept_alive: int, kept_alive_seconds: float) -> None:
        self._client = httpx.AsyncClient(
            verify=context,
            timeout=None,  # noqa: S113 - every wait is bounded by the engine's own time-outs
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=kept_alive, keepalive_expiry=kept_alive_seconds
            ),
            follow_redirects=False,
            trust_env=proxies,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the response's head."""
        hooks = _Hooks(SENDING.get() or Sending(lambda: None))
        request.extensions = {"timeout": _NO_TIMEOUTS, "trace": hooks.trace}
        try:
            return await self._client.send(request, stream=True, follow_redirects=False)
        finally:
            await hooks.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()


class _Hooks:
    """Learns from httpcore's trace whether a connection is new, when it stands, and whether anything came."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._connected_anew = False
        self._handshaking: _Connection | None = None  # the bare connection, until the request goes out on it

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        if event.endswith("connect_tcp.started"):
            self._connected_anew = True
        elif event.endswith("connect_tcp.complete"):
            self._handshaking = cast("_Connection", info["return_value"])
            _note_arrivals(self._handshaking)
        elif event.endswith("start_tls.complete"):
            _note_arrivals(cast("_Connection", info["return_value"]))
        elif event.endswith("send_request_headers.started"):
            to_proxy = getattr(info.get("request"), "method", None) == b"CONNECT"
            if not to_proxy:
                self._sending.reused = not self._connected_anew
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
            sending.arrived = True
        return data

    connection.read = noted
