"""What a coroutine gives arrives piece by piece, whatever kind of tasks the loop makes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from llx_magic.engine.parts import Stream


class Ended(asyncio.Future[object]):
    """A task that is done; loops name what a factory gives them."""

    def set_name(self, value: object) -> None:
        """Take the name."""


def eager(loop: asyncio.AbstractEventLoop, coroutine, **_) -> asyncio.Future[object]:
    """Run a coroutine that waits for nothing at once, as Python does from 3.12 on where it is asked to.

    https://docs.python.org/3/library/asyncio-task.html#asyncio.eager_task_factory
    """
    ended = Ended(loop=loop)
    try:
        coroutine.send(None)
    except StopIteration as end:
        ended.set_result(end.value)
    return ended


@pytest.mark.parametrize("factory", [None, eager])
async def test_all_pieces_come_before_the_end_also_where_the_work_is_done_at_once(factory):
    stream: Stream[str] = Stream()

    async def work() -> str:
        stream.put("a")
        stream.put("b")
        return "end"

    made: Awaitable[str] = work()
    asyncio.get_running_loop().set_task_factory(factory)
    assert [piece async for piece in stream.of(made)] == ["a", "b", "end"]
