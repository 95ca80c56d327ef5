"""Several runs at one backend: whose a free place is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS
from llx_magic.core.runs import Runs, Wish

COUNTS = st.integers(0, 12)
RUN = st.tuples(st.integers(1, 12), COUNTS, COUNTS, COUNTS)
"""How many rows of a run may be under way, are so here and elsewhere, and wait."""


def runs_of(*each: tuple[int, int, int, int]) -> Runs:
    runs = Runs()
    for number, (most, here, elsewhere, waiting) in enumerate(each, 1):
        runs.begin(number, most)
        for _ in range(here):
            runs.admit(number)
        runs.want(Wish(number, waiting, here + elsewhere))
    return runs


def taken(runs: Runs, free: int) -> list[int]:
    """How many rows each run sends where they look one after the other, each until it has what is its own."""
    before = {number: run.here for number, run in runs.known.items()}
    for number, run in runs.known.items():
        places = min(runs.places(number, free, 0.0), run.lacks) if run.lacks else 0
        for _ in range(places):
            runs.admit(number)
        free -= places
    return [run.here - before[number] for number, run in runs.known.items()]


@given(st.lists(RUN, min_size=2, max_size=5), COUNTS)
def test_no_place_stays_free_while_a_run_lacks_one_and_none_has_more_than_its_limit(each, free):
    runs = runs_of(*each)
    limits = [max(0, min(waiting, most - here)) for most, here, _, waiting in each]
    got = taken(runs, free)
    assert sum(got) == min(free, sum(limits))
    assert all(map(int.__le__, got, limits))


@given(st.lists(RUN, min_size=2, max_size=5), COUNTS)
def test_no_run_gets_a_place_that_one_with_fewer_rows_under_way_lacks(each, free):
    runs = runs_of(*each)
    got = taken(runs, free)
    had = [here + elsewhere for _, here, elsewhere, _ in each]
    lacking = [had[at] + got[at] for at, run in enumerate(runs.known.values()) if run.wanted(0.0)]
    taking = [had[at] + got[at] for at in range(len(each)) if got[at]]
    assert max(taking, default=0) <= min(lacking, default=100) + 1


def test_of_runs_with_as_many_rows_under_way_the_one_that_sent_first_goes_first():
    runs = runs_of((8, 0, 0, 9), (8, 0, 0, 9))
    order = []
    for _ in range(4):
        (number,) = (number for number in runs.known if runs.places(number, 1, 0.0))
        runs.admit(number)
        order.append(number)
    assert order == [1, 2, 1, 2]


def test_a_run_that_may_have_a_single_row_under_way_keeps_its_place_beside_a_wide_one():
    runs = runs_of((8, 7, 0, 50), (1, 0, 0, 50))
    assert (runs.places(1, 1, 0.0), runs.places(2, 1, 0.0)) == (0, 1)
    runs.admit(2)
    assert (runs.places(1, 1, 0.0), runs.places(2, 1, 0.0)) == (1, 0)


def test_a_run_is_called_once_to_a_place_that_is_left_to_it():
    runs = runs_of((8, 8, 0, 9), (8, 0, 0, 9))
    assert runs.call(1, 1, 0.0) == [2]
    assert runs.call(2, 1, 0.1) == []
    runs.want(Wish(2, 9, 0))
    assert runs.call(1, 1, 0.1) == [2]


def test_nobody_is_called_who_has_nothing_to_send_or_looks_by_itself():
    runs = runs_of((8, 4, 0, 9), (8, 0, 0, 0))
    assert runs.call(4, 1, 0.0) == []
    assert runs.call(4, 2, 0.0) == [1]


def test_a_run_that_does_not_hear_holds_up_the_others_for_a_moment_at_most():
    runs = runs_of((8, 4, 0, 9), (8, 0, 0, 1))
    runs.call(1, 1, 0.0)
    assert runs.places(1, 1, LOOK_AGAIN_SECONDS) == 0
    assert runs.places(1, 1, LOOK_AGAIN_SECONDS + 0.01) == 1


def test_as_many_may_be_under_way_as_the_widest_of_the_runs_says():
    runs = runs_of((8, 0, 0, 0), (64, 0, 0, 0))
    assert runs.most == 64
    runs.end(2)
    assert runs.most == 8
    runs.end(1)
    assert runs.most == 0


def test_a_row_of_a_run_that_has_ended_is_counted_no_more():
    runs = runs_of((8, 1, 0, 0))
    runs.end(1)
    runs.admit(1)
    runs.settle(1)
    assert not runs.known
