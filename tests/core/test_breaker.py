"""The circuit breaker: what opens it, who probes, what closes it, and what moves nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llx_magic.core.breaker import Cause, CircuitBreaker, CircuitState, Outcome
from tests.engine.kit import settings_with

SETTINGS = settings_with()  # 3 failures in 60 s, 30 s until a probe
OPEN, HALF_OPEN, CLOSED = CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.CLOSED


def visit(breaker: CircuitBreaker, outcome: Outcome, now: float, settings=SETTINGS) -> Cause | None:
    return breaker.settle(breaker.admit(now, settings), outcome, now, settings)


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(3):
        visit(breaker, Outcome.COUNTED_FAILURE, at)
    assert breaker.state is OPEN
    return breaker


def test_a_new_circuit_is_closed_and_refuses_nobody():
    breaker = CircuitBreaker()
    assert breaker.state is CLOSED
    assert not breaker.refuses(0.0, SETTINGS)


def test_the_failure_that_reaches_the_threshold_opens_it():
    breaker = CircuitBreaker()
    changes = [visit(breaker, Outcome.COUNTED_FAILURE, now) for now in (0.0, 1.0, 2.0)]
    assert changes == [None, None, Cause.FAILURES]
    assert breaker.failures_in_window(2.0, SETTINGS) == 3


def test_failures_younger_than_the_window_count_and_one_exactly_as_old_does_not():
    breaker = CircuitBreaker()
    visit(breaker, Outcome.COUNTED_FAILURE, 0.0)
    visit(breaker, Outcome.COUNTED_FAILURE, 1.0)
    assert breaker.failures_in_window(59.999, SETTINGS) == 2
    assert breaker.failures_in_window(60.0, SETTINGS) == 1
    assert visit(breaker, Outcome.COUNTED_FAILURE, 60.0) is None
    assert breaker.state is CLOSED


@pytest.mark.parametrize("start", [0.0, 0.1, 1_767_225_600.1], ids=str)
@pytest.mark.parametrize("steps", [1, 3, 300])
def test_who_comes_just_at_the_end_of_a_wait_comes_after_it_whatever_was_added_up_to_come_to_it(start, steps):
    """Thirty times 0.1 is less than 3: https://docs.python.org/3/tutorial/floatingpoint.html."""
    wait = steps * 100
    settings = settings_with(circuit_breaker_recovery_timeout_ms=wait, circuit_breaker_failure_window_ms=wait)
    breaker, now = opened(start), start
    counting = CircuitBreaker()
    visit(counting, Outcome.COUNTED_FAILURE, start)
    for _ in range(steps - 1):
        now += 0.1
    assert breaker.refuses(now, settings)
    now += 0.1
    assert not breaker.refuses(now, settings)
    assert counting.failures_in_window(now, settings) == 0


def test_a_success_does_not_clear_the_failures_of_a_closed_circuit():
    breaker = CircuitBreaker()
    for outcome in (Outcome.COUNTED_FAILURE, Outcome.SUCCESS, Outcome.COUNTED_FAILURE, Outcome.SUCCESS):
        visit(breaker, outcome, 0.0)
    assert visit(breaker, Outcome.COUNTED_FAILURE, 0.0) is Cause.FAILURES


@pytest.mark.parametrize(
    "outcome", [Outcome.SUCCESS, Outcome.UNCOUNTED_FAILURE, Outcome.REFUSAL, Outcome.GIVEN_BACK], ids=str
)
def test_only_counted_failures_count_against_a_closed_circuit(outcome):
    breaker = CircuitBreaker()
    for _ in range(10):
        assert visit(breaker, outcome, 0.0) is None
    assert breaker.failures_in_window(0.0, SETTINGS) == 0


def test_an_open_circuit_stays_open_until_a_probe_is_admitted():
    breaker = opened()
    assert breaker.refuses(29.9, SETTINGS)
    assert breaker.seconds_until_probe(29.0, SETTINGS) == 1.0
    assert not breaker.refuses(30.0, SETTINGS)
    assert breaker.state is OPEN
    assert breaker.probe_due(30.0, SETTINGS)
    assert breaker.admit(30.0, SETTINGS).is_probe
    assert breaker.state is HALF_OPEN


def test_of_fifty_callers_who_wait_for_the_recovery_exactly_one_probes():
    breaker = opened()
    tickets = [breaker.admit(30.0, SETTINGS) for _ in range(50) if not breaker.refuses(30.0, SETTINGS)]
    assert [ticket.is_probe for ticket in tickets] == [True]


def test_a_probe_that_succeeds_closes_the_circuit_and_clears_its_failures():
    breaker = opened()
    assert visit(breaker, Outcome.SUCCESS, 30.0) is Cause.RECOVERED
    assert breaker.failures_in_window(30.0, SETTINGS) == 0


def test_a_probe_whose_request_is_to_blame_closes_the_circuit_since_the_backend_is_up():
    assert visit(opened(), Outcome.REFUSAL, 30.0) is Cause.RECOVERED


def test_a_probe_given_back_lets_the_very_next_request_probe():
    breaker = opened()
    assert visit(breaker, Outcome.GIVEN_BACK, 30.0) is Cause.PROBE_RETURNED
    assert breaker.state is OPEN
    assert not breaker.refuses(30.0, SETTINGS)
    assert breaker.admit(30.0, SETTINGS).is_probe


