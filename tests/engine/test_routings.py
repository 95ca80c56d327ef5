"""Requests under each routing, on virtual time: what the profile remembers decides who is asked."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from llx_magic.engine.clocks import VirtualClock
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import Bench, Scripted, simulated


def loaded(
    policy: str, *members: ModelProfile, weights=None, jitter=lambda: 0.5, clock=None, **settings
) -> LoadBalancer:

    profile = Profile.balanced("lb", policy, members, {"failover_retry_count": 1, **settings}, weights=weights)
    return LoadBalancer(profile, clock=clock or VirtualClock(), jitter=jitter)


async def asked(lb: LoadBalancer, times: int) -> str:
    return "".join([(await lb.ask("why")).backend for _ in range(times)])


async def test_weights_of_the_profile_share_the_requests_out():
    lb = loaded("weighted", simulated("a"), simulated("b"), weights={"a": 3})
    assert await asked(lb, 8) == "aabaaaba"


async def test_the_share_of_a_backend_whose_circuit_is_open_is_the_others():
    lb = loaded("weighted", simulated("a"), simulated("b"), simulated("c"), weights={"a": 6, "b": 2})
    lb.open_circuit("a")
    assert Counter(await asked(lb, 9)) == {"b": 6, "c": 3}


@pytest.mark.parametrize("weights", [{}, {"a": 2.0, "b": 1.0}])
async def test_leastbusy_shares_out_what_begins_at_the_same_moment(weights):
    lb = loaded("leastbusy", simulated("a", latency_ms=100), simulated("b", latency_ms=100), weights=weights)
    replies = await asyncio.gather(*(lb.ask("why") for _ in range(12)))
    assert Counter(reply.backend for reply in replies) == ({"a": 8, "b": 4} if weights else {"a": 6, "b": 6})


async def test_leastbusy_counts_requests_that_are_still_getting_ready():
    class Slow(Scripted):
        async def prepare(self) -> Scripted:
            await asyncio.sleep(0)
            return self

    bench = Bench(Slow("a"), Slow("b"), order="leastbusy")
    replies = await asyncio.gather(*(bench.ask() for _ in range(10)))
    assert Counter(reply.backend for reply in replies) == {"a": 5, "b": 5}


async def test_fastest_learns_each_backend_once_and_stays_with_the_quickest():
    lb = loaded(
        "fastest", simulated("a", latency_ms=300), simulated("b", latency_ms=100), simulated("c", latency_ms=200)
    )
    assert await asked(lb, 8) == "abcbbbbb"


async def test_fastest_goes_by_the_first_text_and_not_by_the_whole_reply():
    long = "word " * 100
    lb = loaded(
        "fastest",
        simulated("a", latency_ms=100, tokens_per_second=1, reply=long),
        simulated("b", latency_ms=200, reply="Yes."),
    )
    assert await asked(lb, 4) == "abaa"


async def test_fastest_turns_away_from_a_backend_that_becomes_slow():
    lb = loaded("fastest", simulated("a", ["slow:100", "slow:100", "slow:5000"]), simulated("b", latency_ms=400))
    assert await asked(lb, 6) == "abaabb"


async def test_fastest_takes_a_time_out_for_a_slow_first_text():
    lb = loaded(
        "fastest",
        simulated("a", ["ok", "slow:60000", "ok"], latency_ms=100),
        simulated("b", latency_ms=400),
        first_token_timeout_ms=2000,
    )
    assert await asked(lb, 5) == "abbbb"


async def test_fastest_tries_another_as_often_as_the_generator_says():
    draws = random.Random(7)
    lb = loaded(
        "fastest", simulated("a", latency_ms=100), simulated("b", latency_ms=900), simulated("c", latency_ms=900),
        jitter=draws.random,
    )  # fmt: skip
    first = await asked(lb, 400)
    again = loaded(
        "fastest", simulated("a", latency_ms=100), simulated("b", latency_ms=900), simulated("c", latency_ms=900),
        jitter=random.Random(7).random,
    )  # fmt: skip
    assert await asked(again, 400) == first
    assert 8 <= first.count("b") + first.count("c") <= 34
    assert {"b", "c"} <= set(first[10:])


def priced(name: str, price: float | None, output: float | None = None) -> ModelProfile:
    connection = Connection(price_input=price, price_output=price if output is None else output)
    return ModelProfile(name, "simulated", "m", connection=connection)


async def test_cheapest_asks_by_the_profiles_prices_and_the_unpriced_last():
    lb = loaded("cheapest", priced("a", None), priced("b", 3.0), priced("c", 1.0))
    assert await asked(lb, 2) == "cc"
    lb.open_circuit("c")
    assert await asked(lb, 1) == "b"
    lb.open_circuit("b")
    assert await asked(lb, 1) == "a"


async def test_what_is_cheap_depends_on_the_prompts_length():
    lb = loaded("cheapest", priced("reads", 1.0, 100.0), priced("writes", 20.0, 10.0))
    short, long = await lb.ask("why"), await lb.ask("why " * 100_000)
    assert (short.backend, long.backend) == ("writes", "reads")


@pytest.mark.parametrize("policy", ["weighted", "leastbusy", "fastest", "cheapest"])
async def test_every_routing_keeps_circuits_cool_downs_and_the_second_pass(policy):
    down = loaded(policy, simulated("a", "503"), simulated("b"), circuit_breaker_failure_threshold=1)
    assert set(await asked(down, 4)) == {"b"}
    assert [each.state for each in down.snapshot().backends] == ["open", "closed"]
    limited = loaded(policy, simulated("a", "429:60"), simulated("b"))
    assert set(await asked(limited, 4)) == {"b"}
    assert limited.snapshot().backends[0].requests == 1
    slow = loaded(policy, simulated("a", completion_tokens=1, latency_ms=1000), tpm_threshold=1e9)
    assert await asked(slow, 2) == "aa"


async def test_a_look_at_the_order_takes_no_turn_and_draws_nothing():
    def refuse() -> float:
        raise AssertionError("drawn")

    lb = loaded("weighted", simulated("a"), simulated("b"))
    plan = lb.prepare("why")
    for _ in range(3):
        assert [name for name, _ in await lb.explain(plan)] == ["a", "b"]
    fastest = loaded("fastest", simulated("a"), simulated("b"), jitter=refuse)
    await fastest.explain(fastest.prepare("why"))


async def test_a_reset_of_the_statistics_keeps_what_was_learnt_of_speed():
    lb = loaded("fastest", simulated("a", latency_ms=300), simulated("b", latency_ms=100))
    await asked(lb, 2)
    lb.reset_statistics()
    assert await asked(lb, 2) == "bb"
