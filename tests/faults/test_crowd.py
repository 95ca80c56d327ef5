"""Many calls at once over servers that limit their rate, on real sockets: all are answered."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.core.events import CoolDownWaitEnded
from llx_magic.profiles.connection import Connection
from tests.faults.modes import MODES
from tests.faults.server import Exchange, FaultServer

CALLS, ROOM = 120, 8


class Limited:
    """A mode that answers so many requests in a window of time, or so many at once, and refuses the others."""

    def __init__(self, *, seconds: float, at_once: bool) -> None:
        self.seconds, self.at_once = seconds, at_once
        self.lock = threading.Lock()
        self.began, self.used, self.refusals = 0.0, 0, 0

    def answer(self, exchange: Exchange) -> None:
        if not self.has_room():
            exchange.whole(429, b'{"error": {"message": "slow down"}}', {"Retry-After": str(self.seconds)})
            return
        MODES["ok"](exchange)
        if self.at_once:
            with self.lock:
                self.used -= 1

    def has_room(self) -> bool:
        with self.lock:
            if not self.at_once and time.monotonic() >= self.began + self.seconds:
                self.began, self.used = time.monotonic(), 0
            if self.used < ROOM:
                self.used += 1
                return True
            self.refusals += 1
            return False


def profile_of(*servers: FaultServer) -> Profile:
    members = tuple(
        ModelProfile(f"b{place}", "openai", "m", connection=Connection(base_url=server.base_url))
        for place, server in enumerate(servers)
    )
    return Profile.single(members[0]) if len(members) == 1 else Profile.failover("crowd", members)


@pytest.mark.parametrize("backends", [1, 2])
@pytest.mark.parametrize("at_once", [False, True], ids=["so many in a time", "so many at once"])
def test_of_many_calls_at_once_every_one_is_answered(backends, at_once):
    """Most of them wait; what is refused beyond the first rush is little."""
    limits = [Limited(seconds=0.2, at_once=at_once) for _ in range(backends)]

    async def crowd(*servers: FaultServer) -> list[str]:
        async with LoadBalancer(profile_of(*servers), isolated=True) as lb:
            replies = await asyncio.gather(*(lb.ask(f"call {number}") for number in range(CALLS)))
            waited = any(isinstance(event, CoolDownWaitEnded) for event in lb.decisions())
            assert waited or at_once  # on a slow machine so few may come at once that nobody has to wait
            return [reply.text for reply in replies]

    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(FaultServer(limit.answer, text="Two.", chunk_delay=0.01)) for limit in limits]
        assert asyncio.run(crowd(*servers)) == ["Two."] * CALLS
    assert sum(limit.refusals for limit in limits) <= CALLS * (backends + 1.5)
