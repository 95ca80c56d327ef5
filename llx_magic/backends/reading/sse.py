"""Server-sent events from bytes: feed what arrived, take the events that are complete. No I/O.

Follows https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream: only CR, LF and CRLF
end a line, so U+2028, U+2029 and U+0085 inside a JSON string stay where they are. A byte order mark has been taken off
before. Beyond the standard, servers of models are understood that report an error in a field ``error``, that leave out
``data:`` before a JSON object, or that end an event without an empty line.
"""

from __future__ import annotations

import msgspec

from llx_magic.core.failure import FailureKind
from llx_magic.errors import LlxError

_NOTHING = b"\xef\xbb\xbf\0 \t"
"""What may stand before a field although it says nothing: where streams were joined, and where texts were indented."""

LARGEST_EVENT = 16 * 1024 * 1024
"""How many bytes may pass without one complete event, unless told otherwise."""


class ServerEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event; ``event`` is its type (``message`` where the stream names none)."""

    event: str
    data: str


class BodyProblem(LlxError):
    """A body cannot be read on; ``kind`` is the failure that this is."""

    kind = FailureKind.BAD_REPLY


class EventTooLarge(BodyProblem):
    """More bytes came without a complete event than the decoder was told to hold."""

    kind = FailureKind.TOO_LARGE


class EventDecoder:
    """Turns the bytes of one stream into events, however the bytes were cut.

    Fields other than ``event`` and ``data`` are dropped: reconnection (``id``, ``retry``) has no meaning for a reply
    that is never resumed. Bytes that are no UTF-8 become U+FFFD, as the standard says.
    """

    def __init__(self, limit: int = LARGEST_EVENT) -> None:
        self._limit = limit
        self._after_cr = False
        self._tail: list[bytes] = []  # pieces of a line whose end has not come
        self._tail_size = 0
        self._data: list[bytes] = []
        self._type = b""
        self._bare = False  # inside a JSON object that no field name precedes
        self._held = 0  # bytes since the last dispatched event

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events that they complete.

        Raises:
            EventTooLarge: when more than the limit came without a complete event.
        """
        if self._after_cr and data:
            # A line that ended in CR was taken at once; the LF of a CRLF cut in two is then no line of its own.
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if not data:
            return []
        if not (self._held or self._type) and (events := self._plain_events(data)):
            return events
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if not end:
            self._keep(data)
            return []
        self._after_cr = end == len(data) and data.endswith(b"\r")
        events = self._take_events(self._with_tail(data[:end]))
        if end < len(data):
            self._keep(data[end:])
        return events

    def flush(self) -> list[ServerEvent]:
        """Take the end of the stream and return the event that was still open, if any.

        The standard drops an event that no blank line ended. Providers leave that line out after their last event,
        so here the end of the stream stands for it; whether the data is whole is for its reader to judge.
        """
        self._after_cr = False
        return self._take_lines(self._with_tail(b"\n\n"))

    def _plain_events(self, lines: bytes) -> list[ServerEvent]:
        """Return the events of whole lines, where each is one line of data and nothing else; none where they differ.

        So servers write nearly all: they are told by counting, since a look at each of them takes as long as its JSON.
        """
        if not (lines.startswith(b"data: ") and lines.endswith(b"\n\n") and len(lines) <= self._limit):
            return []
        text = lines[6:-2].decode("utf-8", "replace")
        texts = text.split("\n\ndata: ")
        if text.count("\n") != 2 * (len(texts) - 1) or "\r" in text:
            return []
        self._held = 0
        return [ServerEvent("message", text) for text in texts]

    def _take_events(self, lines: bytes) -> list[ServerEvent]:
        """Take whole lines: at once where an event is one line of data, named or not, as servers write them."""
        if b"\r" in lines or self._data or self._type or self._bare:
            return self._take_lines(lines)
        end = lines.rfind(b"\n\n") + 2
        if events := self._plain_events(lines[:end]):
            return events + self._take_lines(lines[end:]) if end < len(lines) else events
        *whole, rest = lines.split(b"\n\n")
        for event in whole:
            named, data = b"message", event
            if event.startswith(b"event: "):
                head, _, data = event.partition(b"\n")
                named = head[7:]
            if named and data.startswith(b"data: ") and b"\n" not in data and len(event) <= self._limit:
                self._held = 0
                events.append(ServerEvent(named.decode("utf-8", "replace"), data[6:].decode("utf-8", "replace")))
            else:
                events += self._take_lines(event + b"\n\n")
        return events + self._take_lines(rest) if rest else events

    def _keep(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_size += len(data)
        self._hold(len(data))

    def _with_tail(self, data: bytes) -> bytes:
        if not self._tail:
            return data
        whole = b"".join((*self._tail, data))
        self._held -= self._tail_size
        self._tail, self._tail_size = [], 0
        return whole

    def _take_lines(self, lines: bytes) -> list[ServerEvent]:
        events: list[ServerEvent] = []
        data = self._data
        for line in lines.splitlines():  # on bytes this splits at CR, LF and CRLF and nowhere else
            if not line:
                if data:
                    events.append(self._dispatch())
                    data = self._data
                self._type = b""
            elif line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                if data and (self._bare or _is_another(data, value)):
                    events.append(self._dispatch())
                    data = self._data
                data.append(value)
                self._hold(len(line) + 1)
            elif line.startswith(b"event:"):
                self._type = line[7:] if line[6:7] == b" " else line[6:]
            else:
                self._hold(len(line) + 1)
                self._take_rare(line)
        return events

    def _take_rare(self, line: bytes) -> None:
        """Take a field without a value or behind blanks, an error, or a line of a JSON object without a field."""
        if self._bare or (line.startswith(b"{") and not self._data):
            self._bare = True
            self._data.append(line)
        elif line == b"data":
            self._data.append(b"")
        elif line == b"event":
            self._type = b""
        elif line.startswith(b"error:"):
            self._type = b"error"
            self._data.append(line[6:].strip())
        elif (field := line.lstrip(_NOTHING)).startswith(b"data:"):
            self._data.append(field[5:].strip())

    def _dispatch(self) -> ServerEvent:
        data, self._data, self._held, self._bare = self._data, [], 0, False
        whole = data[0] if len(data) == 1 else b"\n".join(data)
        kind = self._type.decode("utf-8", "replace") if self._type else "message"
        return ServerEvent(kind, whole.decode("utf-8", "replace"))

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._limit:
            raise EventTooLarge(f"a reply with an endless line or event: more than {self._limit} bytes without its end")


def _is_another(data: list[bytes], value: bytes) -> bool:
    """Return whether a line of data begins another event, since no JSON goes on like this after a whole object."""
    return (
        len(data) == 1
        and data[0].startswith(b"{")
        and data[0].rstrip().endswith(b"}")
        and value.lstrip().startswith((b"{", b"[DONE]"))
    )
