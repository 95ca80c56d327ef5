"""How a gate folds in what other processes have met, and what it says to them; no process, no server, no clock."""

from __future__ import annotations

import itertools
import math

import pytest

from llx_magic.core.admission import Applicant
from llx_magic.core.breaker import Cause, CircuitState, Outcome
from llx_magic.core.events import BackendSkipped, CircuitChanged, CoolDownEnded, CoolDownStarted, SkipReason
from llx_magic.core.failure import FailureKind
from llx_magic.core.gate import PROBE_ELSEWHERE, Gate
from llx_magic.core.hearing import asks, hear_answer, hear_fact, share, unsent
from llx_magic.core.preview import preview
from llx_magic.core.reply import Usage
from llx_magic.core.sharing import (
    ANSWER_SECONDS,
    LEASE_SECONDS,
    Allowed,
    Failed,
    GaveUp,
    Gone,
    Granted,
    Limited,
    PlacesWanted,
    ProbeBegan,
    ProbeEnded,
    ProbeFailed,
    ProbeGranted,
    ProbeHeld,
    ProbeWanted,
    Recovered,
    Spent,
    Swept,
    There,
    Used,
)
from llx_magic.core.stock import BLOCK, KEPT_SECONDS
from tests.engine.kit import failure, settings_with

NUMBERS = itertools.count(1)
SETTINGS = settings_with(circuit_breaker_recovery_timeout_ms=30_000)
LIMITED = settings_with(rpm_limit=20)


def shared(*, is_there: bool = True) -> Gate:
    gate = Gate("a")
    share(gate)
    if is_there:
        hear_answer(gate, There(2), 0.0)
    return gate


def admit(gate: Gate, now: float, settings=SETTINGS, *, only_candidate: bool = False, is_row: bool = False):
    return gate.admit(Applicant(next(NUMBERS), only_candidate=only_candidate, is_row=is_row), now, settings)


def visit(gate: Gate, outcome: Outcome, now: float, settings=SETTINGS):
    permit = admit(gate, now, settings).permit
    assert permit is not None
    return gate.settle(permit, outcome, now, settings)


def hear(gate: Gate, *facts, at: float, now: float | None = None):
    return [event for fact in facts for event in hear_fact(gate, fact, at, at if now is None else now, SETTINGS)]


def opened(at: float = 0.0) -> Gate:
    gate = shared()
    hear(gate, Failed(), Failed(), Failed(), at=at)
    return gate


def test_a_gate_that_shares_nothing_has_nothing_to_say():
    gate = Gate("a")
    visit(gate, Outcome.COUNTED_FAILURE, 0.0)
    assert unsent(gate) == ()
    assert not asks(gate, Applicant(1), 0.0, LIMITED)


def test_failures_met_here_and_elsewhere_open_the_circuit_together():
    gate = shared()
    visit(gate, Outcome.COUNTED_FAILURE, 1.0)
    hear(gate, Failed(), at=2.0)
    (changed,) = hear(gate, Failed(), at=3.0)
    assert isinstance(changed, CircuitChanged)
    assert (changed.cause, changed.failures, changed.request) == (Cause.FAILURES, 3, 0)
    assert (gate.breaker.state, gate.breaker.opened_at) == (CircuitState.OPEN, 3.0)


def test_each_process_opens_by_its_own_threshold():
    gate, strict = shared(), settings_with(circuit_breaker_failure_threshold=1)
    hear_fact(gate, Failed(), 1.0, 1.0, strict)
    assert gate.breaker.state is CircuitState.OPEN


def test_nothing_opens_a_circuit_that_is_switched_off():
    gate, off = shared(), settings_with(circuit_breaker_enabled=False)
    for _ in range(5):
        hear_fact(gate, Failed(), 1.0, 1.0, off)
    assert gate.breaker.state is CircuitState.CLOSED


def test_failures_from_before_the_window_do_not_count_when_they_are_heard_late():
    gate = shared()
    hear(gate, Failed(), Failed(), at=0.0, now=200.0)
    hear(gate, Failed(), at=200.0)
    assert gate.breaker.state is CircuitState.CLOSED


