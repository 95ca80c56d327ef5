"""Who shares a backend is seen by all who share it, and by who only looks."""

from __future__ import annotations

import asyncio
import os
import time

import pytest
import redis

from llx_magic.core.breaker import CircuitState
from llx_magic.core.peers import Shared as Found
from llx_magic.engine.peers import AWAY, NOT_ASKED, look
from llx_magic.shared.identity import PREFIX
from llx_magic.shared.looking import MOST
from llx_magic.shared.scripts import PEER_SECONDS
from tests.engine.kit import DOWN, Scripted, answer
from tests.shared.kit import Kernel, Shared, soon


async def seen(kernel: Kernel, *, reads_keys: bool = True) -> Found:
    return await look(kernel.live, zip(kernel.backends, kernel.gates.values(), strict=True), reads_keys=reads_keys)


async def there(*kernels: Kernel) -> None:
    for each in kernels:
        await each.ask()
    await soon(lambda: all(each.gate("a").sharing.is_there for each in kernels), "the server is there")


def beat(kernel: Kernel) -> None:
    """Let it say now what it would say within 5 seconds."""
    with kernel.facts._changed:
        kernel.facts._due["beat"] = 0.0
        kernel.facts._changed.notify_all()


async def test_each_sees_this_process_once_and_marks_it(kernel):
    kernels = [kernel(Shared("a")) for _ in range(3)]
    await there(*kernels)
    for each in kernels:
        (process,) = (await seen(each)).processes
        assert process.is_here
        assert process.card.process == os.getpid()


async def test_requests_of_the_last_minute_and_the_limit_that_is_used_are_counted(kernel):
    one, other = (kernel(Shared("a"), rpm_limit=600, tpm_limit=60_000) for _ in range(2))
    await there(one, other)
    for _ in range(5):
        await one.ask()
    (backend,) = (await seen(one)).backends
    assert backend.limits("rpm_limit") == [600]
    (peer,) = backend.peers.each
    assert 5 <= peer.card.requests <= 7
    counts = {}
    for _ in range(30):  # until what was not used has been given back
        for each in (one, other):
            (backend,) = (await seen(each)).backends
            counts[each] = backend.peers.used.rpm_limit
            assert backend.peers.used.tpm_limit > 0
        if set(counts.values()) == {7}:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(counts)


async def test_requests_that_were_sent_before_the_server_was_reached_count_as_well(kernel, server):
    server.freeze()
    one = kernel(Shared("a"))
    for _ in range(3):
        await one.ask()
    server.thaw()
    await soon(lambda: one.gate("a").sharing.is_there, "the server is there")
    assert (await seen(one)).backends[0].peers.each[0].card.requests == 3


async def test_places_at_once_are_counted_as_they_are_held(kernel, server):
    goes_on = asyncio.Event()

    async def slowly(_request, _progress):
        await goes_on.wait()
        return answer()

    one = kernel(Shared("a", "fine", slowly), concurrency_limit=4)
    await there(one)
    asked = [asyncio.ensure_future(one.ask()) for _ in range(3)]
    await soon(lambda: len(one.backends[0].asked) == 4, "three are under way")
    (backend,) = (await seen(one)).backends
    assert backend.peers.used.concurrency_limit == 3
    assert backend.peers.cards[0].under_way == 3
    goes_on.set()
    await asyncio.gather(*asked)
    with redis.Redis.from_url(server.url) as client:
        (key,) = client.keys(f"{PREFIX}:at-once:*")
        nonsense = {"x": "y", "z": "1 2 3", "w": "9" * 5_000 + " 1 1 9", b"\xff": b"\xff 1 1 1", "old": "7 1 1 1"}
        client.delete(key)
        client.hset(key, mapping=nonsense)
        (backend,) = (await seen(one)).backends
        assert backend.peers.used.concurrency_limit == 0


async def test_what_has_been_sent_more_than_a_minute_ago_counts_no_more(kernel):
    one = kernel(Shared("a"), minute=0.5, rpm_limit=600)
    await there(one)
    await asyncio.sleep(0.8)
    assert (await seen(one)).backends[0].peers.used.rpm_limit == 0


async def test_the_opinion_of_a_circuit_and_who_has_the_probe(kernel):
    probed = asyncio.Event()

    async def slowly(_request, _progress):
        await probed.wait()
        raise AssertionError

    backend = Shared("a", "fine", DOWN, DOWN, DOWN, slowly)
    one = kernel(backend, Shared("b"), circuit_breaker_recovery_timeout_ms=1_000, circuit_breaker_failure_threshold=3)
    other = kernel(Shared("a"), Shared("b"), circuit_breaker_failure_threshold=3)
    await there(one, other)
    for _ in range(3):
        await one.ask()
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    assert (await seen(other)).backends[0].peers.each[0].card.circuit == "open"
    await asyncio.sleep(1.05)
    probe = asyncio.ensure_future(one.ask())
    await soon(lambda: len(backend.asked) == 5, "the probe is under way")
    for each in (one, other):
        assert [peer.has_probe for peer in (await seen(each)).backends[0].peers.each] == [True]
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


