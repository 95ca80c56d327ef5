"""What the background loop costs a cell: one hand-over for each request and for each drawing, none for each token.

A synchronous call goes to a loop on a thread of its own and back; the same call awaited on the caller's loop does not.
The floor is what asyncio's own `run_coroutine_threadsafe(…).result()` adds to as many exchanges on bare sockets. All
take their turns in each round. A paced stream of 200 chunks is then followed as a cell follows it, and its drawings are
counted against its pieces. With both threads on one core (`taskset -c 0 python benchmarks/hop.py`) one sees how much of
it is the waking of another core, whose caches are cold.

    python benchmarks/hop.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable

from http_clients import RawAsyncio
from kernel import arguments, save, table
from quick_server import CHUNKS, QuickServer

from llx_magic import Connection, LoadBalancer, ModelProfile, Profile
from llx_magic.core.events import Event
from llx_magic.core.reply import Delta, Reply, Restart
from llx_magic.engine.background import BACKGROUND, Running

CALLS = 200
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
    begun = time.perf_counter()
    for _ in range(CALLS):
        await ask()
    return (time.perf_counter() - begun) / CALLS * 1e6


def handed_over(ask: Callable[[], object]) -> float:
    """Return the microseconds of a call that goes through a loop on another thread."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        ask()
    return (time.perf_counter() - begun) / CALLS * 1e6


async def in_turn(url: str, rounds: int) -> list[tuple[float, ...]]:
    """Return the microseconds of each way in each round: bare sockets here and there, then ours here and there."""
    bare_here, bare_there = (RawAsyncio([f"{url}/v1"], "calls") for _ in range(2))
    here, there = balancer(url), balancer(url)
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def once() -> tuple[float, ...]:
        return (
            await awaited(bare_here.call),
            await asyncio.to_thread(
                handed_over, lambda: asyncio.run_coroutine_threadsafe(bare_there.call(), loop).result()
            ),
            await awaited(lambda: here.ask("Why?", settings=WHOLE)),
            await asyncio.to_thread(handed_over, lambda: call(there)),
        )

    await once()
    return [await once() for _ in range(rounds)]


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
    bare, bare_handed, own, handed = (statistics.median(column) for column in zip(*samples, strict=True))
    floor = statistics.median(there - here for here, there, _, _ in samples)
    extra = statistics.median(there - here for _, _, here, there in samples)
    rows = [
        ("bare sockets, awaited", f"{bare:,.0f} µs", ""),
        ("bare sockets, `run_coroutine_threadsafe`", f"{bare_handed:,.0f} µs", f"+{floor:,.0f} µs a request"),
        ("ours, awaited on the caller's loop", f"{own:,.0f} µs", ""),
        ("ours, through the background loop", f"{handed:,.0f} µs", f"+{extra:,.0f} µs a request"),
        (f"a stream of {CHUNKS} chunks in {pieces} pieces", "", f"{drawn} drawings"),
    ]
    table(["one call after another", "time per call", "hand-overs"], rows)
    figures = {"floor": floor, "own": own, "handed": handed, "extra": extra, "drawn": drawn, "pieces": pieces}
    save(given.json, {"benchmark": "hop", **figures})


if __name__ == "__main__":
    main()
