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

ENOUGH_ATTEMPTS = 100
"""From fewer attempts at a backend nobody can tell how slow its slowest replies are."""


def errors(held) -> tuple[float, float]:
    points = abs(held.told.success_rate - held.truth.success_rate)
    return points, abs(held.told.p95 / held.truth.p95 - 1)


@pytest.mark.parametrize("seed", range(6))
def test_replay_tells_what_a_real_run_would_have_come_to(seed):
    """Where every backend that answers was asked often enough, the errors stay within their bounds."""
    held = held_against_truth(seed, 300)
    points, part = errors(held)
    assert points <= POINTS
    assert part <= 3 * PART or held.fewest_attempts < ENOUGH_ATTEMPTS  # a few hundred prompts have few slow ones


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_hundred_random_histories_are_told_right():
    """The share that is answered is right in all of them, the p95 in nineteen of twenty of those that can be told."""
    held = [held_against_truth(seed, 2000) for seed in range(200)]
    found = [(errors(each), each.fewest_attempts) for each in held]
    assert max(points for (points, _), _ in found) <= POINTS
    tellable = [part for (_, part), fewest in found if fewest >= ENOUGH_ATTEMPTS]
    assert sum(part <= PART for part in tellable) >= 0.95 * len(tellable)


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
