"""Counters and records are a fold over events: what adds up, what is kept, what a reset leaves."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.commands.footer import footer
from llx_magic.core.archive import EVENTS_PER_REQUEST
from llx_magic.core.breaker import Cause
from llx_magic.core.events import (
    AttemptStarted,
    BackendEvent,
    CircuitChanged,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestStarted,
    VisitCancelled,
    VisitFailed,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.failure import FailureKind
from llx_magic.core.ledger import EVENTS_OF_NO_REQUEST, Ledger
from llx_magic.core.reply import Answer, Delta, Reply, Restart, Usage
from llx_magic.core.statistics import DURATIONS_KEPT, Tally, percentile
from llx_magic.engine.clocks import ManualClock, VirtualClock
from llx_magic.errors import AllBackendsFailed
from llx_magic.session.balancer import LoadBalancer
from llx_magic.units import duration
from tests.engine.kit import (
    DOWN,
    REFUSED,
    Bench,
    Scripted,
    balancer,
    circuit_changed,
    failure,
    gate_of,
    settle,
    simulated,
)


def started(request: int) -> RequestStarted:
    return RequestStarted(at=0.0, request=request, policy="failover", order=("a",))


def test_nearest_rank_is_the_smallest_sample_that_the_share_does_not_exceed():
    assert [percentile([4, 1, 3, 2], share) for share in (0.25, 0.5, 0.95)] == [1, 2, 4]
    assert percentile(range(1, 101), 0.95) == 95
    assert percentile([7], 0.5) == 7
    assert percentile([], 0.5) is None


def test_a_backend_never_asked_has_no_rates_and_zero_counts():
    tally = Tally()
    assert (tally.requests, tally.success_rate, tally.mean_latency, tally.tokens_per_second) == (0, None, None, None)


async def test_success_rate_leaves_cancelled_and_running_visits_out():
    bench = Bench(Scripted("a", "x", "x", "x", DOWN), Scripted("b"))
    for _ in range(4):
        await bench.ask()
    assert bench.snapshot("a").success_rate == 0.75


async def test_latency_is_from_sending_to_the_end_of_the_visit_with_the_waits_in_it():
    bench = Bench(Scripted("a", DOWN, "fine"), Scripted("b"), failover_retry_count=2)
    await bench.ask()
    a = bench.snapshot("a")
    assert (a.mean_latency, a.p50_latency, a.p95_latency) == (1.0, 1.0, 1.0)


async def test_tokens_per_second_are_those_of_generating_after_the_first_piece():
    lb = balancer(simulated("a", reply="one two three four five six seven eight nine ten", latency_ms=3000,
                            tokens_per_second=2.5, completion_tokens=20))  # fmt: skip
    reply = await lb.ask("why")
    [a] = lb.snapshot().backends
    assert a.ttft == 3.0
    assert a.tokens_per_second == pytest.approx(2.5)
    assert reply.tokens_per_second == lb.history().tokens_per_second.iloc[0] == a.tokens_per_second


async def test_history_and_events_are_bounded_by_the_limit():
    lb = balancer(simulated("a"), simulated("b"), history_limit=7)
    for _ in range(50):
        await lb.ask("why")
    assert len(lb.history()) == 7
    assert list(lb.history()["request"]) == list(range(44, 51))
    assert {event.request for event in lb.decisions()} == set(range(44, 51))


async def test_a_new_limit_holds_from_the_next_request_on():
    session = {}
    lb = balancer(simulated("a"), session=lambda: session)
    for _ in range(10):
        await lb.ask("why")
    session = {"history_limit": 3}
    await lb.ask("why")
    assert list(lb.history()["request"]) == [9, 10, 11]


async def test_average_percentiles_and_first_token_are_of_the_same_visits_those_that_were_answered():
    lb = balancer(simulated("a", "ok,slow:60000,503", latency_ms=1000, tokens_per_second=50), simulated("b"),
                  failover_retry_count=1, timeout_ms=30_000)  # fmt: skip
    for _ in range(3):
        await lb.ask("why")
    [a, _b] = lb.snapshot().backends
    assert (a.successes, a.failures) == (1, 2)
    assert a.ttft == 1.0
    assert a.mean_latency == a.p50_latency == a.p95_latency == lb.history().seconds.iloc[0]


async def test_a_first_token_counts_from_where_the_seconds_beside_it_do_the_call_the_visit_or_the_sending():
    lb = balancer(simulated("a", "slow:60000"), simulated("b", "503,ok", latency_ms=1000, tokens_per_second=50),
                  failover_retry_count=2, failover_retry_delay_ms=2000, timeout_ms=30_000)  # fmt: skip
    reply = await lb.ask("why")
    failed, waited, answered = lb.attempts().seconds
    visit, sending = lb.stats().loc["b"], lb.attempts().iloc[-1]
    assert (failed, sending.ttft_seconds) == (30.0, 1.0)
    retry = visit.p50_latency_seconds - answered
    assert retry >= waited + 1.0
    assert visit.ttft_seconds == pytest.approx(retry + 1.0)
    assert reply.ttft == pytest.approx(failed + retry + 1.0) == lb.history().ttft_seconds.iloc[0]
    assert reply.seconds - reply.ttft == pytest.approx(answered - 1.0)
    assert f"first token {duration(reply.ttft)} " in footer(reply)
    assert "first token after 1 s" in str(reply.trace)


async def test_a_backend_that_only_failed_has_no_latency():
    bench = Bench(Scripted("a", DOWN), Scripted("b"))
    await bench.ask()
    a = bench.snapshot("a")
    assert (a.failures, a.mean_latency, a.p50_latency) == (1, None, None)


async def test_half_of_the_first_tokens_are_never_later_than_half_of_the_answers():
    lb = balancer(simulated("a", latency_ms=1000, script="ok,slow:2000"), failover_retry_count=1)
    for _ in range(2):
        await lb.ask("why")
    [a] = lb.snapshot().backends
    assert a.ttft <= a.p50_latency


def test_samples_for_percentiles_are_bounded():
    tally = Tally()
    for n in range(5000):
        tally.fold(VisitStarted(at=0.0, request=n, backend="a", is_probe=False))
        tally.fold(
            VisitSucceeded(
                at=0.0, request=n, backend="a", attempts=1, seconds=1.0, ttft=0.5, prompt_tokens=None,
                completion_tokens=None, finish_reason="stop", model="m", generating_seconds=0.5,
            )
        )  # fmt: skip
    assert len(tally.latencies) == len(tally.first_tokens) == 1000
    assert tally.successes == 5000


async def test_failures_in_a_row_are_told_by_their_reason_until_the_next_answer():
    bench = Bench(Scripted("a", DOWN, failure(FailureKind.TIMEOUT), REFUSED, DOWN, "fine"), Scripted("b"),
                  circuit_breaker_failure_threshold=9)  # fmt: skip
    for _ in range(4):
        await bench.ask()
    assert bench.snapshot("a").in_vain == (("503", 2), ("time-out", 1))
    await bench.ask()
    assert bench.snapshot("a").in_vain == ()


def test_a_request_that_runs_is_remembered_however_many_others_end_meanwhile():
    ledger = Ledger(["a"], 2)
    ledger.fold(started(1))
    for n in range(2, 100):
        ledger.fold(started(n))
        ledger.fold(RequestCancelled(at=1.0, request=n, seconds=1.0))
    ledger.fold(RequestAnswered(at=9.0, request=1, backend="a", attempts=1, seconds=9.0))
    assert [record.request for record in ledger.remembered().records()] == [99, 1]
    assert not ledger._running


async def test_a_reset_clears_counts_and_history_but_not_circuits_rates_or_visits_under_way():
    release = asyncio.Event()

    async def late(_request, _progress):
        await release.wait()
        raise AssertionError

    bench = Bench(Scripted("a", DOWN, DOWN, DOWN), Scripted("b", "x", "x", "x", late))
    for _ in range(3):
        await bench.ask()
    task = asyncio.create_task(bench.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.live.with_ledger(Ledger.reset)
    a, b = bench.snapshot("a"), bench.snapshot("b")
    assert (a.state, a.requests, a.attempts) == ("open", 0, 0)
    assert (b.requests, b.in_flight, b.tokens) == (1, 1, 0)
    assert bench.live.with_ledger(Ledger.remembered).records() == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    b = bench.snapshot("b")
    assert (b.requests, b.in_flight, b.cancelled) == (1, 0, 1)


async def test_total_requests_are_the_visits_of_all_backends():
    lb = balancer(simulated("a", "503"), simulated("b"), simulated("c"))
    for _ in range(2):
        await lb.ask("why")
    assert lb.snapshot().total_requests == 4
    assert len(lb.history()) == 2


SCRIPTS = st.lists(
    st.sampled_from(
        [
            "ok",
            "ok",
            "length",
            "503",
            "500",
            "401",
            "400",
            "429",
            "429:2",
            "429:60",
            "409",
            "context",
            "filter",
            "quota",
            "refused",
            "reset",
            "tls",
            "html",
            "empty",
            "cut:2",
            "cut:0",
            "stall",
            "stall:2",
            "slow:45000",
        ]
    ),
    min_size=1,
    max_size=6,
)
ASKS = st.lists(
    st.tuples(
        st.floats(0, 90).map(lambda seconds: round(seconds, 2)),  # when it is asked
        st.one_of(st.none(), st.integers(0, 40)),  # cancelled after so many seconds
        st.sampled_from([None, None, None, "a", "b"]),  # pinned
        st.sampled_from([{}, {}, {"circuit_breaker_enabled": False}, {"streaming": "disabled"}]),
    ),
    min_size=1,
    max_size=14,
)


class Auditor:
    """Watches a load balancer and holds what must be true at every single event."""

    def __init__(self, lb: LoadBalancer) -> None:
        self.lb = lb
        self.faults: list[str] = []  # an assertion in a subscriber would be contained like any of its errors
        self.ended: dict[int, int] = {}
        self.visits: dict[tuple[int, str], int] = {}
        self.probes: dict[str, set[int]] = {name: set() for name in lb.members}

    def __call__(self, event) -> None:
        if isinstance(event, CircuitChanged) and event.cause is Cause.RECOVERY_TIME:
            self.probes[event.backend].add(event.request)
            self.claim(len(self.probes[event.backend]) == 1, f"two probes of {event.backend} at once")
        if isinstance(event, VisitSucceeded | VisitFailed | VisitCancelled):
            self.probes[event.backend].discard(event.request)
            self.count((event.request, event.backend), -1)
        if isinstance(event, VisitStarted):
            self.count((event.request, event.backend), 1)
        if isinstance(event, RequestAnswered | RequestFailed | RequestCancelled):
            self.ended[event.request] = self.ended.get(event.request, 0) + 1
        if isinstance(event, BackendEvent):
            self.add_up()

    def count(self, visit: tuple[int, str], by: int) -> None:
        self.visits[visit] = self.visits.get(visit, 0) + by
        self.claim(self.visits[visit] in (0, 1), f"visit {visit} ended twice or never began")

    def claim(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.faults.append(otherwise)

    def add_up(self) -> None:
        for backend in self.lb.snapshot().backends:
            counted = backend.successes + backend.failures + backend.cancelled + backend.in_flight
            self.claim(backend.requests == counted and backend.in_flight >= 0, f"{backend} does not add up")


async def one_request(lb: LoadBalancer, clock: VirtualClock, ask) -> None:
    at, patience, pinned, cell = ask
    await clock.sleep(at)
    text: list[str] = []
    shown: dict[str, object] = {}

    async def read() -> None:
        async for part in lb.stream("why", settings=cell, backend=pinned):
            match part:
                case Delta():
                    text.append(part.text)
                case Restart():
                    text.clear()
                case Reply():
                    shown["reply"] = part

    task = asyncio.create_task(read())
    timer = clock.call_later(patience, task.cancel) if patience is not None else None
    try:
        await task
    except (AllBackendsFailed, asyncio.CancelledError):
        return
    finally:
        if timer is not None:
            timer.cancel()
    reply = shown["reply"]
    assert isinstance(reply, Reply)
    assert "".join(text) == reply.text, "a reply was spliced"
    assert reply.text in {f"This is {reply.backend} and nobody else.", f"This is {reply.backend}"}


@given(
    scripts=st.tuples(SCRIPTS, SCRIPTS, SCRIPTS),
    asks=ASKS,
    order=st.sampled_from(["failover", "roundrobin"]),
    threshold=st.integers(1, 3),
)
def test_whatever_fails_and_whoever_cancels_every_request_ends_once_and_nothing_is_lost_or_spliced(
    scripts, asks, order, threshold
):
    async def main() -> None:
        clock = VirtualClock()
        members = [
            simulated(name, ",".join(script), cycle=True, reply=f"This is {name} and nobody else.", latency_ms=700)
            for name, script in zip("abc", scripts, strict=True)
        ]
        lb = balancer(
            *members,
            order=order,
            clock=clock,
            circuit_breaker_failure_threshold=threshold,
            failover_retry_count=2,
            first_token_timeout_ms=20_000,
            stall_timeout_ms=10_000,
            tpm_threshold=40,
        )
        auditor = Auditor(lb)
        lb._live.subscribe(auditor)
        await asyncio.gather(*(one_request(lb, clock, ask) for ask in asks))
        await settle()
        assert auditor.faults == []
        assert clock.waiting() == 0, "a timer leaked"
        begun = {event.request for event in lb.decisions() if isinstance(event, RequestStarted)}
        assert auditor.ended == dict.fromkeys(begun, 1)
        assert set(auditor.visits.values()) <= {0}
        assert all(backend.in_flight == 0 for backend in lb.snapshot().backends)
        await everybody_can_still_be_asked(lb, clock)

    asyncio.run(main())


async def everybody_can_still_be_asked(lb: LoadBalancer, clock: VirtualClock) -> None:
    """After the longest cool-down no permit is held: nothing refuses a request any more."""
    clock.advance(3700.0)
    for name, key in lb._live.gates().items():
        gate = gate_of(lb._live, key)
        settings = lb.settings()[name]
        assert not gate.breaker.refuses(clock.now(), settings), f"the circuit of {name} is wedged"
        assert not gate.cool_down.refuses(10**6, clock.now()), f"the cool-down of {name} is wedged"


def test_threads_with_loops_of_their_own_may_mix_freely_on_one_profile():
    lb = balancer(simulated("a", "ok,503,429:0,400", cycle=True), simulated("b"), failover_retry_delay_ms=0)

    def work() -> None:
        async def many() -> None:
            for _ in range(25):
                await asyncio.gather(lb.ask("why"), lb.ask("why"), return_exceptions=True)

        asyncio.run(many())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    backends = lb.snapshot().backends
    assert len(lb.history()) == 200
    assert all(each.in_flight == 0 for each in backends)
    assert all(each.requests == each.successes + each.failures + each.cancelled for each in backends)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"tokens_per_second": 100}, "under a second of generating"),
        ({"reply": "one two three", "tokens_per_second": 0.5}, "fewer than ten pieces"),
    ],
)
async def test_a_burst_has_no_speed(params, why):
    """45,000 tokens a second is what a buffer does, not a model."""
    lb = balancer(simulated("a", **{"reply": "one two three four five six seven eight nine ten eleven", **params}))
    reply = await lb.ask("why")
    assert reply.tokens_per_second is None, why
    assert lb.snapshot().backends[0].tokens_per_second is None


async def test_usage_of_nothing_is_no_usage():
    none = Answer(text="fine", model="m", usage=Usage(0, 0), finish_reason="stop")
    bench = Bench(Scripted("a", none), Scripted("b"), tpm_threshold=100)
    replies = [await bench.ask() for _ in range(2)]
    assert [reply.backend for reply in replies] == ["a", "a"]
    assert replies[0].usage is None
    assert bench.snapshot("a").tpm is None
    assert bench.events(VisitSucceeded)[0].completion_tokens is None


async def test_prompts_are_counted_once_however_many_backends_they_met():
    bench = Bench(Scripted("a", DOWN, DOWN, "fine", "fine"), Scripted("b", DOWN, DOWN, "fine"))
    outcomes = await asyncio.gather(*(bench.ask() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 2
    prompts = bench.live.snapshot([]).prompts
    assert (prompts.asked, prompts.answered, prompts.failed, prompts.cancelled) == (4, 2, 2, 0)


async def test_prompts_under_way_and_stopped_ones_are_counted_and_a_reset_leaves_those_under_way():
    async def never(_request, _progress):
        await asyncio.Event().wait()

    bench = Bench(Scripted("a", never), clock=ManualClock())
    tasks = [asyncio.create_task(bench.ask()) for _ in range(3)]
    await settle()
    tasks[0].cancel()
    await settle()
    prompts = bench.live.snapshot([]).prompts
    assert (prompts.asked, prompts.cancelled, prompts.running) == (3, 1, 2)
    bench.live.with_ledger(Ledger.reset)
    assert (bench.live.snapshot([]).prompts.asked, bench.live.snapshot([]).prompts.running) == (2, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def told_of(*seconds: float) -> Ledger:
    """A ledger of prompts that were answered after so many seconds each."""
    ledger = Ledger(("a",), 10)
    for request, each in enumerate(seconds, 1):
        ledger.fold(started(request))
        ledger.fold(RequestAnswered(at=each, request=request, seconds=each, backend="a", attempts=1))
    return ledger


def test_half_and_nineteen_of_twenty_are_of_whole_prompts_by_nearest_rank():
    prompts = told_of(*range(1, 101)).prompts
    assert (prompts.median_seconds, prompts.p95_seconds) == (50, 95)


def test_times_of_prompts_are_of_those_that_were_answered_since_the_reset():
    ledger = told_of(3.0)
    ledger.fold(started(2))
    ledger.fold(RequestFailed(at=90.0, request=2, seconds=90.0, message="down"))
    ledger.fold(started(3))
    ledger.fold(RequestCancelled(at=60.0, request=3, seconds=60.0))
    assert (ledger.prompts.median_seconds, ledger.prompts.p95_seconds) == (3.0, 3.0)
    ledger.reset()
    assert (ledger.prompts.median_seconds, ledger.prompts.p95_seconds) == (None, None)


def test_times_of_prompts_are_of_the_latest_and_outlast_the_records():
    prompts = told_of(*[9.0] * DURATIONS_KEPT, *[1.0] * DURATIONS_KEPT).prompts
    assert (prompts.median_seconds, prompts.p95_seconds) == (1.0, 1.0)


async def test_the_time_of_a_prompt_holds_its_hops_and_its_waits():
    clock = VirtualClock()
    bench = Bench(Scripted("a", DOWN), Scripted("b"), clock=clock, failover_retry_count=2, failover_retry_delay_ms=700)
    await bench.ask()
    assert bench.live.snapshot([]).prompts.median_seconds == pytest.approx(0.7, abs=0.01)


async def test_skips_are_counted_by_reason():
    bench = Bench(Scripted("a", DOWN), Scripted("b"), circuit_breaker_failure_threshold=1)
    for _ in range(3):
        await bench.ask()
    assert bench.snapshot("a").skips == (("circuit open", 2),)


async def test_a_request_is_remembered_whole_or_not_at_all():
    bench = Bench(Scripted("a", DOWN), Scripted("b"), history_limit=1, failover_retry_count=20)
    for _ in range(3):
        await bench.ask(circuit_breaker_enabled=False)
    events = bench.live.with_ledger(Ledger.remembered).events()
    assert {event.request for event in events} == {3}
    assert isinstance(events[0], RequestStarted)
    assert isinstance(events[-1], RequestAnswered)
    assert len(events) > 60


def test_of_a_request_with_very_many_events_the_beginning_and_the_end_are_kept():
    ledger = Ledger(["a"], 10)
    ledger.fold(started(1))
    for n in range(3 * EVENTS_PER_REQUEST):
        ledger.fold(AttemptStarted(at=n, request=1, backend="a", attempt=n, attempts=9999))
    ledger.fold(RequestAnswered(at=9.0, request=1, backend="a", attempts=1, seconds=9.0))
    events = ledger.remembered().events()
    assert len(events) == EVENTS_PER_REQUEST
    assert isinstance(events[0], RequestStarted)
    assert isinstance(events[-1], RequestAnswered)


def test_events_of_requests_at_the_same_time_are_in_the_order_in_which_they_happened():
    ledger = Ledger(["a"], 10)
    told = [
            started(1), started(2), circuit_changed(0.0, Cause.RECOVERY_TIME, request=2),
            VisitStarted(at=0.0, request=1, backend="a", is_probe=False),
            circuit_changed(0.0, Cause.BY_HAND, request=0),
            RequestCancelled(at=0.0, request=2, seconds=0.0), RequestCancelled(at=0.0, request=1, seconds=0.0),
    ]  # fmt: skip
    for event in told:
        ledger.fold(event)
    assert list(ledger.remembered().events()) == told


def test_what_no_request_caused_is_bounded_by_itself():
    ledger = Ledger(["a"], 1)
    for n in range(3000):
        ledger.fold(circuit_changed(n, Cause.BY_HAND, request=0))
    assert len(ledger.remembered().events()) == EVENTS_OF_NO_REQUEST
    assert ledger.since == 3000 - EVENTS_OF_NO_REQUEST - 1


def test_everything_is_known_since_the_latest_end_of_a_request_that_is_forgotten():
    ledger = Ledger(["a"], 2)
    assert ledger.since is None
    for n in range(1, 6):
        ledger.fold(RequestStarted(at=10.0 * n, request=n, policy="failover", order=("a",)))
        ledger.fold(RequestCancelled(at=10.0 * n + 5, request=n, seconds=5.0))
    assert ledger.since == 35.0
