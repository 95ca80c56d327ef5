"""A backend that many rows ask gets ready once a second."""

from __future__ import annotations

import pytest

from llx_magic.core.failure import NotReady
from llx_magic.engine.clocks import ManualClock
from llx_magic.engine.steady import SteadyBackend
from tests.engine.kit import Scripted


class Counted(Scripted):
    """Counts how often it got ready."""

    prepared = 0

    async def prepare(self) -> Scripted:
        self.prepared += 1
        return await super().prepare()


async def test_what_is_needed_to_send_is_got_once_a_second():
    backend, clock = Counted("a"), ManualClock()
    steady = SteadyBackend(backend, clock)
    for _ in range(30):
        assert await steady.prepare() is backend
        clock.advance(0.1)
    assert backend.prepared == 3


async def test_an_obstacle_is_looked_for_each_time():
    backend, clock = Counted("a", obstacle="no key"), ManualClock()
    steady = SteadyBackend(backend, clock)
    with pytest.raises(NotReady, match="no key"):
        await steady.prepare()
    backend.blocked_by = None
    assert await steady.prepare() is backend
    clock.advance(2.0)
    backend.blocked_by = "no key"
    with pytest.raises(NotReady, match="no key"):
        await steady.prepare()
