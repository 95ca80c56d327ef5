"""Older requests are kept as columns: nothing is lost by it, and nothing of it shows."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
from msgspec.structs import replace

from llx_magic.core.archive import EVENTS_PER_BLOCK, Remembered
from llx_magic.core.breaker import Cause
from llx_magic.core.columns import columns_of, facts_of
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendEvent,
    Event,
    FirstTokenReceived,
    RequestAnswered,
    RequestEnded,
    RequestFailed,
    RequestPutBack,
    RequestStarted,
    VisitCancelled,
    VisitFailed,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.ledger import Ledger
from llx_magic.core.statistics import RequestRecord
from llx_magic.observe.frames.columns import HISTORY
from llx_magic.observe.frames.making import read
from llx_magic.observe.frames.remembered import attempts_frame, events_frame, history_frame, tpm_frame
from tests.engine.kit import block, circuit_changed, failure

REQUESTS, AT_ONCE = 2000, 7


def request(number: int, draw: random.Random) -> list[Event]:
    """The events of a request that visits one or two backends; their times are set later."""
    told: list[Event] = [RequestStarted(at=0.0, request=number, policy="failover", order=("a", "b"))]
    for backend in draw.choice([("a",), ("b",), ("a", "b")]):
        of: dict[str, Any] = {"at": 0.0, "request": number, "backend": backend}
        told.append(VisitStarted(**of, is_probe=False))
        told.append(AttemptStarted(**of, attempt=1, attempts=2))
        if draw.random() < 0.7:
            told.append(FirstTokenReceived(**of, seconds=draw.random()))
        if draw.random() < 0.2:
            told.append(VisitCancelled(**of, attempts=1, seconds=1.0))
        elif draw.random() < 0.3:
            told.append(AttemptFailed(**of, attempt=1, failure=failure(), seconds=draw.random()))
            told.append(VisitFailed(**of, attempts=1, seconds=1.0, failure=failure()))
        else:
            usage = draw.choice([None, 7, 8])
            told.append(
                VisitSucceeded(
                    **of, attempts=1, seconds=draw.random(), ttft=draw.choice([None, 0.5]), prompt_tokens=usage,
                    completion_tokens=usage, finish_reason="stop", model="m", generating_seconds=0.1, tpm=60.0,
                )
            )  # fmt: skip
    ended: dict[str, Any] = {"at": 0.0, "request": number, "seconds": draw.random()}
    answered = RequestAnswered(**ended, backend="a", attempts=1)
    told.append(draw.choice([answered, answered, RequestFailed(**ended, message="all failed")]))
    if draw.random() < 0.05:
        return [told[0], RequestPutBack(**ended), *told]
    return told


@pytest.fixture(scope="module")
def told() -> list[Event]:
    """What happened: several requests at a time, and circuits that were changed by hand in between."""
    draw, told, number = random.Random(5), list[Event](), 0
    under_way: list[list[Event]] = []
    while number < REQUESTS or under_way:
        if number < REQUESTS and len(under_way) < AT_ONCE:
            number += 1
            under_way.append(request(number, draw))
        one = draw.choice(under_way)
        told.append(one.pop(0))
        under_way = [each for each in under_way if each]
        if draw.random() < 0.01:
            told.append(circuit_changed(0.0, Cause.BY_HAND, request=0))
    assert len(told) > 3 * EVENTS_PER_BLOCK
    return [replace(each, at=float(at)) for at, each in enumerate(told)]


def ledger_of(told: list[Event], limit: int = 10 * REQUESTS) -> Ledger:
    ledger = Ledger(["a", "b"], limit)
    for event in told:
        ledger.fold(event)
    return ledger


@pytest.fixture(scope="module")
def remembered(told) -> Remembered:
    """All of it, as it is remembered."""
    return ledger_of(told).remembered()


def ends(told: list[Event]) -> list[RequestEnded]:
    return [event for event in told if isinstance(event, RequestEnded)]


def test_events_come_back_as_they_were_in_the_order_in_which_they_happened(told, remembered):
    assert len(remembered.sealed) > 1
    assert list(remembered.events()) == told


@pytest.mark.parametrize("kinds", [(AttemptFailed,), (VisitStarted, RequestEnded), (RequestPutBack, BackendEvent)])
def test_events_of_some_kinds_are_those_among_all(told, remembered, kinds):
    wanted = [event for event in told if isinstance(event, kinds)]
    assert list(remembered.events(*kinds)) == wanted


def test_records_come_back_as_they_were(told, remembered):
    records: dict[int, RequestRecord] = {}
    ended = []
    for event in told:
        if isinstance(event, RequestStarted):
            records[event.request] = RequestRecord(request=event.request, started=event.at, policy=event.policy)
        if event.request:
            records[event.request].fold(event)
        if isinstance(event, RequestEnded):
            ended.append(records.pop(event.request))
    assert remembered.records() == ended


@pytest.mark.parametrize("limit", [1, 500, 1999])
def test_exactly_so_many_are_kept_as_is_allowed_and_everything_is_known_since_the_last_that_is_not(told, limit):
    ledger = ledger_of(told, limit)
    remembered, (gone, *kept) = ledger.remembered(), ends(told)[-limit - 1 :]
    assert [record.request for record in remembered.records()] == [event.request for event in kept]
    assert [event for event in remembered.events() if isinstance(event, RequestEnded)] == kept
    assert len(history_frame(remembered.blocks(), 0.0)) == limit
    assert len(events_frame(remembered.blocks(), 0.0)) == len(remembered.events())
    assert ledger.since == max(gone.at, ledger.since or 0.0)


def test_a_limit_that_is_lowered_forgets_the_oldest(told):
    ledger = ledger_of(told)
    for limit in (1500, 700, 3):
        ledger.resize(limit)
        records = ledger.remembered().records()
        assert [record.request for record in records] == [event.request for event in ends(told)[-limit:]]


def test_a_reset_forgets_columns_too(told):
    ledger = ledger_of(told)
    ledger.reset()
    assert ledger.remembered().events() == ()
    assert history_frame(ledger.remembered().blocks(), 0.0).empty


@pytest.mark.parametrize("number", [1, 7, REQUESTS // 2, REQUESTS])
def test_the_events_of_a_request_are_found_however_old_it_is(told, remembered, number):
    assert list(remembered.of(number)) == [event for event in told if event.request == number]


def test_what_was_read_stays_as_it_was_while_more_happens(told):
    ledger = ledger_of(told[:9000], limit=300)
    before = ledger.remembered()
    events, length = before.events(), len(history_frame(before.blocks(), 0.0))
    for event in told[9000:]:
        ledger.fold(event)
    assert before.events() == events
    assert len(history_frame(before.blocks(), 0.0)) == length


@pytest.mark.parametrize("make", [events_frame, attempts_frame, tpm_frame])
def test_a_frame_of_many_blocks_is_that_of_one(told, remembered, make):
    pd.testing.assert_frame_equal(make(remembered.blocks(), 0.0), make([block(told)], 0.0))


def test_the_history_of_many_blocks_has_a_row_for_each_record(remembered):
    pd.testing.assert_frame_equal(history_frame(remembered.blocks(), 0.0), read(HISTORY, remembered.records(), 0.0))


def test_attempts_are_told_apart_by_request_and_backend(told, remembered):
    rows: list[list[object]] = []
    under_way: dict[tuple[int, str], list[object]] = {}
    for event in told:
        if not isinstance(event, BackendEvent):
            continue
        key = event.request, event.backend
        match event:
            case AttemptStarted():
                under_way[key] = [*key, event.at, None, None, "running", None]
                rows.append(under_way[key])
            case FirstTokenReceived():
                under_way[key][4] = event.seconds
            case AttemptFailed():
                row = under_way.pop(key)
                row[3], row[5], row[6] = event.seconds, "failed", event.failure.message
            case VisitSucceeded() | VisitCancelled() if key in under_way:
                row = under_way.pop(key)
                row[3], row[5] = event.at - row[2], "answered" if isinstance(event, VisitSucceeded) else "cancelled"
    frame = attempts_frame(remembered.blocks(), 0.0)
    columns = ["request", "backend", "started", "seconds", "ttft_seconds", "outcome", "message"]
    found = frame[columns].assign(started=frame.started.astype("int64") / 1e6)
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == rows


@pytest.mark.parametrize(
    "tokens", [(1, 2, 3), (7, 7, 7), (1, None, 2), (None, None, None), (2**70, 1, 2), (5,)], ids=str
)
def test_numbers_come_back_from_columns_whatever_is_missing_and_however_great(tokens):
    facts = [
        VisitCancelled(at=float(at), request=at, backend="ab"[at % 2], attempts=1, seconds=1.0, prompt_tokens=each)
        for at, each in enumerate(tokens)
    ]
    columns = columns_of(facts)
    assert facts_of(VisitCancelled, columns, len(facts)) == facts
    assert [type(fact.prompt_tokens) for fact in facts_of(VisitCancelled, columns, len(facts))] == [
        type(each) for each in tokens
    ]
