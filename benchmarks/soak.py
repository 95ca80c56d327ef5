"""Very many requests, many at a time, to servers that fail at random: nothing is lost or spliced, and nothing grows.

Three servers in a process of their own (`soak_server.py`) refuse, break off, stall, send nonsense and recover, and
circuits open and close all the time. Requests stream or ask for the whole reply, by two policies or pinned to one
backend, and some are cancelled or left half-way. Every piece of a reply says which backend sent it for which request,
so a reply that is spliced, cut or meant for somebody else is seen. What the process holds is read twice, each time when
nothing is under way: after a tenth of the requests, and at the end.

    python benchmarks/soak.py [--requests N] [--at-a-time N] [--seconds S] [--seed N] [--json FILE]

Prints a table with a verdict for each claim; exits with 1 where one does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from kernel import save, table
from soak_server import NAMES, SoakServer

import llx_magic as llx
from llx_magic.core import events as facts
from llx_magic.core.breaker import CircuitState
from llx_magic.core.failure import FailureKind
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.session.balancer import LoadBalancer

HISTORY = 10_000
"""Requests that a profile remembers by default; where the warm-up is shorter than this, that many."""

PATIENCE_SECONDS = 0.05
"""How long somebody whose request failed on every backend waits before the next one."""

LOST_AFTER_SECONDS = 60.0
"""A request that has not ended by then is lost; the longest honest one takes a few seconds."""

ALLOWED_MB = 8.0
"""What allocators may add to the memory after the warm-up without anything being kept: pools, fragments, arenas."""

WINDOW_SECONDS, WINDOW_BYTES = 300.0, 300
"""Each reply's token count is kept for five minutes, to tell the tokens per minute; none costs more than this."""