async def test_who_only_looks_is_not_there(kernel):
    one, onlooker = kernel(Shared("a")), kernel(Shared("a"))
    await there(one)
    found = (await seen(onlooker)).backends[0].peers
    assert found.total == 1
    assert not found.each[0].is_here


async def test_a_dashboard_looks_for_no_backend_whose_key_was_not_read(kernel):
    one = kernel(Shared("a"))
    assert [backend.why for backend in (await seen(one, reads_keys=False)).backends] == [NOT_ASKED]
    await there(one)
    assert [backend.why for backend in (await seen(one, reads_keys=False)).backends] == [""]


async def test_a_backend_without_a_key_says_so_and_the_others_are_shown(kernel):
    one = kernel(Shared("a"), Shared("b", obstacle="the key TEAM_KEY is missing"), Scripted("c"))
    await there(one)
    found = await seen(one)
    assert [backend.why for backend in found.backends] == [
        "",
        "the key TEAM_KEY is missing",
        "it has no limits to share",
    ]
    assert len(found.processes) == 1


async def test_a_server_that_is_away_is_said_so(kernel, server):
    one = kernel(Shared("a"))
    await there(one)
    server.stop()
    found = await seen(one)
    assert (found.backends, found.why) == ((), AWAY)


async def test_a_server_that_hangs_is_waited_for_a_moment_only(kernel, server):
    one = kernel(Shared("a"))
    await there(one)
    server.freeze()
    began = time.monotonic()
    found = await seen(one)
    server.thaw()
    assert found.why == AWAY
    assert time.monotonic() - began < 10


async def test_who_has_not_been_heard_for_a_while_is_there_no_more(kernel, server):
    one, other = kernel(Shared("a")), kernel(Shared("a", key="another-key-of-the-test"))
    await there(one, other)
    with redis.Redis.from_url(server.url) as client:
        for key in client.keys(f"{PREFIX}:peers:*"):
            client.zadd(key, {"of-a-killed-process": time.time() * 1000 - 1000 * PEER_SECONDS - 1})
        assert (await seen(one)).backends[0].peers.total == 1


async def test_a_process_of_an_older_version_counts_and_is_unknown(kernel, server):
    one = kernel(Shared("a"))
    await there(one)
    with redis.Redis.from_url(server.url) as client:
        (key,) = client.keys(f"{PREFIX}:peers:*")
        client.zadd(key, {"0123456789abcdef": time.time() * 1000})
    found = (await seen(one)).backends[0].peers
    assert found.total == 2
    assert [peer.card is None for peer in found.each] == [False, True]


@pytest.mark.parametrize("wrong", ["cards", "peers", "minute", "probe"])
async def test_nonsense_on_the_server_ends_neither_the_look_nor_the_sharing(kernel, server, wrong):
    one = kernel(Shared("a"), rpm_limit=600)
    await there(one)
    with redis.Redis.from_url(server.url) as client:
        (peers,) = client.keys(f"{PREFIX}:peers:*")
        name = peers.decode().rpartition(":")[2]
        if wrong == "cards":
            client.zadd(peers, {"evil": time.time() * 1000, b"\xff\xfe": time.time() * 1000 + 1e9, "": float("inf")})
            client.set(f"{PREFIX}:card:evil", b'{"host": "' + b"x" * 100_000 + b'"}')
        elif wrong == "peers":
            client.zadd(peers, {f"evil{number}": time.time() * 1000 for number in range(5_000)})
        elif wrong == "minute":
            client.hset(f"{PREFIX}:rpm:{name}", mapping={"x": "y", "99999999999999": "nan", "9" * 400: "1e308"})
        else:
            client.delete(f"{PREFIX}:probe:{name}")
            client.lpush(f"{PREFIX}:probe:{name}", "evil")
    found = await seen(one)
    if wrong == "probe":
        assert found.why == AWAY
    else:
        assert found.backends[0].peers.each[0].is_here
        assert len(found.backends[0].peers.each) <= MOST + 2
        assert found.backends[0].peers.used.rpm_limit >= 0
    assert one.gate("a").sharing.is_there


async def test_what_is_written_has_an_end_and_no_key_no_prompt_no_path(kernel, server, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/somebody/secret-project/analysis.ipynb")
    one = kernel(Shared("a"))
    await there(one)
    with redis.Redis.from_url(server.url) as client:
        cards = client.keys(f"{PREFIX}:card:*")
        assert len(cards) == 1
        assert 0 < client.ttl(cards[0]) <= PEER_SECONDS
        said = client.get(cards[0]).decode()
        assert len(said) < 300
        assert client.memory_usage(cards[0]) < 600
    assert '"name":"analysis.ipynb"' in said
    for secret in ("a-key-of-the-test", "why", "somebody", "secret-project", "/"):
        assert secret not in said


async def test_a_card_says_anew_what_has_changed(kernel, server):
    one, onlooker = kernel(Shared("a")), kernel(Shared("a"))
    await there(one)
    await one.ask()
    beat(one)
    await asyncio.sleep(0.2)
    assert (await seen(onlooker)).backends[0].peers.each[0].card.requests >= 1
