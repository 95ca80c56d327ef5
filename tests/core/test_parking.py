"""What becomes of a row that nobody answered."""

from __future__ import annotations

import pytest

from llx_magic.core.events import AttemptFailed, BackendSkipped, SkipReason, VisitStarted
from llx_magic.core.failure import FailureKind
from llx_magic.core.parking import CONFIRMED, Prospects, Tries, Verdict
from llx_magic.settings.declaration import Settings
from tests.engine.kit import DOWN, LIMITED, REFUSED, failure


def failed(backend: str, what=DOWN) -> AttemptFailed:
    return AttemptFailed(at=0.0, request=1, backend=backend, attempt=1, failure=what, seconds=1.0)


def skipped(backend: str, reason: SkipReason) -> BackendSkipped:
    return BackendSkipped(at=0.0, request=1, backend=backend, reason=reason, message=str(reason))


def prospects(*backends: str) -> Prospects:
    return Prospects(backends or ("a", "b"), Settings())


WAITS = [
    failed("b", LIMITED),
    *(skipped("b", reason) for reason in SkipReason if reason not in {SkipReason.NOT_READY, SkipReason.CIRCUIT_OPEN}),
]


@pytest.mark.parametrize("other", WAITS)
@pytest.mark.parametrize("first", [failed("a"), failed("a", REFUSED), skipped("a", SkipReason.COOLING_DOWN)])
def test_while_somebody_may_answer_later_a_row_waits_however_often(first, other):
    run, tries = prospects(), Tries()
    for at in range(10):
        run.answered("a")
        assert run.judge(tries, [first, other], (), at * 1000.0) is Verdict.LATER


def test_what_everybody_refuses_is_the_rows_own_fault():
    assert prospects().judge(Tries(), [failed("a", REFUSED), failed("b", REFUSED)], (), 0.0) is Verdict.OWN_FAULT


def test_what_one_refuses_and_the_other_cannot_take_is_the_rows_own_fault():
    events = [failed("a", REFUSED), skipped("b", SkipReason.NOT_READY)]
    assert prospects().judge(Tries(), events, ("b",), 0.0) is Verdict.OWN_FAULT


def test_a_content_filter_that_asks_nobody_else_is_the_rows_own_fault():
    events = [failed("a", failure(FailureKind.CONTENT_FILTER, "filtered"))]
    assert prospects().judge(Tries(), events, (), 0.0) is Verdict.OWN_FAULT


def test_who_refuses_a_row_is_not_asked_it_again():
    tries = Tries()
    prospects().judge(tries, [failed("a", REFUSED), failed("b", LIMITED)], (), 0.0)
    assert tries.refused_by == {"a"}


def test_a_row_that_fails_while_others_are_answered_has_three_rounds():
    run, tries, verdicts = prospects(), Tries(), []
    for at in range(3):
        run.answered("a")
        verdicts.append(run.judge(tries, [failed("a"), failed("b")], (), float(at)))
    assert verdicts == [Verdict.LATER, Verdict.LATER, Verdict.FAILED]


def test_others_that_were_answered_since_its_first_round_tell_against_a_row():
    run, tries, verdicts = prospects(), Tries(), []
    for at in range(3):
        verdicts.append(run.judge(tries, [failed("a"), failed("b")], (), float(at)))
        if at == 0:
            run.answered("a")
    assert verdicts == [Verdict.LATER, Verdict.LATER, Verdict.FAILED]


def test_a_row_that_fails_while_nobody_is_answered_has_ten_rounds():
    run, tries = prospects(), Tries()
    run.answered("a")
    verdicts = [run.judge(tries, [failed("a"), failed("b")], (), 30.0 * number) for number in range(10)]
    assert verdicts == [Verdict.LATER] * 9 + [Verdict.FAILED]


