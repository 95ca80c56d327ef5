"""Whether a backend lets a request in: circuit, cool-down and tokens per minute together, the permit last."""

from __future__ import annotations

import itertools

import pytest

from llx_magic.core.admission import Admission, Applicant
from llx_magic.core.breaker import Cause, CircuitState, Outcome
from llx_magic.core.events import (
    BackendPutAside,
    BackendSkipped,
    CircuitChanged,
    CoolDownEnded,
    SkipReason,
    TpmMeasured,
    VisitStarted,
)
from llx_magic.core.preview import preview
from tests.engine.kit import LIMITED, failure, settings_with
from tests.engine.stores import STORES, StoredGate

NUMBERS = itertools.count(1)
SETTINGS = settings_with()
WITH_TPM = settings_with(tpm_threshold=500)


@pytest.fixture(params=STORES, autouse=True)
def each_store(request: pytest.FixtureRequest) -> None:
    """Let each gate lie in a store, of each kind one after the other."""
    StoredGate.kind = STORES[request.param]


def new_gate(name: str = "a") -> StoredGate:
    return StoredGate(name)


def admit(
    gate: StoredGate, now: float, settings=SETTINGS, *, only_candidate: bool = False, second_pass: bool = False
) -> Admission:
    return gate.admit(
        Applicant(request=next(NUMBERS), only_candidate=only_candidate, second_pass=second_pass), now, settings
    )


def visit(gate: StoredGate, outcome: Outcome, now: float, settings=SETTINGS, **how):
    permit = admit(gate, now, settings, **how).permit
    assert permit is not None
    return gate.settle(permit, outcome, now, settings)


def opened(at: float = 0.0) -> StoredGate:
    gate = new_gate()
    for _ in range(3):
        visit(gate, Outcome.COUNTED_FAILURE, at)
    return gate


def cooling(seconds: float | None = 60.0) -> StoredGate:
    gate = new_gate()
    permit = admit(gate, 0.0).permit
    assert permit is not None
    gate.limited(permit, failure(LIMITED.kind, "429", retry_after=seconds), 0.0, will_retry=False)
    gate.settle(permit, Outcome.GIVEN_BACK, 0.0, SETTINGS)
    return gate


def with_tpm(tpm: float) -> StoredGate:
    """Replies of one minute, read at 60 s."""
    gate = new_gate()
    gate.add_tokens(0.0, 60.0, int(tpm))
    return gate


def causes(events) -> list[Cause]:
    return [event.cause for event in events]


def kinds(events) -> list[type]:
    return [type(event) for event in events]


def test_a_healthy_backend_lets_a_request_in_and_says_so():
    admission = admit(new_gate(), 0.0)
    assert admission.permit is not None
    assert kinds(admission.events) == [VisitStarted]


def test_an_open_circuit_refuses_with_the_seconds_left():
    [skipped] = admit(opened(), 12.0).events
    assert isinstance(skipped, BackendSkipped)
    assert (skipped.reason, skipped.seconds_left) == (SkipReason.CIRCUIT_OPEN, 18.0)


def test_the_probe_is_announced_and_all_others_are_refused_until_it_is_settled():
    gate = opened()
    probe = admit(gate, 30.0)
    assert probe.permit.is_probe
    assert kinds(probe.events) == [CircuitChanged, VisitStarted]
    assert all(admit(gate, 31.0).permit is None for _ in range(49))
    assert causes(gate.settle(probe.permit, Outcome.SUCCESS, 32.0, SETTINGS)) == [Cause.RECOVERED]
    assert admit(gate, 32.0).permit is not None


def test_opening_reopening_and_a_probe_given_back_are_said():
    gate = new_gate()
    said = [visit(gate, Outcome.COUNTED_FAILURE, 0.0) for _ in range(3)]
    assert said[:2] == [(), ()]
    assert [event.failures for event in said[2]] == [3]
    [reopened] = visit(gate, Outcome.COUNTED_FAILURE, 30.0)
    assert (reopened.cause, reopened.failures) == (Cause.PROBE_FAILED, None)
    assert causes(visit(gate, Outcome.GIVEN_BACK, 60.0)) == [Cause.PROBE_RETURNED]


def test_a_cool_down_refuses_with_the_seconds_left():
    [skipped] = admit(cooling(), 20.0).events
    assert (skipped.reason, skipped.seconds_left) == (SkipReason.COOLING_DOWN, 40.0)


def test_at_the_end_of_a_cool_down_one_request_goes_first():
    gate = cooling()
    first = admit(gate, 60.0).permit
    assert first is not None
    assert all(admit(gate, 60.0).permit is None for _ in range(49))
    assert kinds(gate.settle(first, Outcome.SUCCESS, 61.0, SETTINGS)) == [CoolDownEnded]
    assert admit(gate, 61.0).permit is not None


def test_a_cool_down_works_with_the_breaker_off():
    off = settings_with(circuit_breaker_enabled=False)
    gate = new_gate()
    permit = admit(gate, 0.0, off).permit
    gate.limited(permit, LIMITED, 0.0, will_retry=False)
    gate.settle(permit, Outcome.GIVEN_BACK, 0.0, off)
    assert admit(gate, 9.9, off).permit is None
    assert admit(gate, 10.0, off).permit is not None


