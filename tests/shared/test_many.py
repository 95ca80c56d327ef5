"""What changes where very many processes use one server."""

from __future__ import annotations

import asyncio
import time

import redis

from llx_magic.core.breaker import CircuitState
from llx_magic.shared.identity import PREFIX, name_of
from llx_magic.shared.redis_facts import REST_SECONDS
from llx_magic.shared.server import FACTS
from tests.shared.kit import Shared, soon

MANY = 2_000


async def test_the_more_processes_share_the_less_often_each_looks_and_it_misses_nothing(kernel, server):
    """A look costs the server some time, and one fact can wake all of them (https://redis.io/docs/latest/commands/xread/)."""
    client, backend = redis.Redis.from_url(server.url), Shared("a")
    name, (seconds, _) = name_of(backend.account, ""), client.time()
    client.zadd(f"{PREFIX}:peers:{name}", {f"other-{number}": 1000 * seconds for number in range(MANY)})
    one = kernel(backend, circuit_breaker_failure_threshold=100)
    await one.ask()
    await soon(lambda: one.gate("a").sharing.is_there, "the server is there")

    def looks() -> int:
        return client.info("commandstats").get("cmdstat_xread", {"calls": 0})["calls"]

    before, began = looks(), time.monotonic()
    for _ in range(100):
        client.xadd(FACTS, {"o": "other", "b": name, "f": '{"type":"Failed"}', "a": "0"})
        await asyncio.sleep(0.01)
    took = time.monotonic() - began
    assert looks() - before <= took / (REST_SECONDS * MANY / 2) + 2
    await soon(lambda: one.gate("a").breaker.state is CircuitState.OPEN, "all 100 failures are heard of")
