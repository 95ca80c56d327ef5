"""Every figure, computed again from what the backends were told to do and from the plain events; nothing is shared.

The reference below is written for clarity and imports none of the package's arithmetic: it walks over all events for
each figure anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import statistics as plain

import pandas as pd
import pytest

from llx_magic.core import events as facts
from llx_magic.core.statistics import percentile
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe import report
from llx_magic.observe.prometheus import exposition
from llx_magic.session.balancer import LoadBalancer
from llx_magic.text.values import JsonValue
from llx_magic.units import duration, milliseconds
from tests.engine.kit import balancer, simulated

SCRIPTS = (
    "ok",
    "ok",
    "ok",
    "length",
    "503",
    "500",
    "401",
    "400",
    "429:4",
    "429:70",
    "refused",
    "empty",
    "cut:3",
    "stall:2",
)


class Told:
    """What happened, as a list of events that is never shortened, kept by the test itself."""

    def __init__(self, lb: LoadBalancer) -> None:
        self.lb = lb
        self.events: list[facts.Event] = []
        lb.subscribe(self.events.append)

    def of(self, kind, backend: str | None = None) -> list:
        return [
            each for each in self.events if isinstance(each, kind) and backend in (None, getattr(each, "backend", ""))
        ]


async def asked(lb: LoadBalancer, dice: random.Random) -> None:
    await lb._live.clock.sleep(round(dice.uniform(0, 500), 2))
    cell: dict[str, JsonValue] = dice.choice(
        [{}, {}, {}, {"streaming": "disabled"}, {"circuit_breaker_enabled": False}]
    )
    task = asyncio.ensure_future(lb.ask("why", settings=cell, backend=dice.choice([None, None, None, "b"])))
    patience = dice.choice([None, None, None, None, dice.uniform(0, 20)])
    timer = lb._live.clock.call_later(patience, task.cancel) if patience is not None else None
    with contextlib.suppress(AllBackendsFailed, asyncio.CancelledError):
        await task
    if timer is not None:
        timer.cancel()


def lived(seed: int) -> Told:
    """A random history on virtual time, with changes by hand in it."""
    dice = random.Random(seed)
    members = [
        simulated(
            name, ",".join(dice.choices(SCRIPTS, k=8)), cycle=True, reply="w " * dice.choice([3, 12, 30]),
            latency_ms=dice.choice([0, 200, 3000]), tokens_per_second=dice.choice([None, 4, 40]),
            prompt_tokens=dice.choice([0, 7]), completion_tokens=dice.choice([0, 30, 500]),
        )
        for name in "abc"
    ]  # fmt: skip
    lb = balancer(
        *members, order=dice.choice(["failover", "roundrobin"]), circuit_breaker_failure_threshold=dice.choice([1, 3]),
        failover_retry_count=dice.choice([1, 2]), stall_timeout_ms=10_000, tpm_threshold=dice.choice([None, 40]),
        tpm_basis=dice.choice(["elapsed", "busy"]), cooldown_wait_ms=dice.choice([1, 10_000]),
    )  # fmt: skip
    told = Told(lb)

    async def main() -> None:
        await asyncio.gather(*(asked(lb, dice) for _ in range(dice.randint(5, 40))))
        lb.open_circuit("c")
        await lb._live.clock.sleep(50)
        lb.close_circuit("c")
        await asked(lb, dice)

    asyncio.run(main())
    return told


@pytest.fixture(params=range(25))
def told(request) -> Told:
    return lived(request.param)


def rate_at(told: Told, backend: str, now: float, basis: str) -> float | None:
    """Tokens per minute by the definition: all replies of the last five minutes, looked at one by one."""
    replies = [each for each in told.of(facts.VisitSucceeded, backend) if each.completion_tokens is not None]
    kept = [each for each in replies if now - 300 < each.at <= now]
    if not kept:
        return None
    tokens = sum(each.prompt_tokens + each.completion_tokens for each in kept)
    if basis == "elapsed":
        seconds = now - min(each.at - each.seconds for each in kept)
    else:
        seconds, until = 0.0, -math.inf
        for begin, end in sorted((each.at - each.seconds, each.at) for each in kept):
            seconds += max(0.0, end - max(begin, until, now - 300))
            until = max(until, end)
    return tokens / min(seconds, 300) * 60 if seconds > 0 else None


def speed(reply: facts.VisitSucceeded) -> tuple[float, float] | None:
    """Tokens after the first piece, and the seconds in which they came."""
    if not reply.completion_tokens or reply.pieces < 10 or reply.generating_seconds < 1:
        return None
    return reply.completion_tokens - reply.completion_tokens / reply.pieces, reply.generating_seconds


def test_counts_latencies_and_speeds_of_every_backend_are_those_of_its_visits(told):
    for snapshot in told.lb.snapshot().backends:
        ended = told.of((facts.VisitSucceeded, facts.VisitFailed), snapshot.name)
        replies = told.of(facts.VisitSucceeded, snapshot.name)
        took = sorted(each.seconds for each in replies)
        assert snapshot.successes == len(replies)
        assert snapshot.failures == len(told.of(facts.VisitFailed, snapshot.name))
        assert snapshot.cancelled == len(told.of(facts.VisitCancelled, snapshot.name))
        assert snapshot.requests == len(told.of(facts.VisitStarted, snapshot.name))
        assert snapshot.attempts == len(told.of(facts.AttemptStarted, snapshot.name))
        assert snapshot.success_rate == (len(replies) / len(ended) if ended else None)
        assert snapshot.mean_latency == (pytest.approx(plain.fmean(took)) if took else None)
        assert snapshot.p50_latency == (took[math.ceil(len(took) / 2) - 1] if took else None)
        first = [each.ttft for each in replies if each.ttft is not None]
        assert snapshot.ttft == (sorted(first)[math.ceil(len(first) / 2) - 1] if first else None)
        assert snapshot.tokens == sum((each.prompt_tokens or 0) + (each.completion_tokens or 0) for each in replies)
        speeds = [each for each in map(speed, replies) if each]
        assert (snapshot.tokens_per_second is None) == (not speeds)
        if speeds:
            tokens, seconds = (sum(parts) for parts in zip(*speeds, strict=True))
            assert snapshot.tokens_per_second == pytest.approx(tokens / seconds)
        skipped = told.of((facts.BackendSkipped, facts.BackendPutAside), snapshot.name)
        assert sum(count for _reason, count in snapshot.skips) == len(skipped)


def test_prompts_add_up_to_what_was_asked(told):
    prompts, history = told.lb.snapshot().prompts, told.lb.history()
    assert prompts.asked == len(told.of(facts.RequestStarted))
    for outcome, kind in (("answered", facts.RequestAnswered), ("failed", facts.RequestFailed),
                          ("cancelled", facts.RequestCancelled)):  # fmt: skip
        assert getattr(prompts, outcome) == len(told.of(kind)) == (history.outcome == outcome).sum()


def test_the_rate_after_each_reply_and_now_is_that_of_the_last_five_minutes(told):
    basis = told.lb.settings()["a"].tpm_basis
    for reply in told.of(facts.VisitSucceeded):
        at_once = [each for each in told.of(facts.VisitSucceeded, reply.backend) if each.at == reply.at]
        if reply.completion_tokens is not None and at_once == [reply]:
            wanted = rate_at(told, reply.backend, reply.at, basis)
            assert reply.tpm == (None if wanted is None else pytest.approx(wanted))
    now = told.lb.now()
    for snapshot in told.lb.snapshot().backends:
        wanted = rate_at(told, snapshot.name, now, basis)
        assert snapshot.tpm == (None if wanted is None else pytest.approx(wanted))


def test_intervals_of_circuits_follow_the_changes_and_end_in_the_present_state(told):
    circuit = told.lb.circuit()
    for snapshot in told.lb.snapshot().backends:
        rows = circuit[circuit.backend == snapshot.name]
        changes = told.of(facts.CircuitChanged, snapshot.name)
        states = ["closed", *(each.after for each in changes)]
        assert [each.before for each in changes] == states[:-1]
        began_changed = bool(changes) and changes[0].at == told.events[0].at
        assert list(rows.state) == states[began_changed:]
        assert rows.state.iloc[-1] == snapshot.state
        assert list(rows.ended.iloc[:-1]) == list(rows.began.iloc[1:])
        assert rows.seconds.sum() == pytest.approx(told.lb.now() - told.events[0].at)


def test_each_row_of_the_history_is_what_became_of_its_prompt(told):
    for row in told.lb.history().itertuples():
        own = [each for each in told.events if each.request == row.request]
        assert row.seconds == pytest.approx(own[-1].seconds)
        assert row.attempts == sum(isinstance(each, facts.AttemptStarted) for each in own)
        reply = next((each for each in own if isinstance(each, facts.VisitSucceeded)), None)
        found = speed(reply) if reply else None
        assert pd.isna(row.tokens_per_second) == (found is None)
        if found is not None:
            assert row.tokens_per_second == pytest.approx(found[0] / found[1])
        assert pd.isna(row.backend) if reply is None else row.backend == reply.backend


def test_the_events_remembered_are_the_events_that_were_told(told):
    kept = list(map(id, told.lb.decisions()))
    assert sorted(kept) == sorted(map(id, told.events))


def test_every_view_has_the_same_average_middle_and_first_token(told):
    """Of the answered visits alone: in the table, the frame, the status, the plot and Prometheus's page."""
    lb = told.lb
    snapshot, frame, page = lb.snapshot(), lb.stats(), exposition(lb.snapshot())
    rows = dict(zip(lb.members, [label.get_text() for label in lb.plot_latency().get_yticklabels()], strict=False))
    for each, standing in zip(snapshot.backends, lb.status().standings, strict=True):
        replies = [visit.seconds for visit in told.of(facts.VisitSucceeded, each.name)]
        mean = plain.fmean(replies) if replies else None
        assert frame.mean_latency_seconds[each.name] == pytest.approx(math.nan if mean is None else mean, nan_ok=True)
        assert f"  {each.name}\n    Requests" in report.plain(snapshot)
        assert f"Avg Latency: {milliseconds(mean)}" in report.plain(snapshot)
        assert standing.backend.p50_latency == each.p50_latency
        half = percentile(replies, 0.5)
        assert each.p50_latency == half
        assert rows[each.name].endswith("none answered" if half is None else f"half within {duration(half)}")
        assert f'_count{{profile="{lb.name}",backend="{each.name}"}} {len(replies)}' in page.replace(", ", ",")
        assert each.ttft is None or half is None or each.ttft <= half
