"""What another setting would have made of the prompts is looked for seldom, and beside the drawing."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from llx_magic.core.totals import FEWEST_PROMPTS
from llx_magic.engine.clocks import VirtualClock
from llx_magic.errors import AllBackendsFailed
from llx_magic.notebook.adviser import Adviser
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import balancer, simulated
from tests.notebook.kit import wait_until


def asked(script: str, times: int) -> LoadBalancer:
    members = (simulated("a", script, cycle=True), simulated("b", script, cycle=True))
    lb = balancer(*members, clock=VirtualClock(), circuit_breaker_failure_threshold=100)
    ask(lb, times)
    return lb


def ask(lb: LoadBalancer, times: int) -> None:
    for _ in range(times):
        with contextlib.suppress(AllBackendsFailed):
            asyncio.run(lb.ask("why"))


class Finder:
    """Finds a line when it is let, and remembers who asked, and whether it was still wanted then."""

    def __init__(self) -> None:
        self.asked: list[LoadBalancer] = []
        self.may_end = threading.Event()
        self.stopped: list[bool] = []

    def __call__(self, lb: LoadBalancer, is_stopped: Callable[[], bool]) -> str:
        self.asked.append(lb)
        self.may_end.wait(30)
        self.stopped.append(is_stopped())
        return "with this: all better"

    def has_ended(self) -> bool:
        self.may_end.set()
        return wait_until(lambda: not any(each.name == "llx_magic what if" for each in threading.enumerate()))


def shows(adviser: Adviser, lb: LoadBalancer, said: str = "with this: all better") -> bool:
    return wait_until(lambda: adviser.latest(lb.snapshot()) == said)


def test_it_says_what_would_have_helped_once_it_has_found_it():
    lb = asked("503,ok,503", FEWEST_PROMPTS)
    adviser = Adviser(lb)
    assert adviser.latest(lb.snapshot()) == ""  # nobody waits for it
    assert wait_until(lambda: adviser.latest(lb.snapshot()).startswith("with failover_retry_count=2"))


def test_it_does_not_look_where_nothing_went_wrong_or_little_was_asked():
    find = Finder()
    for lb in (asked("ok", FEWEST_PROMPTS), asked("503", FEWEST_PROMPTS - 1)):
        assert Adviser(lb, find).latest(lb.snapshot()) == ""
    assert find.asked == []


def test_one_at_a_time_looks_in_a_kernel():
    one, other = asked("503", FEWEST_PROMPTS), asked("503", FEWEST_PROMPTS)
    find = Finder()
    first, second = Adviser(one, find), Adviser(other, find)
    assert wait_until(lambda: first.latest(one.snapshot()) == "" and find.asked == [one])
    assert second.latest(other.snapshot()) == ""
    assert find.asked == [one]
    assert find.has_ended()
    assert shows(second, other)


def test_one_that_is_stopped_tells_who_looks_for_it_and_looks_no_more():
    lb, find = asked("503", FEWEST_PROMPTS), Finder()
    adviser = Adviser(lb, find)
    assert wait_until(lambda: adviser.latest(lb.snapshot()) == "" and find.asked == [lb])
    adviser.stop()
    assert find.has_ended()
    assert find.stopped == [True]
    ask(lb, 1)
    assert adviser.latest(lb.snapshot()) == ""
    assert find.asked == [lb]


def test_what_was_found_before_a_reset_does_not_come_back():
    lb, find = asked("503", FEWEST_PROMPTS), Finder()
    adviser = Adviser(lb, find)
    find.may_end.set()
    assert shows(adviser, lb)
    lb.reset_statistics()
    ask(lb, FEWEST_PROMPTS)
    assert adviser.latest(lb.snapshot()) == ""


def test_what_is_found_after_a_reset_of_what_was_before_is_not_said():
    lb, find = asked("503", FEWEST_PROMPTS), Finder()
    adviser = Adviser(lb, find)
    assert wait_until(lambda: adviser.latest(lb.snapshot()) == "" and find.asked == [lb])
    lb.reset_statistics()
    ask(lb, FEWEST_PROMPTS)
    assert find.has_ended()
    assert adviser.latest(lb.snapshot()) == ""


def test_where_nothing_is_troubled_any_more_nothing_is_said():
    lb, find = asked("503", FEWEST_PROMPTS), Finder()
    adviser = Adviser(lb, find)
    find.may_end.set()
    assert shows(adviser, lb)
    well = asked("ok", FEWEST_PROMPTS)
    assert adviser.latest(well.snapshot()) == ""
