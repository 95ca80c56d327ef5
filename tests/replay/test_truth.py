"""A replay under other settings, held against a real run under them of the same script."""

from __future__ import annotations

import random

import pytest

from llx_magic.core.events import RequestEnded
from llx_magic.core.past import Past
from llx_magic.core.routing import ROUTINGS
from llx_magic.replay.run import Place, replayed
from tests.engine.kit import settings_with
from tests.replay.tuned import tuned_against_truth
from tests.replay.world import events_of, held_against_truth

POINTS, PART = 0.02, 0.1
"""By how much the share that is answered, and by which part of itself the p95, may be wrong."""

ENOUGH_ATTEMPTS = 100
"""From fewer attempts at a backend nobody can tell how slow its slowest replies are."""


@pytest.mark.parametrize("seed", range(4))
def test_replay_tells_what_a_real_run_would_have_come_to(seed):
    """Where every backend that answers was asked often enough, the errors stay within their bounds."""
    held = held_against_truth(seed, 300, courses=3)
    assert held.points <= POINTS
    assert held.part <= 2 * PART or held.fewest_attempts < ENOUGH_ATTEMPTS  # of 300 only 15 are so slow


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_random_histories_are_told_right():
    """The share that is answered in nearly all, the p95 in most, and nearly all where each backend was asked enough."""
    held = [held_against_truth(seed, 1000) for seed in range(200)]
    assert sum(each.points <= POINTS for each in held) >= 198
    assert sum(each.part <= PART for each in held) >= 160
    tellable = [each for each in held if each.fewest_attempts >= ENOUGH_ATTEMPTS]
    assert sum(each.part <= PART for each in tellable) >= 0.85 * len(tellable)
    assert sum(each.is_within for each in held) >= 120


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_what_tuning_proposes_really_is_better(tmp_path):
    """Of fifty random histories, those with a proposal are asked for real under the best one."""
    found = [tuned_against_truth(seed, 300, tmp_path / f"{seed}.jsonl") for seed in range(50)]
    proposed = [each for each in found if each is not None]
    assert len(proposed) >= 20
    assert sum(each.is_better for each in proposed) >= 0.8 * len(proposed)


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
