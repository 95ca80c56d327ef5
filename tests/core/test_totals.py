"""What prompts came to in a few figures, and what a change would have made of them in a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llx_magic.core.events import AttemptStarted, RequestAnswered, RequestPutBack, RequestStarted
from llx_magic.core.past import Past
from llx_magic.core.totals import Expected, Totals, as_recorded, spread_in_words, what_if
from llx_magic.units import duration

WAS = Totals(prompts=100, answered=91, failed=9, p50=1.0, p95=14.0, cost=2.0, switches=5, wasted_tokens=100)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answered": 97, "failed": 3}, "with timeout_ms=8000: 97.0% answered instead of 91.0%"),
        ({"p95": 6.2}, "with timeout_ms=8000: 19 of 20 within 6.2 s instead of 14 s"),
        ({"cost": 1.0}, "with timeout_ms=8000: cost 1 instead of 2"),
        ({"p95": 14.5, "cost": 1.99}, None),
        ({"cost": None, "p95": None}, None),
    ],
)
def test_the_line_says_what_is_worth_a_word(change, says):
    assert what_if(Expected((WAS,)), Expected((replace(WAS, **change),)), "timeout_ms=8000") == says


@pytest.mark.parametrize(
    ("p95", "says"),
    [
        ((3.0, 6.0, 9.0), "with timeout_ms=8000: 19 of 20 within 3 s to 9 s instead of 14 s"),
        ((16.0, 30.0, 60.0), "with timeout_ms=8000: 19 of 20 within 16 s to 1 min instead of 14 s"),
        ((3.0, 6.0, 15.0), None),
    ],
)
def test_what_cannot_be_told_is_a_range_and_left_out_where_what_was_is_in_it(p95, says):
    then = Expected(tuple(replace(WAS, p95=each) for each in p95))
    assert what_if(Expected((WAS,)), then, "timeout_ms=8000") == says


@pytest.mark.parametrize(
    ("change", "untold"),
    [
        ({"p95": 15.3, "answered": 93, "failed": 7}, set()),
        ({"p95": 15.5}, {"p95"}),
        ({"p95": 12.5}, {"p95"}),
        ({"answered": 95, "failed": 5}, {"answered"}),
        ({"p50": 1.2, "cost": 3.0}, {"p50", "cost"}),
        ({"p50": None, "p95": None}, {"p50", "p95"}),
    ],
)
def test_a_figure_can_be_told_where_all_courses_come_close_to_the_middle(change, untold):
    assert Expected((WAS, WAS, replace(WAS, **change))).untold == untold


def test_what_is_known_can_be_told():
    assert Expected((WAS,)).untold == set()
    assert Expected((replace(WAS, answered=0, failed=0, p50=None, p95=None, cost=None),) * 3).untold == set()


def test_what_is_expected_is_the_middle_of_the_courses_and_how_far_they_lie_apart():
    courses = [replace(WAS, p95=p95, answered=answered) for p95, answered in ((9.0, 90), (30.0, 93), (10.4, 96))]
    expected = Expected(tuple(courses))
    assert (expected.middle.p95, expected.middle.answered) == (10.4, 93)
    assert expected.courses[expected.typical].p95 == 10.4
    assert spread_in_words(expected, lambda each: each.p95, duration) == "9 s to 30 s"
    assert spread_in_words(expected, lambda each: each.p50, duration) == ""


def test_of_courses_in_which_nobody_answered_nothing_is_expected():
    expected = Expected((replace(WAS, answered=0, p50=None, p95=None, cost=None),) * 2)
    assert (expected.middle.p95, expected.spread(lambda each: each.p95), expected.typical) == (None, None, 0)


def test_prompts_that_were_stopped_do_not_count():
    assert replace(WAS, answered=0, failed=0).success_rate is None


def test_of_a_row_that_was_put_back_its_last_round_is_what_became_of_it():
    """However often others were put back meanwhile, a prompt that was answered stays answered."""
    events = []
    for at, request in ((10.0, 1), (20.0, 2), (30.0, 2), (40.0, 2)):
        stamp, waited = {"at": at, "request": request}, max(0.0, at - 20.0)
        events.append(RequestStarted(**stamp, policy="failover", order=("a",), waited=waited))
        events.append(AttemptStarted(**stamp, backend="a", attempt=1, attempts=1))
        if at in (20.0, 30.0):
            events.append(RequestPutBack(**stamp, seconds=1.0))
        else:
            events.append(RequestAnswered(**stamp, seconds=waited + 1.0, backend="a", attempts=1))
    asked = Past([events]).asked_of({"a"})
    records = [record for _asked, record in as_recorded(asked, events)]
    assert [(each.request, each.outcome, each.started, each.seconds, each.attempts) for each in records] == [
        (1, "answered", 10.0, 1.0, 1),
        (2, "answered", 40.0, 1.0, 1),
    ]
