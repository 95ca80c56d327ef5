"""What another setting would have made of the prompts is looked for seldom, and beside the drawing."""

from __future__ import annotations

import asyncio
import contextlib

from llx_magic.engine.clocks import VirtualClock
from llx_magic.errors import AllBackendsFailed
from llx_magic.notebook.adviser import FEWEST_PROMPTS, Adviser
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import balancer, simulated
from tests.notebook.kit import wait_until


def asked(script: str, times: int) -> LoadBalancer:
    members = (simulated("a", script, cycle=True), simulated("b", script, cycle=True))
    lb = balancer(*members, clock=VirtualClock(), circuit_breaker_failure_threshold=100)
    for _ in range(times):
        with contextlib.suppress(AllBackendsFailed):
            asyncio.run(lb.ask("why"))
    return lb


def test_it_says_what_would_have_helped_once_it_has_found_it():
    lb = asked("503,ok,503", FEWEST_PROMPTS)
    adviser = Adviser(lb)
    assert adviser.latest(lb.snapshot()) == ""  # nobody waits for it
    assert wait_until(lambda: adviser.latest(lb.snapshot()).startswith("with failover_retry_count=2"))


def test_it_does_not_look_where_nothing_went_wrong_or_little_was_asked():
    for lb in (asked("ok", FEWEST_PROMPTS), asked("503", FEWEST_PROMPTS - 1)):
        adviser = Adviser(lb)
        assert adviser.latest(lb.snapshot()) == ""
        assert adviser._looking is None
