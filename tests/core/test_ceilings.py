"""The user's own limits: never exceeded in any minute, and used nearly in full."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, count, pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.admission import Applicant, Wait
from llx_magic.core.breaker import Outcome
from llx_magic.core.ceilings import Ceilings, Limits
from llx_magic.core.events import BackendSkipped, SkipReason
from llx_magic.core.gate import Gate
from llx_magic.core.line import Patience
from llx_magic.core.load import Load
from llx_magic.core.minute import Minute
from llx_magic.core.preview import preview
from tests.engine.kit import settings_with

TEN_SECONDS = Patience(since=0.0, limit=10.0)


def most_in_a_minute(sent: list[tuple[float, float]]) -> float:
    """The most that was sent within any minute, both of its ends included; what was sent is in order."""
    times = [at for at, _ in sent]
    before = [0.0, *accumulate(one for _, one in sent)]
    most = (before[bisect_right(times, at + 60.0)] - before[bisect_left(times, at)] for at in times)
    return max(most, default=0.0)


def under_load(limit: float, one: float, seconds: float) -> list[tuple[float, float]]:
    """What is sent when somebody always wants to."""
    minute, now, sent = Minute(), 0.0, []
    while now < seconds:
        if minute.places(limit, one, now):
            minute.take(limit, one, now)
            sent.append((now, one))
        else:
            now = minute.due_at(limit, one, now)
    return sent


@pytest.mark.parametrize(
    ("limit", "one"), [(1, 1), (5, 1), (59, 1), (61, 1), (100, 1), (600, 1), (3000, 1), (30_000, 700)]
)
def test_under_load_nearly_all_of_a_limit_is_used_and_never_more(limit, one):
    sent = under_load(limit, one, 600.0)
    assert most_in_a_minute(sent) <= limit
    whole = limit // one * one
    assert sum(taken for _, taken in sent) >= 0.95 * whole * 600 / 60


@pytest.mark.parametrize("limit", [120, 600, 6000])
def test_a_large_limit_is_used_evenly(limit):
    """In no second are more sent than two seconds' share, but for the one that is always allowed."""
    times = [at for at, _ in under_load(limit, 1, 120.0)]
    busiest = max(bisect_left(times, begin + 1.0) - bisect_left(times, begin) for begin in times)
    assert busiest <= 2 * limit / 60 + 1


def test_a_small_limit_may_be_used_at_once():
    assert Minute().places(20, 1, 0.0) == 20


wants = st.lists(st.tuples(st.floats(0, 20), st.integers(1, 40)), max_size=80)


@given(st.integers(1, 200), wants)
def test_no_minute_ever_has_more_than_the_limit_whenever_one_asks(limit, wanted):
    minute, now, sent = Minute(), 0.0, []
    for passed, one in wanted:
        now += passed
        places = minute.places(limit, one, now)
        if places:
            minute.take(limit, one, now)
            sent.append((now, float(one)))
        else:
            due = minute.due_at(limit, one, now)
            assert now < due
            assert minute.places(limit, one, due) > 0
    alone = [one for _, one in sent if one > limit]
    assert most_in_a_minute(sent) <= max([limit, *alone])
    assert msgspec.json.decode(msgspec.json.encode(minute), type=Minute) == minute


