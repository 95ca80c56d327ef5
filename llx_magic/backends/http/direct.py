"""HTTP/1.1 on asyncio's own connections: a call costs a fraction of what a general client's takes.

httptools reads what comes (llhttp, which Node.js uses), aiohappyeyeballs chooses among a host's addresses. What stands
here is what a prompt needs of HTTP: one request at a time on a connection, and connections that are used again.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohappyeyeballs import start_connection

from llx_magic.backends.http.line import READ, Address, Line
from llx_magic.backends.http.transport import KEPT_ALIVE_SECONDS, Broken, Fault, Sending, without_frames

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from aiohappyeyeballs import AddrInfoType

    from llx_magic.backends.http.transport import Request

SECOND_ADDRESS_SECONDS = 0.25
"""When a host's next address is tried beside the first: https://www.rfc-editor.org/rfc/rfc8305#section-8"""

NAME_KNOWN_SECONDS = 10.0
"""How long the addresses of a name are taken to be the same."""

_NEVER = 24 * 60 * 60.0
"""Seconds after which asyncio gives up a handshake: the limit on connecting is somebody else's."""


class DirectTransport:
    """Sends on connections of its own, straight to the server."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._idle: dict[Address, deque[Line]] = {}
        self._lines: set[Line] = set()
        # No bytearray, since asyncio's TLS reads into slices, which would be copies of that.
        self._room = memoryview(bytearray(READ))
        self._names: dict[Address, tuple[float, asyncio.Task[Sequence[AddrInfoType]]]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False

    async def send(self, request: Request, on_connected: Callable[[], None]) -> _Response:
        """Send a request and return its response when the head has come.

        Raises:
            Broken: with no other exception chained to it.
        """
        sending, line = Sending(on_connected), None
        try:
            address, start = _start_of(request.method, request.url)
            line = self._silent(address) or await self._connect(address)
            line.take(sending)
            await line.exchange(_head(start, request), request.body)
        except (Broken, OSError, UnicodeError) as error:
            problem = without_frames(sending.explain(_broken(error), closed_from_here=self._is_closed))
        except BaseException as error:  # noqa: BLE001 - a cancellation, say, whose frames hold the headers
            problem = without_frames(error)
        else:
            return _Response(line, sending, self._give_back)
        if line is not None:
            line.abort()
        try:
            raise problem
        finally:
            del problem  # whose traceback has this frame, which would have it

    @property
    def in_use(self) -> list[Line]:
        """The connections on which a request is out."""
        return [line for line in self._lines if line not in self._idle.get(line.address, ())]

    async def aclose(self) -> None:
        """Close every connection."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for _, task in self._names.values():
            task.cancel()
        for line in list(self._lines):
            line.abort()
        await asyncio.sleep(0)  # asyncio closes the sockets in the next turn

    def _silent(self, address: Address) -> Line | None:
        """Return an idle connection that is alive and on which nothing has come meanwhile."""
        idle = self._idle.get(address)
        while idle:
            line = idle.pop()
            if not line.is_dirty:
                return line
            line.abort()
        return None

    async def _connect(self, address: Address) -> Line:
        """Return a new connection, TLS included.

        Raises:
            OSError: from the system, or from TLS.
            UnicodeError: for a host that is no name.
        """
        loop = asyncio.get_running_loop()
        waiting = await start_connection(
            await self._addresses(address),
            happy_eyeballs_delay=SECOND_ADDRESS_SECONDS,
            interleave=1,
            socket_factory=_under_way if sys.platform == "linux" else None,
        )
        line = Line(address, self._lost, self._room)
        try:
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # No certificate has the dot behind a name that is whole: https://www.rfc-editor.org/rfc/rfc6066#section-3
            named = self._context, address.host.removesuffix("."), _NEVER
            context, name, limit = named if address.is_encrypted else (None, None, None)
            await loop.create_connection(
                line.begin, sock=waiting, ssl=context, server_hostname=name, ssl_handshake_timeout=limit
            )
        except BaseException:
            line.abandon(waiting)
            raise
        self._lines.add(line)
        return line

    async def _addresses(self, address: Address) -> Sequence[AddrInfoType]:
        """Return what the host's name stands for; requests that begin at once ask the system once."""
        if found := _written_out(address):
            return [found]
        loop = asyncio.get_running_loop()
        asked_at, task = self._names.get(address, (0.0, None))
        if task is None or (task.done() and (task.cancelled() or task.exception() or _passed(asked_at))):
            asking: Coroutine[object, object, Sequence[AddrInfoType]] = loop.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM
            )
            task = loop.create_task(asking)
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # all that waited may be gone
            self._names[address] = time.monotonic(), task
        return await asyncio.shield(task)

    def _give_back(self, line: Line) -> None:
        """Let others use a connection whose reply was read to its end; close any other."""
        if line.is_free and not self._is_closed:
            line.rest()
            self._idle.setdefault(line.address, deque()).append(line)
            self._sweep_later()
        else:
            line.abort()

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(KEPT_ALIVE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle for so long."""
        self._sweeper = None
        for line in [line for idle in self._idle.values() for line in idle if line.is_dirty]:
            line.abort()
        self._idle = {address: idle for address, idle in self._idle.items() if idle}
        if self._idle:
            self._sweep_later()

    def _lost(self, line: Line) -> None:
        self._lines.discard(line)
        idle = self._idle.get(line.address)
        if idle and line in idle:
            idle.remove(line)


class _Response:
    """A response whose bytes are given as they come, those before a fault included."""

    def __init__(self, line: Line, sending: Sending, give_back: Callable[[Line], None]) -> None:
        self.status = line.status
        self.headers = line.headers
        self._line: Line | None = line
        self._sending = sending
        self._give_back = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while (line := self._line) is not None:
            if data := line.pieces():
                return data
            if line.broken is not None:
                raise self._sending.explain(line.broken)
            if line.is_whole:
                break
            await line.more()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let others use the connection, or close it where the body was not read to its end."""
        line, self._line = self._line, None
        if line is not None:
            self._give_back(line)


@functools.lru_cache(maxsize=256)
def _start_of(method: str, url: str) -> tuple[Address, str]:
    """Return where a request goes, and the first lines of its head."""
    parts = urlsplit(url)
    is_encrypted = parts.scheme == "https"
    host = parts.hostname or ""
    usual = 443 if is_encrypted else 80
    port = parts.port or usual
    named = f"[{host}]" if ":" in host else host
    place = named if port == usual else f"{named}:{port}"
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return Address(host, port, is_encrypted), f"{method} {target} HTTP/1.1\r\nHost: {place}"


def _head(start: str, request: Request) -> bytes:
    """Return the head of a request, as it is sent.

    Raises:
        Broken: where a field has a line break, behind which anything could follow.
    """
    fields = [f"{name}: {value}" for name, value in request.revealed().items()]
    if request.body or request.method == "POST":
        fields.append(f"Content-Length: {len(request.body)}")
    said = "".join(fields)
    if "\r" in said or "\n" in said or "\0" in said:
        raise Broken(Fault.OTHER, "a header has a line break or a null byte")
    return "\r\n".join([start, *fields, "", ""]).encode("utf-8", "surrogateescape")


def _under_way(found: AddrInfoType) -> socket.socket:
    """Return a socket that connects already, so that asyncio's own call of ``connect`` finds what came of it.

    This machine answers itself at once, and a refusal needs no turn of the loop then. Linux says with the second call
    how the first has ended: https://man7.org/linux/man-pages/man2/connect.2.html
    """
    family, kind, protocol, _, place = found
    begun = socket.socket(family, kind, protocol)
    begun.settimeout(0.0)
    begun.connect_ex(place)
    return begun


def _broken(error: Broken | OSError | UnicodeError) -> Broken:
    if isinstance(error, Broken):
        return error
    return Broken(Fault.NAME if isinstance(error, UnicodeError) else Fault.CLOSED, str(error), cause=error)


def _written_out(address: Address) -> AddrInfoType | None:
    """Return an address that is written in figures, as the system would; None for a name."""
    try:
        version = ipaddress.ip_address(address.host.partition("%")[0]).version
    except ValueError:
        return None
    if "%" in address.host:
        return None  # the system knows the number of the interface
    place = (address.host, address.port) if version == 4 else (address.host, address.port, 0, 0)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


def _passed(asked_at: float) -> bool:
    return time.monotonic() - asked_at > NAME_KNOWN_SECONDS
