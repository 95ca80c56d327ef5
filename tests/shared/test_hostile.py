"""What somebody can write on the server changes no more than whether and when a backend is asked."""

from __future__ import annotations

import asyncio

import pytest
import redis

from llx_magic.shared.identity import PREFIX
from llx_magic.shared.server import FACTS
from tests.shared.kit import Kernel, Shared, soon


async def there(kernel: Kernel) -> None:
    await kernel.ask()
    await soon(lambda: kernel.gate("a").sharing.is_there, "the server is there")


def name_of(kernel: Kernel) -> str:
    return kernel.facts._links[0].backend


NONSENSE = [
    {},
    {"o": "x"},
    {"b": b"\xff\xfe", "f": b"\x00"},
    {"o": "x", "f": "not JSON", "a": "0"},
    {"o": "x", "f": '{"type": "Unknown"}', "a": "0"},
    {"o": "x", "f": '{"type": "Limited", "seconds": "long"}', "a": "0"},
    {"o": "x", "f": '{"type": "Limited", "seconds": null}', "a": "0"},
    {"o": "x", "f": '{"type": "Used", "tokens": -5, "seconds": -1}', "a": "-3"},
    {"o": "x", "f": '{"type": "Used", "tokens": 1e400, "seconds": 1}', "a": "1e9"},
    {"o": "x", "f": "[" * 5_000, "a": "9" * 400},
]


@pytest.mark.parametrize("fields", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_in_the_stream_is_passed_over_and_what_follows_is_heard(kernel, server, fields):
    one = kernel(Shared("a"))
    await there(one)
    client = redis.Redis(port=server.port)
    client.xadd(FACTS, {"z": "z", "b": name_of(one), **fields})
    for _ in range(3):
        client.xadd(FACTS, {"o": "x", "b": name_of(one), "f": '{"type": "Failed"}', "a": "0"})
    await soon(lambda: one.gate("a").breaker.state == "open", "its circuit opens")
    assert one.gate("a").sharing.is_there


async def test_entries_from_the_future_count_as_of_now(kernel, server):
    one = kernel(Shared("a"))
    await there(one)
    redis.Redis(port=server.port).xadd(
        FACTS, {"o": "x", "b": name_of(one), "f": '{"type": "Limited", "seconds": 5}', "a": "0"}, id="99999999999999-0"
    )
    await soon(lambda: one.gate("a").cool_down.until is not None, "it cools down")
    assert one.gate("a").cool_down.seconds_left(one.clock.now()) <= 5


@pytest.mark.parametrize("kind", ["facts", "rpm:{}", "peers:{}", "at-once:{}"])
async def test_a_key_of_another_type_leaves_each_process_alone(kernel, server, kind):
    one = kernel(Shared("a"), rpm_limit=100, concurrency_limit=10)
    await there(one)
    client, key = redis.Redis(port=server.port), f"{PREFIX}:{kind.format(name_of(one))}"
    client.delete(key)
    client.set(key, "something else")
    await asyncio.sleep(0.6)
    for _ in range(3):
        assert (await one.ask()).backend == "a"
