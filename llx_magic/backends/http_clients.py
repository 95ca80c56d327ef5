"""The HTTP clients of the process: one set for each event loop, shared by all backends that run on it."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    import httpx

KEPT_ALIVE = 20
"""How many idle connections a client keeps."""

KEPT_ALIVE_SECONDS = 15.0
"""How long an idle connection is kept; servers commonly close theirs after 60 s or more."""


def new_client(*, through_proxies: bool) -> httpx.AsyncClient:
    """Return a client that follows no redirect, waits without limit and always verifies certificates.

    ``through_proxies`` honours the environment's proxies; it is for hosts other than this machine.
    """
    import httpx

    return httpx.AsyncClient(
        verify=_ssl_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        timeout=None,  # noqa: S113 - every wait is bounded by the engine's own time-outs
        limits=httpx.Limits(
            max_connections=None, max_keepalive_connections=KEPT_ALIVE, keepalive_expiry=KEPT_ALIVE_SECONDS
        ),
        follow_redirects=False,
        trust_env=through_proxies,
    )


@functools.lru_cache(maxsize=4)
def _ssl_context(_cert_file: str | None, _cert_dir: str | None) -> ssl.SSLContext:
    """Return a verifying context, made once for each setting of the variables that httpx reads for it."""
    import httpx

    return httpx.create_ssl_context()


class _LoopClients:
    """The clients of one loop, and who uses them."""

    def __init__(self) -> None:
        self.holders: weakref.WeakSet[object] = weakref.WeakSet()
        self._clients: dict[bool, httpx.AsyncClient] = {}

    def client(self, *, through_proxies: bool) -> httpx.AsyncClient:
        client = self._clients.get(through_proxies)
        if client is None:
            client = self._clients[through_proxies] = new_client(through_proxies=through_proxies)
        return client

    async def aclose(self) -> None:
        while self._clients:
            _, client = self._clients.popitem()
            await client.aclose()


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

    def borrow(self, holder: object, *, through_proxies: bool) -> httpx.AsyncClient:
        """Return the running loop's client; the holder keeps it until ``give_back``."""
        loop = asyncio.get_running_loop()
        clients = self._loops.get(loop)
        if clients is None or holder not in clients.holders:
            clients = self._enter(loop, holder)
        return clients.client(through_proxies=through_proxies)

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
