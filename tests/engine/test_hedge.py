"""A second visit beside one that stays silent, on virtual time: who is shown, who is ended, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from llx_magic.commands.footer import footer
from llx_magic.core.events import (
    AttemptStarted,
    FirstTokenReceived,
    HedgeStarted,
    RequestAnswered,
    VisitCancelled,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.money import Cost, Price, Spent
from llx_magic.core.reply import Delta, Restart, Thought, Usage
from llx_magic.engine.budget import Budget, Purse
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import DOWN, LIMITED, Bench, Scripted, answer, balancer, clock_of, failure, settle, simulated


def says(*steps: object):
    """A step that waits so many seconds for each number, and sends each text; a pair is reasoning."""

    async def act(_request, progress):
        text = ""
        for step in steps:
            if isinstance(step, int | float):
                await BENCH[-1].clock.sleep(step)
            elif isinstance(step, tuple):
                progress.on_reasoning(step[1])
            elif isinstance(step, Usage):
                progress.on_usage(step)
            elif isinstance(step, str):
                text += step
                progress.on_text(step)
        return answer(text)

    return act


BENCH: list[Bench] = []


def bench(*backends: Scripted, **settings) -> Bench:
    BENCH.append(Bench(*backends, **{"hedge_after_ms": 2000, **settings}))
    return BENCH[-1]


def failing(seconds: float, what=DOWN):
    async def act(_request, _progress):
        await BENCH[-1].clock.sleep(seconds)
        raise BackendFailed(what)

    return act


def shown(bench: Bench) -> list[object]:
    return [part for part in bench.seen if isinstance(part, Delta | Thought | Restart)]


async def test_a_silent_backend_is_outrun_by_the_next_and_nobody_waits_for_it():
    lb = balancer(simulated("a", "slow:60000"), simulated("b", latency_ms=100), hedge_after_ms=2000)
    reply = await lb.ask("why")
    assert reply.backend == "b"
    assert clock_of(lb).now() == pytest.approx(2.1)
    a, b = lb.snapshot().backends
    assert (a.cancelled, a.failures, a.outrun, a.in_flight) == (1, 0, 1, 0)
    assert (b.successes, b.hedges, b.in_flight) == (1, 1, 0)


async def test_the_first_one_may_still_win():
    lb = balancer(simulated("a", "slow:2500"), simulated("b", latency_ms=1000), hedge_after_ms=2000)
    reply = await lb.ask("why")
    assert reply.backend == "a"
    assert clock_of(lb).now() == pytest.approx(2.5)
    assert lb.snapshot().backends[1].outrun == 1


async def test_no_second_is_asked_where_the_first_answers_in_time():
    lb = balancer(simulated("a", latency_ms=1900), simulated("b"), hedge_after_ms=2000)
    assert (await lb.ask("why")).backend == "a"
    assert lb.snapshot().backends[1].requests == 0


async def test_none_is_asked_unless_the_setting_says_so():
    lb = balancer(simulated("a", "slow:60000"), simulated("b"))
    assert (await lb.ask("why")).backend == "a"


async def test_what_was_shown_in_time_lets_the_first_go_on_however_long_it_takes():
    made = bench(Scripted("a", says(1, "One ", 30, "two.")), Scripted("b"))
    assert (await made.ask()).text == "One two."
    assert made.events(HedgeStarted) == []


async def test_reasoning_that_is_shown_counts_as_shown():
    made = bench(Scripted("a", says(1, ("think", "hm"), 30, "Yes.")), Scripted("b"))
    assert (await made.ask()).backend == "a"
    assert made.events(HedgeStarted) == []


async def test_the_first_text_wins_and_only_the_winners_reasoning_is_shown_before_it():
    made = bench(
        Scripted("a", says(3, ("think", "a thinks"), 30, "late")),
        Scripted("b", says(2, ("think", "b thinks"), 1, "Yes.")),
    )
    assert (await made.ask()).backend == "b"
    assert shown(made) == [Thought("b thinks"), Delta("Yes.")]


async def test_nothing_of_the_one_that_lost_is_shown_and_its_task_is_over():
    made = bench(Scripted("a", says(2.5, "A ", 0, "and more.")), Scripted("b", says(0.5, "B ", 0, "and more.")))
    reply = await made.ask()
    others = {"A ", "and more.", "B "}
    assert {part.text for part in shown(made)} <= others
    assert "".join(part.text for part in shown(made)) == reply.text
    assert len(asyncio.all_tasks()) == 1


async def test_never_more_than_one_hedge():
    lb = balancer(*(simulated(name, "slow:60000") for name in "abc"), simulated("d"), hedge_after_ms=2000)
    await lb.ask("why")
    assert [each.requests for each in lb.snapshot().backends] == [1, 1, 0, 0]


async def test_a_second_hedge_is_not_made_after_a_failed_race_either():
    made = bench(Scripted("a", failing(5)), Scripted("b", failing(5)), Scripted("c", says(9, "Yes.")), Scripted("d"))
    assert (await made.ask()).backend == "c"
    assert len(made.events(HedgeStarted)) == 1


async def test_a_first_that_fails_at_once_fails_over_as_ever():
    made = bench(Scripted("a", DOWN), Scripted("b"))
    assert (await made.ask()).backend == "b"
    assert made.events(HedgeStarted) == []


async def test_a_hedge_may_come_at_a_later_backend():
    made = bench(Scripted("a", DOWN), Scripted("b", says(60, "late")), Scripted("c"))
    assert (await made.ask()).backend == "c"
    (hedge,) = made.events(HedgeStarted)
    assert (hedge.backend, hedge.beside, hedge.seconds) == ("c", "b", 2.0)


@pytest.mark.parametrize(("first", "second", "answers"), [(3, 60, "b"), (60, 1, "a")])
async def test_where_one_of_the_two_fails_the_other_answers(first, second, answers):
    a, b = Scripted("a", failing(first)), Scripted("b", says(9, "B."))
    if answers == "a":
        a, b = Scripted("a", says(9, "A.")), Scripted("b", failing(second))
    made = bench(a, b)
    assert (await made.ask()).backend == answers


async def test_where_both_fail_the_next_is_asked_and_the_error_names_all():
    made = bench(Scripted("a", failing(3)), Scripted("b", failing(3)), Scripted("c"))
    assert (await made.ask()).backend == "c"
    made = bench(Scripted("a", failing(3)), Scripted("b", failing(3)))
    with pytest.raises(AllBackendsFailed) as failed:
        await made.ask()
    assert [reason.backend for reason in failed.value.reasons] == ["a", "b"]


async def test_one_that_was_outrun_is_asked_again_where_the_winner_breaks_off():
    async def half(_request, progress):
        progress.on_text("Half ")
        raise BackendFailed(failure(FailureKind.NETWORK, "connection closed"))

    made = bench(Scripted("a", says(60, "late"), "In the end."), Scripted("b", half))
    reply = await made.ask()
    assert (reply.backend, reply.text) == ("a", "In the end.")
    assert [type(part).__name__ for part in shown(made)] == ["Delta", "Restart", "Delta"]


@pytest.mark.parametrize("why", ["open", "due", "cooling", "no key", "the same", "one"])
async def test_nobody_is_asked_as_well_who_would_not_be_asked_at_once(why):
    a, b = Scripted("a", says(5, "A.")), Scripted("b", obstacle="no key" if why == "no key" else None)
    settings = {"circuit_breaker_failure_threshold": 1, "circuit_breaker_recovery_timeout_ms": 1000}
    made = bench(*((a,) if why == "one" else (a, a) if why == "the same" else (a, b)), **settings)
    if why in ("open", "due", "cooling"):
        b.steps = [LIMITED if why == "cooling" else DOWN, "B."]
        with pytest.raises(AllBackendsFailed):
            await made.ask(only="b", cooldown_wait_ms=1)
        if why == "due":
            made.clock.advance(1.0)
        elif why == "open":
            made.settings["circuit_breaker_recovery_timeout_ms"] = 60_000
    asked = len(b.asked)
    assert (await made.ask()).backend == "a"
    assert len(b.asked) == asked
    assert made.events(HedgeStarted) == []


async def test_a_probe_is_never_hedged():
    a, b = Scripted("a", DOWN, says(5, "A.")), Scripted("b")
    made = bench(a, b, circuit_breaker_failure_threshold=1, circuit_breaker_recovery_timeout_ms=1000)
    await made.ask()
    made.clock.advance(1.0)
    assert (await made.ask()).backend == "a"
    assert made.events(HedgeStarted) == []
    assert made.snapshot("a").state == "closed"


async def test_one_below_its_tokens_per_minute_is_not_asked_as_well():
    made = bench(Scripted("a", says(5, "A.")), Scripted("b", tokens=1))
    await made.ask(only="b")
    made.clock.advance(60.0)
    assert (await made.ask(tpm_threshold=1000)).backend == "a"
    assert made.events(HedgeStarted) == []


async def test_an_interrupt_ends_both_and_counts_against_neither():
    made = bench(Scripted("a", says(600)), Scripted("b", says(600)))
    begun = asyncio.Event()
    made.live.subscribe(
        lambda event: begun.set() if isinstance(event, AttemptStarted) and event.backend == "b" else None
    )
    asking = asyncio.create_task(made.ask(first_token_timeout_ms="none", timeout_ms="none"))
    await begun.wait()
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert [(event.backend, event.outrun_by) for event in made.events(VisitCancelled)] == [("a", None), ("b", None)]
    assert len(asyncio.all_tasks()) == 1
    assert made.snapshot("a").in_flight == made.snapshot("b").in_flight == 0


async def test_leaving_a_stream_early_ends_both():
    lb = balancer(simulated("a", "slow:60000"), simulated("b", reply="One two three.", tokens_per_second=1),
                  hedge_after_ms=2000)  # fmt: skip
    stream = lb.stream("why")
    assert isinstance(await anext(stream), Delta)
    await stream.aclose()
    assert [each.in_flight for each in lb.snapshot().backends] == [0, 0]


async def test_unstreamed_replies_race_too():
    lb = balancer(simulated("a", "slow:60000"), simulated("b", latency_ms=100), hedge_after_ms=2000, streaming=False)
    assert (await lb.ask("why")).backend == "b"


async def test_a_backend_that_reports_no_pieces_wins_with_its_whole_reply():
    async def whole(_request, _progress):
        await BENCH[-1].clock.sleep(1)
        return answer("All at once.")

    made = bench(Scripted("a", says(60, "late")), Scripted("b", whole), streaming=False)
    assert (await made.ask()).text == "All at once."


async def test_an_unfit_reply_of_the_winner_is_asked_for_again_there():
    b = simulated("b", reply="no json")
    lb = balancer(simulated("a", "slow:60000"), b, hedge_after_ms=2000, schema_retries=1)
    reply = await lb.ask("why", schema={"n": int})
    assert [event.backend for event in lb.decisions() if isinstance(event, AttemptStarted)] == [*"abbaa"]
    assert (reply.backend, len(reply.misfits)) == ("a", 3)


async def test_a_filter_that_ends_the_request_ends_the_other_visit():
    filtered = failure(FailureKind.CONTENT_FILTER, "filtered by a")
    made = bench(Scripted("a", failing(3, filtered)), Scripted("b", says(60, "late")))
    with pytest.raises(AllBackendsFailed, match="no further backend was asked"):
        await made.ask()
    assert made.clock.now() == pytest.approx(3.0)
    assert made.snapshot("b").cancelled == 1


async def test_events_tell_who_was_asked_beside_whom_and_who_was_first():
    made = bench(Scripted("a", says(60, "late")), Scripted("b", says(1, "Yes.")))
    await made.ask()
    kinds = (VisitStarted, HedgeStarted, AttemptStarted, FirstTokenReceived, VisitCancelled, VisitSucceeded)
    assert [(type(event).__name__, event.backend) for event in made.events(*kinds)] == [
        ("VisitStarted", "a"),
        ("AttemptStarted", "a"),
        ("VisitStarted", "b"),
        ("HedgeStarted", "b"),
        ("AttemptStarted", "b"),
        ("FirstTokenReceived", "b"),
        ("VisitSucceeded", "b"),
        ("VisitCancelled", "a"),
    ]
    assert [event.outrun_by for event in made.events(VisitCancelled)] == ["b"]
    assert [event.backend for event in made.events(RequestAnswered)] == ["b"]


async def test_views_tell_the_truth_about_two_visits_at_once():
    lb = balancer(simulated("a", "slow:60000"), simulated("b", latency_ms=500), hedge_after_ms=2000)
    reply = await lb.ask("why")
    assert "b asked as well, since a was silent for 2 s" in footer(reply)
    assert reply.attempts == 2
    attempts = lb.attempts()
    assert list(attempts.backend) == ["a", "b"]
    assert list(attempts.outcome) == ["cancelled", "answered"]
    assert list(attempts.seconds) == pytest.approx([2.5, 0.5])
    assert list(attempts.ttft_seconds.dropna()) == pytest.approx([0.5])
    steps = [(step.backend, step.begin, step.end, step.ok, step.outrun) for step in lb.trace().steps]
    assert steps == [
        ("a", 0.0, pytest.approx(2.5), False, True),
        ("b", 2.0, 2.0, False, False),
        ("b", 2.0, pytest.approx(2.5), True, False),
    ]
    assert "attempt 1/1 cancelled, b was first" in str(lb.trace())
    row = lb.history().iloc[0]
    assert (row.backend, row.attempts) == ("b", 2)
    assert row.decisions == "b: asked as well, since a was silent for 2 s; a: b was first"
    assert lb.stats().loc["a"].outrun == lb.stats().loc["b"].hedges == 1
    snapshot = lb.snapshot()
    for each in snapshot.backends:
        assert each.requests == each.successes + each.failures + each.cancelled + each.in_flight


async def test_what_the_one_that_lost_had_reported_is_counted_and_paid():
    class Flat:
        price = Price(0.0, 1.0)

        def of(self, usage: Usage | None, model: str = "") -> Cost | None:
            return None if usage is None else Cost(usage.total_tokens / 100)

    purse = Purse()
    made = Bench(
        Scripted("a", reporting(Usage(30, 1))), Scripted("b", says(1, "Yes.")), hedge_after_ms=2000,
        tariffs={"a": Flat(), "b": Flat()}, budgets=(Budget(purse, 5.0, "{}"),),
    )  # fmt: skip
    BENCH.append(made)
    reply = await made.ask()
    assert made.snapshot("a").prompt_tokens == 30
    assert made.snapshot("a").cost == pytest.approx(0.31)
    assert reply.cost == pytest.approx(0.31 + 0.10)
    assert purse.spent == Spent(own=pytest.approx(0.41))


def reporting(usage: Usage):
    async def act(_request, progress):
        try:
            await BENCH[-1].clock.sleep(60)
        finally:
            progress.on_usage(usage)
        return answer("late")

    return act


async def test_many_at_once_are_hedged_each_by_itself():
    made = bench(Scripted("a", says(60, "late")), Scripted("b", says(1, "Yes.")))
    replies = await asyncio.gather(*(made.ask() for _ in range(20)))
    assert {reply.backend for reply in replies} == {"b"}
    assert made.snapshot("a").outrun == made.snapshot("b").hedges == 20
    await settle()
