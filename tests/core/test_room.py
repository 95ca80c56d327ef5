"""How many rows a backend takes now, and when to ask again where it takes none."""

from __future__ import annotations

import itertools

import pytest

from llx_magic.core.admission import Admission, Applicant, Permit
from llx_magic.core.breaker import CircuitState, Outcome
from llx_magic.core.events import BackendSkipped, CoolDownEnded, CoolDownStarted, SkipReason
from llx_magic.core.failure import FailureKind, Limit
from llx_magic.core.level import START
from llx_magic.core.rate_facts import Allowance, Measure
from llx_magic.core.snapshot import BackendSnapshot
from llx_magic.core.statistics import Tally
from tests.engine.kit import DOWN, LIMITED, failure, settings_with
from tests.engine.stores import STORES, StoredGate

NUMBERS = itertools.count(1)
SETTINGS = settings_with()


@pytest.fixture(params=STORES, autouse=True)
def each_store(request: pytest.FixtureRequest) -> None:
    """Let each gate lie in a store, of each kind one after the other."""
    StoredGate.kind = STORES[request.param]


def admit(gate: StoredGate, now: float = 0.0, settings=SETTINGS, *, is_row: bool = True, **how) -> Admission:
    return gate.admit(Applicant(request=next(NUMBERS), is_row=is_row, **how), now, settings)


def permit(gate: StoredGate, now: float = 0.0, settings=SETTINGS, **how) -> Permit:
    taken = admit(gate, now, settings, **how).permit
    assert taken is not None
    return taken


def refuse(gate: StoredGate, taken: Permit, now: float, wait: float | None = None) -> list[type]:
    """Refuse a visit with a 429 and settle it; the kinds of events of that."""
    events, _ = gate.limited(taken, failure(LIMITED.kind, "429", retry_after=wait), now, will_retry=False)
    return [type(event) for event in (*events, *gate.settle(taken, Outcome.GIVEN_BACK, now, SETTINGS))]


def used_up(resets_in: float, remaining: float = 0, measure: Measure = Measure.REQUESTS) -> Allowance:
    return Allowance(measure=measure, limit=60, remaining=remaining, resets_in=resets_in)


def opened(now: float = 0.0) -> StoredGate:
    gate = StoredGate("a")
    gate.open(now)
    return gate


def test_at_a_backend_of_which_nothing_is_known_a_few_rows_begin():
    assert StoredGate("a").room(0.0, SETTINGS) == (START, None, None, "")


def test_when_as_many_are_under_way_as_it_bears_the_next_row_comes_when_one_has_ended():
    gate = StoredGate("a")
    for _ in range(int(START)):
        permit(gate)
    room = gate.room(0.0, SETTINGS)
    assert (room.places, room.at, room.reason) == (0, None, SkipReason.AT_LEVEL)
    (skipped,) = admit(gate).events
    assert isinstance(skipped, BackendSkipped)
    assert (skipped.reason, skipped.seconds_left) == (SkipReason.AT_LEVEL, None)


def test_a_request_that_is_no_row_is_let_in_all_the_same_and_takes_a_place():
    gate = StoredGate("a")
    for _ in range(int(START)):
        permit(gate)
    cell = permit(gate, is_row=False)
    row = permit(gate, is_row=False)
    gate.settle(row, Outcome.SUCCESS, 1.0, SETTINGS)
    assert gate.room(1.0, SETTINGS).places == 0
    gate.settle(cell, Outcome.SUCCESS, 1.0, SETTINGS)
    assert gate.traffic.under_way == int(START)


def test_where_only_cells_take_its_places_a_row_asks_again_soon():
    gate, one = StoredGate("a"), settings_with(concurrency=1)
    permit(gate, is_row=False)
    at = gate.room(5.0, one).at
    assert at is not None
    assert 5.0 < at < 6.0


