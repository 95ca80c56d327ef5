"""A replay under other settings, held against a real run under them of the same script."""

from __future__ import annotations

import random

import pytest

from llx_magic.core.events import RequestEnded
from llx_magic.core.past import Past
from llx_magic.core.routing import ROUTINGS
from llx_magic.replay.run import Place, Terms, replayed
from tests.engine.kit import settings_with
from tests.replay.tuned import tuned_against_truth
from tests.replay.world import Held, events_of, held_against_truth

POINTS, PART = 0.02, 0.1
"""By how much the share that is answered, and by which part of itself the p95, may be wrong."""


def is_right(held: Held) -> bool:
    return held.points <= POINTS and held.part <= PART


@pytest.mark.parametrize("seed", range(4))
def test_replay_tells_what_a_real_run_would_have_come_to_or_says_that_it_cannot(seed):
    held = held_against_truth(seed, 300)
    assert held.points <= POINTS
    assert is_right(held) or "p95" in held.told.untold


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_random_histories_are_told_right():
    """Of most both figures; of all others it says that p95 cannot be told: hardly one is wrong without a word."""
    held = [held_against_truth(seed, 1000) for seed in range(200)]
    assert sum(each.points <= POINTS for each in held) >= 198
    told = [each for each in held if "p95" not in each.told.untold]
    assert len(told) >= 130
    assert sum(not is_right(each) for each in told) <= 2
    assert sum(map(is_right, held)) >= 160
    assert sum(each.is_within for each in held) >= 140


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_what_tuning_proposes_really_is_better(tmp_path):
    """Of fifty random histories, those with a proposal are asked for real under the best one."""
    found = [tuned_against_truth(seed, 300, tmp_path / f"{seed}.jsonl") for seed in range(50)]
    proposed = [each for each in found if each is not None]
    assert len(proposed) >= 20
    assert sum(each.is_better for each in proposed) >= 0.9 * len(proposed)


def test_replay_under_the_same_settings_is_what_happened():
    """Nothing is drawn, every prompt is answered by whoever answered it, and as quickly."""
    events = events_of()
    course = Past([events]).course(random.Random(0).random)
    places = [Place(name=name, settings=settings_with()) for name in ("a", "b")]
    told = replayed(course, Terms(places, ROUTINGS["failover"]))

    assert told.drawn_share == 0
    ended = {event.request: event for event in events if isinstance(event, RequestEnded)}
    assert len(told.decided.prompts) == len(ended)
    for asked, record in told.decided.prompts:
        assert record.outcome == ended[asked.request].outcome
        assert record.seconds == pytest.approx(ended[asked.request].seconds, abs=0.001)
