"""What goes wrong on this machine is named so, held against no backend, and over as soon as it is mended.

Descriptors are used up, networks taken away and processes stopped for real, each in a process of its own.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llx_magic.backends.http.errors import Peer, meaning_of
from llx_magic.backends.http.transport import Broken, Fault
from llx_magic.core.breaker import CircuitState
from llx_magic.core.failure import FailureKind
from llx_magic.core.reply import Answer
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import DOWN, Bench, Scripted, balancer, failure, simulated
from tests.faults.server import Exchange, FaultServer

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the limits are those of POSIX")

ROOT = Path(__file__).parents[2]
PRELUDE = """
import asyncio, contextlib, json, os, resource, sys, time
import llx_magic as llx

def loaded(*addresses, **settings):
    members = [
        llx.ModelProfile(f"b{place}", "openai", "m", connection=llx.Connection(base_url=address))
        for place, address in enumerate(addresses)
    ]
    values = {"failover_retry_delay_ms": 10, "circuit_breaker_failure_threshold": 1, **settings}
    return llx.load(llx.Profile.failover("lb", members, values))

async def asked(lb):
    began = time.monotonic()
    try:
        return (await lb.ask("Why?")).text, time.monotonic() - began
    except llx.AllBackendsFailed as failed:
        return str(failed), time.monotonic() - began

def counts(lb):
    snapshot = lb.snapshot()
    return [[b.state, b.requests, b.successes, b.failures, b.cancelled, b.in_flight, b.last_error, b.mean_latency]
            for b in snapshot.backends]

def without_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    taken = []
    with contextlib.suppress(OSError):
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    return taken
"""


def run(program: str, *arguments: str, wrapper: tuple[str, ...] = ()) -> object:
    """Run a program in a process of its own and return what it prints last, as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*wrapper, sys.executable, "-W", "error", "-c", PRELUDE + program, *arguments],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


DESCRIPTORS = """
async def main():
    async with loaded(*sys.argv[2:]) as lb:
        if sys.argv[1] == "after":
            await asked(lb)
            await asyncio.sleep(0.1)  # so that its connections are closed
        taken = without_descriptors()
        in_trouble = await asked(lb)
        for each in taken:
            os.close(each)
        seen = counts(lb)
        return in_trouble, seen, await asked(lb), counts(lb)

print(json.dumps(asyncio.run(main())))
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_without_file_descriptors_nobody_is_blamed_and_all_is_well_once_there_are_some(when, host):
    """Before the first prompt libraries cannot be read, later no connection can be made and no name resolved."""

    def once(exchange: Exchange) -> None:
        exchange.whole(200, json.dumps(exchange.completion()).encode(), {"Connection": "close"})

    with FaultServer(text="Yes.") as server:
        server.set_default(once)
        address = server.base_url.replace("127.0.0.1", host)
        first, seen, second, after = run(DESCRIPTORS, when, address, address.replace("/v1", "/v2/v1"))
    assert first[0].count("trouble of this machine: no file descriptors left") >= 1, first
    assert all(state == "closed" and not failures and error is None for state, _, _, failures, *_, error, _ in seen)
    assert second[0] == "Yes."
    assert all(requests == sum(rest) for _, requests, *rest, _, _ in after)


STOPPED = """
async def main():
    async with loaded(*sys.argv[1:], timeout_ms=1000, failover_retry_count=1) as lb:
        await asked(lb)
        asking = asyncio.ensure_future(asked(lb))
        await asyncio.sleep(0.2)
        print("asking", flush=True)
        return await asking, counts(lb)

print(json.dumps(asyncio.run(main())))
"""


@pytest.mark.parametrize("meanwhile", ["answered while it stood still", "answered a moment later"])
def test_a_process_that_was_stopped_beyond_the_limit_takes_the_reply_all_the_same(meanwhile):
    """As on a laptop that sleeps: the limit is overdue before the socket can be read."""
    with FaultServer("ok", "ok-when-released", text="Yes.") as server:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PRELUDE + STOPPED, server.base_url, "http://127.0.0.1:9/v1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "asking"
            assert server.reached.wait(10)
            process.send_signal(signal.SIGSTOP)
            if meanwhile == "answered while it stood still":
                server.release()
            time.sleep(2)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.3)
            server.release()
            (text, _), seen = json.loads(process.stdout.read())
    assert text == "Yes."
    assert [backend[3] for backend in seen] == [0, 0]


OFFLINE = """
from tests.faults.server import FaultServer

async def main():
    remote = ["https://models.example/v1", "https://192.0.2.9/v1"]
    async with loaded(*remote) as lb:
        alone = await asked(lb), counts(lb)
    os.system("ip link set lo up")
    with FaultServer(text="Yes.") as server:
        async with loaded(*remote, server.base_url) as lb:
            return *alone, await asked(lb), counts(lb)

