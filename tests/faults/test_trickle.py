"""A server that goes on for ever without answering: what the default limits, and the bounds in number and size, end."""

from __future__ import annotations

import asyncio
import time

import pytest

from llx_magic.core.failure import BackendFailed, Failure, FailureKind, Limit
from llx_magic.core.reply import Answer
from llx_magic.engine.attempt import Attempt
from llx_magic.engine.clocks import ManualClock, VirtualClock
from tests.engine.kit import settings_with
from tests.faults.asking import Unheard, answer_of, attempt, backend, question
from tests.faults.server import Exchange, FaultServer, Mode, sse

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
EMPTY = {"id": "c1", "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]}
ROLE = {"id": "c1", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}


def dripping(begin: bytes, drip: bytes, *, first_word: bool = False, pause: float = 0.002) -> Mode:
    """Say something that is no reply, again and again, until the client has had enough."""

    def drips(exchange: Exchange) -> None:
        exchange.send(begin)
        if first_word:
            exchange.send(sse(exchange.delta(content="A")))
        exchange.server.reached.set()
        while True:
            exchange.send(drip)
            time.sleep(pause)

    return drips


TRICKLES = {
    "a head, byte by byte": dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
    "heads that only announce": dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "comments": dripping(HEAD, b": ping\n\n"),
    "events that are no JSON": dripping(HEAD, b"data: ping\n\n"),
    "chunks without text": dripping(HEAD, sse(ROLE)),
    "spaces": dripping(HEAD, b" "),
}


def ends_by_default(drips: Mode, advance: float) -> Failure:
    """Ask with the default limits, and let so many seconds pass on a clock that is moved by hand."""

    async def run(server: FaultServer) -> Failure:
        clock = ManualClock()
        held_to = Attempt(clock, settings_with(), Unheard())
        async with backend(server.base_url) as asked:
            asking = asyncio.create_task(held_to.run(await asked.prepare(), question()))
            await asyncio.to_thread(server.reached.wait, 10)
            await asyncio.sleep(0.05)
            clock.advance(advance - 1)
            await asyncio.sleep(0.02)
            assert not asking.done()
            clock.advance(1)
            with pytest.raises(BackendFailed) as caught:
                await asking
        return caught.value.failure

    with FaultServer(drips) as server:
        return asyncio.run(asyncio.wait_for(run(server), 20))


@pytest.mark.parametrize("what", TRICKLES)
def test_what_is_no_text_ends_by_the_default_limit_of_the_first_piece(what):
    failure = ends_by_default(TRICKLES[what], 120)
    assert (failure.kind, failure.limit) == (FailureKind.TIMEOUT, Limit.FIRST_TOKEN)


@pytest.mark.parametrize("drip", [b": ping\n\n", b"data: ping\n\n", sse(EMPTY), b"\n"])
def test_what_is_no_text_after_a_piece_ends_by_the_default_limit_of_the_next(drip):
    failure = ends_by_default(dripping(HEAD, drip, first_word=True), settings_with().stall_timeout_ms / 1000)
    assert (failure.kind, failure.limit, failure.words) == (FailureKind.TIMEOUT, Limit.STALL, 1)


class Drips:
    """A model that says one character every 20 s."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock

    async def answer(self, _request, progress) -> Answer:
        progress.on_sending("here")
        progress.on_connected()
        while True:
            progress.on_text("x")
            await self.clock.sleep(20)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_reply_of_one_character_now_and_then_ends_after_ten_minutes_by_default(streaming):
    clock = VirtualClock()
    held_to = Attempt(clock, settings_with(streaming=streaming), Unheard())
    with pytest.raises(BackendFailed) as caught:
        await held_to.run(Drips(clock), question(streaming=streaming))
    failure, seconds = caught.value.failure, clock.now()
    assert (failure.limit, seconds) == (Limit.TOTAL, 600)


async def test_a_body_that_goes_on_after_the_end_mark_does_not_hold_the_reply():
    def endless(exchange: Exchange) -> None:
        exchange.send(HEAD)
        for piece in exchange.server.pieces:
            exchange.send(sse(exchange.delta(content=piece)))
        exchange.send(sse(exchange.delta(finish_reason="stop")) + sse("[DONE]"))
        while True:
            exchange.send(sse(exchange.delta(content="more")))
            time.sleep(0.002)

    with FaultServer(endless) as server:
        async with asyncio.timeout(10):
            async with backend(server.base_url) as asked:
                said = (await answer_of(asked)).text
        assert said == server.text


@pytest.mark.parametrize(
    ("begin", "flood"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 500),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: and more of it\r\n" * 500),
    ],
    ids=["heads that only announce", "fields of a head"],
)
def test_a_head_without_an_end_is_bounded_in_size(begin, flood):
    assert flooded(dripping(begin, flood, pause=0)).kind is FailureKind.NETWORK


@pytest.mark.parametrize("event", [EMPTY, {"id": "c1", "choices": []}, "ping"])
def test_events_that_add_nothing_are_bounded_in_number(event):
    failure = flooded(dripping(HEAD, sse(event) * 1000, pause=0))
    assert failure.kind is FailureKind.BAD_REPLY
    assert failure.message.startswith("more than 10")


def flooded(mode: Mode) -> Failure:
    async def run(server: FaultServer) -> Failure:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed) as caught:
                await attempt(asked)
        return caught.value.failure

    with FaultServer(mode) as server:
        return asyncio.run(asyncio.wait_for(run(server), 60))
