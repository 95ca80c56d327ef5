"""The cool-down after 429: how long, who goes first at its end, what ends it, and how those who wait follow."""

from __future__ import annotations

import math

import pytest

from llx_magic.core.cooldown import ROUNDS_IN_VAIN, CoolDown, cool_down_seconds
from llx_magic.core.line import Patience

EARLY, FIRST, SECOND, OTHER = 1, 2, 3, 99
TEN_SECONDS = Patience(since=0.0, limit=10.0)


def cooling(seconds: float = 10.0, *, line: range = range(0)) -> CoolDown:
    """A cool-down that began at 0 because a request from before was refused, and those who wait for its end."""
    cool_down = CoolDown()
    cool_down.start(EARLY, 0.0, seconds, will_retry=False)
    for request in line:
        cool_down.join(request, TEN_SECONDS)
    return cool_down


def called(cool_down: CoolDown, now: float) -> list[int]:
    """Call everybody who has a place."""
    numbers = []
    while (number := cool_down.call_next(now)) is not None:
        numbers.append(number)
    return numbers


def test_it_lasts_ten_seconds_where_the_server_names_no_time():
    assert cool_down_seconds(None, quota_exhausted=False) == 10.0


def test_it_lasts_as_long_as_the_server_asks_but_at_most_an_hour():
    assert cool_down_seconds(0.0, quota_exhausted=False) == 0.0
    assert cool_down_seconds(90.0, quota_exhausted=False) == 90.0
    assert cool_down_seconds(1e9, quota_exhausted=False) == 3600.0


def test_an_exhausted_quota_costs_an_hour_whatever_the_server_asks():
    assert cool_down_seconds(None, quota_exhausted=True) == 3600.0
    assert cool_down_seconds(1.0, quota_exhausted=True) == 3600.0


def test_without_a_rate_limit_nobody_is_refused_and_no_time_is_left():
    cool_down = CoolDown()
    assert not cool_down.refuses(FIRST, 0.0)
    assert cool_down.seconds_left(0.0) is None


def test_everybody_is_refused_until_its_end():
    cool_down = cooling()
    assert cool_down.refuses(FIRST, 9.99)
    assert cool_down.seconds_left(4.0) == 6.0
    assert not cool_down.refuses(FIRST, 10.0)


def test_who_comes_just_at_its_end_goes_first_whatever_was_added_up_to_come_to_it():
    cool_down = cooling(0.3, line=range(FIRST, SECOND))
    assert called(cool_down, 0.299) == []
    assert called(cool_down, 0.1 + 0.1 + 0.1 - 1e-7) == [FIRST]


def test_at_its_end_one_request_goes_first_and_the_others_are_refused_until_it_is_settled():
    cool_down = cooling()
    cool_down.admit(FIRST)
    assert [cool_down.refuses(request, 10.0) for request in range(50, 100)] == [True] * 50
    assert cool_down.seconds_left(12.0) == 0.0
    assert cool_down.settle(FIRST, 12.0, conclusive=True)
    assert not cool_down.refuses(OTHER, 12.0)
    assert cool_down.seconds_left(12.0) is None


def test_where_the_first_request_taught_nothing_the_next_one_goes_first():
    cool_down = cooling()
    cool_down.admit(FIRST)
    assert not cool_down.settle(FIRST, 11.0, conclusive=False)
    assert not cool_down.refuses(SECOND, 11.0)
    cool_down.admit(SECOND)
    assert cool_down.refuses(OTHER, 11.0)


def test_a_visit_that_waits_to_try_again_itself_holds_the_first_place():
    cool_down = CoolDown()
    assert cool_down.start(FIRST, 0.0, 2.0, will_retry=True)
    assert cool_down.refuses(OTHER, 2.0)
    assert cool_down.settle(FIRST, 2.0, conclusive=True)
    assert not cool_down.refuses(OTHER, 2.5)


def test_of_several_visits_that_were_refused_only_the_first_may_wait_where_it_is():
    cool_down = CoolDown()
    assert cool_down.start(FIRST, 0.0, 2.0, will_retry=True)
    assert not cool_down.start(SECOND, 0.1, 2.0, will_retry=True)
    assert cool_down.start(FIRST, 2.0, 2.0, will_retry=True)


def test_a_second_rate_limit_lengthens_and_never_shortens_it():
    cool_down = cooling(60.0)
    cool_down.start(EARLY, 0.0, 10.0, will_retry=False)
    assert cool_down.seconds_left(0.0) == 60.0
    cool_down.start(EARLY, 0.0, 90.0, will_retry=False)
    assert cool_down.seconds_left(0.0) == 90.0


