"""What the background loop costs a cell: one hand-over for each request and for each drawing, none for each token.

A synchronous call goes to a loop on a thread of its own and back; the same call awaited on the caller's loop does not.
Beside it stands what bare sockets take more when they are handed over as asyncio does it, by
`run_coroutine_threadsafe(…).result()`, and by the plainest means: a call that wakes the loop, a task, and a lock to be
woken by. An empty coroutine shows what that takes by itself. All take their turns, a few calls each. A paced stream of
200 chunks is then followed as a cell follows it, and its drawings are counted against its pieces. With both threads on
one core (`taskset -c 0 python benchmarks/hop.py`) one sees how much of it is that two cores share in the work.

    python benchmarks/hop.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import NamedTuple

from http_clients import RawAsyncio
from kernel import arguments, save, table
from quick_server import CHUNKS, QuickServer

from llx_magic import Connection, LoadBalancer, ModelProfile, Profile
from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.engine.background import BACKGROUND, Running

CALLS = 10
"""How many calls each way makes in its turn, after one to get ready: so all meet the same neighbours on the machine."""
TURNS = 20
"""How many turns make a round."""
WHOLE = {"streaming": "disabled"}
DRAWN_EVERY = 0.1
"""Seconds between drawings, as in a cell at the beginning of a reply."""

Piece = Delta | Restart | Event


def balancer(url: str) -> LoadBalancer:
    """Return a load balancer of one model with a state of its own."""
    model = ModelProfile("hop", "openai", "some-model", connection=Connection(base_url=f"{url}/v1"))
    return LoadBalancer(Profile.single(model), isolated=True)


def call(lb: LoadBalancer) -> Reply:
    """Ask as synchronous code does."""
    asked = lb.prepare("Why?", settings=WHOLE)
    return BACKGROUND.run(lb.run(asked, lambda _piece: None))


async def awaited(ask: Callable[[], Awaitable[object]]) -> float:
    """Return the microseconds of a call that is awaited on the caller's loop."""
    await ask()
    begun = time.perf_counter()
    for _ in range(CALLS):
        await ask()
    return (time.perf_counter() - begun) / CALLS * 1e6


async def handed_over(ask: Callable[[], object]) -> float:
    """Return the microseconds of a call from a thread without a loop."""

    def calls() -> float:
        ask()
        begun = time.perf_counter()
        for _ in range(CALLS):
            ask()
        return (time.perf_counter() - begun) / CALLS * 1e6

    return await asyncio.to_thread(calls)


def by_lock(loop: asyncio.AbstractEventLoop, work: Coroutine[object, None, object]) -> None:
    """Have a loop on another thread run a coroutine, by the plainest means."""
    bell = threading.Lock()
    bell.acquire()

    async def ring() -> None:
        try:
            await work
        finally:
            bell.release()

    loop.call_soon_threadsafe(lambda: loop.create_task(ring()))
    bell.acquire()


async def nothing() -> None:
    """Be handed over and back."""


class Sample(NamedTuple):
    """Microseconds of a call in each of the ways."""

    empty: float
    bare: float
    bare_by_lock: float
    bare_by_future: float
    own: float
    handed: float


async def in_turn(url: str, rounds: int) -> list[Sample]:
    """Return what each way takes in each round."""
    bare_here, bare_there = (RawAsyncio([f"{url}/v1"], "calls") for _ in range(2))
    here, there = balancer(url), balancer(url)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def turn() -> Sample:
        return Sample(
            empty=await handed_over(lambda: by_lock(loop, nothing())),
            bare=await awaited(bare_here.call),
            bare_by_lock=await handed_over(lambda: by_lock(loop, bare_there.call())),
            bare_by_future=await handed_over(
                lambda: asyncio.run_coroutine_threadsafe(bare_there.call(), loop).result()
            ),
            own=await awaited(lambda: here.ask("Why?", settings=WHOLE)),
            handed=await handed_over(lambda: call(there)),
        )

    async def one_round() -> Sample:
        turns = [await turn() for _ in range(TURNS)]
        return Sample(*(statistics.median(column) for column in zip(*turns, strict=True)))

    await turn()
    return [await one_round() for _ in range(rounds)]


def drawings(lb: LoadBalancer) -> tuple[int, int]:
    """Return how often a followed stream was drawn, and of how many pieces it was made."""
    asked = lb.prepare("Why?")
    drawn, pieces = 0, 0

    def draw(parts: list[Piece]) -> float:
        nonlocal drawn, pieces
        drawn += 1
        pieces += sum(isinstance(part, Delta) for part in parts)
        return DRAWN_EVERY

    running: Running[Reply, Piece] = BACKGROUND.start(lambda watch: lb.run(asked, watch))
    running.follow(draw)
    return drawn, pieces


def main() -> None:
    given = arguments(__doc__, 15)
    with QuickServer() as server:
        samples = asyncio.run(in_turn(server.url, given.rounds))
        drawn, pieces = drawings(balancer(f"{server.url}/paced"))
    median = Sample(*(statistics.median(column) for column in zip(*samples, strict=True)))
    by_plain_lock = statistics.median(sample.bare_by_lock - sample.bare for sample in samples)
    by_future = statistics.median(sample.bare_by_future - sample.bare for sample in samples)
    extra = statistics.median(sample.handed - sample.own for sample in samples)
    rows = [
        ("an empty coroutine, by a lock", f"{median.empty:,.0f} µs", f"+{median.empty:,.0f} µs"),
        ("bare sockets, awaited", f"{median.bare:,.0f} µs", ""),
        ("bare sockets, by a lock", f"{median.bare_by_lock:,.0f} µs", f"+{by_plain_lock:,.0f} µs a request"),
        (
            "bare sockets, `run_coroutine_threadsafe`",
            f"{median.bare_by_future:,.0f} µs",
            f"+{by_future:,.0f} µs a request",
        ),
        ("ours, awaited on the caller's loop", f"{median.own:,.0f} µs", ""),
        ("ours, through the background loop", f"{median.handed:,.0f} µs", f"+{extra:,.0f} µs a request"),
        (f"a stream of {CHUNKS} chunks in {pieces} pieces", "", f"{drawn} drawings"),
    ]
    table(["one call after another", "time per call", "hand-overs"], rows)
    extras = {"by_lock": by_plain_lock, "by_future": by_future, "extra": extra}
    save(given.json, {"benchmark": "hop", **median._asdict(), **extras, "drawn": drawn, "pieces": pieces})


if __name__ == "__main__":
    main()