def test_a_failure_that_is_told_long_after_it_happened_does_not_count_as_one_of_now():
    gate = shared()
    visit(gate, Outcome.COUNTED_FAILURE, 500.0)
    visit(gate, Outcome.COUNTED_FAILURE, 501.0)
    hear(gate, Failed(), at=100.0, now=502.0)
    assert gate.breaker.state is CircuitState.CLOSED


def test_a_failure_from_before_a_recovery_counts_no_more():
    gate = opened()
    hear(gate, Recovered(), at=31.0)
    hear(gate, Failed(), Failed(), Failed(), at=30.5, now=31.1)
    assert gate.breaker.state is CircuitState.CLOSED


def test_a_recovery_elsewhere_closes_an_open_circuit_and_forgets_its_failures():
    gate = opened()
    (changed,) = hear(gate, Recovered(), at=31.0)
    assert (changed.before, changed.after, changed.cause) == ("open", "closed", Cause.RECOVERED)
    assert gate.breaker.failures == []


def test_a_recovery_from_before_the_circuit_opened_does_not_close_it():
    gate = opened(at=10.0)
    assert hear(gate, Recovered(), at=9.0, now=11.0) == []
    assert gate.breaker.state is CircuitState.OPEN


def test_a_failed_probe_elsewhere_keeps_the_circuit_open_from_then_on():
    gate = opened()
    assert hear(gate, ProbeFailed(), at=31.0) == []
    assert gate.breaker.seconds_until_probe(31.0, SETTINGS) == 30.0


def test_a_history_that_is_heard_in_one_go_ends_where_its_events_would_have():
    gate = shared()
    for at, fact in ((0, Failed()), (1, Failed()), (2, Failed()), (33, ProbeFailed()), (64, ProbeFailed())):
        hear(gate, fact, at=float(at), now=70.0)
    assert gate.breaker.state is CircuitState.OPEN
    assert gate.breaker.seconds_until_probe(70.0, SETTINGS) == 24.0


def test_a_429_elsewhere_is_a_cool_down_here_for_the_time_that_is_left():
    gate = shared()
    (started,) = hear(gate, Limited(30.0), at=5.0, now=7.0)
    assert isinstance(started, CoolDownStarted)
    assert started.seconds == 28.0
    (skipped,) = admit(gate, 8.0).events
    assert (skipped.reason, skipped.seconds_left) == (SkipReason.COOLING_DOWN, 27.0)
    assert gate.room(8.0, SETTINGS).at == 35.0


def test_a_429_whose_wait_is_over_is_no_cool_down():
    assert hear(shared(), Limited(30.0), at=5.0, now=36.0) == []


def test_a_later_shorter_429_does_not_shorten_the_cool_down():
    gate = shared()
    hear(gate, Limited(60.0), at=0.0)
    hear(gate, Limited(1.0), at=5.0)
    assert gate.cool_down.seconds_left(5.0) == 55.0


def test_an_answer_elsewhere_ends_a_cool_down_from_before_it_was_sent():
    gate = shared()
    hear(gate, Limited(60.0), at=0.0)
    assert hear(gate, Allowed(5.0), at=3.0) == []
    (ended,) = hear(gate, Allowed(1.0), at=3.0)
    assert isinstance(ended, CoolDownEnded)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1.0, 1e12])
def test_a_wait_that_cannot_be_is_no_longer_than_an_hour(seconds):
    gate = shared()
    hear(gate, Limited(seconds), at=0.0)
    assert 0.0 <= (gate.cool_down.seconds_left(0.0) or 0.0) <= 3_600


def test_tokens_of_others_count_for_the_tokens_per_minute():
    gate = shared()
    hear(gate, Used(600, 6.0), at=60.0)
    assert gate.tokens.rate(60.0, "elapsed") == 6_000


@pytest.mark.parametrize("tokens", [-5, 0, 10**15])
def test_tokens_that_cannot_be_are_not_counted(tokens):
    gate = shared()
    hear(gate, Used(tokens, 1.0), at=60.0)
    assert gate.tokens.total == 0


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.COUNTED_FAILURE, [Failed()]),
        (Outcome.UNCOUNTED_FAILURE, []),
        (Outcome.SUCCESS, []),
        (Outcome.REFUSAL, []),
        (Outcome.GIVEN_BACK, []),
    ],
)
def test_only_what_counts_is_told(outcome, said):
    gate = shared()
    visit(gate, outcome, 1.0)
    assert list(unsent(gate)) == said


