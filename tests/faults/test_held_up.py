"""A loop that is held up by other work in this process: no server is blamed for what lies unread in its socket."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.faults.asking import attempt, backend
from tests.faults.server import Exchange, FaultServer


@pytest.mark.parametrize("limit", ["timeout_ms", "first_token_timeout_ms"])
async def test_a_reply_that_came_while_the_loop_was_held_up_beyond_the_limit_is_taken(limit):
    """As when a cell of the user computes on the loop that asks."""
    with FaultServer("ok-when-released") as server:
        async with backend(server.base_url) as asked:
            answering = asyncio.create_task(attempt(asked, None, **{limit: 300}))
            await asyncio.to_thread(server.reached.wait, 10)
            server.release()
            time.sleep(0.6)  # noqa: ASYNC251 - holding the loop up is what this is about
            answer = await answering
        assert answer.text == server.text


@pytest.mark.parametrize("released", ["while the loop is held up", "a moment later"])
@pytest.mark.parametrize("limit", ["timeout_ms", "stall_timeout_ms"])
async def test_text_that_was_shown_before_the_loop_was_held_up_goes_on(limit, released):
    """Nothing is withdrawn because of what this process did meanwhile."""

    def in_two_parts(exchange: Exchange) -> None:
        exchange.begin_stream()
        first, *others = exchange.server.pieces
        exchange.event(exchange.delta(content=first))
        exchange.hold()
        for piece in others:
            exchange.event(exchange.delta(content=piece))
        exchange.event(exchange.delta(finish_reason="stop"))
        exchange.event("[DONE]")
        exchange.end_stream()

    with FaultServer(in_two_parts) as server:
        async with backend(server.base_url) as asked:
            answering = asyncio.create_task(attempt(asked, None, **{limit: 400}))
            await asyncio.to_thread(server.reached.wait, 10)
            await asyncio.sleep(0.05)
            if released == "while the loop is held up":
                server.release()
            time.sleep(0.8)  # noqa: ASYNC251 - holding the loop up is what this is about
            await asyncio.sleep(0.1)
            server.release()
            answer = await answering
        assert answer.text == server.text
