"""The body of a success, cut into events by what it looks like: what its label says is not looked at."""

from __future__ import annotations

import enum
import functools
import re

from llx_magic.backends.reading.elements import ElementScanner
from llx_magic.backends.reading.lenient import NoJson, end_of, is_one_value, read_json, read_json_at
from llx_magic.backends.reading.sse import EventDecoder, EventTooLarge, ServerEvent
from llx_magic.keys.redaction import LONGEST_READ

LARGEST_DOCUMENT = 16 * 1024 * 1024
"""How many bytes a body may have that is one document."""


class Odd(enum.StrEnum):
    """The type of an event that is no server-sent event but a remark on the body as a whole."""

    EMPTY = "llx-empty"
    PAGE = "llx-page"
    TEXT = "llx-text"
    ENDED = "llx-ended"
    """It was one JSON document, which has ended as JSON must."""


MOST_DOCUMENTS = 100_000
"""How many documents a body may have that follow each other without line ends."""

_BETWEEN = re.compile(r"\s*(?:data:\s*)?")
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")


class _Layout(enum.Enum):
    UNKNOWN = enum.auto()
    EVENTS = enum.auto()
    PERHAPS_LINES = enum.auto()
    LINES = enum.auto()
    PERHAPS_ARRAY = enum.auto()
    DOCUMENT = enum.auto()