print(json.dumps(asyncio.run(main())))
"""
APART = ("unshare", "--map-root-user", "--net")


def _can_be_apart() -> bool:
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not _can_be_apart(), reason="no network can be taken away here")
def test_without_a_network_no_circuit_opens_and_what_runs_on_this_machine_answers():
    """A laptop that is offline: every name and every address fails, and no backend is the worse for it."""
    (text, seconds), seen, (answered, _), then = run(OFFLINE, wrapper=APART)
    assert text.count("trouble of this machine: it has no network") == 2
    assert seconds < 5
    assert answered == "Yes."
    assert all(state == "closed" and not failures for state, _, _, failures, *_ in seen + then)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.ENETDOWN]
)
@pytest.mark.parametrize("reading", [False, True])
def test_what_the_system_says_about_itself_is_no_word_about_the_server(number, reading):
    assert _translated(OSError(number, "?"), reading=reading).kind is FailureKind.LOCAL


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_a_firewall_of_this_machine_is_named_and_not_asked_again(number):
    said = _translated(OSError(number, "?"))
    assert (said.kind, said.should_retry) == (FailureKind.LOCAL, False)
    assert "connection to models.example, as a firewall does" in said.message
    assert _translated(OSError(number, "?"), reading=True).kind is FailureKind.NETWORK


@pytest.mark.parametrize(
    "cause",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
        ConnectionRefusedError(errno.ECONNREFUSED, "?"),
        ExceptionGroup("all", [OSError(errno.EADDRNOTAVAIL, "?"), ConnectionRefusedError(errno.ECONNREFUSED, "?")]),
    ],
)
def test_one_host_that_cannot_be_reached_from_a_machine_with_a_network_is_that_hosts_own_matter(cause):
    """No address of another family, nor a name server's word about one name, excuses it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no network")
    assert _translated(cause).kind is FailureKind.NETWORK


def _translated(cause: BaseException, *, reading: bool = False):
    error = OSError("All connection attempts failed")
    error.__cause__ = cause
    return meaning_of(Broken(Fault.CLOSED, cause=error), Peer("models.example"), reading=reading)


class InTrouble(Scripted):
    """A backend that meets an error of this machine, when it gets ready or when it is asked."""

    def __init__(self, error: Exception, *, when: str) -> None:
        super().__init__("a", "fine")
        self.error: Exception | None = error
        self.when = when

    async def prepare(self):
        if self.when == "ready" and self.error:
            raise self.error
        return self

    async def answer(self, request, progress) -> Answer:
        if self.error:
            raise self.error
        return await super().answer(request, progress)


@pytest.mark.parametrize("when", ["ready", "asked"])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("can't start new thread"), OSError(errno.EMFILE, "Too many open files")]
)
async def test_whatever_runs_out_leaves_the_circuit_and_the_figures_as_they_were(error, when):
    backend = InTrouble(error, when=when)
    bench = Bench(backend, Scripted("b", "other"), circuit_breaker_failure_threshold=1)
    assert (await bench.ask()).backend == "b"
    backend.error = None
    assert (await bench.ask()).backend == "a"
    seen = bench.snapshot("a")
    assert (seen.state, seen.failures, seen.successes, seen.last_error) == ("closed", 0, 1, None)
    assert seen.requests == seen.successes + seen.cancelled


async def test_a_probe_that_meets_trouble_of_this_machine_leaves_its_place_to_the_next_request():
    local = failure(FailureKind.LOCAL, "trouble of this machine: the disk is full")
    bench = Bench(Scripted("a", DOWN, local, "back"), Scripted("b"), circuit_breaker_failure_threshold=1)
    await bench.ask()
    await bench.pass_time(3600)
    assert [(await bench.ask()).backend for _ in range(2)] == ["b", "a"]
    assert bench.gate("a").breaker.state is CircuitState.CLOSED


async def test_a_simulated_model_meets_it_too():
    async with balancer(simulated("a", "local"), circuit_breaker_failure_threshold=1) as lb:
        with pytest.raises(AllBackendsFailed, match=r"^trouble of this machine|no backend could answer"):
            await lb.ask("Why?")
        assert "trouble of this machine: no file descriptors left" in str(lb.decisions())
        [seen] = lb.snapshot().backends
        assert (seen.state, seen.failures, seen.cancelled, seen.mean_latency) == ("closed", 0, 1, None)


FRAMES = """
lb = llx.load("demo", isolated=True)
taken = without_descriptors()
said = []
for name in sys.argv[1:]:
    try:
        getattr(lb, name)()
    except llx.LlxError as error:
        said.append(str(error))
for each in taken:
    os.close(each)
print(json.dumps([said, [len(lb.stats()), len(lb.circuit())]]))
"""


def test_a_frame_or_plot_without_file_descriptors_is_one_line_and_works_once_there_are_some():
    """The library that makes it is read from the disk only then."""
    names = ["stats", "history", "attempts", "events", "tpm", "circuit", "cool_downs", "plot_circuit", "plot_tpm"]
    said, lengths = run(FRAMES, *names)
    words = "trouble of this machine: no file descriptors left in this process (ulimit -n is their number)"
    assert said == [words] * len(names)
    assert lengths == [2, 0]