SETTINGS = {
    "failover_retry_count": 2,
    "failover_retry_delay_ms": 2,
    "first_token_timeout_ms": 500,
    "stall_timeout_ms": 500,
    "timeout_ms": 3000,
    "circuit_breaker_failure_window_ms": 1000,
    "circuit_breaker_recovery_timeout_ms": 60,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What the process and the servers held at a moment when no request was under way."""

    memory_mb: float
    descriptors: int
    tasks: int
    threads: int
    files: int
    connections: int
    idle: int
    kept: int
    blocks: int


class Auditor:
    """Watches every decision of a load balancer and holds what must be true at each."""

    def __init__(self, lb: LoadBalancer) -> None:
        self._lb = lb
        self.seen: Counter[type[facts.Event]] = Counter()
        self.faults: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.circuits: Counter[str] = Counter()
        self._running: set[int] = set()
        self._visits: set[tuple[int, str]] = set()
        self._probes: dict[str, int] = {}
        self._own_trouble = 0
        lb.subscribe(self)

    def __call__(self, event: facts.Event) -> None:
        self.seen[type(event)] += 1
        match event:
            case facts.RequestStarted():
                self._running.add(event.request)
            case facts.RequestAnswered() | facts.RequestFailed() | facts.RequestCancelled():
                self._claim(event.request in self._running, "a request ended twice")
                self._running.discard(event.request)
            case facts.CircuitChanged():
                self._circuit(event)
            case facts.VisitStarted():
                self._claim((event.request, event.backend) not in self._visits, "a visit began twice")
                self._visits.add((event.request, event.backend))
            case facts.AttemptFailed():
                self.kinds[event.failure.kind] += 1
                self._claim("unexpected" not in event.failure.message, event.failure.message)
            case facts.VisitSucceeded() | facts.VisitFailed() | facts.VisitCancelled():
                self._claim((event.request, event.backend) in self._visits, "a visit ended twice")
                self._visits.discard((event.request, event.backend))
                own = isinstance(event, facts.VisitFailed) and event.failure.kind is FailureKind.LOCAL
                self._own_trouble += own
                if self._probes.get(event.backend) == event.request:
                    del self._probes[event.backend]

    def _circuit(self, event: facts.CircuitChanged) -> None:
        self.circuits[event.cause] += 1
        if event.after is CircuitState.HALF_OPEN:
            self._claim(event.backend not in self._probes, "two probes of one backend at once")
            self._probes[event.backend] = event.request
        elif event.after is CircuitState.CLOSED:
            self._probes.pop(event.backend, None)  # a pinned request may close it before the probe has ended

    def add_up(self) -> None:
        """Compare the balancer's own counts with what was seen; to be called when nothing is under way."""
        backends = self._lb.snapshot().backends
        # A visit that trouble of this machine ended is held against no backend: it counts among the cancelled.
        totals = {
            facts.VisitStarted: sum(each.requests for each in backends),
            facts.VisitSucceeded: sum(each.successes for each in backends),
            facts.VisitFailed: sum(each.failures for each in backends) + self._own_trouble,
            facts.VisitCancelled: sum(each.cancelled for each in backends) - self._own_trouble,
            facts.AttemptStarted: sum(each.attempts for each in backends),
        }
        for kind, counted in totals.items():
            self._claim(counted == self.seen[kind], f"{kind.__name__}: {counted} counted, {self.seen[kind]} seen")
        self._claim(not any(each.in_flight for each in backends), "a visit is in flight for ever")
        self._claim(not (self._running or self._visits or self._probes), "a request, visit or probe never ended")

    def _claim(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 - a claim is a truth value
        if not holds:
            self.faults[otherwise] += 1


class Soak:
    """Asks, and checks each answer."""

    def __init__(self, given: argparse.Namespace, balancers: tuple[LoadBalancer, ...]) -> None:
        self._seed = given.seed
        self._tenth = max(1, given.requests // 10)
        self._balancers = balancers
        self._deadline = time.monotonic() + given.seconds
        self.outcomes: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.restarts = 0
        self.memory_mb: list[float] = []
        self.answered_in: Counter[int] = Counter()  # by second, of the latest five minutes

    async def drive(self, numbers: Iterator[int], at_a_time: int) -> None:
        """Ask for each number, so many at a time, until there are no more or the time is up."""
        await asyncio.gather(*(self._work(numbers) for _ in range(at_a_time)))

    async def _work(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            self.outcomes["asked"] += 1
            if number % self._tenth == 0:
                self.memory_mb.append(round(psutil.Process().memory_info().rss / 1e6, 1))
            try:
                async with asyncio.timeout(LOST_AFTER_SECONDS):
                    outcome = await self._one(number)
            except TimeoutError:
                outcome = "lost"
            except Exception as error:
                outcome = "lost"
                self.wrong[f"{type(error).__name__}: {error}"[:200]] += 1
            self.outcomes[outcome] += 1
            if outcome == "failed":
                await asyncio.sleep(PATIENCE_SECONDS)
            if time.monotonic() > self._deadline:
                return

    async def _one(self, number: int) -> str:
        chance = random.Random(f"{self._seed}/{number}")
        async with self._balancer(number, chance) as lb:
            request = asyncio.create_task(self._ask(lb, number, chance))
            if chance.random() < 0.05:
                asyncio.get_running_loop().call_later(chance.expovariate(1 / 0.02), request.cancel)
            try:
                return await request
            except asyncio.CancelledError:
                if not request.cancelled():
                    request.cancel()
                    raise
                return "cancelled"

    @contextlib.asynccontextmanager
    async def _balancer(self, number: int, chance: random.Random) -> AsyncIterator[LoadBalancer]:
        """Lend one of the balancers; now and then one that is loaded anew, which shares its state."""
        lb = chance.choice(self._balancers)
        if number % 100:
            yield lb
        else:
            async with llx.load(lb.name) as loaded:
                yield loaded

    async def _ask(self, lb: LoadBalancer, number: int, chance: random.Random) -> str:
        options = {
            "settings": {"streaming": chance.choice(["enabled", "enabled", "disabled"])},
            "backend": chance.choice(NAMES) if chance.random() < 0.05 else None,
        }
        if chance.random() < 0.03:
            options["settings"]["tpm_threshold"] = 1e9  # puts every backend aside that has answered
        leaves_after = chance.randint(0, 6) if chance.random() < 0.03 else None
        prompt = f"This is request {number}"
        try:
            if chance.random() < 0.4:
                self._check(await lb.ask(prompt, **options), None, number)
                return "answered"
            return await self._read(lb.stream(prompt, **options), number, leaves_after)
        except llx.AllBackendsFailed as failed:
            whose = failed.partial.partition("/")[0]
            if failed.partial and _flaw(failed.partial, whose, number, whole=False):
                self.wrong[f"spliced: the partial text {failed.partial!r} of request {number}"] += 1
            return "failed"

    async def _read(self, parts: AsyncIterator[Delta | Restart | Reply], number: int, leaves_after: int | None) -> str:
        text, taken = "", 0
        async with contextlib.aclosing(parts) as reading:
            async for part in reading:
                if taken == leaves_after:
                    return "cancelled"
                taken += 1
                match part:
                    case Delta():
                        text += part.text
                    case Restart():
                        text = ""
                        self.restarts += 1
                    case Reply():
                        self._check(part, text, number)
                        return "answered"
        self.wrong["lost: a stream ended without a reply or an error"] += 1
        return "lost"

    def _check(self, reply: Reply, shown: str | None, number: int) -> None:
        second = int(time.monotonic())
        self.answered_in[second] += 1
        self.answered_in.pop(second - int(WINDOW_SECONDS) - 1, None)
        if flaw := _flaw(reply.text, reply.backend, number, whole=True):
            self.wrong[f"spliced: {flaw} in the reply {reply.text!r} of {reply.backend} to request {number}"] += 1
        if shown is not None and shown != reply.text:
            self.wrong[f"spliced: shown was {shown!r}, the reply is {reply.text!r}"] += 1

    def remembered(self) -> int:
        """Count the answers of the latest five minutes."""
        return sum(self.answered_in.values())


def _flaw(text: str, backend: str, number: int, *, whole: bool) -> str | None:
    """Say what is wrong with a reply's text, which should be one sending's pieces from the first; None if nothing."""
    pieces = [piece.split("/") for piece in text.split()]
    if not pieces or any(len(piece) != 5 for piece in pieces):
        return "no pieces or broken ones"
    if {piece[0] for piece in pieces} != {backend}:
        return "another backend's text"
    if {piece[1] for piece in pieces} != {str(number)}:
        return "another request's text"
    if len({piece[2] for piece in pieces}) != 1:
        return "text of two sendings"
    if [int(piece[3]) for piece in pieces] != list(range(len(pieces))):
        return "a piece missing or twice"
    return "the end missing" if whole and len(pieces) != int(pieces[0][4]) else None


def write_profiles(folder: Path, addresses: dict[str, str], history_limit: int) -> tuple[str, ...]:
    """Write a profile for each server and for each policy over all; return the names of the latter."""
    folder.mkdir(mode=0o700)
    for name, address in addresses.items():
        document = {"version": 1, "provider": "openai", "model": "soak", "ephemeralSettings": {"base-url": address}}
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    for policy in ("failover", "roundrobin"):
        settings = {**SETTINGS, "history_limit": history_limit}
        document = {"version": 1, "type": "loadbalancer", "policy": policy, "profiles": list(addresses)}
        document |= {"provider": "", "model": "", "modelParams": {}, "ephemeralSettings": settings}
        (folder / f"by-{policy}.json").write_text(json.dumps(document), encoding="utf-8")
    return ("by-failover", "by-roundrobin")


async def hold_still(server: SoakServer, balancers: tuple[LoadBalancer, ...]) -> Held:
    """Close what may be closed, and read what is left."""
    await asyncio.sleep(0.3)  # the servers see their side of a closed connection a little later
    idle = (await server.facts())["open"]
    gc.collect()
    kept = sum(type(each).__name__ == "AsyncHTTPConnection" for each in gc.get_objects())
    for lb in balancers:
        await lb.aclose()
    await asyncio.sleep(0.3)
    connections = (await server.facts())["open"]
    for _ in range(3):
        gc.collect()
    process = psutil.Process()
    return Held(
        memory_mb=process.memory_info().rss / 1e6,
        descriptors=process.num_fds(),
        tasks=len(asyncio.all_tasks()),
        threads=process.num_threads(),
        files=sum(len(files) for _, _, files in os.walk(os.environ["LLXPRT_CONFIG_HOME"])),
        connections=connections,
        idle=idle,
        kept=kept,
        blocks=sys.getallocatedblocks(),
    )


async def refused(lb: LoadBalancer) -> list[str]:
    """Return the backends that would still be passed over once every wait is over."""
    await asyncio.sleep(1.2)
    explained = await lb.explain(lb.prepare("why"))
    return [f"{name}: {verdict}" for name, verdict in explained if verdict.startswith("skipped")]


Row = tuple[str, object, object, str, bool]
"""What, after the warm-up, at the end, what is allowed, whether it holds."""


async def soak(given: argparse.Namespace, server: SoakServer, folder: Path) -> tuple[list[Row], dict[str, object]]:
    warm_up = max(given.requests // 10, given.at_a_time)
    names = write_profiles(folder / "profiles", server.addresses, min(HISTORY, warm_up // 2))
    balancers = tuple(llx.load(name) for name in names)
    auditors = [Auditor(lb) for lb in balancers]
    began = time.monotonic()
    run = Soak(given, balancers)
    numbers = iter(range(1, given.requests + 1))
    await run.drive(_first(numbers, warm_up), given.at_a_time)
    warm, warm_outcomes, warm_window = (
        await hold_still(server, balancers),
        run.outcomes.copy(),
        run.remembered(),
    )
    await run.drive(numbers, given.at_a_time)
    window = run.remembered()
    end = await hold_still(server, balancers)
    seconds = time.monotonic() - began
    stuck = [each for lb in balancers for each in await refused(lb)]
    for auditor in auditors:
        auditor.add_up()
    allowed = ALLOWED_MB + max(0, window - warm_window) * WINDOW_BYTES / 1e6
    rows = [*_counts(run, warm_outcomes, auditors, stuck), *_holdings(warm, end, allowed)]
    return rows, _figures(run, auditors, (await server.facts())["met"], seconds)


def _first(numbers: Iterator[int], count: int) -> Iterator[int]:
    """Yield so many of the numbers; unlike a slice, it may be asked again by many when it has ended."""
    return iter([number for _, number in zip(range(count), numbers, strict=False)])


def _counts(run: Soak, before: Counter[str], auditors: list[Auditor], stuck: list[str]) -> list[Row]:
    now = run.outcomes
    ended = sum(now[each] for each in ("answered", "failed", "cancelled"))
    spliced = sum(count for what, count in run.wrong.items() if what.startswith("spliced"))
    faults = sum((auditor.faults for auditor in auditors), Counter[str]())
    for what, count in [*run.wrong.items(), *faults.items()][:10]:
        print(f"WRONG, {count} times: {what}", file=sys.stderr)
    for each in stuck:
        print(f"WRONG, still passed over after every wait: {each}", file=sys.stderr)
    return [
        ("requests", before["asked"], now["asked"], "", True),
        ("answered", before["answered"], now["answered"], "a quarter", now["answered"] > now["asked"] / 4),
        ("failed on every backend", before["failed"], now["failed"], "", True),
        ("cancelled by the user", before["cancelled"], now["cancelled"], "some", now["cancelled"] > 0),
        ("lost", before["lost"], now["lost"], "0", now["lost"] == 0 and ended == now["asked"]),
        ("spliced, cut or somebody else's", "", spliced, "0", spliced == 0),
        ("decisions or counts that cannot be", "", sum(faults.values()), "0", not faults),
        ("backends passed over for ever", "", len(stuck), "0", not stuck),
    ]


def _holdings(warm: Held, end: Held, allowed_mb: float) -> list[Row]:
    grown = end.memory_mb - warm.memory_mb
    rows: list[Row] = [
        ("memory, MB", f"{warm.memory_mb:.1f}", f"{end.memory_mb:.1f}", f"+{allowed_mb:.1f}", grown <= allowed_mb),
        ("connections open and idle", warm.idle, end.idle, "", True),
        ("connections that the pool holds", warm.kept, end.kept, "those", end.kept <= end.idle),
    ]
    for what, was, is_ in (
        ("connections after closing", warm.connections, end.connections),
        ("file descriptors", warm.descriptors, end.descriptors),
        ("asyncio tasks", warm.tasks, end.tasks),
        ("threads", warm.threads, end.threads),
        ("files in the configuration folder", warm.files, end.files),
    ):
        rows.append((what, was, is_, "+0", is_ <= was))
    rows.append(("blocks of memory that Python holds", warm.blocks, end.blocks, "", True))
    return rows


def _figures(run: Soak, auditors: list[Auditor], met: object, seconds: float) -> dict[str, object]:
    seen = sum((auditor.seen for auditor in auditors), Counter[type[facts.Event]]())
    kinds = sum((auditor.kinds for auditor in auditors), Counter[str]())
    circuits = sum((auditor.circuits for auditor in auditors), Counter[str]())
    return {
        "seconds": round(seconds, 1),
        "requests_per_second": round(run.outcomes["asked"] / seconds, 1),
        "memory_mb_at_each_tenth": run.memory_mb,
        "attempts": seen[facts.AttemptStarted],
        "restarts": seen[facts.ReplyRestarted],
        "retries": seen[facts.RetryScheduled],
        "skips": seen[facts.BackendSkipped],
        "put_aside": seen[facts.BackendPutAside],
        "circuits": dict(sorted(circuits.items())),
        "cool_downs": seen[facts.CoolDownStarted],
        "failures": dict(sorted(kinds.items())),
        "met": met,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="how many in all (100000)")
    parser.add_argument("--at-a-time", type=int, default=64, help="how many at once (64)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="stop asking after so long (3600)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="what is left to chance (random)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    print(f"seed {given.seed}, {given.requests} requests, {given.at_a_time} at a time\n", flush=True)
    with tempfile.TemporaryDirectory() as folder, SoakServer(given.seed) as server:
        os.environ["LLXPRT_CONFIG_HOME"] = folder
        rows, figures = asyncio.run(soak(given, server, Path(folder)))
    passed = all(row[-1] for row in rows)
    table(
        ["what", "after the warm-up", "at the end", "allowed", "holds"],
        [(*r[:-1], "yes" if r[-1] else "NO") for r in rows],
    )
    for key, value in figures.items():
        print(f"{key}: {json.dumps(value)}")
    save(given.json, {"benchmark": "soak", "seed": given.seed, "rows": rows, "passed": passed, **figures})
    print(f"\n{'PASSED' if passed else 'FAILED'}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