def test_a_visit_from_before_the_rate_limit_does_not_end_it():
    cool_down = cooling()
    assert not cool_down.settle(EARLY, 1.0, conclusive=True)
    assert cool_down.refuses(OTHER, 1.0)


# --- those who wait -------------------------------------------------------------------------------------------------


def test_of_those_who_wait_exactly_one_goes_first_at_the_end():
    cool_down = cooling(line=range(10, 20))
    assert called(cool_down, 9.99) == []
    assert called(cool_down, 10.0) == [10]
    assert cool_down.refuses(11, 10.0)
    assert not cool_down.refuses(10, 10.0)


def test_nobody_overtakes_those_who_wait():
    cool_down = cooling(line=range(10, 12))
    assert cool_down.refuses(OTHER, 10.0)
    called(cool_down, 10.0)
    cool_down.settle(10, 10.0, conclusive=True)
    assert cool_down.refuses(OTHER, 10.0)
    assert called(cool_down, 10.0) == [11]


def test_those_who_wait_follow_in_the_order_of_their_requests_however_they_came():
    cool_down = cooling()
    for request in (17, 12, 19, 11):
        cool_down.join(request, TEN_SECONDS)
    order = []
    for now in range(10, 30):
        for request in called(cool_down, now):
            order.append(request)
            cool_down.settle(request, now, conclusive=True)
    assert order == [11, 12, 17, 19]


def test_after_the_first_two_follow_then_twice_as_many_in_each_round():
    cool_down = cooling(line=range(10, 100))
    rounds = []
    for now in range(10, 15):
        rounds.append(len(going := called(cool_down, now)))
        for request in going:
            cool_down.settle(request, now, conclusive=True)
    assert rounds == [1, 2, 4, 8, 16]


FOR_EVER = Patience(since=0.0, limit=math.inf)


def rounds_of(cool_down: CoolDown, now: float, room: int, *, at_once: bool) -> tuple[int, int]:
    """Answer and refuse those who are called until nobody is; ``room`` is in all, or ``at_once``."""
    answered = refused = 0
    while answered < 1000 and (going := called(cool_down, now)):
        passing, over = going[:room], going[room:]
        room -= 0 if at_once else len(passing)
        for request in over:
            cool_down.start(request, now, 2.0, will_retry=False)
            cool_down.settle(request, now, conclusive=False)
            cool_down.join(request, FOR_EVER)
        for request in passing:
            cool_down.settle(request, now, conclusive=True)
        answered, refused = answered + len(passing), refused + len(over)
    return answered, refused


def test_a_backend_that_takes_eight_in_a_time_is_soon_refused_once_in_each():
    """All that it allows is used, and about one request finds that it is used up."""
    cool_down = cooling(2.0)
    for request in range(10, 10_000):
        cool_down.join(request, FOR_EVER)
    found = [rounds_of(cool_down, now, 8, at_once=False) for now in range(2, 102, 2)]
    assert [answered for answered, _ in found] == [8] * 50
    assert all(refused == 1 for _, refused in found[2:])


def test_a_backend_that_takes_eight_at_once_is_soon_not_refused_any_more():
    cool_down = cooling(2.0)
    for request in range(10, 10_000):
        cool_down.join(request, FOR_EVER)
    found = [rounds_of(cool_down, now, 8, at_once=True) for now in (2, 4, 6)]
    assert found[1][0] >= 1000
    assert found[1][1] == 0


@pytest.mark.parametrize("room", [1, 2, 3, 5, 8, 13, 40])
@pytest.mark.parametrize("at_once", [True, False])
def test_whatever_a_backend_takes_nearly_all_of_it_is_used(room, at_once):
    cool_down = cooling(2.0)
    for request in range(10, 3000):
        cool_down.join(request, FOR_EVER)
    found = [rounds_of(cool_down, now, room, at_once=at_once) for now in range(2, 42, 2)]
    assert all(answered >= room for answered, _ in found if cool_down.has_line)
    assert sum(refused for _, refused in found) <= 20 + 2 * room


def test_who_leaves_is_not_called_and_a_turn_that_is_given_back_is_the_next_ones():
    cool_down = cooling(line=range(10, 14))
    cool_down.leave(10)
    assert called(cool_down, 10.0) == [11]
    cool_down.settle(11, 10.0, conclusive=False)
    assert called(cool_down, 10.0) == [12]