def test_the_level_rises_with_answers_but_not_above_the_setting():
    gate, six = StoredGate("a"), settings_with(concurrency=6)
    for _ in range(10):
        for taken in [permit(gate, settings=six) for _ in range(gate.room(0.0, six).places)]:
            gate.settle(taken, Outcome.SUCCESS, 1.0, six)
    assert gate.room(1.0, six).places == 6


def test_a_wait_that_the_server_names_holds_rows_back_until_it_is_over_and_no_later_one_shortens_it():
    gate = StoredGate("a")
    first, second = permit(gate), permit(gate)
    assert refuse(gate, first, 0.0, wait=30.0) == [CoolDownStarted]
    refuse(gate, second, 1.0, wait=2.0)
    assert gate.room(10.0, SETTINGS)[:3] == (0, 30.0, SkipReason.COOLING_DOWN)
    assert gate.room(30.0, SETTINGS).places > 0


def test_a_wait_that_was_named_to_a_request_before_the_first_row_holds_for_rows():
    gate = StoredGate("a")
    refuse(gate, permit(gate, is_row=False), 0.0, wait=30.0)
    assert gate.room(10.0, SETTINGS).at == 30.0


def test_a_row_that_was_refused_without_a_time_keeps_no_other_request_away():
    gate = StoredGate("a")
    assert refuse(gate, permit(gate), 0.0) == []
    assert gate.room(0.1, SETTINGS).places == 1
    assert admit(gate, 0.1, is_row=False).permit is not None


def test_the_answer_to_a_row_that_was_sent_later_ends_a_cool_down():
    gate = StoredGate("a")
    cell = permit(gate, is_row=False)
    refuse(gate, cell, 0.0)
    row = permit(gate, 1.0)
    assert [type(event) for event in gate.settle(row, Outcome.SUCCESS, 2.0, SETTINGS)] == [CoolDownEnded]
    assert admit(gate, 2.0, is_row=False).permit is not None


def test_the_answer_to_a_row_that_was_sent_before_ends_no_cool_down():
    gate = StoredGate("a")
    row, cell = permit(gate), permit(gate, 1.0, is_row=False)
    refuse(gate, cell, 2.0)
    assert gate.settle(row, Outcome.SUCCESS, 3.0, SETTINGS) == ()
    assert admit(gate, 3.0, is_row=False).permit is None


def test_rows_leave_the_next_place_to_a_request_that_waits_in_line():
    gate = StoredGate("a")
    refuse(gate, permit(gate, is_row=False), 0.0, wait=1.0)
    assert gate.wait(Applicant(10**6), 0.5, SETTINGS) is not None
    assert gate.room(1.0, SETTINGS).places == 0
    assert gate.store.update(gate.key, lambda each: each.cool_down.call_next(1.0)) == 10**6
    assert gate.room(1.0, SETTINGS).places > 0


@pytest.mark.parametrize("only_candidate", [False, True])
def test_an_open_circuit_holds_rows_back_until_its_probe_even_where_there_is_nobody_else(only_candidate):
    gate = opened()
    assert gate.room(10.0, SETTINGS)[:3] == (0, 30.0, SkipReason.CIRCUIT_OPEN)
    assert admit(gate, 10.0, only_candidate=only_candidate).permit is None


def test_a_circuit_that_is_due_for_its_probe_takes_one_row_and_no_further_one_meanwhile():
    gate = opened()
    assert gate.room(30.0, SETTINGS).places == 1
    probe = permit(gate, 30.0)
    assert gate.breaker.state is CircuitState.HALF_OPEN
    assert gate.room(31.0, SETTINGS)[:2] == (0, None)
    gate.settle(probe, Outcome.SUCCESS, 32.0, SETTINGS)
    assert gate.room(32.0, SETTINGS).places > 1


def test_a_circuit_reset_by_hand_ends_the_wait_of_rows():
    gate = StoredGate("a")
    refuse(gate, permit(gate), 0.0, wait=3600.0)
    gate.reset(1.0)
    assert gate.room(1.0, SETTINGS).places > 0


