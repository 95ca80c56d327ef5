"""A few bytes that become gigabytes hold up no limit, and what HTTP libraries log of a bad reply holds no key."""

from __future__ import annotations

import logging
import time
import zlib

import pytest

from llx_magic.backends.http.decompress import Decompressor
from llx_magic.backends.reading.body import BodyDecoder
from llx_magic.core.failure import BackendFailed, FailureKind
from tests.faults.asking import KEY, answer_of, attempt, backend
from tests.faults.server import Exchange, FaultServer


def compressed(line: bytes, times: int) -> bytes:
    """Return the line so many times, compressed."""
    compress = zlib.compressobj(1, wbits=31)
    return b"".join(compress.compress(line) for _ in range(times)) + compress.flush()


def flood(data: bytes):
    """Return a mode that sends what is compressed, and then holds."""

    def send(exchange: Exchange) -> None:
        exchange.begin_stream({"Content-Encoding": "gzip"})
        exchange.chunk(data)
        exchange.hold()

    return send


async def test_events_that_are_no_piece_of_a_reply_are_bounded_by_their_size_too():
    """Ten events of ten megabytes each are not ten heartbeats."""
    with FaultServer(flood(compressed(b"data: " + b"a" * 10**7 + b"\n\n", 10))) as server:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed, match="more than 10000 events") as caught:
                await answer_of(asked)
        assert caught.value.failure.kind is FailureKind.BAD_REPLY


async def test_a_limit_ends_a_reply_that_is_still_being_decompressed():
    """The limit is far shorter than reading all of it takes, and the failure comes far earlier."""
    data = compressed(b'data: {"choices": [{"delta": {}}], "padding": "' + b"a" * 10**6 + b'"}\n\n', 600)
    began = time.monotonic()
    for piece in Decompressor("gzip").feed(data):
        BodyDecoder().feed(piece)
    whole = time.monotonic() - began
    with FaultServer(flood(data)) as server:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed) as caught:
                await attempt(asked, timeout_ms=200)
    failure = caught.value.failure
    assert failure.kind is FailureKind.TIMEOUT
    assert failure.elapsed_ms / 1000 < max(whole, 1.0)


def malformed(exchange: Exchange) -> None:
    """Say the key where the length of a chunk belongs."""
    exchange.begin_stream()
    exchange.send(f"{KEY}\r\n".encode())


async def test_what_is_logged_of_a_malformed_body_holds_no_key(caplog):
    caplog.set_level(1)
    logging.getLogger("httpcore").setLevel(1)

    with FaultServer(malformed) as server:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed):
                await answer_of(asked)
    assert KEY not in caplog.text
