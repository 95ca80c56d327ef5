"""What happens when threads, loops and processes mix: nothing waits for ever, and one fault stays one fault."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace

import pytest

from llx_magic import ModelProfile, Profile
from llx_magic.core.failure import FailureKind
from llx_magic.core.reply import ChatRequest
from llx_magic.engine.background import BackgroundLoop
from llx_magic.engine.clocks import ManualClock
from llx_magic.locks import ForkSafeLock
from llx_magic.session.answering import OwnEngine
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import DOWN, LIMITED, Bench, Scripted, answer, balancer, settle, simulated


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_can_take_a_lock_that_was_held():
    """Another thread holds the lock while the process forks; the child is not kept waiting for it."""
    lock, held, release = ForkSafeLock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            release.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    child = os.fork()
    if child == 0:
        with lock:
            os._exit(7)
    release.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def state(bench: Bench) -> tuple[str, int, float]:
    found = bench.snapshot("a")
    return (found.state, found.in_flight, found.seconds_until_probe)


def in_a_fork(ask) -> str:
    """Return what a forked child was told, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, repr(ask()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said:
        text = said.read()
    os.waitpid(child, 0)
    return text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
async def test_a_forked_child_probes_anew_what_its_parent_is_probing():
    """The probe under way is the parent's; in the child nobody would ever give its place back."""
    release = asyncio.Event()

    async def probed(_request, _progress):
        await release.wait()
        return answer("up again")

    bench = Bench(Scripted("a", DOWN, probed), Scripted("b"), clock=ManualClock(),
                  circuit_breaker_failure_threshold=1)  # fmt: skip
    await bench.ask()
    await bench.pass_time(30.0)
    probe = asyncio.create_task(bench.ask())
    await settle()
    assert (bench.snapshot("a").state, bench.snapshot("a").in_flight) == ("half-open", 1)
    assert in_a_fork(lambda: state(bench)) == repr(("open", 0, 0.0))
    release.set()
    assert (await probe).backend == "a"
    assert (bench.snapshot("a").state, bench.snapshot("a").in_flight) == ("closed", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("seconds", [1.0, 6.0], ids=["while they wait", "while one of them goes first"])
async def test_in_a_forked_child_nobody_waits_for_the_rate_limit_that_its_parents_requests_wait_for(seconds):
    """They go on in the parent; in the child they would stand in line, or hold a turn, for ever."""
    release = asyncio.Event()

    async def held(_request, _progress):
        await release.wait()
        return answer("back")

    bench = Bench(Scripted("a", replace(LIMITED, retry_after=6.0), held, "back"), clock=ManualClock())
    asking = [asyncio.create_task(bench.ask()) for _ in range(3)]
    await bench.pass_time(seconds)
    assert bench.gate("a").cool_down.has_line

    def look() -> tuple[bool, bool]:
        cool_down = bench.gate("a").cool_down
        return cool_down.has_line, cool_down.refuses(99, 6.0)

    assert in_a_fork(look) == repr((False, False))
    release.set()
    await bench.pass_time(6.0)
    assert [task.result().text for task in asking] == ["back"] * 3


def test_a_call_from_the_loops_own_thread_is_refused():
    """It would wait for itself for ever."""
    loop = BackgroundLoop()

    async def inner():
        return 1

    async def outer():
        loop.run(inner())

    with pytest.raises(RuntimeError, match="cannot be made from the thread"):
        loop.run(outer())
    loop.stop()


def test_stopping_while_others_submit_leaves_no_caller_waiting():
    """Each caller gets its answer, or is told that it was cancelled."""
    loop = BackgroundLoop()
    ended = []

    async def work():
        await asyncio.sleep(0)
        return "done"

    def call():
        for _ in range(50):
            try:
                ended.append(loop.run(work()))
            except asyncio.CancelledError:
                ended.append("cancelled")
            except Exception as error:
                ended.append(type(error).__name__)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    while any(caller.is_alive() for caller in callers):
        loop.stop()
    for caller in callers:
        caller.join(20)
    loop.stop()
    assert len(ended) == 150
    assert set(ended) <= {"done", "cancelled", "CancelledError"}


def test_virtual_time_serves_several_loops():
    """Two threads with a loop each ask one profile, and both are answered."""
    params = {"virtual_time": True, "latency_ms": 200}
    profile = Profile.failover("pair", [ModelProfile(name, "simulated", "small", params=params) for name in "ab"])
    balancer = LoadBalancer(profile)
    answers = []

    def ask():
        for _ in range(10):
            answers.append(asyncio.run(balancer.ask("hello")).backend)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == 20


class Faulty(Scripted):
    """A backend with a fault of its own."""

    async def answer(self, request: ChatRequest, progress):
        raise UnicodeEncodeError("utf-8", "sk-secret", 0, 1, "no")


async def test_a_fault_inside_one_backend_goes_to_the_next_and_does_not_quote_it():
    """It counts as an unusable reply, not as the user's cancellation, and its text stays inside."""
    bench = Bench(Faulty("a"), Scripted("b", "fine"))
    reply = await bench.ask()
    assert reply.backend == "b"
    assert "sk-secret" not in " ".join(reply.notes)
    failures = [event.failure.kind for event in reply.trace if hasattr(event, "failure")]
    assert set(failures) == {FailureKind.BAD_REPLY}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
async def test_in_a_forked_child_no_place_is_left_to_a_run_of_its_parent():
    """Its rows are asked in the parent; in the child nobody would ever take the place."""
    lb = balancer(simulated("a"))
    candidates = lb.prepare("x").candidates
    engines = [OwnEngine(lb, candidates, run) for run in (1, 2)]
    for engine in engines:
        await engine.begin(lambda: None)
        engine.room((), 9)
    gate = candidates[0].gate
    assert lb.live.ask(gate, lambda each: len(each.traffic.runs.known)) == 2
    assert in_a_fork(lambda: lb.live.ask(gate, lambda each: each.traffic.runs.known)) == "{}"
    for engine in engines:
        await engine.end()
