"""A burst of small pieces is left to gather between two reads; nothing else waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from llx_magic.backends.http.line import SMALL, SOON_SECONDS, Address, Line
from llx_magic.backends.http.transport import Sending

if TYPE_CHECKING:
    from collections.abc import Iterable

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


class _Socket(asyncio.Transport):
    """Remembers whether it is read, and tells when it is read again."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses = 0
        self.is_read = asyncio.Event()
        self.is_read.set()

    def pause_reading(self) -> None:
        self.pauses += 1
        self.is_read.clear()

    def resume_reading(self) -> None:
        self.is_read.set()


class _Read:
    """A line that is handed what comes, at moments of the test's own."""

    def __init__(self) -> None:
        self.socket, self.now = _Socket(), 100.0
        self._room = memoryview(bytearray(4 * SMALL))
        self.line = Line(Address("localhost", 80, is_encrypted=False), lambda _line: None, self._room, lambda: self.now)
        self.line.connection_made(self.socket)
        self.ask()

    def ask(self) -> None:
        self.line.take(Sending(lambda: None))

    def take(self, pieces: Iterable[bytes], apart: float = 0.0) -> None:
        for piece in pieces:
            self.now += apart
            self._room[: len(piece)] = piece
            self.line.buffer_updated(len(piece))


def chunks(count: int, size: int = 10) -> list[bytes]:
    return [b"%x\r\n%s\r\n" % (size, b"x" * size)] * count


async def test_a_burst_gathers_and_is_then_read_on() -> None:
    read = _Read()
    read.take([HEAD, *chunks(2)])
    assert read.socket.pauses == 1
    await read.socket.is_read.wait()
    read.take([*chunks(1), END], apart=SOON_SECONDS)
    assert read.line.is_whole
    assert read.line.pieces() == b"x" * 30


@pytest.mark.parametrize(
    ("pieces", "apart"),
    [
        pytest.param([HEAD, *chunks(20)], SOON_SECONDS, id="pieces that come one by one"),
        pytest.param([HEAD, *chunks(3, SMALL)], 0.0, id="large pieces"),
        pytest.param([HEAD + chunks(1)[0], END], 0.0, id="a whole reply in two pieces"),
        pytest.param([HEAD, chunks(1)[0], END], 0.0, id="a whole reply in three pieces"),
    ],
)
async def test_nothing_else_waits(pieces: list[bytes], apart: float) -> None:
    read = _Read()
    read.take(pieces, apart)
    assert read.socket.pauses == 0


async def test_the_next_reply_on_a_connection_is_no_part_of_the_last_burst() -> None:
    read = _Read()
    read.take([HEAD, chunks(1)[0], END])
    read.line.pieces()
    read.ask()
    read.take([HEAD, *chunks(1)])
    assert read.socket.pauses == 0


async def test_a_slow_reader_still_holds_up_a_burst_that_has_gathered() -> None:
    read = _Read()
    read.take([HEAD, *chunks(2)])
    read.take(chunks(9, 2 * SMALL))  # some systems hand over one more read after a pause
    await asyncio.sleep(0.01)  # the moment of gathering is over
    assert not read.socket.is_read.is_set()
    assert len(read.line.pieces()) == 9 * 2 * SMALL + 20
    assert read.socket.is_read.is_set()
