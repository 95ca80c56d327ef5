"""A routing is one row: whatever else is said or done about it is made from the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from llx_magic.core.routing import ROUTINGS, Standing, routing_named
from llx_magic.errors import ProfileError
from llx_magic.profiles.document import LoadBalancerProfile, Profile
from tests.engine.kit import simulated

STANDINGS = [Standing(name, 0, None) for name in "abc"]


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


TOY = """
from llx_magic.core.routing import ROUTINGS, Routing

def least_busy(standings, turn):
    return sorted(range(len(standings)), key=lambda place: standings[place].in_flight)

ROUTINGS["leastbusy"] = Routing("leastbusy", 3, "fewest under way first", least_busy)

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
lb = LoadBalancer(Profile.balanced("lb", "leastbusy", members), clock=LoopClock())
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
        profiles.run_words(session, ["save", "loadbalancer", "x", "leastbusy", *words])
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
    assert told["line"] == [f"[LB:leastbusy] Selected sub-profile: {name}" for name in "abc"]
    assert told["history"] == ["leastbusy"] * 3
    assert told["categories"] == ["failover", "roundrobin", "leastbusy"]
    assert "failover|roundrobin|leastbusy" in told["schema"]
    assert "fewest under way first" in told["schema"]
    assert "failover or roundrobin or leastbusy" in told["help"]
    assert told["refused"] == "profile x: leastbusy needs at least three members, got a, b"
    assert told["saved"] == "leastbusy"
