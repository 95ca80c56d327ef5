"""The bars of a trace in text."""

from __future__ import annotations

import asyncio
import re

from tests.engine.kit import balancer, simulated


def bars(*members, **settings) -> list[str]:
    """Ask once, and return what stands between the upright lines of each attempt."""
    lb = balancer(*members, **settings)
    asyncio.run(lb.ask("why"))
    return re.findall(r"\|(.{24})\|  attempt", str(lb.trace()))


def test_the_shortest_attempt_has_a_mark_wherever_in_the_request_it_lies():
    drawn = bars(simulated("a", "503,503"), simulated("b", latency_ms=1), failover_retry_count=2)
    assert drawn == [f"·{' ' * 23}", f"{' ' * 23}·", f"{' ' * 23}="]


def test_a_reply_that_comes_whole_at_the_end_has_a_mark_for_its_text():
    assert bars(simulated("a", latency_ms=200)) == [f"{'·' * 23}="]
