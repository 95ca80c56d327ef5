"""Reading replies and errors without any HTTP, for tests of what is made of them."""

from __future__ import annotations

import json

from llx_magic.backends.reading.errors import read_error
from llx_magic.backends.reading.kinds import refused
from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.core.failure import BackendFailed, Failure
from llx_magic.core.reply import Answer
from llx_magic.keys.redaction import LIVE_KEYS
from tests.faults.asking import Pieces

KEY = "sk-a-key-of-ours"
NOON = 1_700_000_000.0


def read(*events: object) -> tuple[Answer | Failure, Pieces]:
    """Read a stream of chunks (strings go as they are); return the answer or the failure, and the pieces."""
    LIVE_KEYS.add(KEY)
    pieces = Pieces()
    reader = ReplyReader("alpha", "asked-for", pieces)
    try:
        for each in events:
            event = each if isinstance(each, ServerEvent) else ServerEvent("message", text_of(each))
            reader.take(event)
        return reader.end(), pieces
    except BackendFailed as failed:
        return failed.failure, pieces


def read_body(*pieces: bytes, reader: ReplyReader | None = None) -> Answer | Failure:
    """Read the body of a success, in the pieces that it comes in, to the end of the connection."""
    LIVE_KEYS.add(KEY)
    reader = reader or ReplyReader("alpha", "asked-for", Pieces())
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.flush()
        return reader.end()
    except BackendFailed as failed:
        return failed.failure


def read_whole(document: object, reader: ReplyReader | None = None) -> Answer | Failure:
    """Read a body that is one document."""
    return read_body(text_of(document).encode(), reader=reader)


def text_of(document: object) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def delta(content: object = None, finish_reason: object = None, **more: object) -> dict[str, object]:
    """Return a chunk with one choice."""
    return {"choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish_reason}]}


def refusal(status: int, document: object = b"", key: str = KEY, **headers: str) -> Failure:
    """Return what a status with this body means."""
    LIVE_KEYS.add(key)
    raw = document if isinstance(document, bytes) else text_of(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return refused(status, named, read_error(raw), name="alpha", wall_clock=NOON)
