"""What a request leaves behind, and when its first words are handed on."""

from __future__ import annotations

import asyncio
import gc

import pytest

import llx_magic as llx
from llx_magic.core.events import Event, VisitSucceeded
from llx_magic.core.reply import Delta
from tests.faults.server import Exchange, FaultServer, sse, unused_url

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def burst(exchange: Exchange) -> None:
    """Send a whole stream of a few hundred pieces at once."""
    pieces = [sse(exchange.delta(content=f" word{number}")) for number in range(400)]
    exchange.send(b"".join((HEAD, *pieces, sse(exchange.delta(finish_reason="stop")), b"data: [DONE]\n\n")))


def balancer(*urls: str) -> llx.LoadBalancer:
    members = [
        llx.ModelProfile(f"b{place}", "openai", "some-model", connection=llx.Connection(base_url=url))
        for place, url in enumerate(urls)
    ]
    settings = {"failover_retry_count": 1, "circuit_breaker_enabled": False}
    profile = llx.Profile.single(members[0]) if len(members) == 1 else llx.Profile.failover("light", members, settings)
    return llx.LoadBalancer(profile)


async def test_the_first_piece_of_a_burst_is_handed_on_before_all_is_decoded():
    with FaultServer(burst) as server:
        async with balancer(server.base_url) as lb:
            events: list[Event] = []
            lb.subscribe(events.append)
            parts = lb.stream("why")
            first = await anext(parts)
            assert (type(first), any(isinstance(event, VisitSucceeded) for event in events)) == (Delta, False)
            assert len([part async for part in parts if isinstance(part, Delta)]) == 399


@pytest.mark.parametrize("first", ["an answer", "a refused connection"])
async def test_nothing_of_a_request_is_left_to_the_garbage_collector(first):
    with FaultServer("ok") as server:
        urls = [server.base_url] if first == "an answer" else [unused_url(), server.base_url]
        async with balancer(*urls) as lb:
            await lb.ask("why")
            await asyncio.sleep(0)
            gc.collect()
            gc.disable()
            try:
                await lb.ask("why")
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                ours = {type(each).__name__ for each in gc.garbage if type(each).__module__.startswith("llx_magic.")}
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
            assert ours == set()
