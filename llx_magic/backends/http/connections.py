"""The HTTP connections of the process: transports for each event loop, shared by all backends that run on it."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from typing import TYPE_CHECKING

import msgspec

from llx_magic.backends.http.proxies import Proxy, proxy_for
from llx_magic.backends.http.trust import Trust, context_for, trust_in_force
from llx_magic.core.failure import NotReady
from llx_magic.errors import brief

if TYPE_CHECKING:
    from llx_magic.backends.endpoint import Endpoint
    from llx_magic.backends.http.transport import Transport

VARIABLE = "LLX_HTTP_TRANSPORT"
"""The variable that names the transport: ``direct``, or ``httpx`` for its own, which is slower."""


class Way(msgspec.Struct, frozen=True, gc=False):
    """How requests get to an address, by the environment of the moment; each way has a transport of its own.

    ``trust`` is None where no TLS is spoken. ``proxy`` is None on the straight way.
    """

    trust: Trust | None
    proxy: Proxy | None
    transport: str


def way_to(endpoint: Endpoint) -> Way:
    """Return how requests get to an endpoint now. This machine itself is never reached through a proxy.

    Raises:
        NotReady: where the environment names a proxy or a transport that cannot be used.
    """
    wanted = os.environ.get(VARIABLE) or "direct"
    if problem := problem_of(wanted):
        raise NotReady(problem)
    proxy = None if endpoint.is_loopback else proxy_for(endpoint.base_url)
    encrypted = endpoint.is_encrypted or (proxy is not None and proxy.scheme == "https")
    return Way(trust_in_force() if encrypted else None, proxy, wanted if proxy is None else "httpx")


def problem_of(transport: str) -> str:
    """Return what is wrong with a value of the variable, in one line, or the empty string."""
    return "" if transport in ("direct", "httpx") else f"{VARIABLE} must be direct or httpx, got {brief(transport)}"


def new_transport(way: Way) -> Transport:
    """Return a transport for the running loop that waits without limit and always verifies certificates.

    Raises:
        NotReady: where the environment names certificates that cannot be read.
    """
    context = context_for(way.trust)
    if way.transport == "httpx":
        from llx_magic.backends.http.httpx import HttpxTransport

        return HttpxTransport(context, proxy=way.proxy)
    from llx_magic.backends.http.direct import DirectTransport

    return DirectTransport(context)


class _LoopClients:
    """The transports of one loop, and who uses them."""

    def __init__(self) -> None:
        self.holders: weakref.WeakSet[object] = weakref.WeakSet()
        self._transports: dict[Way, Transport] = {}

    def transport(self, way: Way) -> Transport:
        transport = self._transports.get(way)
        if transport is None:
            transport = self._transports[way] = new_transport(way)
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

    def borrow(self, holder: object, way: Way) -> Transport:
        """Return the running loop's transport; the holder keeps it until ``give_back``.

        Raises:
            NotReady: where the environment names certificates that cannot be read.
        """
        loop = asyncio.get_running_loop()
        clients = self._loops.get(loop)
        if clients is None or holder not in clients.holders:
            clients = self._enter(loop, holder)
        return clients.transport(way)

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
