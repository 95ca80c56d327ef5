"""Frames of AWS's event streams, written by the standard library alone."""

from __future__ import annotations

import json
import struct
from binascii import crc32

_TEXT = 7
"""The type of a header's value that is a text."""


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Return one frame (https://smithy.io/2.0/aws/amazon-eventstream.html)."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">BH", _TEXT, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    whole = prelude + struct.pack(">I", crc32(prelude)) + packed + payload
    return whole + struct.pack(">I", crc32(whole))


def event(kind: str, document: object) -> bytes:
    """Return an event; a text or bytes are its payload as they are."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, _payload(document))


def exception(kind: str, message: str) -> bytes:
    """Return an exception that ends a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, _payload({"message": message}))


def _payload(document: object) -> bytes:
    return document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
