"""How many rows at once a backend bears is found out: against servers of every kind, in virtual time."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from statistics import median, quantiles
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.admission import Applicant
from llx_magic.core.level import CUT, DOUBLING_SECONDS, LONGEST_PAUSE, START, Level
from llx_magic.core.queueing import FEWEST, Queueing
from llx_magic.core.traffic import FEW_ANSWERS, Traffic
from tests.core.rows_simulation import Rate, Rows, Server, Window, lengths
from tests.engine.kit import LIMITED, failure, settings_with

SEEDS = (1, 2, 3)
MEAN = 2.0 * math.exp(0.5**2 / 2)
"""The mean of log-normal replies with a median of 2 s."""

SAYS_A_SECOND = failure(LIMITED.kind, "429", retry_after=1.0)


def takes(rows: int, places: Callable[[float], int]) -> float:
    """How long so many rows take where every place is always in use."""
    done, now, step = 0.0, 0.0, 0.1
    while done < rows:
        done += min(places(now), 64) / MEAN * step
        now += step
    return now


class Case(NamedTuple):
    """A server, how many rows, the seconds that would be ideal, and what is asked of the controller."""

    server: Callable[[], Server | Rate | Window]
    rows: int
    ideal: float
    share: float
    refusals: float


def of_places(rows: int, places: Callable[[float], int], share: float, refusals: float, **how) -> Case:
    return Case(lambda: Server(places, **how), rows, takes(rows, places), share, refusals)


CASES = {
    "20 places": of_places(4000, lambda _: 20, 0.95, 15),
    "10 places": of_places(2000, lambda _: 10, 0.95, 15),
    "3 places": of_places(1000, lambda _: 3, 0.95, 20),
    "1 place": of_places(1000, lambda _: 1, 0.95, 20),
    "20 places for 600 rows": of_places(600, lambda _: 20, 0.88, 20),
    "20 places that queue": of_places(4000, lambda _: 20, 0.95, 0, refusal=None),
    "8 places that queue": of_places(2000, lambda _: 8, 0.92, 0, refusal=None),
    "no limit": of_places(4000, lambda _: 10**6, 0.92, 0),
    "20 places, 60 after 100 s": of_places(4000, lambda now: 20 if now < 100 else 60, 0.88, 20),
    "60 places, 10 after 20 s": of_places(4000, lambda now: 60 if now < 20 else 10, 0.88, 20),
    "20 places, 60 after 66 s, 10 after 120 s": of_places(
        4000, lambda now: 20 if now < 66 else 60 if now < 120 else 10, 0.88, 20
    ),
    "20 places, none for a minute": of_places(2000, lambda now: 0 if 50 < now < 110 else 20, 0.88, 25),
    "20 places that say a second": of_places(4000, lambda _: 20, 0.8, 20, refusal=SAYS_A_SECOND),
    "1 place that says a second": of_places(1000, lambda _: 1, 0.95, 20, refusal=SAYS_A_SECOND),
    "10 a second that say a second": Case(lambda: Rate(10, 10), 4000, 400, 0.93, 10),
    "10 a second that say nothing": Case(lambda: Rate(10, 10, wait=None), 4000, 400, 0.88, 20),
    "500 a minute at once that say nothing": Case(lambda: Window(500, 60), 2000, 182, 0.6, 60),
    "a second each, 60 saved up, that say 20 s": Case(lambda: Rate(1, 60, wait=20.0), 1000, 940, 0.88, 20),
}


@pytest.mark.parametrize("name", CASES)
def test_each_server_is_used_nearly_in_full_and_seldom_refuses(name):
    """The share is of the time that the ideal takes for all but the last fiftieth, whose end is chance."""
    case = CASES[name]
    runs = [Rows(case.server(), case.rows, lengths(seed)).run() for seed in SEEDS]
    ends = [sorted(run.answers)[int(0.98 * case.rows)] for run in runs]
    assert [len(run.answers) for run in runs] == [case.rows] * len(SEEDS)
    assert median(0.98 * case.ideal / end for end in ends) >= case.share
    assert median(1000 * len(run.refusals) / case.rows for run in runs) <= case.refusals


@pytest.mark.parametrize("seed", SEEDS)
def test_where_places_are_taken_away_a_single_flight_is_refused(seed):
    """All 60 that are under way could be refused one after the other; each cut answers for its whole flight."""
    fall = 20.0
    run = Rows(Server(lambda now: 60 if now < fall else 10), 2000, lengths(seed)).run()
    assert len([at for at in run.refusals if fall <= at < fall + 4 * MEAN]) <= 60


@pytest.mark.parametrize("seed", range(8))
def test_after_places_were_taken_away_those_that_are_left_are_soon_used(seed):
    """Replies take nearly equal times: a whole flight is refused at once, and the level falls far below the places."""
    fall, draw = 6.0, random.Random(seed)
    replies = (0.5 * (1 + 0.03 * draw.random()) for _ in itertools.count())
    run = Rows(Server(lambda now: 60 if now < fall else 10), 800, replies).run()
    left = len([at for at in run.answers if at >= fall])
    assert (left * 0.5 / 10) / (run.now - fall) >= 0.7


@pytest.mark.parametrize("seed", SEEDS)
def test_a_server_that_queues_is_not_sent_more_than_it_works_at(seed):
    """With 64 always under way a row would wait for 44 others: 19 of 20 would take up to 9.4 s."""
    run = Rows(Server(lambda _: 20, refusal=None), 4000, lengths(seed)).run()
    assert quantiles(run.took, n=20)[-1] < 7.0


@pytest.mark.parametrize("wait", [1.0, None])
@pytest.mark.parametrize("latency", [0.02, 0.05, 0.1, 0.3])
def test_a_storm_of_refusals_ends_soon_and_loses_no_row(latency, wait):
    """100 a second and 20 saved up: ideally 5.8 s. Where no wait is named, too."""
    runs = [Rows(Rate(100, 20, wait), 600, lengths(seed, latency)).run() for seed in SEEDS]
    assert [len(run.answers) for run in runs] == [600] * len(SEEDS)
    assert median(run.now for run in runs) <= 12.0
    assert median(len(run.refusals) for run in runs) <= 40


STRICT = {
    "ten a second that say nothing": (10, None, 2.0, 1000),
    "ten a second that say a second": (10, 1.0, 2.0, 1000),
    "twenty a second that say nothing": (20, None, 1.0, 2000),
    "ten a second, with quick replies": (10, None, 0.3, 1000),
    "four a second, with long replies": (4, None, 5.0, 1000),
    "one a second that say nothing": (1, None, 5.0, 400),
    "one a second that say a second": (1, 1.0, 2.0, 400),
    "one in two seconds, with long replies": (0.5, None, 15.0, 400),
}


@pytest.mark.parametrize("name", STRICT)
def test_a_service_that_refuses_two_rows_in_one_instant_is_sent_one_after_the_other(name):
    """As few under way as it first seems to bear would be a fiftieth of what it takes."""
    rate, wait, latency, rows = STRICT[name]
    runs = [Rows(Rate(rate, 1, wait), rows, lengths(seed, latency)).run() for seed in SEEDS]
    ends = [sorted(run.answers)[int(0.98 * rows)] for run in runs]
    assert median(0.98 * rows / rate / end for end in ends) >= 0.6
    assert median(1000 * len(run.refusals) / rows for run in runs) <= 40


def test_a_single_place_is_not_taken_for_a_distance():
    """A row that is sent half-way through another one is refused there: after one of these there are no more."""
    run = Rows(Server(lambda _: 1), 20, itertools.repeat(2.0)).run()
    assert len(run.refusals) <= START
    assert run.gate.traffic.flow.per_second == 0.0


def test_where_a_single_place_becomes_many_the_distance_does_not_stay():
    runs = [Rows(Server(lambda now: 1 if now < 60 else 20), 2000, lengths(seed)).run() for seed in SEEDS]
    assert median(len(run.refusals) for run in runs) <= 40
    assert median(run.now for run in runs) <= 60 + 1.7 * 2000 / 20 * MEAN


def test_a_trial_of_the_distance_ends_with_the_level_that_began_it():
    traffic, settings = Traffic(), settings_with()
    refused = [traffic.admit(Applicant(number, is_row=True), 0.0) for number in range(int(START))][1:]
    for _ in refused:
        traffic.refused(0.0, 0.1, None)
        traffic.settle(0.1, is_row=True)
    traffic.answered(2.0, settings)
    assert traffic.flow.is_on_trial
    traffic.start_anew()
    assert not traffic.flow.is_on_trial
    assert traffic.room(2.0, settings).places == START - traffic.under_way


def test_where_one_row_alone_is_too_soon_the_next_ones_keep_a_distance():
    """One a second, and no word of it: without the distance each answer would cost five refusals."""
    runs = [Rows(Rate(1, 1, None), 60, lengths(seed, 0.3)).run() for seed in SEEDS]
    assert median(len(run.refusals) for run in runs) <= 15
    assert median(run.now for run in runs) <= 150


def test_a_rate_that_few_rows_told_is_soon_tried_higher():
    """The first five tell little of one a second."""
    runs = [Rows(Rate(1, 5), 65, lengths(seed, 0.1)).run() for seed in SEEDS]
    assert median(run.now for run in runs) <= 60 / 0.85


def test_the_setting_caps_the_level():
    server = Server(lambda _: 10**6)
    Rows(server, 500, lengths(1), settings_with(concurrency=7)).run()
    assert server.most == 7


def at(level: float, held: float | None = None) -> Level:
    """A level that was found to be borne."""
    return Level(at_most=level, held=held or level, is_starting=False, cut_at=0.0)


def test_all_refusals_of_one_flight_cut_it_once():
    level = at(40.0)
    for place in range(20):
        level.refused(40 - place, 1.0, 2.0)
    assert level.at_most == min(CUT * 40.0, 39.0 - 19.0)
    level.refused(20, 3.0, 4.0)
    assert level.at_most < CUT * 20.5


def test_a_refusal_while_it_feels_costs_nothing_but_patience():
    level = at(21.0, held=20.0)
    before = level.patience
    level.refused(21, 1.0, 2.0)
    assert (level.at_most, level.held, level.patience) == (20.0, 20.0, 3 * before)


def test_quick_replies_do_not_make_it_double_more_often_than_a_server_can_complain():
    level = Level()
    for number in range(200):
        level.passed(int(level.at_most), 1000.0, number / 1000)
    assert level.at_most <= START * 2.0 ** (1.0 + 0.2 / DOUBLING_SECONDS)


def test_a_level_that_doubles_for_days_stays_a_number():
    level = Level()
    for number in range(10):
        level.passed(int(level.at_most), 64.0, number * 1e6)
    assert level.at_most == START + 10


def test_answers_while_few_are_under_way_teach_nothing():
    level = at(20.0)
    for _ in range(1000):
        level.passed(5, 64.0, 1.0)
    assert level.at_most == 20.0


def test_a_server_that_only_refuses_and_names_no_time_is_asked_ever_more_rarely():
    level, waits = Level(), []
    for flight in range(12):
        level.refused(1, float(flight), float(flight))
        waits.append(level.pause)
    assert waits[0] == 0.0
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_PAUSE
    level.passed(1, 64.0, 20.0)
    assert level.pause == 0.0


def test_prompts_that_grow_longer_for_good_do_not_keep_the_level_down():
    """Their first tokens come later, and still do when less is sent: so it was no queue."""
    level = at(40.0)
    for _ in range(200):
        level.first_token(0.2)
    lowest = 40.0
    for _ in range(3000):
        level.first_token(1.0)
        level.passed(int(level.at_most), 64.0, 1.0)
        lowest = min(lowest, level.at_most)
    assert lowest < 30.0
    assert level.at_most >= 40.0


def test_a_few_first_tokens_tell_nothing():
    queueing = Queueing()
    for seconds in [0.01] * 3 + [5.0] * (FEWEST - 4):
        queueing.take(seconds)
    assert not queueing.is_suspected


moves = st.lists(
    st.one_of(
        st.tuples(st.just("refused"), st.integers(1, 100), st.booleans()),
        st.tuples(st.just("passed"), st.integers(1, 100), st.sampled_from([1, 8, 64])),
        st.tuples(st.just("first"), st.floats(0.0, 60.0), st.none()),
    ),
    max_size=60,
)


@given(moves)
def test_whatever_happens_the_level_is_at_least_one_and_reads_back_equal(steps):
    level = Level()
    for now, (kind, number, more) in enumerate(steps):
        if kind == "refused":
            level.refused(int(number), now - 0.5, float(now), is_timed=bool(more))
        elif kind == "passed":
            level.passed(int(number), float(more), float(now))
        else:
            level.first_token(number)
        assert level.at_most >= 1.0
        assert level.held >= 1.0
        assert 0.0 <= level.pause <= LONGEST_PAUSE
    assert msgspec.json.decode(msgspec.json.encode(level), type=Level) == level


def test_of_many_rows_a_rare_failure_is_excused_with_its_flight_and_frequent_ones_are_not():
    traffic, settings = Traffic(), settings_with()
    assert not traffic.excuses(0.0, 1.0)
    for _ in range(FEW_ANSWERS):
        traffic.answered(2.0, settings)
    assert traffic.excuses(1.5, 3.0)
    assert traffic.excuses(2.9, 4.0)
    assert not traffic.excuses(3.5, 5.0)


def test_a_level_begins_with_few_rows():
    assert Level().at_most == START
