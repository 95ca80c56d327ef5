"""Undoing a response's content encoding in bounded steps, so that a few bytes cannot become gigabytes at once."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING

from llx_magic.backends.reading.sse import BodyProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STEP = 256 * 1024
"""The largest piece, in bytes, that comes out at a time."""

_GZIP = b"\x1f\x8b"
_TEXT = (b'{"', b"{\n", b"data:", b"event:", b": ", b"[{")
"""What the text of a reply begins with."""

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


class Unreadable(BodyProblem):
    """The bytes do not hold what the response's header says; the text says what is wrong."""


class Decompressor:
    """Undoes the content encoding of one body: gzip (also several members in a row), zlib, or the raw deflate of some.

    See https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2 and https://www.rfc-editor.org/rfc/rfc1952#section-2.2.
    The ``Content-Encoding`` header may be wrong, so that the first bytes decide: gateways undo an encoding, or do it,
    without saying so.

    Raises:
        Unreadable: for an encoding that was not asked for and that we do not read.
    """

    def __init__(self, encoding: str) -> None:
        named = encoding.strip().lower()
        if named not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Unreadable(f"a reply with the content encoding {named[:40]!r}, which was not asked for")
        self._is_named = named not in ("", "identity")
        self._is_plain: bool | None = None
        self._begun = False
        self._inflater: zlib._Decompress | None = None

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Give the decoded pieces of the next bytes, lazily: a reader that has enough stops asking.

        Raises:
            Unreadable: for bytes that are not validly compressed.
        """
        if self._is_plain is None and data:
            self._is_plain = data.lstrip().startswith(_TEXT) if self._is_named else not data.startswith(_GZIP)
        return self._inflated(data) if self._is_plain is False else (data,)

    @property
    def _inflate(self) -> zlib._Decompress:
        """What inflates; most bodies need none, and it takes more than they do."""
        if self._inflater is None:
            self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        return self._inflater

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inflate.eof:
                if not data.startswith(b"\x1f"):
                    return  # padding after the end
                self._inflater, self._begun = None, False
            piece = self._step(data)
            self._begun = True
            data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if piece:
                yield piece

    def _step(self, data: bytes) -> bytes:
        with contextlib.suppress(zlib.error):
            return self._inflate.decompress(data, STEP)
        if not self._begun:
            self._inflater = zlib.decompressobj(_RAW_DEFLATE)
            with contextlib.suppress(zlib.error):
                return self._inflate.decompress(data, STEP)
        raise Unreadable("a reply that is not validly compressed")
