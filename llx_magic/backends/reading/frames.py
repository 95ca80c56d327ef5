"""Frames of AWS's event streams (``application/vnd.amazon.eventstream``) as events. No I/O.

Lengths and checksums are read by botocore, which is imported when the first frame comes.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from llx_magic.backends.reading.body import LARGEST_DOCUMENT, BodyDecoder
from llx_magic.backends.reading.sse import BodyProblem, EventTooLarge, ServerEvent

if TYPE_CHECKING:
    from botocore.eventstream import EventStreamMessage

_SHORTEST_FRAME = 16
"""Its own length, that of its headers, and two checksums
(https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream).
"""


class FrameDecoder(BodyDecoder):
    """Turns the bytes of a body into events, whatever it turns out to be: a label may be wrong, frames begin with NUL.

    The payload of a frame becomes an event with one JSON object, in which it stands under the name of its type. An
    exception becomes an error with its name as the code.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_framed: bool | None = None
        self._rest = bytearray()
        self._problem: BodyProblem | None = None

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events that they complete.

        Raises:
            BodyProblem: for a damaged frame, and one that is larger than any is; once the frames before it are taken.
        """
        if self._is_framed is None and data:
            self._is_framed = data[0] == 0
        if not self._is_framed:
            return super().feed(data)
        self._raise_if_damaged()
        self._rest += data
        events: list[ServerEvent] = []
        try:
            while (frame := self._next()) is not None:
                events.append(_event_of(frame))
        except BodyProblem as problem:
            self._problem = problem
        if not events:
            self._raise_if_damaged()
        return events

    def flush(self) -> list[ServerEvent]:
        """Take the end of the body; a frame that has only begun is nothing.

        Raises:
            BodyProblem: as in ``feed``.
        """
        self._raise_if_damaged()
        return [] if self._is_framed else super().flush()

    def _raise_if_damaged(self) -> None:
        if self._problem is not None:
            raise self._problem

    def _next(self) -> bytes | None:
        """Take the next whole frame; None where it has not come."""
        if len(self._rest) < _SHORTEST_FRAME:
            return None
        length = int.from_bytes(self._rest[:4], "big")
        if length > LARGEST_DOCUMENT:
            raise EventTooLarge(f"a reply with a frame of more than {LARGEST_DOCUMENT // 2**20} MiB")
        if len(self._rest) < length:
            return None
        frame = bytes(self._rest[: max(length, _SHORTEST_FRAME)])
        del self._rest[: len(frame)]
        return frame


def _event_of(frame: bytes) -> ServerEvent:
    message = _read(frame)
    said = {name: str(value) for name, value in message.headers.items()}
    payload = message.payload.decode("utf-8", "replace").strip()
    match said.get(":message-type"):
        case "event":
            return ServerEvent("message", f"{{{json.dumps(said.get(':event-type', ''))}: {payload or '{}'}}}")
        case "exception":
            error = {"code": said.get(":exception-type", ""), "message": payload}
        case _:
            error = {"code": said.get(":error-code", ""), "message": said.get(":error-message", payload)}
    return ServerEvent("error", json.dumps(error))


def _read(frame: bytes) -> EventStreamMessage:
    """Return one whole frame, read.

    Raises:
        BodyProblem: where its checksums or its headers are wrong.
    """
    from botocore.eventstream import EventStreamBuffer, ParserError

    buffer = EventStreamBuffer()
    try:
        buffer.add_data(frame)
        return buffer.next()
    except (ParserError, StopIteration, KeyError, ValueError) as problem:
        why = type(problem).__name__
    raise BodyProblem(f"an unusable reply: one of its frames is damaged ({why})")