def test_a_429_is_told_with_its_wait():
    gate = shared()
    permit = admit(gate, 1.0).permit
    gate.limited(permit, failure(FailureKind.RATE_LIMIT, "429", retry_after=7.0), 1.0, will_retry=False)
    assert list(unsent(gate)) == [Limited(7.0)]


def test_a_probe_is_asked_for_before_it_begins():
    gate = opened()
    assert asks(gate, Applicant(1), 31.0, SETTINGS)
    assert list(unsent(gate)) == [ProbeWanted(31.0, 30.0)]
    (skipped,) = admit(gate, 31.01).events
    assert isinstance(skipped, BackendSkipped)
    assert (skipped.reason, skipped.message) == (SkipReason.CIRCUIT_OPEN, PROBE_ELSEWHERE)


def test_who_is_granted_the_probe_sends_one():
    gate = opened()
    asks(gate, Applicant(1), 31.0, SETTINGS)
    unsent(gate)
    hear_answer(gate, ProbeGranted(), 31.0)
    permits = [admit(gate, 31.0).permit for _ in range(5)]
    assert [permit is not None and permit.is_probe for permit in permits] == [True, False, False, False, False]
    assert list(unsent(gate)) == [ProbeBegan()]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [(Outcome.SUCCESS, Recovered()), (Outcome.COUNTED_FAILURE, ProbeFailed()), (Outcome.GIVEN_BACK, None)],
)
def test_what_came_of_a_probe_is_told_before_it_is_given_back(outcome, said):
    gate = opened()
    hear_answer(gate, ProbeGranted(), 31.0)
    permit = admit(gate, 31.0).permit
    unsent(gate)
    gate.settle(permit, outcome, 32.0, SETTINGS)
    assert list(unsent(gate)) == [each for each in (said, ProbeEnded()) if each is not None]


def test_while_another_is_the_probe_nobody_asks_again():
    gate = opened()
    asks(gate, Applicant(1), 31.0, SETTINGS)
    hear_answer(gate, ProbeHeld(1.0), 31.0)
    unsent(gate)
    assert not asks(gate, Applicant(2), 31.5, SETTINGS)
    assert gate.room(31.5, SETTINGS).places == 0
    assert asks(gate, Applicant(3), 32.0, SETTINGS)


def test_the_only_candidate_is_asked_all_the_same_and_is_no_probe():
    gate = opened()
    hear_answer(gate, ProbeHeld(1.0), 31.0)
    permit = admit(gate, 31.0, only_candidate=True).permit
    assert permit is not None
    assert not permit.is_probe
    gate.settle(permit, Outcome.SUCCESS, 31.5, SETTINGS)
    assert gate.breaker.state is CircuitState.CLOSED


def test_a_lease_that_is_not_used_is_given_back():
    gate = opened()
    hear_answer(gate, ProbeGranted(), 31.0)
    hear_answer(gate, Swept(), 32.0)
    assert list(unsent(gate)) == [ProbeEnded()]
    assert admit(gate, 32.0).permit is None


def test_without_an_answer_in_time_the_probe_is_sent_alone_once_others_have_had_the_time_for_it():
    gate = opened()
    asks(gate, Applicant(1), 31.0, SETTINGS)
    unsent(gate)
    assert not asks(gate, Applicant(1), 31.0 + ANSWER_SECONDS, SETTINGS)
    assert list(unsent(gate)) == [GaveUp()]
    assert admit(gate, 31.1).events[0].message == PROBE_ELSEWHERE
    assert admit(gate, 31.1 + LEASE_SECONDS).permit.is_probe


