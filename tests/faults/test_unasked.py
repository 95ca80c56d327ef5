"""What a server says beside the reply that was asked for: nobody's answer, on either transport."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from tests.faults.asking import answer_of, backend, question
from tests.faults.modes import good_bytes
from tests.faults.server import Exchange, FaultServer, Mode

LATER = "meant for somebody else"
DOCUMENT_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def document(exchange: Exchange, text: str | None = None) -> bytes:
    body = json.dumps(exchange.completion(text)).encode()
    return DOCUMENT_HEAD % len(body) + body


def stream(exchange: Exchange) -> bytes:
    events = good_bytes(exchange)
    return STREAM_HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(events), events)


def saying(first: str, surplus: bytes | None, rest: float | None) -> Mode:
    """Answer, and say in the same packet what nobody asked for; in two parts where ``rest`` says when."""

    def talkative(exchange: Exchange) -> None:
        reply = document(exchange) if first == "document" else stream(exchange)
        unasked = document(exchange, LATER) if surplus is None else surplus
        if rest is None:
            exchange.send(reply + unasked)
            return
        exchange.send(reply + unasked[:30])
        time.sleep(rest)
        exchange.send(unasked[30:])

    return talkative


async def _two_questions(server: FaultServer, *, pause: float = 0.0) -> list[str]:
    async with backend(server.base_url) as asked:
        first = await answer_of(asked, question(streaming=True))
        await asyncio.sleep(pause)
        return [first.text, (await answer_of(asked, question(streaming=True))).text]


@pytest.mark.parametrize("first", ["document", "stream"])
@pytest.mark.parametrize(
    ("surplus", "rest"),
    [
        (None, None),
        (None, 0.2),
        (b"\r\n", None),
        (b"x", None),
        (b"data: [DONE]\n\n", None),
        (b"HTTP/1.1 200 OK\r\n", None),
    ],
    ids=["a second reply", "a second reply in two parts", "a line end", "a byte", "an event", "half a head"],
)
def test_what_comes_with_the_end_of_a_reply_is_not_the_answer_to_the_next_question(first, surplus, rest):
    """The connection is closed, and the next question has one to itself."""
    with FaultServer(saying(first, surplus, rest), "ok") as server:
        assert asyncio.run(_two_questions(server)) == [server.text, server.text]
        assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("unasked", [b"\r\n", b"x", b": ping\n\n", b"0\r\n\r\n"])
def test_an_unasked_byte_on_an_idle_connection_closes_it(unasked):
    """Whatever it is: the next reply on that connection could be anybody's."""

    def talkative(exchange: Exchange) -> None:
        exchange.send(document(exchange))
        time.sleep(0.05)
        exchange.send(unasked)

    with FaultServer(talkative, "ok") as server:
        assert asyncio.run(_two_questions(server, pause=0.2)) == [server.text, server.text]
        assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("jump", [3600, -3600, 0])
async def test_a_connection_that_was_idle_while_the_machine_slept_is_not_used_again(jump, monkeypatch):
    """It may have died in silence, and a question sent on it would wait for its whole limit."""
    with FaultServer() as server:
        async with backend(server.base_url) as asked:
            first = await answer_of(asked)
            slept = time.time() + jump
            monkeypatch.setattr(time, "time", lambda: slept)
            texts = [first.text, (await answer_of(asked)).text]
        assert texts == [server.text, server.text]
        assert server.connections == (2 if jump else 1)


@pytest.mark.parametrize("heads", ["100 Continue", "103 Early Hints", "102 Processing"])
def test_what_http_allows_before_a_reply_keeps_the_connection(heads):
    def hinting(exchange: Exchange) -> None:
        exchange.send(f"HTTP/1.1 {heads}\r\nLink: </x>\r\n\r\n".encode() * 3)
        exchange.send(document(exchange))

    with FaultServer(hinting, hinting) as server:
        assert asyncio.run(_two_questions(server)) == [server.text, server.text]
        assert server.connections == 1


def test_words_of_another_reply_after_the_finish_are_not_taken():
    def mixed(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.words()
        exchange.event(exchange.delta(finish_reason="stop"))
        exchange.event(exchange.delta(content=LATER) | {"id": "c2"})
        exchange.event(exchange.usage_chunk())
        exchange.event("[DONE]")
        exchange.end_stream()

    with FaultServer(mixed, "ok") as server:
        assert asyncio.run(_two_questions(server)) == [server.text, server.text]
