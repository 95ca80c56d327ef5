"""A prompt's way from backend to backend, in words."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from llx_magic.core.events import BackendSkipped, Event, RequestAnswered, RequestStarted, SkipReason, VisitStarted
from llx_magic.core.trace import Trace
from llx_magic.dashboard.hops import MOST_HOPS, hops_of, tag_of
from llx_magic.engine.clocks import VirtualClock
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import balancer, simulated


def asked(*scripts: str, times: int = 1, **settings: Any) -> Trace:
    """The trace of the last of some prompts to backends named a, b, c."""
    members = (simulated(name, script, cycle=True) for name, script in zip("abc", scripts, strict=False))
    lb = balancer(*members, clock=VirtualClock(), **settings)
    for _ in range(times):
        with contextlib.suppress(AllBackendsFailed):
            asyncio.run(lb.ask("why"))
    return lb.trace()


def way(trace: Trace) -> str:
    return " · ".join(hops_of(trace))


ONCE = {"failover_retry_count": 1}


@pytest.mark.parametrize(
    ("scripts", "settings", "told"),
    [
        (("ok", "ok"), ONCE, "a answered"),
        (("503", "ok"), ONCE, "a 503 · b answered"),
        (("503", "400", "refused"), ONCE, "a 503 · b 400 · c network error"),
        (("503,ok", "ok"), {"failover_retry_count": 2, "failover_retry_delay_ms": 1000}, "a 503, waited "),
        (("cut:3", "ok"), ONCE, "a broke off after 3 words (network error) · b answered"),
    ],
)
def test_every_hop_has_its_backend_what_it_came_to_and_why(scripts, settings, told):
    assert way(asked(*scripts, **settings)).startswith(told)


def test_a_retry_that_succeeds_says_what_came_before():
    said = way(asked("503,ok", "ok", failover_retry_count=2))
    assert said.startswith("a 503, waited ")
    assert said.endswith(", then answered")


def test_who_was_passed_over_says_why():
    trace = asked("503", "ok", times=2, circuit_breaker_failure_threshold=1, failover_retry_count=1)
    assert way(trace) == "a skipped: circuit open · b answered"


def test_many_that_were_passed_over_for_one_reason_are_counted():
    assert way(Trace((started(), *(skipped(f"b{n}") for n in range(38)), visited("z")))) == (
        "b0, b1 and 36 more skipped: circuit open · z asked"
    )


def test_of_many_hops_those_in_the_middle_are_counted():
    hops = hops_of(Trace((started(), *(visited(f"b{n}") for n in range(40)))))
    assert len(hops) == MOST_HOPS
    assert hops[-2:] == ["33 further hops", "b39 asked"]


@pytest.mark.parametrize(
    ("trace", "tag"),
    [
        (lambda: asked("503", "503", failover_retry_count=1), "✗ failed"),
        (lambda: asked("cut:3", "ok", failover_retry_count=1), "↻ restarted"),
        (lambda: asked("ok", "ok"), ""),
        (lambda: Trace((started(),)), "… running"),
    ],
    ids=["failed", "restarted", "answered", "running"],
)
def test_what_sets_a_prompt_apart_has_a_word(trace, tag):
    assert tag_of(trace(), is_slow=False) == tag


def test_a_slow_prompt_says_so():
    end = RequestAnswered(at=9.0, request=1, backend="a", attempts=1, seconds=9.0)
    assert tag_of(Trace((started(), end)), is_slow=True) == "slow"


def started() -> Event:
    return RequestStarted(at=0.0, request=1, policy="failover", order=("a",))


def visited(name: str) -> Event:
    return VisitStarted(at=0.0, request=1, backend=name, is_probe=False)


def skipped(name: str) -> Event:
    return BackendSkipped(at=0.0, request=1, backend=name, reason=SkipReason.CIRCUIT_OPEN, message="circuit open")
