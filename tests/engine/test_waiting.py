"""Requests that wait for a rate limit: who waits, how long, in which order they go on, and that nobody is lost."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llx_magic.core.events import (
    AttemptStarted,
    BackendSkipped,
    CoolDownLifted,
    CoolDownWaitEnded,
    CoolDownWaitStarted,
    RequestAnswered,
    VisitFailed,
)
from llx_magic.core.gate import Gate
from llx_magic.engine.clocks import LoopClock, ManualClock, VirtualClock
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import DOWN, LIMITED, Bench, Scripted, balancer, failure, settle, simulated

pytestmark = pytest.mark.usefixtures("each_store")


def limited(seconds: float):
    return replace(LIMITED, retry_after=seconds)


class LimitedBackend(Scripted):
    """Answers so many requests in a window of time, or so many at once, after a while; counts its refusals."""

    def __init__(self, name: str, clock, *, room: int, seconds: float = 2.0, at_once: bool = False, takes: float = 0.1):
        super().__init__(name, self.decide)
        self.clock, self.room, self.seconds, self.at_once, self.takes = clock, room, seconds, at_once, takes
        self.began, self.used, self.refusals = -seconds, 0, 0

    async def decide(self, request, progress):
        if not self.at_once and self.clock.now() >= self.began + self.seconds:
            self.began, self.used = self.clock.now(), 0
        self.used += 1
        if self.used > self.room:
            self.used -= self.at_once
            self.refusals += 1
            return await Scripted(self.name, limited(self.seconds)).answer(request, progress)
        try:
            await self.clock.sleep(self.takes)
        finally:
            self.used -= self.at_once
        return await Scripted(self.name, "fine").answer(request, progress)


def crowd_of(*rooms: int, clock=None, **how) -> Bench:
    clock = clock or VirtualClock()
    backends = [LimitedBackend(f"b{place}", clock, room=room, **how) for place, room in enumerate(rooms)]
    return Bench(*backends, clock=clock, failover_retry_count=2)


# --- who waits, and how long ----------------------------------------------------------------------------------------


async def test_a_request_that_only_rate_limits_refuse_waits_for_the_first_that_ends():
    bench = Bench(Scripted("a", limited(9.0), "a is back"), Scripted("b", limited(6.0), "b is back"))
    reply = await bench.ask()
    assert (reply.text, bench.clock.now()) == ("b is back", 6.0)
    [started] = bench.events(CoolDownWaitStarted)
    assert (started.backend, started.seconds) == ("b", 6.0)
    [ended] = bench.events(CoolDownWaitEnded)
    assert (ended.backend, ended.seconds) == ("b", 6.0)
    assert "waited 6 s for a rate limit" in reply.notes


async def test_the_wait_stands_in_the_trace():
    bench = Bench(Scripted("a", limited(6.0), "back"))
    trace = (await bench.ask()).trace
    [wait] = [step for step in trace.steps if step.kind == "wait"]
    assert (wait.backend, wait.begin, wait.end, wait.text) == ("a", 0.0, 6.0, "waited 6 s for a rate limit")


async def test_a_request_that_finds_every_backend_cooling_down_waits_too():
    bench = Bench(Scripted("a", limited(9.0), "a is back"), Scripted("b", limited(6.0), "b is back"))
    with pytest.raises(AllBackendsFailed):
        await bench.ask(cooldown_wait_ms="none")
    assert (await bench.ask()).text == "b is back"
    skipped = [event.backend for event in bench.events(BackendSkipped)]
    assert skipped == ["a", "b", "a"]


@pytest.mark.parametrize("limit", ["none", 0])
@pytest.mark.parametrize("only", [None, "a"], ids=["a profile", "one backend"])
async def test_with_none_nobody_waits(only, limit):
    bench = Bench(Scripted("a", limited(6.0), "back"), Scripted("b", DOWN))
    with pytest.raises(AllBackendsFailed):
        await bench.ask(cooldown_wait_ms=limit, only=only)
    assert bench.clock.now() == 0.0


async def test_a_wait_beyond_the_limit_fails_at_once():
    bench = Bench(Scripted("a", limited(6.0)), Scripted("b", limited(7.0)))
    with pytest.raises(AllBackendsFailed) as caught:
        await bench.ask(cooldown_wait_ms=5999)
    assert bench.clock.now() == 0.0
    assert [reason.seconds_left for reason in caught.value.reasons] == [6.0, 7.0]


async def test_where_all_circuits_are_open_the_error_comes_at_once():
    bench = Bench(Scripted("a", DOWN), Scripted("b", DOWN), circuit_breaker_failure_threshold=1)
    for _ in range(2):
        with pytest.raises(AllBackendsFailed):
            await bench.ask()
    assert bench.clock.now() == 0.0
    assert not bench.events(CoolDownWaitStarted)


@pytest.mark.parametrize("other", [DOWN, failure(status=401)], ids=["503", "401"])
async def test_another_backend_that_fails_otherwise_does_not_forbid_to_wait_and_is_not_asked_again(other):
    a, b = Scripted("a", other), Scripted("b", limited(6.0), "back")
    bench = Bench(a, b, circuit_breaker_failure_threshold=1)
    assert (await bench.ask()).text == "back"
    assert len(a.asked) == 1
    b.steps = [*b.steps[:2], limited(6.0), "back again"]
    assert (await bench.ask()).text == "back again"  # the circuit of a is open


async def test_a_backend_whose_circuit_stays_open_beyond_its_cool_down_is_not_waited_for():
    bench = Bench(Scripted("a", limited(6.0)), Scripted("b", DOWN), circuit_breaker_failure_threshold=1)
    bench.live.change_by_hand(bench.gates["a"], Gate.close)
    with pytest.raises(AllBackendsFailed):
        await bench.ask(cooldown_wait_ms="none")
    bench.live.change_by_hand(bench.gates["a"], Gate.open)
    with pytest.raises(AllBackendsFailed):
        await bench.ask()
    assert bench.clock.now() == 0.0


async def test_a_backend_that_is_not_ready_does_not_forbid_to_wait():
    bench = Bench(Scripted("a", obstacle="no key"), Scripted("b", limited(6.0), "back"))
    assert (await bench.ask()).text == "back"


# --- one candidate --------------------------------------------------------------------------------------------------


async def test_a_prompt_of_one_backend_waits_for_its_rate_limit_where_that_is_short():
    a = Scripted("a", limited(6.0), "back", "again")
    bench = Bench(a)
    with pytest.raises(AllBackendsFailed):
        await bench.ask(cooldown_wait_ms="none")
    assert (await bench.ask()).text == "back"
    assert bench.clock.now() == 6.0
    assert len(a.asked) == 2


async def test_a_prompt_of_one_backend_asks_at_once_where_the_rate_limit_is_longer_than_anybody_waits():
    bench = Bench(Scripted("a", limited(3600.0), "back after all"))
    with pytest.raises(AllBackendsFailed):
        await bench.ask()
    assert (await bench.ask()).text == "back after all"
    assert bench.clock.now() == 0.0


@pytest.mark.parametrize("seconds", [0.0, 0.01, 2.0, 4.0, None], ids=str)
async def test_a_backend_that_limits_for_ever_is_given_up(seconds):
    a = Scripted("a", replace(LIMITED, retry_after=seconds))
    bench = Bench(a, failover_retry_count=2)
    with pytest.raises(AllBackendsFailed, match="429"):
        await bench.ask()
    assert bench.clock.now() <= 25.0
    assert len(a.asked) <= 24


async def test_a_crowd_before_a_backend_that_limits_for_ever_is_given_up_together():
    a, b = Scripted("a", limited(2.0)), Scripted("b", limited(3.0))
    bench = Bench(a, b, failover_retry_count=2)
    outcomes = await asyncio.gather(*(bench.ask() for _ in range(100)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {AllBackendsFailed}
    assert bench.clock.now() <= 20.0
    assert len(a.asked) + len(b.asked) <= 2 * 100 + 60
    assert bench.clock.waiting() == 0


# --- a crowd --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rooms", [(8, 8), (8,), (3, 5, 1)], ids=str)
async def test_a_crowd_is_answered_whole_in_about_the_time_that_the_rates_allow(rooms):
    bench = crowd_of(*rooms)
    await asyncio.gather(*(bench.ask() for _ in range(160)))
    least = 2.0 * (160 / sum(rooms) - 1)
    assert least <= bench.clock.now() <= 1.35 * least + 4.0
    windows = bench.clock.now() / 2.0
    refusals = sum(backend.refusals for backend in bench.backends)
    assert refusals <= 160 * len(rooms) + len(rooms) * (2 * windows + 24)
    assert bench.clock.waiting() == 0


async def test_a_crowd_is_answered_whole_by_backends_that_take_so_many_at_once():
    bench = crowd_of(8, 8, at_once=True)
    await asyncio.gather(*(bench.ask() for _ in range(400)))
    assert bench.clock.now() <= 12.0  # 2.5 s would do for who knows the limits; each that is found costs 2 s
    assert sum(backend.refusals for backend in bench.backends) <= 2 * 400 + 40


async def test_those_who_wait_are_answered_in_the_order_in_which_they_came():
    bench = crowd_of(4, 4)
    await asyncio.gather(*(bench.ask() for _ in range(80)))
    asked = [event.request for event in bench.events(AttemptStarted)]
    last = list(dict.fromkeys(reversed(asked)))[::-1]  # by the attempt that was answered
    at_first = 8  # answered before anybody was refused
    held = {asked[4], asked[80 + 4]}  # these waited where they were, to go first
    waited = [number for number in last[at_first:] if number not in held]
    assert waited == sorted(waited)


async def test_at_the_end_of_a_cool_down_one_goes_first_and_the_others_wait_until_it_is_settled():
    clock = ManualClock()
    bench = crowd_of(100, clock=clock, takes=5.0)
    a = bench.backends[0]
    a.began, a.used = 0.0, 100
    asking = [asyncio.create_task(bench.ask(only="b0")) for _ in range(10)]
    await settle()
    assert len(a.asked) == 1
    await bench.pass_time(2.0)
    assert len(a.asked) == 2
    await bench.pass_time(4.9)
    assert len(a.asked) == 2
    await bench.pass_time(0.1)
    assert len(a.asked) == 4
    for _ in range(4):
        await bench.pass_time(5.0)
    assert all(task.result().text == "fine" for task in asking)


async def test_a_newcomer_goes_to_the_end_of_the_line_and_past_it_to_a_backend_that_is_free():
    bench = Bench(Scripted("a", limited(6.0), "back"), Scripted("b"), clock=ManualClock())
    waiting = asyncio.create_task(bench.ask(only="a"))
    await settle()
    assert (await bench.ask()).backend == "b"
    await bench.pass_time(6.0)
    assert (await waiting).text == "back"
    assert (await bench.ask()).backend == "a"


# --- leaving --------------------------------------------------------------------------------------------------------


async def test_who_is_cancelled_while_it_waits_gives_its_place_to_the_next():
    bench = Bench(Scripted("a", limited(6.0), "back"), clock=ManualClock())
    asking = [asyncio.create_task(bench.ask()) for _ in range(3)]
    await settle()
    asking[0].cancel()
    await settle()
    await bench.pass_time(6.0)
    assert [task.cancelled() for task in asking] == [True, False, False]
    assert [task.result().text for task in asking[1:]] == ["back", "back"]
    assert bench.clock.waiting() == 0


@pytest.mark.parametrize("turns", range(8))
async def test_who_is_cancelled_when_it_has_been_called_gives_its_turn_to_the_next(turns):
    bench = Bench(Scripted("a", limited(6.0), "back"), clock=ManualClock())
    asking = [asyncio.create_task(bench.ask()) for _ in range(3)]
    await settle()
    bench.clock.advance(6.0)
    await settle(turns)
    asking[0].cancel()
    await settle()
    await bench.pass_time(6.0)
    assert [task.result().text for task in asking[1:]] == ["back", "back"]


@pytest.mark.parametrize("how", ["lifted", "replaced"])
async def test_those_who_wait_are_woken_by_hand(how):
    bench = Bench(Scripted("a", limited(6.0), "back"), Scripted("b", limited(7.0), "b"), clock=ManualClock())
    asking = [asyncio.create_task(bench.ask()) for _ in range(5)]
    await settle()
    if how == "lifted":
        bench.live.change_by_hand(bench.gates["a"], Gate.reset)
        await settle()
        assert [event.backend for event in bench.events(CoolDownLifted)] == ["a"]
    else:
        bench.replace(fresh=["a"], kept=["b"])
        await bench.pass_time(6.0)  # they asked the backend that was replaced, and go on with it
    await settle()
    assert [task.result().text for task in asking] == ["back"] * 5


async def test_a_quota_that_is_spent_while_others_wait_sends_all_of_them_away_at_once():
    spent = replace(LIMITED, quota_exhausted=True)
    bench = Bench(Scripted("a", limited(6.0), spent), Scripted("b", DOWN), clock=ManualClock())
    asking = [asyncio.create_task(bench.ask()) for _ in range(5)]
    await bench.pass_time(6.0)
    assert all(isinstance(task.exception(), AllBackendsFailed) for task in asking)
    assert len(bench.backends[0].asked) == 2


async def test_a_crowd_that_is_let_go_by_hand_is_no_stampede():
    clock = ManualClock()
    bench = crowd_of(1000, clock=clock, takes=1.0)
    a = bench.backends[0]
    a.began, a.used = 0.0, 1000
    asking = [asyncio.create_task(bench.ask()) for _ in range(50)]
    await settle()
    a.used = 0
    bench.live.change_by_hand(bench.gates["b0"], Gate.reset)
    await settle(200)
    assert a.used <= 2
    while not all(task.done() for task in asking):
        await bench.pass_time(1.0)
    assert {task.result().text for task in asking} == {"fine"}


# --- loops and threads ----------------------------------------------------------------------------------------------


def test_loops_of_several_threads_wait_in_one_line_and_wake_each_other():
    clock = LoopClock()
    bench = crowd_of(4, 4, clock=clock, seconds=0.1, takes=0.005)
    answered: list[str] = []

    async def several() -> None:
        for reply in await asyncio.gather(*(bench.ask() for _ in range(8))):
            answered.append(reply.text)

    threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answered == ["fine"] * 48


def test_a_loop_that_has_stopped_or_ended_while_it_waits_holds_up_nobody():
    clock = ManualClock()
    bench = Bench(Scripted("a", limited(6.0), "back"), clock=clock)
    stopped, ended = asyncio.new_event_loop(), asyncio.new_event_loop()
    left = [loop.create_task(bench.ask()) for loop in (stopped, ended)]
    for loop in (stopped, ended):
        loop.run_until_complete(settle())
    ended.close()

    async def main() -> None:
        asking = asyncio.create_task(bench.ask())
        await settle()
        clock.advance(6.0)
        await settle()
        clock.advance(1.0)
        await settle()
        assert asking.result().text == "back"

    asyncio.run(main())
    stopped.run_until_complete(settle())
    assert left[0].result().text == "back"
    stopped.close()
    left[1]._log_destroy_pending = False


# --- nobody is lost -------------------------------------------------------------------------------------------------


@settings(max_examples=50)  # each is a crowd of forty
@given(
    rooms=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    at_once=st.booleans(),
    takes=st.sampled_from([0.0, 0.1, 1.5]),
    leaving=st.dictionaries(st.integers(0, 39), st.sampled_from([0.0, 0.05, 2.0, 2.05, 3.0, 7.9]), max_size=15),
)
def test_of_any_crowd_everybody_who_stays_is_answered_once(rooms, at_once, takes, leaving):
    async def main() -> None:
        bench = crowd_of(*rooms, at_once=at_once, takes=takes)

        async def one(number: int) -> str:
            asking = asyncio.ensure_future(bench.ask())
            if number in leaving:
                await bench.clock.sleep(leaving[number])
                asking.cancel()
            try:
                return (await asking).text
            except asyncio.CancelledError:
                return "left"

        outcomes = await asyncio.gather(*(one(number) for number in range(40)))
        assert [text for number, text in enumerate(outcomes) if number not in leaving] == ["fine"] * (40 - len(leaving))
        assert len(bench.events(RequestAnswered)) == outcomes.count("fine")
        failed = [event for event in bench.events() if isinstance(event, VisitFailed)]
        assert {event.failure.kind for event in failed} <= {LIMITED.kind}
        assert bench.clock.waiting() == 0
        assert not any(bench.gate(name).cool_down.has_line for name in bench.gates)

    asyncio.run(main())


async def test_simulated_backends_with_a_rate_answer_a_crowd_in_exact_virtual_time():
    lb = balancer(simulated("a", rate="8/2", latency_ms=100), simulated("b", rate="8/2", latency_ms=100))
    replies = await asyncio.gather(*(lb.ask(f"prompt {number}") for number in range(100)))
    assert len(replies) == 100
    assert 12.0 <= lb.now() <= 16.0
