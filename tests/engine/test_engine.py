"""One request against its backends: order, attempts, waits, time-outs, restarts, cancellation, and what is recorded."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendPutAside,
    BackendSkipped,
    CircuitChanged,
    CoolDownStarted,
    Event,
    FirstTokenReceived,
    ReplyRestarted,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RetryScheduled,
    SecondPassStarted,
    SkipReason,
    SubProfileSelected,
    VisitCancelled,
    VisitFailed,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.failure import BackendFailed, FailureKind, Limit
from llx_magic.core.ledger import Ledger
from llx_magic.core.rate_facts import Allowance, Measure
from llx_magic.core.reply import Answer, Delta, Restart
from llx_magic.engine.clocks import ManualClock
from llx_magic.engine.parts import parts_of
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import DOWN, LIMITED, REFUSED, Bench, Scripted, answer, failure, settle

pytestmark = pytest.mark.usefixtures("each_store")


def asked(*backends: Scripted) -> list[int]:
    return [len(backend.asked) for backend in backends]


async def outcome(bench: Bench, **options) -> AllBackendsFailed:
    with pytest.raises(AllBackendsFailed) as caught:
        await bench.ask(**options)
    return caught.value


# --- order ----------------------------------------------------------------------------------------------------------


async def test_the_first_backend_answers_and_no_other_is_asked():
    a, b = Scripted("a", "hello"), Scripted("b")
    reply = await Bench(a, b).ask()
    assert (reply.text, reply.backend, reply.model, reply.attempts) == ("hello", "a", "m", 1)
    assert asked(a, b) == [1, 0]


async def test_the_order_is_the_priority_each_time():
    bench = Bench(Scripted("a", DOWN, "back"), Scripted("b"))
    assert [(await bench.ask()).backend for _ in range(2)] == ["b", "a"]


async def test_round_robin_begins_with_each_in_turn_and_goes_on_from_there():
    bench = Bench(Scripted("a"), Scripted("b", DOWN), Scripted("c"), order="roundrobin")
    assert [(await bench.ask()).backend for _ in range(6)] == ["a", "c", "c", "a", "c", "c"]
    assert [event.backend for event in bench.events(SubProfileSelected)] == ["a", "b", "c", "a", "b", "c"]


async def test_a_backend_that_is_not_ready_is_skipped_with_its_reason_and_no_visit():
    a, b = Scripted("a", obstacle="no key: set it with %llx_key set a"), Scripted("b")
    bench = Bench(a, b)
    assert (await bench.ask()).backend == "b"
    [skipped] = bench.events(BackendSkipped)
    assert (skipped.reason, skipped.message) == (SkipReason.NOT_READY, a.blocked_by)
    assert bench.snapshot("a").requests == 0


async def test_a_repaired_obstacle_takes_effect_with_the_next_request():
    a = Scripted("a", obstacle="no key")
    bench = Bench(a, Scripted("b"))
    await bench.ask()
    a.blocked_by = None
    assert (await bench.ask()).backend == "a"


async def test_where_no_backend_is_ready_nothing_is_sent_and_the_error_says_so():
    bench = Bench(Scripted("a", obstacle="no key A"), Scripted("b", obstacle="no key B"))
    failed = await outcome(bench)
    assert str(failed) == "no backend can be used, nothing was sent; a: no key A; b: no key B"
    assert not bench.events(VisitStarted)


# --- attempts -------------------------------------------------------------------------------------------------------


async def test_a_visit_makes_up_to_the_number_of_attempts_with_growing_waits_then_the_next_backend_is_asked():
    a, b = Scripted("a", DOWN), Scripted("b")
    bench = Bench(a, b, failover_retry_count=5)
    reply = await bench.ask()
    assert asked(a, b) == [5, 1]
    assert [event.delay for event in bench.events(RetryScheduled)] == [1.0, 2.0, 4.0, 8.0]
    assert reply.attempts == 6
    assert bench.clock.now() == 15.0
    assert [(e.attempt, e.attempts) for e in bench.events(AttemptStarted, backend="a")] == [(n, 5) for n in range(1, 6)]
    [visit] = bench.events(VisitFailed)
    assert (visit.attempts, visit.seconds) == (5, 15.0)


async def test_a_second_attempt_that_answers_is_a_success_of_the_same_visit():
    bench = Bench(Scripted("a", DOWN, "fine"), Scripted("b"), failover_retry_count=2)
    assert (await bench.ask()).backend == "a"
    a = bench.snapshot("a")
    assert (a.requests, a.successes, a.failures, a.attempts) == (1, 1, 0, 2)


async def test_a_visit_counts_once_however_many_attempts_it_made():
    bench = Bench(Scripted("a", DOWN), Scripted("b"), failover_retry_count=5)
    for _ in range(2):
        await bench.ask()
    assert bench.snapshot("a").state == "closed"
    await bench.ask()
    assert bench.snapshot("a").state == "open"


async def test_a_short_retry_after_is_waited_for_exactly_and_a_long_one_sends_the_request_on_at_once():
    short = Bench(Scripted("a", failure(retry_after=3.0), "fine"), Scripted("b"), failover_retry_count=2)
    assert (await short.ask()).backend == "a"
    assert short.clock.now() == 3.0
    long = Bench(Scripted("a", failure(retry_after=6.0), "fine"), Scripted("b"), failover_retry_count=2)
    assert (await long.ask()).backend == "b"
    assert long.clock.now() == 0.0


async def test_a_circuit_that_another_request_opened_meanwhile_ends_the_visit():
    a, b = Scripted("a", DOWN), Scripted("b")
    bench = Bench(a, b, clock=ManualClock(), failover_retry_count=2)
    waiting = asyncio.create_task(bench.ask())
    await settle()
    for _ in range(3):
        await bench.ask(failover_retry_count=1)
    assert bench.snapshot("a").state == "open"
    sent = len(a.asked)
    await bench.pass_time(1.0)
    assert (await waiting).backend == "b"
    assert len(a.asked) == sent
    assert bench.clock.waiting() == 0


async def test_a_refused_request_goes_on_at_once_and_is_not_counted():
    a = Scripted("a", REFUSED)
    bench = Bench(a, Scripted("b"), failover_retry_count=3)
    for _ in range(5):
        assert (await bench.ask()).backend == "b"
    assert len(a.asked) == 5
    assert (bench.snapshot("a").state, bench.snapshot("a").failures) == ("closed", 5)


async def test_where_all_refuse_the_request_the_error_begins_with_the_first_refusal():
    second = failure(FailureKind.CONTEXT_LENGTH, "400 Bad Request: too long", status=400)
    failed = await outcome(Bench(Scripted("a", REFUSED), Scripted("b", second)))
    assert str(failed).startswith("a refused the request: 400 Bad Request")


async def test_a_services_own_full_stop_does_not_stand_before_what_follows():
    filtered = failure(FailureKind.CONTENT_FILTER, "a filtered this by its policy.")
    failed = await outcome(Bench(Scripted("a", filtered), Scripted("b")))
    assert str(failed).count("by its policy") == 1
    assert "by its policy; no further backend was asked" in str(failed)


async def test_a_content_filter_ends_the_request_unless_the_settings_send_it_on():
    filtered = failure(FailureKind.CONTENT_FILTER, "filtered by a")
    a, b = Scripted("a", filtered), Scripted("b")
    bench = Bench(a, b)
    failed = await outcome(bench)
    assert "filtered by a" in str(failed)
    assert asked(a, b) == [1, 0]
    assert (await bench.ask(failover_on_content_filter=True)).backend == "b"


async def test_refused_access_warns_even_when_another_answers():
    denied = failure(FailureKind.ACCESS, "401 Unauthorized", status=401)
    reply = await Bench(Scripted("a", denied), Scripted("b")).ask()
    assert reply.notes == ("a failed: 401 Unauthorized",)


async def test_a_reply_that_was_cut_or_says_nothing_of_its_end_is_flagged():
    cut = await Bench(Scripted("a", answer(finish_reason="length"))).ask()
    assert cut.notes == ("cut at max_tokens",)
    silent = await Bench(Scripted("a", answer(finish_reason=None))).ask()
    assert silent.notes == ("the backend did not say why it finished",)


# --- circuit --------------------------------------------------------------------------------------------------------


async def open_circuit(bench: Bench) -> None:
    for _ in range(3):
        await bench.ask()
    assert bench.snapshot("a").state == "open"


async def test_while_the_circuit_is_open_the_backend_is_skipped_and_the_error_comes_at_once_with_the_seconds_left():
    a = Scripted("a", DOWN)
    bench = Bench(a, Scripted("b", DOWN), clock=ManualClock())
    for _ in range(3):
        await outcome(bench)
    await bench.pass_time(12.0)
    failed = await outcome(bench)
    assert [reason.seconds_left for reason in failed.reasons] == [18.0, 18.0]
    assert failed.headline == "no backend may be asked just now"
    assert "a: circuit open; its last error: 503 Service Unavailable (may be tried again in 18 s)" in str(failed)
    assert len(a.asked) == 3
    assert bench.clock.waiting() == 0


async def test_of_fifty_requests_at_the_recovery_time_exactly_one_reaches_the_backend():
    async def slowly(_request, _progress):
        await bench.clock.sleep(5.0)
        raise BackendFailed(DOWN)

    a, b = Scripted("a", DOWN, DOWN, DOWN, slowly), Scripted("b")
    bench = Bench(a, b, clock=ManualClock())
    await open_circuit(bench)
    await bench.pass_time(30.0)
    fifty = [asyncio.create_task(bench.ask()) for _ in range(50)]
    await settle()
    assert len(a.asked) == 4
    assert bench.snapshot("a").state == "half-open"
    assert sum(task.done() for task in fifty) == 49
    await bench.pass_time(5.0)
    assert {reply.backend for reply in await asyncio.gather(*fifty)} == {"b"}
    assert bench.snapshot("a").seconds_until_probe == 30.0
    assert bench.clock.waiting() == 0


async def test_a_probe_makes_one_attempt_and_is_logged_as_the_first_of_the_usual_number():
    a = Scripted("a", DOWN)
    bench = Bench(a, Scripted("b"), failover_retry_count=3)
    await open_circuit(bench)
    before = len(a.asked)
    bench.clock.advance(30.0)
    await bench.ask()
    assert len(a.asked) == before + 1
    last = bench.events(AttemptStarted, backend="a")[-1]
    assert (last.attempt, last.attempts) == (1, 3)


async def test_a_probe_that_is_cancelled_gives_its_permit_back_and_the_next_request_probes():
    async def for_ever(_request, _progress):
        await asyncio.get_running_loop().create_future()

    bench = Bench(Scripted("a", DOWN, DOWN, DOWN, for_ever, "back"), Scripted("b"), clock=ManualClock())
    await open_circuit(bench)
    await bench.pass_time(30.0)
    probe = asyncio.create_task(bench.ask())
    await settle()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert bench.changes(Cause.PROBE_RETURNED)
    assert (await bench.ask()).backend == "a"
    assert bench.changes(Cause.RECOVERED)
    assert bench.clock.waiting() == 0


@pytest.mark.parametrize(
    ("met", "state", "left"),
    [
        ("fine", "closed", 0.0),
        (REFUSED, "closed", 0.0),
        (LIMITED, "open", 0.0),
        (DOWN, "open", 30.0),
        (failure(FailureKind.CONFLICT, "409", status=409), "open", 30.0),
    ],
    ids=["success", "400", "429", "503", "409"],
)
async def test_what_a_probe_met_decides_the_state(met, state, left):
    bench = Bench(Scripted("a", DOWN, DOWN, DOWN, met), Scripted("b"), clock=ManualClock())
    await open_circuit(bench)
    await bench.pass_time(30.0)
    await bench.ask()
    a = bench.snapshot("a")
    assert (a.state, a.seconds_until_probe) == (state, left)


async def test_without_the_breaker_a_request_neither_asks_the_circuit_nor_is_recorded_by_it():
    a = Scripted("a", DOWN)
    bench = Bench(a, Scripted("b"), clock=ManualClock())
    for _ in range(5):
        await bench.ask(circuit_breaker_enabled=False)
    assert bench.snapshot("a").state == "closed"
    await open_circuit(bench)
    await bench.ask(circuit_breaker_enabled=False)
    assert len(a.asked) == 9
    assert not bench.changes(Cause.RECOVERY_TIME)


async def test_without_the_breaker_an_open_circuit_is_no_reason_to_name_a_wait():
    bench = Bench(Scripted("a", DOWN), Scripted("b", DOWN), clock=ManualClock())
    for _ in range(3):
        await outcome(bench)
    failed = await outcome(bench, circuit_breaker_enabled=False)
    assert [reason.seconds_left for reason in failed.reasons] == [None, None]


async def test_the_only_candidate_is_asked_though_its_circuit_is_open_and_its_success_closes_it():
    bench = Bench(Scripted("a", DOWN, DOWN, DOWN, "back"), Scripted("b"), clock=ManualClock())
    await open_circuit(bench)
    assert (await bench.ask(only="a")).backend == "a"
    assert bench.snapshot("a").state == "closed"


async def test_a_late_result_of_an_earlier_state_moves_nothing():
    release = asyncio.Event()

    async def late(_request, _progress):
        await release.wait()
        raise BackendFailed(DOWN)

    bench = Bench(Scripted("a", late, DOWN, DOWN, DOWN, "back"), Scripted("b"), clock=ManualClock())
    early = asyncio.create_task(bench.ask())
    await settle()
    await open_circuit(bench)
    await bench.pass_time(30.0)
    assert (await bench.ask()).backend == "a"
    release.set()
    await early
    a = bench.gate("a").breaker
    assert (a.state, a.failures_in_window(bench.clock.now(), bench.rules())) == (CircuitState.CLOSED, 0)


# --- cool-down ------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_cools_the_backend_down_for_ten_seconds_and_then_it_is_asked_again():
    a = Scripted("a", LIMITED, "back")
    bench = Bench(a, Scripted("b"), clock=ManualClock())
    assert (await bench.ask()).backend == "b"
    await bench.pass_time(9.9)
    assert (await bench.ask()).backend == "b"
    await bench.pass_time(0.1)
    assert (await bench.ask()).backend == "a"
    assert [event.seconds for event in bench.events(CoolDownStarted)] == [10.0]
    assert bench.snapshot("a").cooling_down is None


async def test_rate_limits_are_failures_in_the_statistics_and_do_not_open_the_circuit():
    bench = Bench(Scripted("a", LIMITED), Scripted("b"))
    for _ in range(5):
        await bench.ask()
        bench.clock.advance(10.0)
    a = bench.snapshot("a")
    assert (a.state, a.failures) == ("closed", 5)


async def test_a_visit_that_waits_for_a_short_retry_after_goes_first_and_others_skip_meanwhile():
    limited = replace(LIMITED, retry_after=2.0)
    a, b = Scripted("a", limited, "back"), Scripted("b")
    bench = Bench(a, b, clock=ManualClock(), failover_retry_count=2)
    waiting = asyncio.create_task(bench.ask())
    await settle()
    others = [(await bench.ask()).backend for _ in range(3)]
    await bench.pass_time(2.0)
    assert others == ["b", "b", "b"]
    assert (await waiting).backend == "a"
    assert (await bench.ask()).backend == "a"
    assert bench.clock.waiting() == 0


async def test_a_visit_that_is_cancelled_while_it_waits_lets_the_next_request_go_first():
    bench = Bench(
        Scripted("a", replace(LIMITED, retry_after=2.0), "back"),
        Scripted("b"),
        clock=ManualClock(),
        failover_retry_count=2,
    )
    waiting = asyncio.create_task(bench.ask())
    await settle()
    waiting.cancel()
    await settle()
    assert bench.clock.waiting() == 0
    await bench.pass_time(2.0)
    assert (await bench.ask()).backend == "a"


async def test_an_exhausted_quota_cools_down_for_an_hour_and_is_not_tried_again():
    a = Scripted("a", replace(LIMITED, quota_exhausted=True))
    bench = Bench(a, Scripted("b"), clock=ManualClock(), failover_retry_count=3)
    await bench.ask()
    assert len(a.asked) == 1
    assert bench.snapshot("a").cooling_down == 3600.0


# --- tokens per minute ----------------------------------------------------------------------------------------------


async def slow_backend_below(bench: Bench) -> None:
    await bench.ask(tpm_threshold="none")
    bench.clock.advance(60.0)


async def test_a_backend_below_the_threshold_is_put_aside_which_is_neither_a_visit_nor_a_failure():
    bench = Bench(Scripted("a", tokens=100), Scripted("b"), clock=ManualClock(), tpm_threshold=500)
    await slow_backend_below(bench)
    assert (await bench.ask()).backend == "b"
    [aside] = bench.events(BackendPutAside)
    assert (aside.tpm, aside.threshold) == (100.0, 500)
    assert (bench.snapshot("a").requests, bench.snapshot("a").failures) == (1, 0)


async def test_where_nothing_else_answers_those_put_aside_are_tried_in_order_after_all():
    bench = Bench(Scripted("a", tokens=100), Scripted("b", "fine", DOWN), clock=ManualClock(), tpm_threshold=500)
    await slow_backend_below(bench)
    await bench.ask()
    reply = await bench.ask()
    assert reply.backend == "a"
    [second] = bench.events(SecondPassStarted)
    assert second.backends == ("a",)


async def test_a_backend_without_usage_is_never_below():
    bench = Bench(Scripted("a", tokens=None), Scripted("b"), clock=ManualClock(), tpm_threshold=1e9)
    await slow_backend_below(bench)
    assert (await bench.ask()).backend == "a"


# --- time-outs ------------------------------------------------------------------------------------------------------


def pieces(clock, *steps: tuple[float, str], end: float = 0.0):
    """A reply in pieces, each after some seconds; ``end`` is the silence after the last."""

    async def speak(request, progress):
        for seconds, piece in steps:
            await clock.sleep(seconds)
            if request.streaming:
                progress.on_text(piece)
        await clock.sleep(end)
        return answer("".join(piece for _, piece in steps))

    return speak


@pytest.mark.parametrize(
    ("steps", "end", "settings", "limit", "at"),
    [
        ([(100.0, "x")], 0, {"timeout_ms": 5000}, Limit.TOTAL, 5.0),
        ([(1.0, "x")] * 20, 0, {"timeout_ms": 10_500, "stall_timeout_ms": 1500}, Limit.TOTAL, 10.5),
        ([(500.0, "x")], 0, {}, Limit.FIRST_TOKEN, 120.0),
        ([(1.0, "x"), (500.0, "y")], 0, {}, Limit.STALL, 61.0),
        ([(1.0, "x"), (50.0, "y")], 500, {}, Limit.STALL, 111.0),
        ([(900.0, "x")], 0, {"streaming": False}, Limit.TOTAL, 600.0),
        ([(50.0, "x")] * 20, 0, {}, Limit.TOTAL, 600.0),
        ([(900.0, "x")], 0, {"streaming": False, "timeout_ms": 700_000}, Limit.TOTAL, 700.0),
    ],
    ids=[
        "total",
        "trickle",
        "first token",
        "stall",
        "stall after two",
        "whole",
        "trickle by default",
        "whole with its own limit",
    ],
)
async def test_the_limit_that_runs_out_first_ends_the_visit_at_its_time(steps, end, settings, limit, at):
    a, b = Scripted("a"), Scripted("b")
    bench = Bench(a, b, failover_retry_count=3, **settings)
    a.steps = [pieces(bench.clock, *steps, end=end)]
    assert (await bench.ask()).backend == "b"
    [failed] = bench.events(AttemptFailed)
    assert (failed.failure.limit, failed.seconds) == (limit, at)
    assert failed.failure.elapsed_ms == at * 1000 >= failed.failure.limit_ms
    assert len(a.asked) == 1
    assert bench.clock.waiting() == 0


@pytest.mark.parametrize(
    ("steps", "settings"),
    [
        ([(119.0, "x"), (59.0, "y"), (59.0, "z")], {}),
        (
            [(500.0, "x"), (500.0, "y")],
            {"timeout_ms": "none", "first_token_timeout_ms": "none", "stall_timeout_ms": "none"},
        ),
        ([(599.0, "x")], {"streaming": False}),
        ([(50.0, "x")] * 20, {"timeout_ms": "none"}),
        ([(900.0, "x")], {"timeout_ms": "none", "streaming": False}),
    ],
    ids=["just in time", "limits off", "whole", "trickle without a limit", "whole without a limit"],
)
async def test_a_reply_within_its_limits_is_not_disturbed_and_no_timer_is_left(steps, settings):
    a = Scripted("a")
    bench = Bench(a, Scripted("b"), **settings)
    a.steps = [pieces(bench.clock, *steps)]
    assert (await bench.ask()).backend == "a"
    assert bench.clock.waiting() == 0


async def hold_up(bench: Bench, seconds: float) -> None:
    """Have the loop held up, and then free again for as many turns as reading takes."""
    bench.clock.hold_up(seconds)
    for _ in range(10):
        await settle()
        bench.clock.advance(0.0)


LIMITS = {"timeout_ms": 5000, "first_token_timeout_ms": 5000, "stall_timeout_ms": 5000, "connect_timeout_ms": 5000}


@pytest.mark.parametrize("limit", list(LIMITS))
async def test_a_limit_that_ran_out_while_the_loop_was_held_up_runs_once_more_and_then_ends(limit):
    async def silent(request, progress):
        if limit == "connect_timeout_ms":
            progress.on_sending("a")
        if limit == "stall_timeout_ms":
            progress.on_text("x")
        await bench.clock.sleep(1000.0)

    limits = {**dict.fromkeys(LIMITS, "none"), limit: LIMITS[limit]}
    bench = Bench(Scripted("a", silent), Scripted("b"), clock=ManualClock(), **limits)
    asking = asyncio.create_task(bench.ask())
    await settle()
    await hold_up(bench, 60.0)
    assert bench.events(AttemptFailed) == []
    await bench.pass_time(4.9)
    assert bench.events(AttemptFailed) == []
    await hold_up(bench, 60.0)  # held up again: one more wait is all that a limit gives
    assert (await asking).backend == "b"
    [failed] = bench.events(AttemptFailed)
    assert (failed.failure.limit, failed.failure.limit_ms) == (limit, 5000)
    assert failed.failure.kind is FailureKind.LOCAL  # whether it was silent all that time is not known
    assert (bench.snapshot("a").failures, bench.snapshot("a").timeouts) == (0, 0)
    assert bench.clock.waiting() == 0


async def test_what_arrived_while_the_loop_was_held_up_is_read_before_any_limit_is_looked_at():
    arrived = asyncio.Event()

    async def answered_meanwhile(_request, progress):
        await arrived.wait()
        progress.on_text("so")
        return answer("so")

    bench = Bench(Scripted("a", answered_meanwhile), clock=ManualClock(), **LIMITS)
    asking = asyncio.create_task(bench.ask())
    await settle()
    arrived.set()
    await hold_up(bench, 60.0)
    assert (await asking).backend == "a"
    assert bench.events(AttemptFailed) == []


async def test_what_a_backend_does_before_it_sends_is_in_no_limit_and_in_no_latency():
    class Starting(Scripted):
        async def answer(self, request, progress):
            await bench.clock.sleep(3600.0)
            return await super().answer(request, progress)

    a = Starting("a")
    bench = Bench(a, **LIMITS)
    a.steps = [pieces(bench.clock, (2.0, "x"))]
    reply = await bench.ask()
    assert (reply.ttft, reply.seconds) == (3602.0, 3602.0)
    [ended] = bench.events(VisitSucceeded)
    assert (ended.ttft, ended.seconds) == (2.0, 2.0)


async def test_a_second_connection_in_one_attempt_has_its_own_time_to_connect_and_no_more_for_the_whole():
    async def twice(_request, progress):
        await bench.clock.sleep(4.0)
        progress.on_sending("a")
        await bench.clock.sleep(4.0)
        progress.on_connected()
        await bench.clock.sleep(1000.0)

    bench = Bench(Scripted("a", twice), Scripted("b"), connect_timeout_ms=5000, timeout_ms=20_000)
    await bench.ask()
    [failed] = bench.events(AttemptFailed)
    assert (failed.failure.limit, failed.seconds) == (Limit.TOTAL, 20.0)


async def test_reasoning_is_a_sign_of_life_and_no_part_of_the_text():
    async def think(_request, progress):
        for _ in range(5):
            await bench.clock.sleep(50.0)
            progress.on_reasoning("hm")
        await bench.clock.sleep(50.0)
        progress.on_text("so")
        return answer("so")

    bench = Bench(Scripted("a", think), Scripted("b"))
    reply = await bench.ask()
    assert (reply.backend, reply.text, reply.ttft) == ("a", "so", 50.0)
    assert [part.text for part in bench.seen if isinstance(part, Delta)] == ["so"]


async def test_a_reply_that_is_not_streamed_has_no_time_to_first_token():
    a = Scripted("a")
    bench = Bench(a, Scripted("b"), streaming=False)
    reply = await bench.ask()
    assert reply.ttft is None
    assert not bench.events(FirstTokenReceived)
    assert a.asked[0].streaming is False


async def test_a_time_out_counts_against_the_circuit():
    a = Scripted("a")
    bench = Bench(a, Scripted("b"), timeout_ms=1000)
    a.steps = [pieces(bench.clock, (9.0, "x"))]
    for _ in range(3):
        await bench.ask()
    assert bench.snapshot("a").state == "open"
    assert bench.snapshot("a").timeouts == 3


@pytest.mark.parametrize("on_cancel", ["fails", "answers"])
async def test_a_time_out_holds_though_the_backend_makes_something_else_of_its_cancellation(on_cancel):
    async def stubborn(_request, _progress):
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            if on_cancel == "fails":
                raise BackendFailed(failure(FailureKind.NETWORK, "closed")) from None
            return answer("too late")

    bench = Bench(Scripted("a", stubborn), Scripted("b"), timeout_ms=1000)
    assert (await bench.ask()).backend == "b"
    assert bench.events(AttemptFailed)[0].failure.limit is Limit.TOTAL
    assert asyncio.current_task().cancelling() == 0


async def test_a_cancellation_holds_though_the_backend_makes_an_error_of_it():
    async def stubborn(_request, _progress):
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise BackendFailed(failure(FailureKind.NETWORK, "closed")) from None

    a, b = Scripted("a", stubborn), Scripted("b")
    bench = Bench(a, b, failover_retry_count=3)
    task = asyncio.create_task(bench.ask())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked(a, b) == [1, 0]
    assert bench.snapshot("a").cancelled == 1


async def test_a_cancellation_at_the_moment_of_a_time_out_is_a_cancellation():
    a, b = Scripted("a"), Scripted("b")
    bench = Bench(a, b, clock=ManualClock(), timeout_ms=1000)
    a.steps = [pieces(bench.clock, (9.0, "x"))]
    task = asyncio.create_task(bench.ask())
    await settle()
    bench.clock.advance(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asked(a, b) == [1, 0]
    assert bench.clock.waiting() == 0


# --- half-way failures ----------------------------------------------------------------------------------------------


RESET = failure(FailureKind.NETWORK, "connection reset")
BROKEN = ("Once upon a", RESET)


async def test_a_reply_that_breaks_off_is_withdrawn_and_the_next_backend_answers_from_the_start():
    a = Scripted("a", BROKEN)
    bench = Bench(a, Scripted("b", "There was"), failover_retry_count=3)
    reply = await bench.ask()
    shown = [part for part in bench.seen if isinstance(part, Delta | Restart)]
    assert shown == [Delta("Once upon a"), Restart("a", "connection reset", "b"), Delta("There was")]
    assert reply.text == "There was"
    assert reply.notes == ("a broke off after 3 words (connection reset), restarted",)
    assert len(a.asked) == 1
    [restarted] = bench.events(ReplyRestarted)
    assert (restarted.failed, restarted.next, restarted.words) == ("a", "b", 3)


async def test_what_was_shown_stays_withdrawn_over_backends_that_say_nothing():
    bench = Bench(Scripted("a", BROKEN), Scripted("b", DOWN), Scripted("c", "fine"))
    await bench.ask()
    assert [part for part in bench.seen if isinstance(part, Restart)] == [Restart("a", "connection reset", "b")]


async def test_where_nobody_answers_the_error_holds_the_longest_partial_text():
    bench = Bench(Scripted("a", ("Once", RESET)), Scripted("b", BROKEN), Scripted("c", DOWN))
    failed = await outcome(bench)
    assert failed.partial == "Once upon a"
    assert [reason.backend for reason in failed.reasons] == ["a", "b", "c"]


async def test_a_stall_after_text_withdraws_it_too():
    a = Scripted("a")
    bench = Bench(a, Scripted("b", "fine"))
    a.steps = [pieces(bench.clock, (1.0, "half "), (500.0, "whole"))]
    assert (await bench.ask()).text == "fine"
    assert bench.events(ReplyRestarted)[0].words == 1
    assert bench.events(VisitFailed)[0].failure.words == 1  # events are kept; the text is not


# --- cancellation, streams, watchers --------------------------------------------------------------------------------


async def test_a_cancelled_request_ends_its_backend_at_once_and_counts_nothing():
    closed = []

    async def open_ended(_request, _progress):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            closed.append("a")

    bench = Bench(Scripted("a", open_ended), Scripted("b"), clock=ManualClock())
    task = asyncio.create_task(bench.ask())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    a = bench.snapshot("a")
    assert closed == ["a"]
    assert (a.requests, a.cancelled, a.failures, a.in_flight) == (1, 1, 0, 0)
    assert (a.mean_latency, a.success_rate) == (None, None)
    assert [type(event) for event in bench.events()][-2:] == [VisitCancelled, RequestCancelled]
    assert [record.outcome for record in bench.live.with_ledger(Ledger.remembered).records()] == ["cancelled"]
    assert bench.clock.waiting() == 0


async def test_leaving_a_stream_early_cancels_the_request():
    a = Scripted("a")
    bench = Bench(a, Scripted("b"), clock=ManualClock())
    a.steps = [pieces(bench.clock, (0.0, "one"), (9.0, "two"))]
    stream = parts_of(lambda watch: bench.start(watch=watch).run())
    async for part in stream:
        assert part == Delta("one")
        break
    await stream.aclose()
    assert bench.snapshot("a").cancelled == 1
    assert bench.clock.waiting() == 0


async def test_a_stream_ends_with_the_reply_or_raises_what_the_request_raised():
    good = Bench(Scripted("a", BROKEN), Scripted("b", "fine"))
    parts = [part async for part in parts_of(lambda watch: good.start(watch=watch).run())]
    assert [type(part).__name__ for part in parts] == ["Delta", "Restart", "Delta", "Reply"]
    bad = Bench(Scripted("a", DOWN), Scripted("b", DOWN))
    with pytest.raises(AllBackendsFailed):
        [part async for part in parts_of(lambda watch: bad.start(watch=watch).run())]


async def test_a_stream_left_when_its_request_had_failed_already_reports_nothing_to_the_loop():
    complaints = []

    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["message"]))
    bench = Bench(Scripted("a", BROKEN), Scripted("b", DOWN))
    stream = parts_of(lambda watch: bench.start(watch=watch).run())
    await anext(stream)
    await settle()
    await stream.aclose()
    assert complaints == []


async def test_a_watcher_that_fails_at_the_moment_of_admission_does_not_cost_the_probes_permit():
    bench = Bench(Scripted("a", DOWN, DOWN, DOWN, "back"), Scripted("b"), clock=ManualClock())
    await open_circuit(bench)
    await bench.pass_time(30.0)

    def fragile(part) -> None:
        if isinstance(part, CircuitChanged) and part.cause is Cause.RECOVERY_TIME:
            raise OSError("the output is gone")

    with pytest.raises(OSError, match="gone"):
        await bench.ask(watch=fragile)
    assert (await bench.ask()).backend == "a"


async def test_a_subscriber_that_fails_decides_nothing():
    bench = Bench(Scripted("a"), Scripted("b"))
    heard = []

    def broken(_event) -> None:
        raise RuntimeError("observer")

    bench.live.subscribe(broken)
    bench.live.subscribe(heard.append)
    assert (await bench.ask()).backend == "a"
    assert heard == list(bench.live.with_ledger(Ledger.remembered).events())
    bench.live.unsubscribe(heard.append)
    await bench.ask()
    assert len(heard) == len(bench.live.with_ledger(Ledger.remembered).events()) // 2


async def test_every_request_ends_in_exactly_one_event_and_numbers_ascend():
    bench = Bench(Scripted("a", "x", DOWN, "x"), Scripted("b", DOWN))
    await bench.ask()
    await outcome(bench)
    await bench.ask()
    ends = bench.events(RequestAnswered, RequestFailed, RequestCancelled)
    assert [(type(event).__name__, event.request) for event in ends] == [
        ("RequestAnswered", 1),
        ("RequestFailed", 2),
        ("RequestAnswered", 3),
    ]


async def test_an_interrupt_while_the_probe_is_told_gives_its_place_back():
    """Whoever watches is on the thread that the user interrupts; the next request probes."""
    bench = Bench(Scripted("a", DOWN, "up again"), Scripted("b"), circuit_breaker_failure_threshold=1)
    await bench.ask()
    bench.clock.advance(30.0)

    def interrupted(event: Event) -> None:
        if isinstance(event, CircuitChanged) and event.cause is Cause.RECOVERY_TIME:
            raise KeyboardInterrupt

    bench.live.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        await bench.ask()
    bench.live.unsubscribe(interrupted)
    assert (bench.snapshot("a").state, bench.snapshot("a").in_flight) == ("open", 0)
    assert (await bench.ask()).text == "up again"


# --- one state for all who loaded it --------------------------------------------------------------------------------


async def test_who_loaded_the_profile_before_it_lost_a_backend_can_go_on():
    bench = Bench(Scripted("a", DOWN), Scripted("b"))
    bench.live.replace_backends(fresh=["c"], kept=["a"])
    assert (await bench.ask()).backend == "b"
    assert bench.snapshot("b").successes == 1


async def test_who_loaded_the_profile_before_a_backend_was_replaced_leaves_no_mark_on_its_successor():
    """The old endpoint is down and opens its own circuit; the new one, of the same name, stays closed."""
    bench = Bench(Scripted("a", DOWN, DOWN, DOWN), Scripted("b"))
    bench.live.replace_backends(fresh=["a"], kept=["b"])
    await open_circuit(bench)
    assert bench.snapshot("a").state == "open"
    bench.gates = bench.live.gates()
    assert bench.snapshot("a").state == "closed"


async def test_a_visit_under_way_while_its_backend_is_replaced_ends_without_a_trace_in_the_new_ones_state():
    release = asyncio.Event()

    async def late(_request, _progress):
        await release.wait()
        raise BackendFailed(DOWN)

    bench = Bench(Scripted("a", late), Scripted("b"), clock=ManualClock(), circuit_breaker_failure_threshold=1)
    task = asyncio.create_task(bench.ask())
    await settle()
    bench.replace(fresh=["a"], kept=["b"])
    assert (bench.snapshot("a").requests, bench.snapshot("a").in_flight) == (1, 1)
    release.set()
    await task
    a = bench.snapshot("a")
    assert (a.state, a.in_flight, a.requests) == ("closed", 0, 1)


async def test_kept_backends_keep_their_circuits_and_counts_and_new_ones_begin_anew():
    bench = Bench(Scripted("a", DOWN), Scripted("b"))
    await open_circuit(bench)
    bench.replace(fresh=["b"], kept=["a"])
    assert (bench.snapshot("a").state, bench.snapshot("a").requests) == ("open", 3)
    assert bench.snapshot("b").requests == 0
    bench.replace(fresh=["a"], kept=["b"])
    assert (bench.snapshot("a").state, bench.snapshot("a").requests) == ("closed", 0)


async def test_an_opening_is_said_with_the_failures_that_did_it():
    bench = Bench(Scripted("a", DOWN), Scripted("b"))
    await open_circuit(bench)
    assert [event.failures for event in bench.changes(Cause.FAILURES)] == [3]


@pytest.mark.parametrize("answers", [True, False])
async def test_what_a_service_tells_of_its_limits_reaches_the_gate_of_its_backend_alone(answers):
    """From a reply and from a refusal."""

    async def telling(_request, progress) -> Answer:
        progress.on_rates((Allowance(measure=Measure.REQUESTS, limit=60, remaining=0, resets_in=50.0),))
        if answers:
            return answer()
        raise BackendFailed(failure())

    bench = Bench(Scripted("a", telling), Scripted("b"))
    await bench.ask()
    rooms = [bench.gate(name).room(bench.clock.now(), bench.rules()) for name in "ab"]
    assert [(room.places > 0, room.at) for room in rooms] == [(False, bench.clock.now() + 50), (True, None)]
