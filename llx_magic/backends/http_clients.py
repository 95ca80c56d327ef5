"""The HTTP connections of the process: transports for each event loop, shared by all backends that run on it."""

from __future__ import annotations

import asyncio
import enum
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING

from llx_magic.backends.wording import one_line
from llx_magic.core.failure import NotReady

if TYPE_CHECKING:
    import ssl

    import httpx

VARIABLE = "LLX_HTTP_TRANSPORT"
"""The variable that names the transport: ``aiohttp``, or ``httpx`` for its own, which is slower."""

KEPT_ALIVE = 20
"""How many idle connections httpx's transport keeps."""

KEPT_ALIVE_SECONDS = 15.0
"""How long an idle connection is kept; servers commonly close theirs after 60 s or more."""


class Route(enum.Enum):
    """How requests get to an address; each kind has a transport of its own."""

    PROXIED = "by the environment's proxies, if it names any"
    DIRECT = "to this machine, over TLS"
    PLAIN = "to this machine, without TLS"


def new_transport(route: Route) -> httpx.AsyncBaseTransport:
    """Return a transport for the running loop that waits without limit and always verifies certificates.

    It is aiohttp's, unless ``LLX_HTTP_TRANSPORT`` asks for httpx's own or a proxy stands in the way.

    Raises:
        NotReady: where the environment names certificates, a proxy or a transport that cannot be used.
    """
    context = _trusting_nobody() if route is Route.PLAIN else _trusted()
    proxies = route is Route.PROXIED and _names_a_proxy()
    if _wanted() == "httpx" or proxies:
        return _httpx_transport(context, proxies=proxies)
    from llx_magic.backends.http_aiohttp import AiohttpTransport

    return AiohttpTransport(context, kept_alive_seconds=KEPT_ALIVE_SECONDS)


def _wanted() -> str:
    wanted = os.environ.get(VARIABLE) or "aiohttp"
    if wanted in ("aiohttp", "httpx"):
        return wanted
    raise NotReady(f"{VARIABLE} must be aiohttp or httpx, got {one_line(wanted, 40)!r}")


def _proxies_named(route: Route) -> int:
    """Return a number for what the environment says of proxies: who sets one after the first prompt means the next."""
    from urllib.request import getproxies_environment

    return hash(frozenset(getproxies_environment().items() if route is Route.PROXIED else ()))


def _names_a_proxy() -> bool:
    from urllib.request import getproxies

    return any(getproxies().get(scheme) for scheme in ("http", "https", "all"))


def _httpx_transport(context: ssl.SSLContext, *, proxies: bool) -> httpx.AsyncBaseTransport:
    import httpx

    from llx_magic.backends.http_httpx import HttpxTransport

    try:
        return HttpxTransport(context, proxies=proxies, kept_alive=KEPT_ALIVE, kept_alive_seconds=KEPT_ALIVE_SECONDS)
    except (ValueError, ImportError, httpx.InvalidURL, OSError):
        # The proxy's address may hold a password, so it is not repeated.
        problem = NotReady("the proxy that the environment names cannot be used")
    raise problem


def _trusted() -> ssl.SSLContext:
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        return _ssl_context(file, folder)
    except (OSError, ValueError) as error:
        why = one_line(getattr(error, "strerror", None) or type(error).__name__, 80)
    named = f"SSL_CERT_FILE={file}" if file else f"SSL_CERT_DIR={folder}" if folder else "certifi"
    raise NotReady(f"the trusted certificates of {one_line(named, 150)} cannot be read: {why}")


@functools.lru_cache(maxsize=4)
def _ssl_context(_cert_file: str | None, _cert_dir: str | None) -> ssl.SSLContext:
    """Return a verifying context, made once for each setting of the variables that httpx reads for it."""
    import httpx

    return httpx.create_ssl_context()


def _trusting_nobody() -> ssl.SSLContext:
    """Return a context that refuses every certificate: cheap, and safe if it were used after all."""
    import ssl

    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _LoopClients:
    """The transports of one loop, and who uses them."""

    def __init__(self) -> None:
        self.holders: weakref.WeakSet[object] = weakref.WeakSet()
        self._transports: dict[tuple[Route, int], httpx.AsyncBaseTransport] = {}

    def transport(self, route: Route) -> httpx.AsyncBaseTransport:
        way = (route, _proxies_named(route))
        transport = self._transports.get(way)
        if transport is None:
            transport = self._transports[way] = new_transport(route)
        return transport

    async def aclose(self) -> None:
        while self._transports:
            _, transport = self._transports.popitem()
            await transport.aclose()


class ClientRegistry:
    """Lends the running loop's clients to holders, and closes them when the last holder has given them back.

    Safe to use from several threads, each with its own loop. A loop that was closed while clients were lent is
    forgotten when the next loop borrows. In a forked copy of the process the registry is empty.
    """

    def __init__(self) -> None:
        self._loops: dict[asyncio.AbstractEventLoop, _LoopClients] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._loops)

    def borrow(self, holder: object, route: Route) -> httpx.AsyncBaseTransport:
        """Return the running loop's transport; the holder keeps it until ``give_back``.

        Raises:
            NotReady: where the environment names certificates, a proxy or a transport that cannot be used.
        """
        loop = asyncio.get_running_loop()
        clients = self._loops.get(loop)
        if clients is None or holder not in clients.holders:
            clients = self._enter(loop, holder)
        return clients.transport(route)

    async def give_back(self, holder: object) -> None:
        """Release what the holder has on the running loop; harmless where it has nothing."""
        loop = asyncio.get_running_loop()
        with self._lock:
            clients = self._loops.get(loop)
            if clients is None or holder not in clients.holders:
                return
            clients.holders.discard(holder)
            if clients.holders:
                return
            del self._loops[loop]
        await clients.aclose()

    async def close_loop(self) -> None:
        """Close every client of the running loop, whoever holds it: to be awaited before a loop is closed for good.

        What is still being sent ends as if its server had closed the connection.
        """
        with self._lock:
            clients = self._loops.pop(asyncio.get_running_loop(), None)
        if clients is not None:
            await clients.aclose()

    def forget(self) -> None:
        """Leave all clients to the process that opened them; called in a forked copy of that process.

        Nothing is closed, since that would end the other process's connections; and the lock is a new one, since
        the thread that held the old one may exist only there.
        """
        self._lock = threading.Lock()
        self._loops = {}

    def _enter(self, loop: asyncio.AbstractEventLoop, holder: object) -> _LoopClients:
        with self._lock:
            clients = self._loops.get(loop)
            if clients is None:
                for dead in [each for each in self._loops if each.is_closed()]:
                    del self._loops[dead]
                clients = self._loops[loop] = _LoopClients()
            clients.holders.add(holder)
            return clients


CLIENTS = ClientRegistry()
"""The one registry of the process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=CLIENTS.forget)
