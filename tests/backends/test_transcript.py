"""What a reply costs to keep while it comes."""

from __future__ import annotations

import asyncio
import tracemalloc

from llx_magic.backends.reading.transcript import Transcript
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import Delta, Received
from llx_magic.engine.attempt import Attempt
from llx_magic.engine.clocks import ManualClock
from llx_magic.settings.declaration import Settings

PIECES = 600_000


class View:
    """Takes the text of an attempt, as a cell does."""

    def __init__(self, received: Received) -> None:
        self._received = received

    def on_first(self, seconds: float) -> None: ...

    def on_piece(self, piece: str) -> None:
        self._received.take(Delta(piece))

    def on_thought(self, piece: str) -> None: ...

    def on_rates(self, facts: RateFacts, sent_at: float | None) -> None: ...


async def held_after(pieces: int) -> int:
    """Return the bytes that an attempt, its transcript and a view hold after so many letters that came one by one."""
    received = Received()
    held_to = Attempt(ManualClock(), Settings(), View(received))
    transcript = Transcript(held_to)
    tracemalloc.start()
    try:
        for number in range(pieces):
            (transcript.add_text if number % 2 else transcript.add_reasoning)(chr(0x4E00 + number % 9))
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received.text == transcript.text
    assert len(transcript.text) + len(transcript.reasoning) == pieces
    return held


def test_a_reply_in_very_many_pieces_takes_no_more_memory_than_its_text():
    """A server can send each letter by itself; Python takes 76 bytes for one that is not in Latin-1."""
    assert asyncio.run(held_after(PIECES)) < 20 * PIECES
