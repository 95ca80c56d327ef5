"""Undoing a response's content encoding in bounded steps, so that a few bytes cannot become gigabytes at once."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STEP = 256 * 1024
"""The largest piece, in bytes, that comes out at a time."""

_GZIP = b"\x1f\x8b"
_TEXT = (b'{"', b"{\n", b"data:", b"event:", b": ", b"[{")
"""What the text of a reply begins with."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class Unreadable(Exception):
    """The bytes do not hold what the response's header says; the text says what is wrong."""


class ContentDecoder(Protocol):
    """Undoes one encoding."""

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Give the decoded pieces of the next bytes, lazily: a reader that has enough stops asking."""


def decoder_for(encoding: str) -> ContentDecoder:
    """Return the decoder for a ``Content-Encoding`` header.

    The header may be wrong: gateways undo an encoding, or do it, without saying so.

    Raises:
        Unreadable: for an encoding that was not asked for and that we do not read.
    """
    folded = encoding.strip().lower()
    if folded in ("", "identity"):
        return _Plain()
    if folded in ("gzip", "x-gzip", "deflate"):
        return _Inflater()
    raise Unreadable(f"a reply with the content encoding {folded[:40]!r}, which was not asked for")


class _Plain:
    """Hands on what is not encoded, and undoes gzip that no header names."""

    def __init__(self) -> None:
        self._inflater: _Inflater | None = None
        self._begun = False

    def feed(self, data: bytes) -> Iterable[bytes]:
        if not self._begun and data:
            self._begun = True
            if data.startswith(_GZIP):
                self._inflater = _Inflater()
        return (data,) if self._inflater is None else self._inflater.feed(data)


class _Inflater:
    """Reads gzip (also several members in a row), zlib, the raw deflate of some servers, and what is not encoded."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = False
        self._is_plain = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        if not self._begun and data.lstrip().startswith(_TEXT):
            self._is_plain = self._begun = True
        if self._is_plain:
            yield data
            return
        while data:
            if self._inflate.eof:
                if not data.startswith(b"\x1f"):
                    return  # padding after the end
                self._inflate, self._begun = zlib.decompressobj(_GZIP_OR_ZLIB), False
            piece = self._step(data)
            self._begun = True
            data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if piece:
                yield piece

    def _step(self, data: bytes) -> bytes:
        try:
            return self._inflate.decompress(data, STEP)
        except zlib.error:
            if self._begun:
                raise Unreadable("a reply that is not validly compressed") from None
        self._inflate = zlib.decompressobj(_RAW_DEFLATE)
        try:
            return self._inflate.decompress(data, STEP)
        except zlib.error:
            raise Unreadable("a reply that is not validly compressed") from None
