"""What one other setting would have made of the prompts of late."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from llx_magic.engine.clocks import VirtualClock
from llx_magic.errors import AllBackendsFailed
from llx_magic.session import what_if as module
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.what_if import what_if
from tests.engine.kit import balancer, simulated


def lived(*scripts: str, prompts: int = 30, **settings: Any) -> LoadBalancer:
    members = (simulated(f"b{place}", script, cycle=True) for place, script in enumerate(scripts))
    lb = balancer(*members, clock=VirtualClock(), circuit_breaker_failure_threshold=100, **settings)
    for _ in range(prompts):
        with contextlib.suppress(AllBackendsFailed):
            asyncio.run(lb.ask("why"))
    return lb


def test_where_nothing_went_wrong_or_nothing_was_asked_there_is_nothing_to_say():
    assert what_if(lived("ok", "ok")) == ""
    assert what_if(lived("ok", "ok", prompts=0)) == ""


def test_it_names_the_change_that_would_have_helped_and_by_how_much():
    said = what_if(lived("ok,503", "503", failover_retry_count=1))
    assert said.startswith("with failover_retry_count=2: ")
    assert "answered instead of" in said


def test_of_a_long_history_the_latest_prompts_are_looked_at():
    lb = lived("ok,503", "503", prompts=module.MOST_PROMPTS + 1, failover_retry_count=1, history_limit=1000)
    assert what_if(lb).startswith("with failover_retry_count=2: ")


def test_what_replaying_alone_makes_better_is_no_merit_of_a_change():
    """A cell's own time-out is not recorded, so in a replay under any settings these prompts are answered."""
    lb = lived("slow:9000", prompts=0, failover_retry_count=1)
    for number in range(20):
        with contextlib.suppress(AllBackendsFailed):
            asyncio.run(lb.ask("why", settings={"timeout_ms": 5000 if number % 2 else 60_000}))
    assert lb.snapshot().prompts.failed == 10
    assert what_if(lb) == ""


def test_what_is_not_wanted_any_more_is_not_tried():
    lb = lived("ok,503", "503", failover_retry_count=1)
    looks = list[int]()

    def is_stopped() -> bool:
        looks.append(len(looks))
        return len(looks) > 2

    assert what_if(lb, is_stopped) == ""
    assert looks == [0, 1, 2]  # before the first trial, before the next, and before what is sure
