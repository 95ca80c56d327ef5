"""A server that cannot be reached for a while, answers late, or comes back as another one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from llx_magic.core.breaker import CircuitState
from llx_magic.core.events import SharingChanged
from llx_magic.engine.sharing import AWAY, BACK
from llx_magic.shared.identity import PREFIX
from tests.engine.kit import DOWN
from tests.shared.kit import PATIENT, Kernel, RedisServer, Shared, free_port, soon
from tests.shared.network import Network
from tests.shared.test_shared_faults import LIMITS, quick, quick_again, there
from tests.shared.test_shared_limits import Timed, most_within

BOUNDED = {**LIMITS, "concurrency_limit": 64}


@pytest.fixture
def network(server: RedisServer) -> Iterator[Network]:
    """Lie between one process and the server."""
    made = Network(server.port)
    yield made
    made.close()


@pytest.fixture
def distant(network: Network) -> Iterator[Kernel]:
    """Make a process that reaches the server by the network."""
    made = Kernel(network.url, Shared("a"), **BOUNDED)
    yield made
    made.facts.close()


async def begin(*kernels: Kernel) -> None:
    for each in kernels:
        await each.ask()
        await there(each)
    await asyncio.sleep(0.6)


async def is_said_once(kernel: Kernel, what: str) -> None:
    await soon(lambda: kernel.live.news() == (what,), "it says so", 20.0)
    assert kernel.live.news() == ()


async def test_who_is_parted_from_the_server_goes_on_alone_and_says_so_once(distant, network):
    await begin(distant)
    network.part()
    await quick(distant)
    await quick_again(distant)
    await is_said_once(distant, AWAY)
    network.heal()
    await there(distant)
    await is_said_once(distant, BACK)


async def test_a_server_that_answers_late_counts_as_away_until_it_is_quick_again(distant, network):
    await begin(distant)
    network.delay = 0.1
    await quick(distant)
    await quick_again(distant)
    await is_said_once(distant, AWAY)
    network.delay = 0.0
    await there(distant)
    await is_said_once(distant, BACK)


async def test_what_one_who_was_parted_met_meanwhile_is_told_afterwards(network, kernel):
    one, other = Kernel(network.url, Shared("a", "fine", DOWN), Shared("b")), kernel(Shared("a"), Shared("b"))
    await begin(one, other)
    network.part()
    for _ in range(3):
        await one.ask()
    assert one.gate("a").breaker.state is CircuitState.OPEN
    await there(one, is_there=False)
    network.heal()
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "it hears of it", 20.0)
    one.facts.close()


async def test_one_who_is_parted_while_others_are_not_adds_its_part_of_a_limit_at_most(network, kernel):
    """With a minute of 10 s, of which permits may be used half a second late; the limit is used up when they part.

    It comes second, so that it knows from the beginning of how many parts one is its own; the other has all patience.
    """
    times: list[float] = []
    rules = {"rpm_limit": 40, "cooldown_wait_ms": 60_000}
    other = kernel(Timed("a", times), minute=10.0, patience=PATIENT, **rules)
    parted = Kernel(network.url, Timed("a", times), minute=10.0, **rules)
    for each in (other, parted):
        await each.ask()
        await there(each)
    assert parted.gate("a").traffic.ceilings.stock.peers == 2
    asking = [asyncio.ensure_future(ask_on(each)) for each in (other, parted) for _ in range(3)]
    await soon(lambda: len(times) >= 36, "it is used up", 12.0)
    network.part()
    await asyncio.sleep(4.0)
    network.heal()
    await asyncio.sleep(9.0)
    assert parted.events(SharingChanged)
    assert not other.events(SharingChanged)
    assert most_within(times, 9.5) <= 40 + 20
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    parted.facts.close()


async def ask_on(kernel: Kernel) -> None:
    while True:
        await kernel.ask()


async def test_a_server_that_has_lost_the_scripts_gets_them_again(kernel, server):
    one = kernel(Shared("a"), **BOUNDED)
    await begin(one)
    redis.Redis(port=server.port).script_flush()
    await quick(one)
    await soon(lambda: len(one.events(SharingChanged)) == 2, "it was lost and is back", 20.0)
    await quick_again(one)
    assert one.live.news() == ()


async def test_a_server_that_has_become_a_replica_counts_as_away_until_it_is_none(kernel, server):
    """It answers that it is read only (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/)."""
    one = kernel(Shared("a"), **BOUNDED)
    await begin(one)
    client = redis.Redis(port=server.port)
    client.replicaof("127.0.0.1", str(free_port()))
    await quick(one)
    await quick_again(one)
    await is_said_once(one, AWAY)
    client.replicaof("NO", "ONE")
    await there(one)
    await is_said_once(one, BACK)


async def test_what_another_version_has_left_on_the_server_is_passed_over(kernel, server):
    one = kernel(Shared("a"), patience=PATIENT, **BOUNDED)
    await begin(one)
    client, name = redis.Redis(port=server.port), one.facts._links[0].backend
    client.hset(f"{PREFIX}:at-once:{name}", mapping={"x": "of another form", "y": "64 64 0"})
    client.xadd(f"{PREFIX}:facts", {"v": "9", "b": name, "o": "x", "f": '{"type":"Failed","more":[1]}', "a": "0"})
    await quick(one)
    await quick_again(one)
    await soon(lambda: len(one.gate("a").breaker.failures) == 1, "what it knows of it, it takes")
    assert one.gate("a").sharing.is_there