@pytest.mark.parametrize("outcome", [Outcome.COUNTED_FAILURE, Outcome.UNCOUNTED_FAILURE], ids=str)
def test_any_other_failure_of_a_probe_reopens_for_the_full_recovery_time(outcome):
    breaker = opened()
    assert visit(breaker, outcome, 40.0) is Cause.PROBE_FAILED
    assert breaker.seconds_until_probe(40.0, SETTINGS) == 30.0
    assert breaker.refuses(69.9, SETTINGS)
    assert breaker.admit(70.0, SETTINGS).is_probe


@pytest.mark.parametrize("outcome", list(Outcome), ids=str)
def test_a_result_from_before_the_last_change_of_state_moves_nothing(outcome):
    breaker = CircuitBreaker()
    before = breaker.admit(0.0, SETTINGS)
    for _ in range(3):
        visit(breaker, Outcome.COUNTED_FAILURE, 0.0)
    assert breaker.settle(before, outcome, 1.0, SETTINGS) is None
    probe = breaker.admit(30.0, SETTINGS)
    assert breaker.settle(before, outcome, 31.0, SETTINGS) is None
    assert breaker.state is HALF_OPEN
    assert breaker.settle(probe, Outcome.SUCCESS, 32.0, SETTINGS) is Cause.RECOVERED
    assert breaker.settle(before, outcome, 33.0, SETTINGS) is None
    assert breaker.failures_in_window(33.0, SETTINGS) == 0


def test_a_visit_against_advice_that_succeeds_closes_an_open_circuit():
    breaker = opened()
    forced = breaker.admit(1.0, SETTINGS)
    assert not forced.is_probe
    assert breaker.settle(forced, Outcome.SUCCESS, 2.0, SETTINGS) is Cause.RECOVERED


def test_a_visit_against_advice_that_fails_leaves_an_open_circuit_as_it_is():
    breaker = opened()
    assert breaker.settle(breaker.admit(1.0, SETTINGS), Outcome.COUNTED_FAILURE, 2.0, SETTINGS) is None
    assert breaker.seconds_until_probe(2.0, SETTINGS) == 28.0


def test_a_longer_recovery_time_set_meanwhile_holds_for_a_circuit_that_is_open_already():
    breaker = opened()
    patient = settings_with(circuit_breaker_recovery_timeout_ms=60_000)
    assert breaker.refuses(45.0, patient)
    assert not breaker.refuses(45.0, SETTINGS)


class Model:
    """The rules in the plainest words: everything is remembered, nothing is clever."""

    def __init__(self) -> None:
        self.state = "closed"
        self.failures: list[float] = []
        self.opened_at = 0.0
        self.epoch = 0

    def move(self, state: str) -> None:
        self.state, self.epoch = state, self.epoch + 1


class BreakerAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.settings = settings_with(
            circuit_breaker_failure_threshold=2,
            circuit_breaker_failure_window_ms=5000,
            circuit_breaker_recovery_timeout_ms=3000,
        )
        self.now = 0.0
        self.breaker, self.model = CircuitBreaker(), Model()
        self.out: list[tuple[object, int, bool]] = []  # ticket, epoch, probe

    def refuses(self) -> bool:
        return self.model.state == "half-open" or (self.model.state == "open" and self.now < self.model.opened_at + 3)

    @rule(eighths=st.integers(0, 32))
    def time_passes(self, eighths):
        self.now += eighths / 8  # exact in binary, so that ages are too

    @rule(forced=st.booleans())
    def admit(self, forced):
        assert self.breaker.refuses(self.now, self.settings) == self.refuses()
        if self.refuses() and not forced:
            return
        probes = self.model.state == "open" and self.now >= self.model.opened_at + 3
        if probes:
            self.model.move("half-open")
        ticket = self.breaker.admit(self.now, self.settings)
        assert ticket.is_probe == probes
        self.out.append((ticket, self.model.epoch, probes))

    @precondition(lambda self: self.out)
    @rule(which=st.randoms(use_true_random=False), outcome=st.sampled_from(list(Outcome)))
    def settle(self, which, outcome):
        ticket, epoch, probe = self.out.pop(which.randrange(len(self.out)))
        self.breaker.settle(ticket, outcome, self.now, self.settings)
        if epoch == self.model.epoch:
            self.settle_model(outcome, probe)

    def settle_model(self, outcome, probe):
        model = self.model
        healthy = outcome in (Outcome.SUCCESS, Outcome.REFUSAL)
        if model.state == "closed":
            if outcome is Outcome.COUNTED_FAILURE:
                model.failures.append(self.now)
                if len([at for at in model.failures if self.now - at < 5]) >= 2:
                    model.opened_at = self.now
                    model.move("open")
        elif healthy:
            model.failures = []
            model.move("closed")
        elif probe and outcome is Outcome.GIVEN_BACK:
            model.move("open")
        elif probe:
            model.opened_at = self.now
            model.move("open")

    @invariant()
    def the_state_is_that_of_the_model(self):
        assert str(self.breaker.state) == self.model.state

    @invariant()
    def half_open_means_that_exactly_one_current_probe_is_out(self):
        probes = [1 for _ticket, epoch, probe in self.out if probe and epoch == self.model.epoch]
        assert len(probes) == (self.breaker.state is HALF_OPEN)


TestBreakerAgainstModel = BreakerAgainstModel.TestCase
TestBreakerAgainstModel.settings = budget(stateful_step_count=30)