def test_a_cool_down_holds_back_the_probe_and_the_permit_of_the_probe_is_not_taken():
    gate = opened()
    gate.limited(
        admit(gate, 0.0, only_candidate=True).permit,
        failure(LIMITED.kind, "429", retry_after=60.0),
        0.0,
        will_retry=False,
    )
    assert admit(gate, 40.0).permit is None
    assert gate.breaker.state is CircuitState.OPEN


def test_a_forced_visit_that_met_another_fault_does_not_end_a_cool_down_before_its_time():
    gate = cooling(3600.0)
    assert visit(gate, Outcome.COUNTED_FAILURE, 5.0, only_candidate=True) == ()
    assert admit(gate, 6.0).permit is None


def test_a_forced_visit_that_was_answered_ends_a_cool_down_early():
    gate = cooling(3600.0)
    assert kinds(visit(gate, Outcome.SUCCESS, 5.0, only_candidate=True)) == [CoolDownEnded]
    assert admit(gate, 6.0).permit is not None


def test_a_first_request_that_failed_otherwise_at_the_end_of_a_cool_down_ends_it():
    gate = cooling()
    assert kinds(visit(gate, Outcome.COUNTED_FAILURE, 60.0)) == [CoolDownEnded]


@pytest.mark.parametrize(("tpm", "aside"), [(499, True), (500, False), (501, False)])
def test_only_a_rate_below_the_threshold_puts_aside_and_an_equal_one_does_not(tpm, aside):
    admission = admit(with_tpm(tpm), 60.0, WITH_TPM)
    assert admission.put_aside is aside
    assert (admission.permit is None) is aside
    assert kinds(admission.events) == [TpmMeasured, BackendPutAside if aside else VisitStarted]


def test_an_unknown_rate_is_never_below_and_not_mentioned():
    assert kinds(admit(new_gate(), 0.0, WITH_TPM).events) == [VisitStarted]


def test_without_a_threshold_the_rate_is_not_mentioned():
    assert kinds(admit(with_tpm(1), 60.0, SETTINGS).events) == [VisitStarted]


def test_the_second_pass_does_not_look_at_the_rate():
    admission = admit(with_tpm(1), 60.0, WITH_TPM, second_pass=True)
    assert kinds(admission.events) == [VisitStarted]


def test_a_backend_that_is_due_for_a_probe_is_not_measured():
    gate = opened(30.0)
    gate.add_tokens(0.0, 30.0, 1)
    admission = admit(gate, 60.0, WITH_TPM)
    assert kinds(admission.events) == [CircuitChanged, VisitStarted]


def test_to_be_put_aside_takes_no_permit_and_changes_nothing():
    gate = with_tpm(1)
    admit(gate, 60.0, WITH_TPM)
    assert gate.breaker.state is CircuitState.CLOSED
    assert not gate.cool_down.refuses(10**6, 60.0)


@pytest.mark.parametrize("make", [opened, cooling, lambda: with_tpm(1)], ids=["circuit", "cool-down", "tpm"])
def test_the_only_candidate_is_never_refused(make):
    assert admit(make(), 20.0, WITH_TPM, only_candidate=True).permit is not None


def test_the_outcome_of_the_only_candidate_is_recorded_all_the_same():
    gate = new_gate()
    for _ in range(3):
        visit(gate, Outcome.COUNTED_FAILURE, 0.0, only_candidate=True)
    assert gate.breaker.state is CircuitState.OPEN
    assert causes(visit(gate, Outcome.SUCCESS, 1.0, only_candidate=True)) == [Cause.RECOVERED]


def test_a_request_without_the_breaker_neither_consults_nor_records():
    off = settings_with(circuit_breaker_enabled=False)
    gate = opened()
    admission = admit(gate, 1.0, off)
    assert admission.permit.ticket is None
    assert gate.settle(admission.permit, Outcome.SUCCESS, 2.0, off) == ()
    assert gate.breaker.state is CircuitState.OPEN
    fresh = new_gate("b")
    for _ in range(5):
        visit(fresh, Outcome.COUNTED_FAILURE, 0.0, off)
    assert fresh.breaker.state is CircuitState.CLOSED


def test_a_visit_goes_on_only_while_no_other_request_has_opened_the_circuit():
    gate = new_gate()
    waiting = admit(gate, 0.0).permit
    assert gate.may_continue(waiting, only_candidate=False)
    for _ in range(3):
        visit(gate, Outcome.COUNTED_FAILURE, 0.0)
    assert not gate.may_continue(waiting, only_candidate=False)
    assert gate.may_continue(waiting, only_candidate=True)


@pytest.mark.parametrize("now", [0.0, 12.0, 30.0, 60.0, 61.0])
@pytest.mark.parametrize("make", [new_gate, opened, cooling, lambda: with_tpm(1)], ids=["new", "open", "429", "tpm"])
def test_a_preview_says_what_admission_then_decides_and_takes_nothing(make, now):
    gate = make()
    said = [gate.store.update(gate.key, preview, now, WITH_TPM, only_candidate=False) for _ in range(3)]
    admission = admit(gate, now, WITH_TPM)
    assert len(set(said)) == 1
    assert said[0].startswith("put aside") is admission.put_aside
    assert said[0].startswith("asked") is (admission.permit is not None)
    assert ("probe" in said[0]) is (admission.permit is not None and admission.permit.is_probe)