def test_places_are_asked_for_where_there_is_none():
    gate = shared()
    assert asks(gate, Applicant(1), 0.0, LIMITED)
    assert list(unsent(gate)) == [PlacesWanted(1, 0.0, 20, None)]
    assert admit(gate, 0.0, LIMITED).permit is None
    hear_answer(gate, Granted(1, 0.0, 0.0, 17), 0.01)
    assert admit(gate, 0.02, LIMITED).permit is not None
    assert admit(gate, 0.02, LIMITED).permit is None


def test_a_preview_does_not_take_what_nobody_has_asked_for_as_used_up():
    gate = shared()
    assert preview(gate, 0.0, LIMITED, only_candidate=False).startswith("asked")
    hear_answer(gate, Granted(0, 0.0, 12.0), 0.0)
    assert preview(gate, 1.0, LIMITED, only_candidate=False) == "skipped: at its rpm_limit of 20, 11 s left"
    assert unsent(gate) == ()


def test_a_preview_does_not_take_a_probe_that_nobody_has_asked_for_as_another_ones():
    gate = opened()
    assert "as the probe" in preview(gate, 31.0, SETTINGS, only_candidate=False)
    hear_answer(gate, ProbeHeld(1.0), 31.0)
    assert PROBE_ELSEWHERE in preview(gate, 31.5, SETTINGS, only_candidate=False)


def test_dense_traffic_asks_for_blocks():
    gate, wanted = shared(), []
    for turn in range(30):
        now = turn * 0.01
        if asks(gate, Applicant(1), now, settings_with(rpm_limit=600)):
            (wish,) = unsent(gate)
            wanted.append(wish.places)
            hear_answer(gate, Granted(wish.places, 0.0, 0.0), now)
        admit(gate, now, settings_with(rpm_limit=600))
    assert wanted[0] == 1
    assert max(wanted) == BLOCK


def test_a_place_that_is_not_used_in_time_is_given_back_and_not_used():
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Granted(3, 10.0, 0.0, 17), 0.01)
    assert admit(gate, KEPT_SECONDS, LIMITED).permit is None
    unsent(gate)
    hear_answer(gate, Swept(), KEPT_SECONDS)
    assert list(unsent(gate)) == [Spent(-3.0, -30.0, 0.0, 20, None, 17)]


def test_where_all_is_used_up_the_time_that_the_server_says_is_waited():
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Granted(0, 0.0, 12.0), 0.0)
    (skipped,) = admit(gate, 1.0, LIMITED).events
    assert (skipped.reason, skipped.seconds_left) == (SkipReason.AT_CEILING, 11.0)
    assert not asks(gate, Applicant(1), 11.9, LIMITED)
    assert asks(gate, Applicant(1), 12.0, LIMITED)


def test_who_says_that_there_is_more_than_the_limit_is_not_believed():
    gate = shared()
    sent = 0
    for _ in range(100):
        asks(gate, Applicant(1), 0.0, LIMITED)
        hear_answer(gate, Granted(1_000, 0.0, 0.0), 0.0)
        sent += admit(gate, 0.0, LIMITED).permit is not None
    assert sent == 20


@pytest.mark.parametrize("wait", [math.nan, -5.0, 1e9])
def test_a_wait_for_a_place_is_no_longer_than_a_minute(wait):
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Granted(0, 0.0, wait), 0.0)
    assert asks(gate, Applicant(1), 63.0, LIMITED)


def test_alone_a_gate_keeps_to_its_part_of_the_limit():
    gate = shared()
    hear_answer(gate, There(4), 0.0)
    hear_answer(gate, Gone(), 0.0)
    assert sum(admit(gate, 0.0, LIMITED).permit is not None for _ in range(20)) == 5


def sent_at_once(gate: Gate, now: float, settings=LIMITED) -> int:
    return sum(admit(gate, now, settings).permit is not None for _ in range(100))


def test_until_anything_is_heard_of_the_server_a_single_request_is_sent_which_is_told_then():
    gate = shared(is_there=False)
    assert sent_at_once(gate, 1.0) == 1
    assert admit(gate, 2.0, LIMITED).events[0].seconds_left < 1.0
    hear_answer(gate, There(8), 3.0)
    assert list(unsent(gate)) == [Spent(1.0, 0.0, 2.0, 20, None)]


