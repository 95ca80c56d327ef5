"""A second backend beside a silent one, on real sockets: connections are closed, and what the loser told is counted."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace

import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.core.events import AttemptStarted, HedgeStarted
from llx_magic.engine.background import BACKGROUND
from llx_magic.profiles.connection import Connection
from tests.faults.server import Exchange, FaultServer

PRICED = Connection(price_input=1e6, price_output=0.0)
SOON = {"hedge_after_ms": 50, "failover_retry_count": 1}


def balancer(*servers: FaultServer, form: str | None = None, **settings) -> LoadBalancer:
    members = [
        ModelProfile(name, "openai", "m", connection=replace(PRICED, base_url=server.base_url, form=form))
        for name, server in zip("abc", servers, strict=False)
    ]
    return LoadBalancer(Profile.failover("lb", members, {**SOON, **settings}))


async def ask(lb: LoadBalancer, **options):
    async with lb:
        return await lb.ask("Why?", **options)


def begin_and_hold(exchange: Exchange) -> None:
    """Send the head of a stream, and nothing more."""
    exchange.begin_stream()
    exchange.hold()


@pytest.mark.parametrize("streaming", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("silent", ["no-headers", begin_and_hold], ids=["no headers", "no text"])
def test_the_silent_servers_connection_is_closed_and_the_others_reply_is_whole(silent, streaming):
    with FaultServer(silent) as first, FaultServer("ok", text="Two is a prime.") as second:
        reply = asyncio.run(ask(balancer(first, second), settings={"streaming": streaming}))
        assert (reply.backend, reply.text) == ("b", "Two is a prime.")
        assert first.reached.wait(5)
        assert first.requests[-1].disconnected.wait(5)


def test_a_first_that_answers_while_the_second_is_asked_wins_and_the_seconds_connection_is_closed():
    with FaultServer("ok-when-released", text="One.") as first, FaultServer("no-headers") as second:
        lb = balancer(first, second)
        lb.subscribe(lambda event: _when_asked(event, first, second))
        reply = asyncio.run(ask(lb))
        assert (reply.backend, reply.text) == ("a", "One.")
        assert second.reached.wait(5)
        assert second.requests[-1].disconnected.wait(5)
        assert lb.snapshot().backends[1].outrun == 1


def _when_asked(event: object, first: FaultServer, second: FaultServer) -> None:
    """Let the first server go on once the second has the request."""
    if isinstance(event, HedgeStarted):
        threading.Thread(target=lambda: second.reached.wait(5) and first.release()).start()


def test_an_interrupt_closes_both_connections():
    with FaultServer("no-headers") as first, FaultServer("no-headers") as second:
        lb = balancer(first, second)

        async def interrupted() -> None:
            asking = asyncio.create_task(ask(lb))
            for server in (first, second):
                assert await asyncio.to_thread(server.reached.wait, 5)
            asking.cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()

        asyncio.run(interrupted())
        for server in (first, second):
            assert server.reached.wait(5)
            assert server.requests[-1].disconnected.wait(5)
        assert [each.cancelled for each in lb.snapshot().backends] == [1, 1]


def test_a_request_in_the_background_is_hedged_and_cancelled_alike():
    with FaultServer("no-headers") as first, FaultServer("no-headers") as second:
        lb = balancer(first, second)
        running = BACKGROUND.start(lambda watch: lb.run(lb.prepare("Why?"), watch))
        running.begin()
        for server in (first, second):
            assert server.reached.wait(5)
        running.cancel()
        for server in (first, second):
            assert server.reached.wait(5)
            assert server.requests[-1].disconnected.wait(5)
        BACKGROUND.run(lb.aclose())


def test_what_the_loser_had_told_of_its_tokens_is_counted_and_paid():
    def told(exchange: Exchange) -> None:
        exchange.begin_stream()
        usage = {"input_tokens": 70, "output_tokens": 1}
        message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage}
        exchange.chunk(
            b"event: message_start\ndata: "
            + json.dumps({"type": "message_start", "message": message}).encode()
            + b"\n\n"
        )
        exchange.hold()

    def answered(exchange: Exchange) -> None:
        assert first.reached.wait(5)
        exchange.whole(
            200,
            json.dumps(
                {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
                 "content": [{"type": "text", "text": "Yes."}], "usage": {"input_tokens": 5, "output_tokens": 2}}
            ).encode(),
        )  # fmt: skip

    with FaultServer(told) as first, FaultServer(answered) as second:
        lb = balancer(first, second, form="anthropic", hedge_after_ms=400)
        reply = asyncio.run(ask(lb))
        assert reply.backend == "b"
        a, b = lb.snapshot().backends
        assert (a.prompt_tokens, b.prompt_tokens) == (70, 5)
        assert reply.cost == 75.0
        assert lb.snapshot().spent.amount == 75.0


def test_an_unfit_reply_of_the_winner_is_asked_for_again_there():
    with FaultServer("no-headers") as first, FaultServer("ok", text='{"n": "no"}') as second:
        second.script("ok")
        lb = balancer(first, second, schema_retries=1, first_token_timeout_ms=1000)
        reply = asyncio.run(ask(lb, schema={"n": int}))
        asked = [event.backend for event in lb.decisions() if isinstance(event, AttemptStarted)]
        assert asked == [*"abba"]
        assert reply.backend == "b"


def test_rows_are_hedged_too(tmp_path):
    with FaultServer("no-headers") as first, FaultServer("ok", text="Yes.") as second:
        lb = balancer(first, second)

        async def run():
            async with lb:
                return await lb.map(["one", "two", "three"], "{{ row }}", store=tmp_path / "replies.sqlite")

        result = asyncio.run(run())
        assert list(result.frame.llx_backend) == ["b"] * 3
        assert lb.snapshot().backends[0].outrun == 3
