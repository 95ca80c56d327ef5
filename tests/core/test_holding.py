"""The places of a common limit of requests at once, as the gate of one process asks for them; no server, no clock."""

from __future__ import annotations

import math

import pytest

from llx_magic.core.admission import Applicant
from llx_magic.core.breaker import Outcome
from llx_magic.core.gate import Gate
from llx_magic.core.hearing import asks, hear_answer, share, unsent
from llx_magic.core.preview import preview
from llx_magic.core.sharing import ANSWER_SECONDS, GaveUp, Gone, Held, HoldWanted, Swept, There
from tests.engine.kit import settings_with

LIMITED = settings_with(concurrency_limit=4)


def shared(*answers) -> Gate:
    gate = Gate("a")
    share(gate)
    gate.traffic.bounded_by(LIMITED)
    for answer in (There(2), *answers):
        hear_answer(gate, answer, 0.0)
    return gate


def admit(gate: Gate, now: float = 0.0, *, is_row: bool = False):
    return gate.admit(Applicant(1, is_row=is_row), now, LIMITED)


def test_a_place_is_asked_for_where_none_is_held_and_one_that_is_held_is_used():
    gate = shared()
    assert asks(gate, Applicant(1), 0.0, LIMITED)
    assert list(unsent(gate)) == [HoldWanted(1, 0, 4)]
    assert admit(gate).permit is None
    hear_answer(gate, Held(1), 0.01)
    assert not asks(gate, Applicant(1), 0.01, LIMITED)
    assert admit(gate).permit is not None
    assert admit(gate).permit is None


def test_those_who_wait_are_asked_for_together():
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED, waiting=9)
    assert list(unsent(gate)) == [HoldWanted(4, 0, 4)]


def test_a_row_asks_for_as_many_as_rows_would_use():
    gate = shared()
    assert gate.room(0.0, LIMITED).places == 0
    assert list(unsent(gate)) == [HoldWanted(4, 0, 4)]


def test_where_there_is_none_it_is_asked_again_when_the_server_says():
    gate = shared(Held(0, wait=0.2))
    assert not asks(gate, Applicant(1), 0.19, LIMITED)
    assert asks(gate, Applicant(1), 0.2, LIMITED)


@pytest.mark.parametrize("wait", [math.nan, 1e9, -1.0])
def test_a_wait_that_cannot_be_is_short(wait):
    assert asks(shared(Held(0, wait=wait)), Applicant(1), 1.0, LIMITED)


def test_who_says_that_more_may_be_under_way_than_the_limit_is_not_believed():
    gate = shared(Held(1_000))
    assert sum(admit(gate).permit is not None for _ in range(9)) == 4


def test_a_place_that_others_lack_is_given_back_when_its_request_has_ended():
    gate = shared(Held(2, scarce=True))
    permit = admit(gate).permit
    unsent(gate)
    gate.settle(permit, Outcome.SUCCESS, 1.0, LIMITED)
    assert list(unsent(gate)) == [HoldWanted(0, 0, 4)]
    assert admit(gate, 1.0).permit is None


def test_a_place_that_nobody_lacks_is_kept_for_the_next_and_given_back_when_it_was_not_needed():
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED)
    hear_answer(gate, Held(1), 0.0)
    gate.settle(admit(gate).permit, Outcome.SUCCESS, 0.1, LIMITED)
    unsent(gate)
    wanted = []
    for turn in (1, 2):
        hear_answer(gate, Swept(), float(turn))
        (wish,) = unsent(gate)
        wanted.append(wish.places)
        hear_answer(gate, Held(wish.places), float(turn))
    assert wanted == [1, 0]


def test_without_an_answer_in_time_a_gate_goes_on_with_its_part():
    gate = shared()
    asks(gate, Applicant(1), 0.0, LIMITED)
    unsent(gate)
    assert not asks(gate, Applicant(1), ANSWER_SECONDS, LIMITED)
    assert list(unsent(gate)) == [GaveUp()]
    assert sum(admit(gate).permit is not None for _ in range(9)) == 2


def test_what_is_under_way_is_told_when_the_server_is_back():
    gate = shared(Gone())
    admit(gate)
    unsent(gate)
    hear_answer(gate, There(2), 1.0)
    assert list(unsent(gate)) == [HoldWanted(1, 1, 4)]


def test_a_preview_does_not_take_what_nobody_has_asked_for_as_used_up():
    assert preview(shared(), 0.0, LIMITED, only_candidate=False).startswith("asked")
    gate = shared(Held(0, wait=0.5))
    assert preview(gate, 0.1, LIMITED, only_candidate=False) == "skipped: at its concurrency_limit of 4"
