"""What one process meets is known to all that use the same backend with the same account."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.events import BackendSkipped, CoolDownEnded, CoolDownStarted
from llx_magic.core.failure import FailureKind
from llx_magic.engine.sharing import AWAY, BACK
from llx_magic.errors import AllBackendsFailed
from llx_magic.shared import server as connection
from tests.engine.kit import DOWN, failure
from tests.shared.kit import PATIENT, Shared, soon


async def joined(*kernels) -> None:
    """Let each kernel be asked once, and be there."""
    for each in kernels:
        await each.ask()
    await soon(lambda: all(each.gate("a").sharing.is_there for each in kernels), "the server is there")


async def fails(kernel, **options) -> None:
    with pytest.raises(AllBackendsFailed):
        await kernel.ask(**options)


async def test_failures_of_several_processes_open_the_circuit_of_each(kernel):
    kernels = [kernel(Shared("a", "fine", DOWN), Shared("b")) for _ in range(3)]
    await joined(*kernels)
    for each in kernels:
        await each.ask()
    for each in kernels:
        await soon(lambda each=each: each.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    assert all(len(each.changes(Cause.FAILURES)) == 1 for each in kernels)


async def test_another_key_is_another_account(kernel):
    one, other = kernel(Shared("a", "fine", DOWN)), kernel(Shared("a", key="another-key-of-the-test"))
    await joined(one, other)
    for _ in range(3):
        await fails(one)
    await asyncio.sleep(0.2)
    assert other.gate("a").breaker.failures == []


async def test_a_429_is_heeded_by_all(kernel):
    limited = failure(FailureKind.RATE_LIMIT, "429", retry_after=30.0)
    one, *others = [kernel(Shared("a", "fine", limited), Shared("b")) for _ in range(3)]
    await joined(one, *others)
    await one.ask()
    at = one.events(CoolDownStarted)[0].at
    for each in others:
        await soon(lambda each=each: each.events(CoolDownStarted) != [], "it cools down")
        started = each.events(CoolDownStarted)[0]
        assert started.seconds == pytest.approx(30.0 - (started.at - at), abs=0.5)
        assert (await each.ask()).backend == "b"


async def test_an_answer_ends_the_cool_down_of_all(kernel):
    limited = failure(FailureKind.RATE_LIMIT, "429", retry_after=0.2)
    one, other = kernel(Shared("a", "fine", limited, "fine"), Shared("b")), kernel(Shared("a"), Shared("b"))
    await joined(one, other)
    await one.ask()
    await soon(lambda: other.events(CoolDownStarted) != [], "it cools down")
    await asyncio.sleep(0.25)
    await one.ask()
    await soon(lambda: other.events(CoolDownEnded) != [], "its cool-down ends")


async def test_a_late_joiner_learns_of_an_open_circuit_before_its_first_prompt(kernel):
    one = kernel(Shared("a", "fine", DOWN), Shared("b"))
    await joined(one)
    for _ in range(3):
        await one.ask()
    await asyncio.sleep(0.1)
    late = kernel(Shared("a", "fine"), Shared("b"))
    await late.ask()
    await soon(lambda: late.gate("a").sharing.is_there, "the server is there")
    assert late.gate("a").breaker.state is CircuitState.OPEN
    assert (await late.ask()).backend == "b"


async def test_a_late_joiner_learns_of_a_cool_down(kernel):
    one = kernel(Shared("a", "fine", failure(FailureKind.RATE_LIMIT, "429", retry_after=30.0)), Shared("b"))
    await joined(one)
    await one.ask()
    await asyncio.sleep(0.1)
    late = kernel(Shared("a"), Shared("b"))
    await late.ask()
    await soon(lambda: bool(late.events(CoolDownStarted)), "it cools down")
    assert late.gate("a").cool_down.seconds_left(late.clock.now()) == pytest.approx(29.8, abs=0.5)


async def test_tokens_of_all_count_for_each_ones_tokens_per_minute(kernel):
    one, other = kernel(Shared("a", tokens=1_000)), kernel(Shared("a", tokens=1))
    await joined(one, other)
    await one.ask()
    await soon(lambda: other.gate("a").tokens.total >= 2_001, "it hears of the tokens")


async def test_3_processes_with_50_callers_each_send_1_probe_to_a_circuit_that_is_half_open(kernel):
    probed = asyncio.Event()

    async def slowly(_request, _progress):
        await probed.wait()
        raise AssertionError

    backends = [Shared("a", "fine", DOWN, DOWN, DOWN, slowly) for _ in range(3)]
    kernels = [
        kernel(
            each,
            Shared("b"),
            patience=PATIENT,
            circuit_breaker_recovery_timeout_ms=1_000,
            circuit_breaker_failure_threshold=3,
        )
        for each in backends
    ]
    await joined(*kernels)
    for _ in range(3):
        await kernels[0].ask()
    for each in kernels:
        await soon(lambda each=each: each.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    before = sum(len(each.asked) for each in backends)
    for each in backends:
        each.steps = [slowly]
    await asyncio.sleep(1.05)
    tasks = [asyncio.ensure_future(each.ask()) for _ in range(50) for each in kernels]
    await soon(lambda: sum(task.done() for task in tasks) >= 149, "all others are answered", 60.0)
    assert sum(len(each.asked) for each in backends) - before == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_recovery_closes_the_circuit_of_all(kernel):
    backends = [Shared("a", "fine", DOWN, DOWN, DOWN, "fine"), Shared("a")]
    one, other = (kernel(each, Shared("b"), circuit_breaker_recovery_timeout_ms=1_000) for each in backends)
    await joined(one, other)
    for _ in range(3):
        await one.ask()
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    await asyncio.sleep(1.05)
    assert (await one.ask()).backend == "a"
    await soon(lambda: other.gate("a").breaker.state is CircuitState.CLOSED, "its circuit closes")


async def test_a_failed_probe_is_a_failed_probe_for_all(kernel):
    backends = [Shared("a", "fine", DOWN), Shared("a")]
    one, other = (kernel(each, Shared("b"), circuit_breaker_recovery_timeout_ms=1_000) for each in backends)
    await joined(one, other)
    for _ in range(3):
        await one.ask()
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    await asyncio.sleep(1.05)
    await one.ask()
    await asyncio.sleep(0.1)
    asked = len(backends[1].asked)
    assert (await other.ask()).backend == "b"
    assert len(backends[1].asked) == asked


async def test_who_is_away_goes_on_alone_and_says_so_once(kernel, server):
    one = kernel(Shared("a"))
    await joined(one)
    server.stop()
    await soon(lambda: not one.gate("a").sharing.is_there, "it goes on alone", 10.0)
    assert (await one.ask()).backend == "a"
    await soon(lambda: one.live.news() == (AWAY,), "it says so")
    assert one.live.news() == ()


async def test_a_prompt_waits_a_moment_at_most_for_a_server_that_stands_still(kernel, server):
    one = kernel(Shared("a"), rpm_limit=1_000)
    await joined(one)
    await asyncio.sleep(0.6)
    server.freeze()
    began = time.monotonic()
    assert (await one.ask()).backend == "a"
    assert time.monotonic() - began < connection.ANSWER_SECONDS
    await soon(lambda: one.live.news() == (AWAY,), "it says so")
    server.thaw()
    await soon(lambda: one.gate("a").sharing.is_there, "it is back", 15.0)
    assert one.live.news() == (BACK,)


async def test_the_server_sees_no_key_and_no_prompt(kernel, server):
    one = kernel(Shared("a", "fine", DOWN), rpm_limit=1_000, tpm_limit=100_000)
    await joined(one)
    await fails(one)
    await asyncio.sleep(0.4)
    client = redis.Redis(port=server.port)
    keys = client.keys()
    assert keys
    kept = b"".join(key + (client.dump(key) or b"") for key in keys)
    assert b"a-key-of-the-test" not in kept
    assert b"why" not in kept
    assert b"127.0.0.1" not in kept


async def test_every_key_on_the_server_has_an_end(kernel, server):
    one = kernel(Shared("a", "fine", DOWN), rpm_limit=1_000, tpm_limit=100_000)
    await joined(one)
    await fails(one)
    await asyncio.sleep(0.4)
    client = redis.Redis(port=server.port)
    assert {key: client.ttl(key) > 0 for key in client.keys()} == dict.fromkeys(client.keys(), True)  # noqa: SIM118 - it is no dict


async def test_who_skips_says_that_another_process_is_the_probe(kernel):
    waits = asyncio.Event()

    async def slowly(_request, _progress):
        await waits.wait()
        raise AssertionError

    backends = [Shared("a", "fine", DOWN, DOWN, DOWN, slowly), Shared("a")]
    one, other = (kernel(each, Shared("b"), circuit_breaker_recovery_timeout_ms=1_000) for each in backends)
    await joined(one, other)
    for _ in range(3):
        await one.ask()
    await soon(lambda: other.gate("a").breaker.state is CircuitState.OPEN, "its circuit opens")
    await asyncio.sleep(1.05)
    probe = asyncio.ensure_future(one.ask())
    await soon(lambda: len(backends[0].asked) == 5, "the probe is under way")
    assert (await other.ask()).backend == "b"
    assert other.events(BackendSkipped)[-1].message == "circuit half-open, a request of another process is the probe"
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
