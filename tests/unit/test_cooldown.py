"""The cool-down after 429: how long, who goes first at its end, and what ends it."""

from __future__ import annotations

from llx_magic.core.cooldown import CoolDown, cool_down_seconds


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
    assert not cool_down.refuses(0.0)
    assert cool_down.seconds_left(0.0) is None


def test_everybody_is_refused_until_its_end():
    cool_down = CoolDown()
    cool_down.start(10.0, None)
    assert cool_down.refuses(9.99)
    assert cool_down.seconds_left(4.0) == 6.0
    assert not cool_down.refuses(10.0)


def test_at_its_end_one_request_goes_first_and_the_others_are_refused_until_it_is_settled():
    cool_down = CoolDown()
    cool_down.start(10.0, None)
    first = object()
    cool_down.admit(first)
    assert [cool_down.refuses(10.0) for _ in range(50)] == [True] * 50
    assert cool_down.seconds_left(12.0) == 0.0
    assert cool_down.settle(first, learnt=True)
    assert not cool_down.refuses(12.0)
    assert cool_down.seconds_left(12.0) is None


def test_where_the_first_request_taught_nothing_the_next_one_goes_first():
    cool_down = CoolDown()
    cool_down.start(10.0, None)
    first, second = object(), object()
    cool_down.admit(first)
    assert not cool_down.settle(first, learnt=False)
    assert not cool_down.refuses(11.0)
    cool_down.admit(second)
    assert cool_down.refuses(11.0)


def test_a_visit_that_waits_to_try_again_itself_holds_the_first_place():
    cool_down = CoolDown()
    waiting = object()
    cool_down.start(2.0, waiting)
    assert cool_down.refuses(2.0)
    assert cool_down.settle(waiting, learnt=True)
    assert not cool_down.refuses(2.5)


def test_a_second_rate_limit_lengthens_and_never_shortens_it():
    cool_down = CoolDown()
    cool_down.start(60.0, None)
    cool_down.start(10.0, None)
    assert cool_down.seconds_left(0.0) == 60.0
    cool_down.start(90.0, None)
    assert cool_down.seconds_left(0.0) == 90.0


def test_a_visit_from_before_the_rate_limit_does_not_end_it():
    cool_down = CoolDown()
    early = object()
    cool_down.admit(early)
    cool_down.start(10.0, None)
    assert not cool_down.settle(early, learnt=True)
    assert cool_down.refuses(1.0)