@given(st.integers(1, 200), st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_as_many_as_are_said_may_be_sent_at_once(limit, pauses):
    minute, now = Minute(), 0.0
    for pause in pauses:
        now += pause
        for left in range(minute.places(limit, 1, now), 0, -1):
            assert minute.places(limit, 1, now) == left
            minute.take(limit, 1, now)
        assert minute.places(limit, 1, now) == 0


def test_what_a_request_really_took_is_counted_after_it():
    minute = Minute()
    minute.take(1000, 300, 1.0)
    minute.correct(1.0, -200)
    assert minute.places(1000, 900, 2.0) == 1
    minute.correct(1.0, 700)
    assert minute.places(1000, 300, 2.0) == 0


def ceilings(**limits) -> Ceilings:
    return Ceilings(limits=Limits(**limits))


ONE = Load(1.0, 100.0, 50.0)


def test_who_waits_at_a_ceiling_is_called_in_the_order_of_requests_and_keeps_the_place():
    bound = ceilings(concurrency_limit=2)
    for request in (9, 7, 8):
        bound.join(request, TEN_SECONDS, ONE)
    assert bound.call_next(2, 0.0) is None
    assert bound.call_next(1, 0.0) == 7
    assert bound.call_next(1, 0.0) is None
    assert bound.refuses(99, ONE, 1, 0.0) is not None
    assert bound.refuses(7, ONE, 1, 0.0) is None
    bound.leave(7)
    assert bound.call_next(1, 0.0) == 8


def test_who_waits_for_a_minute_to_pass_loses_patience_where_that_takes_too_long():
    bound = ceilings(rpm_limit=1)
    bound.admit(1, ONE, 0.0)
    free = bound.refuses(2, ONE, 1, 0.0)
    assert free is not None
    assert not bound.is_worth_waiting(free, TEN_SECONDS)
    assert bound.is_worth_waiting(free, Patience(since=55.0, limit=10.0))
    bound.join(2, Patience(since=0.0, limit=5.0), ONE)
    assert bound.losing_patience(1, 6.0) == [2]


def test_a_wait_for_one_under_way_to_end_lasts_as_long_as_that_takes():
    bound = ceilings(concurrency_limit=1)
    bound.join(2, TEN_SECONDS, ONE)
    assert bound.losing_patience(1, 1000.0) == []


NUMBERS = count(1)


def sent(gate: Gate, settings, now: float, **how) -> bool:
    permit = gate.admit(Applicant(next(NUMBERS), **how), now, settings).permit
    if permit is not None:
        gate.settle(permit, Outcome.SUCCESS, now, settings)
    return permit is not None


@pytest.mark.parametrize("how", [{}, {"only_candidate": True}, {"is_row": True}])
def test_nobody_exceeds_a_limit_of_the_users_own(how):
    gate, five = Gate("a"), settings_with(rpm_limit=5)
    taken = [sent(gate, five, float(now), **how) for now in range(60)]
    assert sum(taken) == 5


def test_a_request_at_a_ceiling_is_told_which_and_how_long():
    gate, one = Gate("a"), settings_with(rpm_limit=1)
    assert sent(gate, one, 0.0)
    (skipped,) = gate.admit(Applicant(10**6), 20.0, one).events
    assert isinstance(skipped, BackendSkipped)
    assert (skipped.reason, skipped.message) == (SkipReason.AT_CEILING, "at its rpm_limit of 1")
    assert skipped.seconds_left == pytest.approx(41, abs=1)
    assert preview(gate, 20.0, one, only_candidate=False).startswith("skipped: at its rpm_limit of 1, ")


def test_a_request_waits_at_a_ceiling_and_rows_leave_the_place_to_it():
    gate, one = Gate("a"), settings_with(concurrency_limit=1)
    first = gate.admit(Applicant(1, is_row=True), 0.0, one).permit
    assert first is not None
    assert gate.wait(Applicant(2), 0.0, one) == Wait(None, "concurrency_limit")
    gate.settle(first, Outcome.SUCCESS, 5.0, one)
    room = gate.room(5.0, one)
    assert (room.places, room.reason) == (0, SkipReason.AT_CEILING)
    assert gate.call_next(5.0) == 2
    assert gate.admit(Applicant(2), 5.0, one).permit is not None


def test_rows_are_spaced_by_a_large_limit_and_told_when_to_ask_again():
    gate, many, now, times = Gate("a"), settings_with(rpm_limit=600, concurrency=10**6), 0.0, []
    while len(times) < 100:
        room = gate.room(now, many)
        if room.places:
            permit = gate.admit(Applicant(next(NUMBERS), is_row=True), now, many).permit
            assert permit is not None
            gate.settle(permit, Outcome.SUCCESS, now, many)
            times.append(now)
        else:
            assert room.at is not None
            now = room.at
    assert all(later - earlier < 0.2 for earlier, later in pairwise(times))


def test_where_no_limit_is_set_nothing_is_counted():
    gate, none = Gate("a"), settings_with()
    assert sent(gate, none, 0.0)
    assert gate.traffic.ceilings is None
    assert gate.traffic.sent == Load()