def test_what_a_service_says_is_used_up_is_waited_for_until_it_is_there_again():
    gate = StoredGate("a")
    first = permit(gate, 99.0)
    gate.learn_rates(first, (used_up(5.0), used_up(60.0, remaining=1, measure=Measure.TOKENS)), 99.0, 100.0)
    room = gate.room(100.0, SETTINGS)
    assert (room.places, room.at, room.reason) == (0, 105.0, SkipReason.USED_UP)
    gate.settle(first, Outcome.SUCCESS, 105.0, SETTINGS)
    assert gate.room(105.0, SETTINGS).places > 0


def test_rows_fail_at_a_dead_backend_until_its_circuit_opens_and_what_was_borne_before_is_forgotten():
    gate = StoredGate("a")
    for taken in [permit(gate) for _ in range(3)]:
        gate.settle(taken, Outcome.COUNTED_FAILURE, 1.0, SETTINGS)
    assert gate.breaker.state is CircuitState.OPEN
    assert gate.traffic.level is None


def test_one_failure_in_a_hundred_rows_opens_no_circuit():
    gate = StoredGate("a")
    for number in range(600):
        outcome = Outcome.SUCCESS if number % 100 else Outcome.COUNTED_FAILURE
        gate.settle(permit(gate, float(number) / 100), outcome, float(number) / 100, SETTINGS)
    assert gate.breaker.state is CircuitState.CLOSED


def test_a_flight_that_an_overloaded_server_turned_away_opens_no_circuit_where_it_answered_before():
    gate = StoredGate("a")
    for _ in range(12):
        gate.settle(permit(gate), Outcome.SUCCESS, 1.0, SETTINGS)
    flight = [permit(gate, 2.0) for _ in range(gate.room(2.0, SETTINGS).places)]
    for taken in flight:
        gate.overloaded(taken, DOWN, 3.0)
        gate.settle(taken, Outcome.COUNTED_FAILURE, 3.0, SETTINGS)
    assert gate.breaker.state is CircuitState.CLOSED
    assert gate.room(3.0, SETTINGS).places < len(flight)


@pytest.mark.parametrize(
    ("failed", "load"),
    [
        (failure(status=503), True),
        (failure(status=529), True),
        (failure(status=None, amounts_to=529), True),
        (failure(status=500), False),
        (failure(FailureKind.NETWORK, "connection refused"), True),
        (failure(FailureKind.NETWORK, "cut", words=5), False),
        (failure(FailureKind.TIMEOUT, "none", limit=Limit.FIRST_TOKEN), True),
        (failure(FailureKind.TIMEOUT, "none", limit=Limit.STALL), False),
        (failure(FailureKind.TIMEOUT, "none", limit=Limit.TOTAL), False),
        (failure(FailureKind.BAD_REQUEST, "400", status=400), False),
    ],
)
def test_what_tells_of_too_much_at_once(failed, load):
    assert failed.tells_of_load is load


def test_an_overloaded_server_that_names_a_time_is_left_alone_for_it():
    gate = StoredGate("a")
    gate.overloaded(permit(gate), failure(retry_after=20.0), 1.0)
    assert gate.room(2.0, SETTINGS).at == 21.0


def snapshot(gate: StoredGate, now: float) -> BackendSnapshot:
    return gate.store.update(gate.key, BackendSnapshot.of, Tally(), SETTINGS, now)


def test_a_snapshot_has_the_level_and_the_rows_under_way():
    gate = StoredGate("a")
    before = snapshot(gate, 0.0)
    assert (before.level, before.rows_in_flight) == (None, 0)
    permit(gate)
    permit(gate, is_row=False)
    assert (snapshot(gate, 0.0).level, snapshot(gate, 0.0).rows_in_flight) == (START, 1)
