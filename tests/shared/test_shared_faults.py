"""A server that is away, slow, full, restarted or of somebody else: each process goes on alone, and comes back."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable

import pytest
import redis

from llx_magic.core.breaker import CircuitState
from llx_magic.core.events import CoolDownStarted, SharingChanged
from llx_magic.core.failure import FailureKind
from llx_magic.core.load import Load
from llx_magic.core.sharing import ANSWER_SECONDS
from llx_magic.engine.sharing import AWAY, BACK
from llx_magic.shared import server as connection
from tests.engine.kit import DOWN, failure
from tests.shared.kit import Kernel, RedisServer, Shared, free_port, soon

LIMITS = {"rpm_limit": 100_000, "tpm_limit": 100_000_000}


async def there(kernel: Kernel, *, is_there: bool = True) -> None:
    await soon(lambda: kernel.gate("a").sharing.is_there is is_there, "it notices", 20.0)


async def quick(kernel: Kernel) -> None:
    """Ask, and expect to be held up for less than any time-out of a connection."""
    began = time.monotonic()
    assert (await kernel.ask()).backend == "a"
    assert time.monotonic() - began < connection.ANSWER_SECONDS


async def quick_again(kernel: Kernel) -> None:
    """Ask, and expect that the moment for which an answer is waited for is not spent on each prompt.

    Of a few times the quickest counts: the machine may be busy.
    """
    took: list[float] = []
    while not took or (min(took) >= 40 * ANSWER_SECONDS and len(took) < 5):
        began = time.monotonic()
        for _ in range(40):
            assert (await kernel.ask()).backend == "a"
        took.append(time.monotonic() - began)
    assert min(took) < 40 * ANSWER_SECONDS


async def test_nobody_listens_at_the_address():
    one = Kernel(f"redis://127.0.0.1:{free_port()}/0", Shared("a"), **LIMITS)
    await quick(one)
    await quick_again(one)
    await soon(lambda: one.events(SharingChanged) != [], "it says so")
    await soon(lambda: one.live.news() == (AWAY,), "it says so with a reply")
    await asyncio.sleep(1.0)
    assert one.live.news() == ()
    one.facts.close()


async def test_whoever_listens_is_no_redis_and_says_nothing():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        one = Kernel(f"redis://127.0.0.1:{listening.getsockname()[1]}/0", Shared("a"), **LIMITS)
        await quick(one)
        await soon(lambda: one.events(SharingChanged) != [], "it says so")
        await quick_again(one)
        one.facts.close()


async def test_whoever_listens_speaks_another_language():
    async def speak(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    served = await asyncio.start_server(speak, "127.0.0.1", 0)
    one = Kernel(f"redis://127.0.0.1:{served.sockets[0].getsockname()[1]}/0", Shared("a"), **LIMITS)
    await quick(one)
    await soon(lambda: one.events(SharingChanged) != [], "it says so")
    await quick_again(one)
    one.facts.close()
    served.close()


async def test_the_password_is_wrong(tmp_path):
    server = RedisServer(tmp_path, "--requirepass", "right")
    server.start()
    one = Kernel(server.url.replace("//", "//:wrong@"), Shared("a"), **LIMITS)
    await quick(one)
    await soon(lambda: one.events(SharingChanged) != [], "it says so")
    one.facts.close()
    server.stop()


async def test_the_server_is_full(kernel: Callable[..., Kernel], server):
    one = kernel(Shared("a"), **LIMITS)
    await one.ask()
    await there(one)
    client = redis.Redis(port=server.port)
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    await asyncio.sleep(0.6)
    await quick(one)
    await there(one, is_there=False)
    await quick_again(one)
    await soon(lambda: one.live.news() == (AWAY,), "it says so")
    client.config_set("maxmemory", "0")
    await there(one)
    assert one.live.news() == (BACK,)


async def test_the_server_is_restarted_and_knows_nothing_any_more(kernel: Callable[..., Kernel], server):
    one, other = kernel(Shared("a"), **LIMITS), kernel(Shared("a", "fine", "fine", DOWN), Shared("b"), **LIMITS)
    for each in (one, other):
        await each.ask()
        await there(each)
        await each.ask()
    server.stop()
    for each in (one, other):
        await there(each, is_there=False)
    await quick(one)
    server.start()
    for each in (one, other):
        await there(each)
    await asyncio.sleep(0.3)
    name = f"{{llx_magic}}:rpm:{one.facts._links[0].backend}"
    assert float(redis.Redis(port=server.port).hget(name, "total") or 0) == 5, (
        "what was sent in the last minute is told"
    )
    for _ in range(3):
        await other.ask()
    await soon(lambda: one.gate("a").breaker.state is CircuitState.OPEN, "facts are heard again")


async def test_what_was_met_meanwhile_is_told_when_the_server_is_back(kernel: Callable[..., Kernel], server):
    limited = failure(FailureKind.RATE_LIMIT, "429", retry_after=60.0)
    one, other = kernel(Shared("a", "fine", limited), Shared("b")), kernel(Shared("a"), Shared("b"))
    for each in (one, other):
        await each.ask()
        await there(each)
    server.stop()
    await there(one, is_there=False)
    await one.ask()
    server.start()
    await soon(lambda: other.events(CoolDownStarted) != [], "it cools down", 20.0)
    left = other.gate("a").cool_down.seconds_left(other.clock.now())
    assert left < 60.0 - 0.1


async def test_a_server_that_stands_still_for_a_while_is_back_afterwards(kernel: Callable[..., Kernel], server):
    one = kernel(Shared("a"), **LIMITS)
    await one.ask()
    await there(one)
    await asyncio.sleep(0.6)
    server.freeze()
    await quick(one)
    await quick_again(one)
    await soon(lambda: one.live.news() == (AWAY,), "it says so")
    server.thaw()
    await there(one)
    assert one.live.news() == (BACK,)


async def test_alone_a_process_keeps_to_its_part_of_a_limit(kernel: Callable[..., Kernel], server):
    one, other = kernel(Shared("a"), rpm_limit=10), kernel(Shared("a"), rpm_limit=10)
    for each in (one, other):
        await each.ask()
        await there(each)
    await soon(lambda: one.gate("a").traffic.ceilings.stock.peers == 2, "it knows of the other", 10.0)
    server.stop()
    await there(one, is_there=False)
    ceilings, now = one.gate("a").traffic.ceilings, one.clock.now()
    assert ceilings.free(Load(1.0), 0, now).places == 4  # of 5, of which one is used


async def test_a_probe_that_dies_with_its_process_frees_the_probe(kernel: Callable[..., Kernel]):
    waits = asyncio.Event()

    async def for_ever(_request, _progress):
        await waits.wait()
        raise AssertionError

    rules = {"circuit_breaker_recovery_timeout_ms": 1_000}
    one = kernel(Shared("a", "fine", DOWN, DOWN, DOWN, for_ever), Shared("b"), **rules)
    other = kernel(Shared("a"), Shared("b"), **rules)
    for each in (one, other):
        await each.ask()
        await there(each)
    for _ in range(3):
        await one.ask()
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    await asyncio.sleep(1.05)
    probe = asyncio.ensure_future(one.ask())
    await asyncio.sleep(0.1)
    assert (await other.ask()).backend == "b"
    one.facts.close()  # as if the process had died: nobody renews the lease
    began = time.monotonic()
    while (await other.ask()).backend != "a":
        await asyncio.sleep(0.1)
        assert time.monotonic() - began < 10
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)


@pytest.mark.posix("there is no fork")
async def test_a_forked_copy_of_the_process_shares_with_threads_of_its_own(kernel: Callable[..., Kernel]):
    one, other = kernel(Shared("a", "fine", DOWN), Shared("b")), kernel(Shared("a"), Shared("b"))
    for each in (one, other):
        await each.ask()
        await there(each)
    child = _forked(one)
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens", 10.0)
    assert _end_of(child) == 0


def _forked(kernel: Kernel) -> int:
    """Return the number of a copy of this process that asks three times and ends."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        thread = threading.Thread(target=lambda: asyncio.run(_thrice(kernel)))
        thread.start()
        thread.join(10)
        time.sleep(0.5)
        code = 0
    finally:
        os._exit(code)


def _end_of(child: int) -> int:
    return os.waitpid(child, 0)[1]


async def _thrice(kernel: Kernel) -> None:
    for _ in range(3):
        await kernel.ask()
