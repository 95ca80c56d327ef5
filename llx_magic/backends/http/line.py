"""One connection of HTTP/1.1 on asyncio: a request goes out, and httptools reads the reply that comes.

httptools is llhttp, by which Node.js reads too: https://github.com/nodejs/llhttp
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import socket
import time
from typing import TYPE_CHECKING, NamedTuple, cast

import httptools

from llx_magic.backends.http.transport import LARGEST_HEAD, Broken, Fault, Sending, is_stale

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 256 * 1024
"""How many bytes of a request are handed to the system at a time, and of a reply are held for a slow reader."""

READ = 512 * 1024
"""How many bytes of a reply are taken at a time: all that asyncio's TLS may hold while reading is paused.

Where a server closes meanwhile, asyncio gives one read of what it holds, less than twice 256 KiB, and drops the rest:
https://github.com/python/cpython/blob/v3.13.0/Lib/asyncio/sslproto.py
"""

SOON_SECONDS = 0.0005
"""What comes so soon after the last piece, in seconds, is part of a burst."""

GATHER_SECONDS = 0.001
"""How long a burst is left to gather before it is read on: a read for each piece takes longer than the pieces do.

So network cards do, which interrupt once for what comes together:
https://www.kernel.org/doc/html/latest/networking/napi.html
"""

SMALL = 16 * 1024
"""A read of fewer bytes is worth waiting for more."""

_LAST_CHUNK = b"0\r\n\r\n"
"""How a body in chunks ends, unless fields follow it: https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""


class Address(NamedTuple):
    """Where connections go: those to the same address are the same to a request."""

    host: str
    port: int
    is_encrypted: bool


