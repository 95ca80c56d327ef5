"""``llx_magic.simulate``: what many kernels would do to backends that they share."""

from __future__ import annotations

import asyncio

import pytest

import llx_magic
from llx_magic.errors import UsageProblem
from llx_magic.profiles.document import ModelProfile
from tests.replay.profiles import asked, member, profile

PAIR = profile(member("a", rate="60/60"), member("b", latency_ms=3000))


def test_a_shared_rate_holds_for_all_kernels_together():
    frame = llx_magic.simulate(PAIR, 200, kernels=500, minutes=3)
    assert frame.loc["a", "successes"] <= 4 * 60
    assert frame.loc["a", "rate_limited"] > 0
    assert frame["successes"].sum() == frame.attrs["prompts"] == 600


def test_one_kernel_learns_of_a_limit_that_many_each_have_to_meet():
    one, many = (llx_magic.simulate(PAIR, 200, kernels=kernels, minutes=3) for kernels in (1, 500))
    assert many.loc["a", "rate_limited"] > 5 * one.loc["a", "rate_limited"]


def test_the_same_seed_tells_the_same():
    first, again = (llx_magic.simulate(PAIR, 60, kernels=10, minutes=2, seed=3) for _ in range(2))
    assert first.equals(again)


def test_times_of_prompts_can_be_given():
    frame = llx_magic.simulate(PAIR, [0, 1, 2, 600])
    assert frame.attrs["prompts"] == 4
    assert frame.loc["a", "peak_per_minute"] == 3


def test_settings_are_tried():
    frame = llx_magic.simulate(PAIR, 60, settings={"timeout_ms": 500})
    assert frame["successes"].sum() == 0


def test_a_real_model_answers_as_its_history_tells(tmp_path):
    known = profile(member("real", "ok, 503"), member("b"), failover_retry_count=1)
    asyncio.run(asked(known, 30)).save_history(tmp_path / "week.jsonl")
    real = profile(ModelProfile("real", "ollama", "tiny"), ModelProfile("b", "ollama", "tiny"))
    frame = llx_magic.simulate(real, 30, minutes=5, history=tmp_path / "week.jsonl")
    assert frame["successes"].sum() == 150


@pytest.mark.parametrize(
    ("traffic", "given", "says"),
    [
        (0, {}, "traffic must be a number of prompts a minute above 0"),
        (float("nan"), {}, "traffic must be a number of prompts a minute above 0"),
        (1e9, {}, "at most 1,000,000 prompts in all"),
        ([], {}, "traffic as times must be seconds"),
        ([-1], {}, "traffic as times must be seconds"),
        (10, {"kernels": 0}, "kernels must be 1 or more, got 0"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(traffic, given, says):
    with pytest.raises(UsageProblem, match=says):
        llx_magic.simulate(PAIR, traffic, **given)


def test_a_model_of_which_nothing_is_known_is_named():
    with pytest.raises(UsageProblem, match="tiny is no simulated model, and no history tells how it answers"):
        llx_magic.simulate(profile(ModelProfile("tiny", "ollama", "m"), ModelProfile("b", "ollama", "m")), 10)