def test_a_visit_that_outlasts_a_cool_down_holds_no_place_in_the_next_one():
    """One that cannot wait is let through beside the first, and ends after the answer that ended the cool-down."""
    cool_down = cooling()
    for request in (FIRST, SECOND, OTHER):
        cool_down.admit(request)
    for request in (FIRST, SECOND, OTHER):
        cool_down.settle(request, 11.0, conclusive=True)
    cool_down.start(EARLY, 20.0, 5.0, will_retry=False)
    cool_down.join(10, Patience(20.0, 10.0))
    cool_down.join(11, Patience(20.0, 10.0))
    assert called(cool_down, 25.0) == [10]
    cool_down.settle(10, 26.0, conclusive=True)
    assert called(cool_down, 26.0) == [11]


def test_a_request_that_was_refused_again_is_called_before_those_behind_it():
    cool_down = cooling(line=range(10, 14))
    assert called(cool_down, 10.0) == [10]
    cool_down.start(10, 10.0, 2.0, will_retry=False)
    cool_down.settle(10, 10.0, conclusive=False)
    cool_down.join(10, TEN_SECONDS)
    assert called(cool_down, 11.99) == []
    assert called(cool_down, 12.0) == [10]


def test_a_single_wait_may_take_the_whole_limit_and_not_more():
    cool_down = cooling(10.0)
    assert cool_down.is_worth_waiting(0.0, TEN_SECONDS)
    assert cool_down.is_worth_waiting(4.0, Patience(since=4.0, limit=6.0))
    assert not cool_down.is_worth_waiting(4.0, Patience(since=4.0, limit=5.9))
    assert not cool_down.is_worth_waiting(9.9, Patience(since=9.9, limit=None))


def test_while_others_are_answered_patience_is_renewed():
    cool_down = cooling(8.0, line=range(10, 200))
    for now in range(8, 400, 8):
        [first] = called(cool_down, now)
        cool_down.settle(first, now, conclusive=True)
        for refused in called(cool_down, now):
            cool_down.start(refused, now, 8.0, will_retry=False)
            cool_down.settle(refused, now, conclusive=False)
        assert cool_down.losing_patience(now) == []


def test_where_nobody_is_answered_patience_ends_with_the_limit():
    cool_down = cooling(4.0, line=range(10, 20))
    waited = 4.0
    while not cool_down.losing_patience(waited):
        [first] = called(cool_down, waited)
        cool_down.start(first, waited, 4.0, will_retry=False)
        cool_down.settle(first, waited, conclusive=False)
        waited += 4.0
    assert waited <= 12.0


def test_a_cool_down_that_becomes_too_long_sends_everybody_away_at_once():
    cool_down = cooling(4.0, line=range(10, 20))
    [first] = called(cool_down, 4.0)
    cool_down.start(first, 4.0, 3600.0, will_retry=False)
    assert cool_down.losing_patience(4.0) == list(range(11, 20))


def test_a_backend_that_asks_for_no_time_at_all_is_not_asked_for_ever():
    cool_down = cooling(0.0)
    rounds = 0
    while cool_down.is_worth_waiting(0.0, TEN_SECONDS):
        cool_down.join(FIRST, TEN_SECONDS)
        assert called(cool_down, 0.0) == [FIRST]
        cool_down.start(FIRST, 0.0, 0.0, will_retry=False)
        cool_down.settle(FIRST, 0.0, conclusive=False)
        rounds += 1
    assert rounds == ROUNDS_IN_VAIN


def test_lifting_it_by_hand_lets_those_who_wait_follow_and_everybody_else_in():
    cool_down = cooling(3600.0)
    cool_down.lift()
    assert cool_down.seconds_left(1.0) is None
    assert not cool_down.refuses(OTHER, 1.0)
    cool_down = cooling(10.0, line=range(10, 50))
    cool_down.lift()
    assert called(cool_down, 1.0) == [10, 11]


def test_when_nobody_waits_any_more_and_nothing_is_refused_everybody_is_let_in_again():
    cool_down = cooling(2.0, line=range(10, 13))
    now = 2.0
    while going := called(cool_down, now):
        for request in going:
            cool_down.settle(request, now, conclusive=True)
    for request in range(100, 200):
        if not cool_down.refuses(request, now + 60.0):
            cool_down.admit(request)
    assert not cool_down.refuses(OTHER, now + 60.0)