class Line(asyncio.BufferedProtocol):
    """One connection: what came of the reply that is read on it, and what is wrong with it.

    ``httptools`` calls the methods that begin with ``on_`` with what it reads. ``room`` is where asyncio puts what
    comes: where it makes room itself, anew for each read, that takes three times as long as the read. All connections
    of a loop may share it, since each read is taken out before the next begins; on Windows too, where asyncio reads
    into room of its own: https://github.com/python/cpython/blob/v3.13.0/Lib/asyncio/proactor_events.py#L191
    """

    def __init__(
        self,
        address: Address,
        lost: Callable[[Line], None],
        room: memoryview,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._room = room
        self._now = now
        self.broken: Broken | None = None
        self.is_whole = True
        self._has_length = self._has_surplus = self._is_doubtful = False
        self._end = b""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._lost = lost
        self._parser = _parser_for(self)
        self._sending: Sending | None = None
        self._has_begun = self._was_used = self._head_came = self._is_sent = False
        self._keeps_alive = True
        self._pieces: list[bytes] = []
        self._held = self._beside = 0
        self._is_paused = self._is_full = False
        self._waiter: asyncio.Future[None] | None = None
        self._read_at = -math.inf
        self._idle_since: float | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_free(self) -> bool:
        """Whether the next request may go out on it."""
        read = self.is_whole and not self._pieces and self._is_sent and not self._has_surplus
        return read and self._keeps_alive and self.broken is None

    @property
    def is_dirty(self) -> bool:
        """Whether nothing may be asked on it: it may have died, or the server said what nobody asked for.

        That would pass for the answer to what is asked next: https://www.rfc-editor.org/rfc/rfc9112#section-9.2
        """
        if self._transport is None or self._transport.is_closing() or is_stale(self._idle_since or 0.0):
            return True
        return _is_readable(self._transport.get_extra_info("socket").fileno())

    def take(self, sending: Sending) -> None:
        """Serve a request."""
        reused, self._was_used, self._idle_since, self._sending = self._was_used, True, None, sending
        self.is_whole = self._head_came = self._is_sent = False
        self._beside, self._read_at = 0, -math.inf
        sending.stands(reused=reused)

    def rest(self) -> None:
        """Wait for the next request."""
        self._sending, self._end, self._idle_since = None, b"", time.time()

    async def exchange(self, head: bytes, body: bytes) -> None:
        """Send a request and return when the head of its reply has come; of a body, no more than the server takes.

        Raises:
            Broken: where no head comes.
        """
        if self._transport is None:
            raise Broken(Fault.CLOSED)
        if len(body) <= PIECE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            for begin in range(0, len(body), PIECE):
                while self._is_full and not self._has_news:
                    await self.more()
                if self._has_news:
                    break
                self._transport.write(body[begin : begin + PIECE])
        self._is_sent = not self._has_news
        while not self._has_news:
            await self.more()
        if not self._head_came and self.broken is not None:
            raise self.broken

    @property
    def _has_news(self) -> bool:
        return self._head_came or self.broken is not None

    def pieces(self) -> bytes:
        """Return what has come of the body and was not given yet."""
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def more(self) -> None:
        """Return when something has changed."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def abort(self) -> None:
        """Close it at once."""
        self._lost(self)
        if self._transport is not None:
            self._transport.abort()

    def begin(self) -> Line:
        """Return itself, to asyncio, whose the socket is from now on."""
        self._has_begun = True
        return self

    def abandon(self, waiting: socket.socket) -> None:
        """Have a socket closed on which no connection came about, by whoever has it.

        One that asyncio has must not be closed here: its number would soon be another connection's, while the loop
        still watches it. asyncio closes it when it ends, which a handshake that is given up early might not tell:
        https://github.com/python/cpython/blob/v3.13.0/Lib/asyncio/sslproto.py#L580
        """
        if not self._has_begun:
            waiting.close()
            return
        self.abort()
        with contextlib.suppress(OSError):  # it has ended already
            waiting.shutdown(socket.SHUT_RDWR)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take that the connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to put the next bytes."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """Read the next bytes."""
        if self._sending is None:  # nobody has asked anything
            self.abort()
            return
        data = bytes(self._room[:nbytes])
        held, due, was_whole = self._held, not self._head_came, self.is_whole
        try:
            if due:
                self._sending.take(len(data))
            self._parser.feed_data(data)
            if self.is_whole and (was_whole or not data.endswith(self._end)):
                self._has_surplus = True
            self._beside = 0 if due or self._held > held else self._beside + len(data)
            if self._beside > LARGEST_HEAD:
                raise Broken(Fault.PROTOCOL, f"more than {LARGEST_HEAD} bytes between two pieces of a body")
        except Broken as endless:
            self._break(endless)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if self.is_whole:
                self._has_surplus = True
            else:
                said = "a switch to another protocol" if isinstance(error, httptools.HttpParserUpgrade) else str(error)
                self._break(Broken(Fault.PROTOCOL, said))
        if self._held > PIECE and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        elif not (due or self.is_whole) and nbytes < SMALL:
            self._gather()
        self._wake()

    def _gather(self) -> None:
        """Leave what comes to gather for a moment, where much comes in small pieces."""
        before, self._read_at = self._read_at, self._now()
        if self._read_at - before < SOON_SECONDS and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._read_on)

    def _read_on(self) -> None:
        if self._transport is not None and not self._is_paused:
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """Take that the server sends no more; asyncio closes the connection from here then."""
        if self._head_came and not self._has_length:  # such a body ends with its connection
            self.is_whole, self._keeps_alive = True, False

    def connection_lost(self, error: Exception | None) -> None:
        """Take that the connection has ended."""
        if error is None:  # over TLS, the end may come without having been announced
            self.eof_received()
        self._transport = None
        self._keeps_alive = False
        if not self.is_whole:
            self._break(Broken(Fault.CLOSED, cause=error))
        self._lost(self)
        self._wake()

    def pause_writing(self) -> None:
        """Hand over no more for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Hand over more."""
        self._is_full = False
        self._wake()

    def on_message_begin(self) -> None:
        """Take that a reply begins, or one that nobody asked for."""
        if self.is_whole:
            self._has_surplus = True
        else:
            self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; those behind a body are not looked at."""
        if self._head_came or self._has_surplus:
            return
        key, text = name.decode("utf-8", "surrogateescape").lower(), value.decode("utf-8", "surrogateescape")
        before = self.headers.get(key)
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        """Take that a head is whole."""
        status = self._parser.get_status_code()
        # Heads below 200 only announce another: https://www.rfc-editor.org/rfc/rfc9110#section-15.2
        if status < 200 or self._has_surplus:
            return
        self.status, self._head_came = status, True
        # https://www.rfc-editor.org/rfc/rfc9112#section-6.3
        encoding, has_number = self.headers.get("transfer-encoding"), "content-length" in self.headers
        self._has_length = has_number if encoding is None else encoding.lower().endswith("chunked")
        self._is_doubtful = has_number and encoding is not None
        self._end = b"\n" if encoding is None else _LAST_CHUNK

    def on_body(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if not self._has_surplus:
            self._pieces.append(data)
            self._held += len(data)
            if self._end is not _LAST_CHUNK:
                self._end = data

    def on_message_complete(self) -> None:
        """Take that a body is whole."""
        if self._head_came and not self._has_surplus:
            self.is_whole, self._keeps_alive = True, self._parser.should_keep_alive() and not self._is_doubtful

    def _break(self, broken: Broken) -> None:
        self.broken = self.broken or broken
        if self._transport is not None:
            self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _parser_for(line: Line) -> httptools.HttpResponseParser:
    """Return what reads replies as other clients do: what is odd and has one meaning only is no fault.

    Of the two ways to say where a body ends, the chunks count, and the connection is not used again:
    https://www.rfc-editor.org/rfc/rfc9112#section-6.3
    """
    parser = httptools.HttpResponseParser(line)
    parser.set_dangerous_leniencies(
        lenient_headers=True,
        lenient_chunked_length=True,
        lenient_optional_cr_before_lf=True,
        lenient_spaces_after_chunk_size=True,
    )
    return parser


def _is_readable(descriptor: int) -> bool:
    # select() knows no descriptor above 1023: https://man7.org/linux/man-pages/man2/select.2.html
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])
