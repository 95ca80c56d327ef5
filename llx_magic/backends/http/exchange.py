"""One request over HTTP and the reading of its reply."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from llx_magic.backends.http.connections import new_transport
from llx_magic.backends.http.decompress import STEP, Decompressor
from llx_magic.backends.http.errors import meaning_of
from llx_magic.backends.http.silence import Silence
from llx_magic.backends.http.transport import Broken
from llx_magic.backends.reading.sse import BodyProblem
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import BackendFailed, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.backends.http.connections import Way
    from llx_magic.backends.http.errors import Peer
    from llx_magic.backends.http.transport import Request, Response, Transport
    from llx_magic.core.ports import Progress

LARGEST_ERROR_BODY = 64 * 1024
"""How much of an error's body is read, in bytes."""

BEGINNING = 2048
"""How many bytes of what came at once are decoded first, as long as there was no text."""

ERROR_BODY_SECONDS = 2.0
"""How long an error's body is waited for: the status already says what to do."""


Read = TypeVar("Read")
Whole_co = TypeVar("Whole_co", covariant=True)


class Incoming(Protocol[Whole_co]):
    """What reads the body of a response: the reader of a reply, say."""

    @property
    def done(self) -> bool:
        """Whether the server said that nothing follows."""

    @property
    def taken(self) -> int:
        """How many pieces were taken."""

    @property
    def patience(self) -> float | None:
        """How many seconds of silence end the body now; None where nothing but its limits does."""

    @property
    def whole_if_cut(self) -> bool:
        """Whether what came is whole though the connection broke."""

    def came_with(self, headers: Mapping[str, str], wall_clock: float) -> None:
        """Take the response's headers and the time of day."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of a success."""

    def flush(self) -> None:
        """Take that the body has ended."""

    def end(self) -> Whole_co:
        """Return what came."""

    def refused(self, status: int, body: bytes) -> Failure:
        """Return what a status other than 2xx means."""


class Exchange(Generic[Read]):
    """Sends one request to ``peer`` and has ``reader`` read what comes."""

    def __init__(self, request: Request, reader: Incoming[Read], progress: Progress, peer: Peer) -> None:
        self._request = request
        self._reader = reader
        self._progress = progress
        self._peer = peer

    async def run(self, transport: Transport, way: Way) -> Read | Failure:
        """Return the answer or the failure.

        Where a pooled connection proves dead and nothing was received, the request is sent again at once, the same
        ``way`` but through a transport of its own: the pool may hold more connections that died with this one. When a
        request may be repeated: https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2
        """
        try:
            return await self._converse(transport)
        except Broken:
            pass  # what follows is no part of handling it, so that its frames are let go
        async with contextlib.aclosing(new_transport(way)) as fresh:
            return await self._converse(fresh)

    async def _converse(self, transport: Transport) -> Read | Failure:
        """Send and read once.

        Raises:
            Broken: where the request may be sent again.
        """
        response = None
        self._progress.on_sending(str(self._peer))
        try:
            response = await transport.send(self._request, self._progress.on_connected)
            return self._peer.explained(await self._outcome(response))
        except BackendFailed as failed:
            return failed.failure
        except (Broken, BodyProblem) as problem:
            if isinstance(problem, Broken) and problem.may_repeat:
                raise
            return self._cut_short(problem, reading=response is not None)
        finally:
            if response is not None:
                await response.aclose()

    def _cut_short(self, problem: Broken | BodyProblem, *, reading: bool) -> Read | Failure:
        if self._reader.whole_if_cut:
            try:
                return self._reader.end()
            except BackendFailed as failed:
                return failed.failure
        if isinstance(problem, Broken):
            return meaning_of(problem, self._peer, reading=reading)
        return Failure(kind=problem.kind, message=one_line(str(problem)))

    async def _outcome(self, response: Response) -> Read | Failure:
        # Only a proxy says 407: https://www.rfc-editor.org/rfc/rfc9110#section-15.5.8
        if response.status == 407 and self._peer.proxy is not None:
            return self._peer.refused("407 Proxy Authentication Required")
        self._reader.came_with(response.headers, time.time())
        if 200 <= response.status < 300:
            return await self._read(response)
        body = bytearray()
        with contextlib.suppress(Broken, BodyProblem), Silence() as silence:  # what came of the body is enough
            silence.grant(ERROR_BODY_SECONDS)
            await _fill(body, response)
        return self._reader.refused(response.status, bytes(body[:LARGEST_ERROR_BODY]))

    async def _read(self, response: Response) -> Read:
        """Read a reply to its end: the end mark, the connection's end, or silence after it may be whole."""
        reader = self._reader
        content = Decompressor(response.headers.get("content-encoding", ""))
        with Silence() as silence:
            async for data in response:
                before = reader.done, reader.taken
                for piece in content.feed(data):
                    if not reader.taken and len(piece) > BEGINNING:
                        reader.feed(piece[:BEGINNING])
                        await asyncio.sleep(0)  # whoever shows the reply sees its first words before all is decoded
                        reader.feed(piece[BEGINNING:])
                    else:
                        reader.feed(piece)
                    if len(piece) >= STEP:  # a few bytes can become gigabytes, while limits wait for their turn
                        await asyncio.sleep(0)
                if (reader.done, reader.taken) != before:
                    silence.grant(reader.patience)
        if not silence.over:
            reader.flush()
        return reader.end()


async def _fill(body: bytearray, response: Response) -> None:
    """Append the response's decoded body, stopping soon after the limit."""
    content = Decompressor(response.headers.get("content-encoding", ""))
    async for data in response:
        for piece in content.feed(data):
            body += piece
            if len(body) > LARGEST_ERROR_BODY:
                return
