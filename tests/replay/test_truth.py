"""A replay under other settings, held against a real run under them of the same script."""

from __future__ import annotations

import random

import pytest

from llx_magic.core.events import RequestEnded
from llx_magic.core.past import Past
from llx_magic.core.routing import ROUTINGS
from llx_magic.replay.run import Place, replayed
from tests.engine.kit import settings_with
from tests.replay.world import events_of, held_against_truth

POINTS, PART = 0.02, 0.1
"""By how much the share that is answered, and by which part of itself the p95, may be wrong."""

FEW_ATTEMPTS, ENOUGH_ATTEMPTS = 30, 100
"""From fewer attempts at a backend nobody can tell how often it fails, and how slow its slowest replies are."""


@pytest.mark.parametrize("seed", range(6))
def test_replay_tells_what_a_real_run_would_have_come_to(seed):
    """Where every backend that answers was asked often enough, the errors stay within their bounds."""
    held = held_against_truth(seed, 300)
    assert held.points <= POINTS or held.fewest_attempts < FEW_ATTEMPTS
    assert held.part_beside <= 2 * PART or held.fewest_attempts < ENOUGH_ATTEMPTS  # of 300 only 15 are so slow


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_random_histories_are_told_right():
    """The share that is answered is right in all that can be told, the p95 in nineteen of twenty of them."""
    held = [held_against_truth(seed, 1000) for seed in range(200)]
    assert max(each.points for each in held if each.fewest_attempts >= FEW_ATTEMPTS) <= POINTS
    tellable = [each for each in held if each.fewest_attempts >= ENOUGH_ATTEMPTS]
    assert sum(each.part_beside <= PART for each in tellable) >= 0.95 * len(tellable)
    assert sum(each.part <= PART for each in tellable) >= 0.8 * len(tellable)


def test_replay_under_the_same_settings_is_what_happened():
    """Nothing is drawn, every prompt is answered by whoever answered it, and as quickly."""
    events = events_of()
    past = Past([events], random.Random(0).random)
    places = [Place(name=name, settings=settings_with()) for name in ("a", "b")]
    told = replayed(past, places, ROUTINGS["failover"])

    assert told.drawn_share == 0
    ended = {event.request: event for event in events if isinstance(event, RequestEnded)}
    assert len(told.decided.prompts) == len(ended)
    for asked, record in told.decided.prompts:
        assert record.outcome == ended[asked.request].outcome
        assert record.seconds == pytest.approx(ended[asked.request].seconds, abs=0.001)
