"""Prompts at a limit of the user's own: passed over where another can answer, else waited for, and never exceeded."""

from __future__ import annotations

import asyncio

import pytest

from llx_magic.core.events import BackendSkipped, CoolDownWaitStarted, SkipReason
from llx_magic.engine.clocks import VirtualClock
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import DOWN, Bench, Scripted, answer


async def test_a_member_at_its_ceiling_is_passed_over_where_another_can_answer():
    bench = Bench(Scripted("a"), Scripted("b"), rpm_limit=1)
    assert [(await bench.ask()).backend for _ in range(2)] == ["a", "b"]
    (skipped,) = bench.events(BackendSkipped)
    assert (skipped.backend, skipped.reason) == ("a", SkipReason.AT_CEILING)


class Slow(Scripted):
    """Answers after 20 s; ``most`` is how many it had at once."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self.slowly)
        self.clock = VirtualClock()
        self.under_way = self.most = 0

    async def slowly(self, _request, _progress):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.clock.sleep(20.0)
        self.under_way -= 1
        return answer()


async def test_at_a_limit_of_requests_at_once_the_next_begins_when_one_has_ended():
    a = Slow("a")
    bench = Bench(a, clock=a.clock, concurrency_limit=2)
    replies = await asyncio.gather(*(bench.ask() for _ in range(5)))
    assert (a.most, a.clock.now()) == (2, 60.0)
    (started, *_) = bench.events(CoolDownWaitStarted)
    assert (started.seconds, started.limit) == (None, "concurrency_limit")
    notes = [note for reply in replies for note in reply.notes if note.startswith("waited")]
    assert sorted(notes) == [f"waited {seconds} s for the concurrency_limit" for seconds in (20, 20, 40)]


async def test_at_a_limit_of_requests_a_minute_a_prompt_waits_until_one_is_over_a_minute_old():
    bench = Bench(Scripted("a"), rpm_limit=2, cooldown_wait_ms=90_000)
    await asyncio.gather(*(bench.ask() for _ in range(3)))
    assert 60.0 < bench.clock.now() < 63.0


async def test_a_wait_that_is_too_long_is_an_error_that_names_the_limit_and_the_time():
    bench = Bench(Scripted("a"), rpm_limit=1)
    await bench.ask()
    with pytest.raises(AllBackendsFailed, match=r"at its rpm_limit of 1, .*61|at its rpm_limit of 1.*1 min"):
        await bench.ask()


async def test_each_attempt_of_a_visit_counts():
    a = Scripted("a", DOWN, DOWN, "fine")
    bench = Bench(a, rpm_limit=2, failover_retry_count=3, failover_retry_delay_ms=0)
    with pytest.raises(AllBackendsFailed):
        await bench.ask()
    assert len(a.asked) == 2


async def test_tokens_are_counted_by_what_replies_took():
    a = Scripted("a", tokens=400)
    bench = Bench(a, tpm_limit=1000)
    for _ in range(2):
        await bench.ask()
    with pytest.raises(AllBackendsFailed, match=r"tpm_limit of 1,000"):
        await bench.ask()


async def test_many_prompts_at_once_are_all_answered_at_the_rate_that_is_set():
    a = Scripted("a")
    bench = Bench(a, rpm_limit=240)
    await asyncio.gather(*(bench.ask() for _ in range(120)))
    assert 26.0 < bench.clock.now() < 32.0
