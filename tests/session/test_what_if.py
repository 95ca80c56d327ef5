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


def test_it_leaves_a_long_history_alone():
    lb = lived("ok,503", "503", prompts=module.MOST_PROMPTS + 1, failover_retry_count=1, history_limit=1000)
    assert what_if(lb) == ""
