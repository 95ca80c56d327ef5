"""A routing is one row: whatever else is said or done about it is made from the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from llx_magic.core.routing import ROUTINGS, Standing, exploring, routing_named
from llx_magic.errors import ProfileError
from llx_magic.profiles.document import LoadBalancerProfile, Profile
from tests.engine.kit import simulated

STANDINGS = [Standing(name, 0) for name in "abc"]


@pytest.mark.parametrize(("turn", "order"), [(0, (0, 1, 2)), (1, (1, 2, 0)), (5, (2, 0, 1))])
def test_round_robin_begins_with_each_backend_in_turn(turn, order):
    assert ROUTINGS["roundrobin"].order(STANDINGS, turn) == order


def test_a_routing_says_how_many_members_it_needs():
    assert ROUTINGS["failover"].members_problem(["a"]) == "failover needs at least two members, got a"
    assert ROUTINGS["roundrobin"].members_problem(["a"]) is None


@pytest.mark.parametrize("word", ["failovr", "single", "Failover", " failover", "x" * 300, ""])
def test_a_word_that_names_no_routing_is_refused_wherever_a_profile_is_made(word):
    members = [simulated("a"), simulated("b")]
    for make in (
        lambda: routing_named(word),
        lambda: LoadBalancerProfile("lb", word, ("a", "b")),
        lambda: Profile.balanced("lb", word, members),
    ):
        with pytest.raises(ProfileError, match=r"unknown policy|policy is missing"):
            make()


def weighted(*weights: float) -> list[Standing]:
    return [Standing(name, 0, weight=weight) for name, weight in zip("abc", weights, strict=False)]


def firsts(standings: list[Standing], turns: int) -> str:
    order = ROUTINGS["weighted"].order
    assert order is not None
    return "".join(standings[order(standings, turn)[0]].name for turn in range(turns))


def test_weighted_gives_each_backend_its_share_of_every_round_and_spreads_it():
    assert firsts(weighted(3, 1), 8) == "aabaaaba"
    assert Counter(firsts(weighted(5, 3, 2), 1000)) == {"a": 500, "b": 300, "c": 200}


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ((0.5, 0.25), (2, 1)),
        ((1, 1, 1), (1, 1, 1)),
        ((30, 10), (3, 1)),
        ((1, 1_000_000), (1, 1000)),
        ((0.1, 0.2), (1, 2)),
    ],
)
def test_weights_are_shares_whatever_their_size(weights, shares):
    counted = Counter(firsts(weighted(*weights), sum(shares)))
    assert [counted[name] for name in "abc"[: len(shares)]] == list(shares)


def test_the_share_of_a_backend_that_is_out_goes_to_the_others_by_their_weights():
    standings = weighted(6, 2, 1)
    orders = [ROUTINGS["weighted"].order(standings, turn) for turn in range(9 * 100)]
    seconds = Counter(order[1] for order in orders if order[0] == 0)
    assert seconds == {1: 400, 2: 200}
    assert all(sorted(order) == [0, 1, 2] for order in orders)


@pytest.mark.parametrize(
    ("in_flight", "weights", "order"),
    [
        ((2, 1, 0), (1, 1, 1), [2, 1, 0]),
        ((0, 0, 0), (1, 1, 1), [0, 1, 2]),
        ((4, 2, 1), (4, 1, 1), [0, 2, 1]),
        ((2, 0, 3), (1, 9, 3), [1, 2, 0]),
    ],
)
def test_leastbusy_asks_whom_the_fewest_ask_for_its_weight(in_flight, weights, order):
    standings = [Standing("x", load, weight=weight) for load, weight in zip(in_flight, weights, strict=True)]
    assert ROUTINGS["leastbusy"].order(standings, 7) == order


def test_fastest_asks_the_unknown_first_then_by_the_first_text_and_last_what_only_fails():
    standings = [
        Standing("slow", 0, is_known=True, first_text=0.9),
        Standing("failing", 0, is_known=True),
        Standing("quick", 0, is_known=True, first_text=0.2),
        Standing("new", 1),
        Standing("newest", 0),
    ]
    assert ROUTINGS["fastest"].order(standings, 3) == [4, 3, 2, 0, 1]


def test_cheapest_asks_by_the_cost_of_this_prompt_the_unknown_last():
    standings = [Standing("x", 0, cost=cost) for cost in (0.2, None, 0.0, 0.1, None)]
    assert ROUTINGS["cheapest"].order(standings, 3) == [2, 3, 0, 1, 4]


@pytest.mark.parametrize(("draw", "first"), [(0.0, 1), (0.024, 1), (0.026, 2), (0.0499, 2), (0.05, 0), (0.9, 0)])
def test_one_request_in_twenty_tries_another_backend_which_is_drawn(draw, first):
    order = exploring(lambda _standings, _turn: (0, 1, 2), 0.05, draw)(STANDINGS, 0)
    assert order[0] == first
    assert sorted(order) == [0, 1, 2]


def test_a_lone_backend_has_no_other_to_try():
    assert exploring(lambda _standings, _turn: (0,), 0.05, 0.0)(STANDINGS[:1], 0) == (0,)


TOY = """
from llx_magic.core.routing import ROUTINGS, Routing

def least_busy(standings, turn):
    return sorted(range(len(standings)), key=lambda place: standings[place].in_flight)

ROUTINGS["quietest"] = Routing("quietest", 3, "fewest under way first", least_busy)

import asyncio, json, sys
from llx_magic.core.events import SubProfileSelected
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import LlxError
from llx_magic.core.describe import lines
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.profiles.schema import profile_schema
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from tests.typed import Typed

profiles = Typed("profile")
told = {}
members = [ModelProfile(name, "simulated", "m", params={"latency_ms": 200}) for name in "abc"]
lb = LoadBalancer(Profile.balanced("lb", "quietest", members), clock=LoopClock())
seen = []
lb.subscribe(seen.append)

async def three():
    return [reply.backend for reply in await asyncio.gather(*(lb.ask("why") for _ in range(3)))]

told["asked"] = asyncio.run(three())
told["line"] = [text for event in seen if isinstance(event, SubProfileSelected) for _channel, text in lines(event)]
told["history"] = lb.history()["policy"].tolist()
told["categories"] = lb.history()["policy"].cat.categories.tolist()
told["schema"] = json.dumps(profile_schema())
told["help"] = profiles.help("save", "loadbalancer")
for words in (["a", "b"], ["a", "b", "c"]):
    session = Session()
    for name in "abc":
        session.store.save(ModelProfile(name, "simulated", "m"))
    try:
        profiles.run_words(session, ["save", "loadbalancer", "x", "quietest", *words])
        told["saved"] = session.store.load("x").policy
    except LlxError as refused:
        told["refused"] = str(refused)
print(json.dumps(told))
"""


def test_one_row_more_is_obeyed_saved_refused_described_and_counted_everywhere(tmp_path):
    environment = {**os.environ, "LLXPRT_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", TOY], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["asked"] == ["a", "b", "c"]
    assert told["line"] == [f"[LB:quietest] Selected sub-profile: {name}" for name in "abc"]
    assert told["history"] == ["quietest"] * 3
    assert told["categories"] == [*ROUTINGS, "quietest"]
    assert "|".join([*ROUTINGS, "quietest"]) in told["schema"]
    assert "fewest under way first" in told["schema"]
    assert " or ".join([*ROUTINGS, "quietest"]) in " ".join(told["help"].split())
    assert told["refused"] == "profile x: quietest needs at least three members, got a, b"
    assert told["saved"] == "quietest"