def test_a_row_whose_backends_fail_by_turns_has_ten_rounds_however_many_others_are_answered():
    run, tries, verdicts = prospects(), Tries(), []
    for at in range(10):
        run.answered("a")
        down, resting = ("a", "b") if at % 2 else ("b", "a")
        events = [skipped(resting, SkipReason.CIRCUIT_OPEN), failed(down)]
        verdicts.append(run.judge(tries, events, (), 30.0 * at))
    assert verdicts == [Verdict.LATER] * 9 + [Verdict.FAILED]


def test_what_one_refuses_waits_for_the_circuit_of_the_other():
    run, tries = prospects(), Tries()
    for at in range(20):
        events = [failed("a", REFUSED), skipped("b", SkipReason.CIRCUIT_OPEN)]
        assert run.judge(tries, events, (), float(at)) is Verdict.LATER


def test_the_pause_after_a_failed_round_doubles_up_to_half_a_minute():
    run, tries, pauses = prospects(), Tries(), []
    for _ in range(7):
        run.judge(tries, [failed("a"), failed("b")], (), 0.0)
        pauses.append(tries.not_before)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


ACCESS = failure(FailureKind.ACCESS, "401 Unauthorized", status=401)
QUOTA = failure(FailureKind.RATE_LIMIT, "429 Too Many Requests", quota_exhausted=True)


@pytest.mark.parametrize("other", [failed("b", QUOTA), skipped("b", SkipReason.NOT_READY)])
def test_where_all_refuse_whatever_they_are_sent_nobody_can_ever_answer(other):
    run = prospects()
    run.judge(Tries(), [failed("a", ACCESS), other], (), 0.0)
    assert run.all_closed
    assert run.closed["a"] == "401 Unauthorized"


def test_one_that_is_only_down_may_answer_again():
    run = prospects()
    run.judge(Tries(), [failed("a", ACCESS), failed("b")], (), 0.0)
    assert not run.all_closed
    assert run.closed == {"a": "401 Unauthorized"}


def test_one_that_has_answered_must_refuse_three_times_in_a_row():
    run, closed = prospects("a"), []
    for answers in (True, False, True, False, False, False):
        if answers:
            run.answered("a")
        else:
            run.judge(Tries(), [failed("a", ACCESS)], (), 0.0)
        closed.append(run.all_closed)
    assert closed == [False] * 5 + [True]


OUT_OF_REACH = failure(FailureKind.NETWORK, "connection refused by a", unconnected=True)


def test_nobody_is_reached_where_each_was_out_of_reach_as_often_as_counts():
    run = prospects()
    for _ in range(CONFIRMED):
        assert run.out_of_reach == {}
        run.judge(Tries(), [failed("a", OUT_OF_REACH), failed("b", OUT_OF_REACH)], (), 0.0)
    assert run.out_of_reach == {"a": "connection refused by a", "b": "connection refused by a"}
    run.answered("b")
    assert run.out_of_reach == {}


def test_a_probe_that_is_out_of_reach_counts_for_all_that_opened_the_circuit():
    run = prospects("a")
    probe = VisitStarted(at=0.0, request=1, backend="a", is_probe=True)
    run.judge(Tries(), [probe, failed("a", OUT_OF_REACH)], (), 0.0)
    assert run.out_of_reach


def test_one_out_of_reach_beside_one_that_refuses_its_key_is_nobody():
    run = prospects()
    for _ in range(CONFIRMED):
        run.judge(Tries(), [failed("a", OUT_OF_REACH), failed("b", failure(FailureKind.ACCESS, "401"))], (), 0.0)
    assert run.out_of_reach == {"a": "connection refused by a", "b": "401"}


def test_a_failure_of_another_kind_shows_that_somebody_is_there():
    run = prospects("a")
    for what in (OUT_OF_REACH, OUT_OF_REACH, DOWN, OUT_OF_REACH):
        run.judge(Tries(), [failed("a", what)], (), 0.0)
    assert run.out_of_reach == {}