class BodyDecoder:
    """Turns the bytes of a body into events, however they were cut.

    Told apart are server-sent events, one JSON document (also one with an end mark stuck to it), an array of them, JSON
    documents line by line (https://jsonlines.org/), and a web page. A stream is given out as it comes, and so is an
    array, as Gemini streams where nothing else is asked for; a document when it has ended.
    """

    def __init__(self) -> None:
        self._layout = _Layout.UNKNOWN
        self._held = bytearray()
        self._blank = 0
        """How many bytes of white space came before anything else."""
        self._head = b""
        """The beginning of a stream that has held no event so far."""
        self._given = 0

    @functools.cached_property
    def _events(self) -> EventDecoder:
        """What reads server-sent events; a document needs none."""
        return EventDecoder()

    @functools.cached_property
    def _elements(self) -> ElementScanner:
        """What follows an array; nothing else needs it."""
        return ElementScanner()

    def feed(self, data: bytes) -> list[ServerEvent]:
        """Take the next bytes and return the events that they complete.

        Raises:
            EventTooLarge: when more came without an event, or in one document, than is ever held.
        """
        if self._layout is _Layout.EVENTS:
            return self._take_events(data)
        if self._layout is _Layout.UNKNOWN:
            self._layout, data = self._begin(data)
            return self.feed(data) if data else self._check_size()
        self._held += data
        self._check_size()
        if self._layout is _Layout.PERHAPS_ARRAY:
            return self._take_elements()
        is_lines = self._layout in (_Layout.PERHAPS_LINES, _Layout.LINES)
        return self._take_lines() if is_lines and b"\n" in data else []

    def flush(self) -> list[ServerEvent]:
        """Take the end of the body and return what is left in it.

        Raises:
            EventTooLarge: where it holds more documents than any reply has pieces.
        """
        if self._layout is _Layout.EVENTS:
            events = self._events.flush()
            if events or self._given or not _is_text(self._head):
                return events
            return [ServerEvent(Odd.TEXT, self._head.decode("utf-8", "replace"))]
        text = self._held.decode("utf-8", "replace").strip()
        if self._layout is _Layout.LINES:
            events = [_event_of(text)] if text else []
            return events if self._given + len(events) > 1 else [*events, _ENDED]
        if self._layout is _Layout.PERHAPS_ARRAY and self._given:
            rest = text.lstrip(", \t\r\n")
            return [_ENDED] if rest.startswith("]") else [_event_of(rest)] if rest else []
        if self._layout is _Layout.UNKNOWN:
            return [] if self._blank else [ServerEvent(Odd.EMPTY, "")]
        return [ServerEvent(Odd.PAGE, text)] if text.startswith("<") else _documents(text)

    def _check_size(self) -> list[ServerEvent]:
        if len(self._held) + self._blank > LARGEST_DOCUMENT:
            raise EventTooLarge(f"a reply of more than {LARGEST_DOCUMENT // 2**20} MiB")
        return []

    def _begin(self, data: bytes) -> tuple[_Layout, bytes]:
        """Return the layout that the first byte that tells shows, and the bytes from there on."""
        data = bytes(self._held) + data
        self._held.clear()
        if _BOM.startswith(data):
            self._held += data
            return _Layout.UNKNOWN, b""
        begun = data.removeprefix(_BOM).lstrip()
        if not begun:
            self._blank += len(data)
            return _Layout.UNKNOWN, b""
        if begun.startswith(b"{"):
            return _Layout.PERHAPS_LINES, begun
        if begun.startswith(b"["):
            return _Layout.PERHAPS_ARRAY, begun
        return _Layout.DOCUMENT if begun.startswith(b"<") else _Layout.EVENTS, begun

    def _take_events(self, data: bytes) -> list[ServerEvent]:
        events = self._events.feed(data)
        if events:
            self._given += len(events)
        elif not self._given and len(self._head) < LONGEST_READ:
            self._head += data[:LONGEST_READ]
        return events

    def _take_elements(self) -> list[ServerEvent]:
        """Return the objects of an array that have come to their end; an array of anything else is one document."""
        events: list[ServerEvent] = []
        while (end := self._elements.end_of_next(self._held)) > 0:
            text = self._held[:end].decode("utf-8", "replace").strip(", \t\r\n")
            text = text if self._given else text.removeprefix("[").lstrip()
            if not text.startswith("{"):
                self._layout = _Layout.DOCUMENT
                break
            events.append(ServerEvent("message", text))
            self._given += 1
            del self._held[:end]
        if self._elements.is_too_deep:
            self._layout = _Layout.DOCUMENT
        return events

    def _take_lines(self) -> list[ServerEvent]:
        *lines, rest = bytes(self._held).split(b"\n")
        texts = [text for line in lines if (text := line.decode("utf-8", "replace").removeprefix("\ufeff").strip())]
        if self._layout is _Layout.PERHAPS_LINES and texts:
            self._layout = _Layout.LINES if _is_document(texts[0]) else _Layout.DOCUMENT
        if self._layout is not _Layout.LINES:
            return []
        self._held = bytearray(rest)
        self._given += len(texts)
        return [_event_of(text) for text in texts]


def _is_document(text: str) -> bool:
    try:
        return isinstance(read_json(text), dict)
    except NoJson:
        return False


def _is_text(head: bytes) -> bool:
    """Return whether a body without events holds more than comments and empty lines."""
    return any(line.strip() and not line.startswith(_FIELDS) for line in head.splitlines())


_ENDED = ServerEvent(Odd.ENDED, "")


def _event_of(line: str) -> ServerEvent:
    return ServerEvent("message", line.removeprefix("data:").strip())


def _documents(text: str) -> list[ServerEvent]:
    """Return a document, or several that follow each other, as events, then the remark that it has ended.

    Raises:
        EventTooLarge: where they are more than any reply has pieces.
    """
    if is_one_value(text):
        return [ServerEvent("message", text), _ENDED]
    events: list[ServerEvent] = []
    at = 0
    while at < len(text):
        try:
            _, end = read_json_at(text, at)
        except NoJson:
            return [*events, _event_of(text[at:]) if events else ServerEvent(Odd.TEXT, text)]
        events.append(ServerEvent("message", text[at:end].strip()))
        if len(events) > MOST_DOCUMENTS:
            raise EventTooLarge(f"a reply of more than {MOST_DOCUMENTS} JSON documents")
        at = end_of(_BETWEEN, text, end)
    return [*events, _ENDED]