def test_who_never_reached_the_server_begins_with_an_eighth_of_the_limit_and_doubles_that_each_minute():
    gate, limit = shared(is_there=False), settings_with(rpm_limit=40)
    hear_answer(gate, Gone(), 0.0)
    sent = []
    for minute in range(5):
        hear_answer(gate, Gone(), 62.0 * minute)
        sent.append(sent_at_once(gate, 62.0 * minute, limit))
    assert sent == [5, 10, 20, 40, 40]


def test_in_the_first_minute_alone_a_gate_sends_its_part_of_what_was_left():
    gate = shared()
    hear_answer(gate, There(4), 0.0)
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Granted(1, 0.0, 0.0, 17, requests_left=8.0), 0.0)
    hear_answer(gate, Gone(), 0.1)
    assert sent_at_once(gate, 0.2) == 3  # the one that was given, and two of eight
    assert sent_at_once(gate, 61.0) == 0
    assert sent_at_once(gate, 62.0) == 5


def test_what_was_left_long_ago_does_not_count():
    gate = shared()
    hear_answer(gate, There(4), 0.0)
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Granted(0, 0.0, 12.0, 17, requests_left=0.0), 0.0)
    hear_answer(gate, Gone(), 30.0)
    assert sent_at_once(gate, 30.0) == 5


def test_tokens_that_were_left_bound_what_is_sent_alone():
    limit, gate = settings_with(tpm_limit=1_000), shared()
    gate.traffic.expected.learn(0.0, Usage(prompt_tokens=50, completion_tokens=50))
    hear_answer(gate, There(2), 0.0)
    asks(gate, Applicant(1), 0.0, limit)
    hear_answer(gate, Granted(0, 100.0, 12.0, 17, tokens_left=400.0), 0.0)
    hear_answer(gate, Gone(), 0.1)
    assert sent_at_once(gate, 0.2, limit) == 2


def test_tokens_of_replies_are_told_together_and_the_last_of_them_soon():
    gate = shared()
    for turn in range(5):
        gate.sharing.use(10, 1.0, 5.0 + turn / 10)
    assert list(unsent(gate)) == [Used(10, 1.0), Used(30, pytest.approx(1.2))]
    hear_answer(gate, Swept(), 6.0)
    assert list(unsent(gate)) == [Used(10, pytest.approx(1.6))]


def test_tokens_from_before_the_server_was_there_are_told_then_those_of_long_ago_never():
    gate = shared(is_there=False)
    gate.sharing.use(1_000, 1.0, 5.0)
    gate.sharing.use(10, 1.0, 9_000.0)
    hear_answer(gate, There(2), 9_001.0)
    assert list(unsent(gate)) == [Used(10, 2.0)]


def test_a_row_is_no_probe_either_while_others_may_be_it():
    gate = opened()
    assert admit(gate, 31.0, is_row=True).permit is None


def test_what_was_sent_alone_is_told_when_the_server_is_back():
    gate = shared()
    hear_answer(gate, Gone(), 1.0)
    admit(gate, 2.0, LIMITED)
    unsent(gate)
    hear_answer(gate, There(2), 3.0)
    assert list(unsent(gate)) == [Spent(1.0, 0.0, 1.0, 20, None)]


def test_what_was_sent_alone_is_told_apart_from_what_was_sent_just_before():
    gate = shared()
    asks(gate, Applicant(1), 1.0, LIMITED)
    hear_answer(gate, Granted(1, 0.0, 0.0), 1.0)
    admit(gate, 1.0, LIMITED)
    hear_answer(gate, Gone(), 1.1)
    admit(gate, 1.15, LIMITED)
    unsent(gate)
    hear_answer(gate, There(2), 3.1)
    assert list(unsent(gate)) == [Spent(1.0, 0.0, pytest.approx(2.0), 20, None)]


def test_a_server_that_has_forgotten_all_is_told_of_the_last_minute():
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Granted(1, 0.0, 0.0), 0.0)
    admit(gate, 0.0, LIMITED)
    unsent(gate)
    hear_answer(gate, There(2, fresh=True), 3.0)
    assert list(unsent(gate)) == [Spent(1.0, 0.0, 3.0, 20, None)]
