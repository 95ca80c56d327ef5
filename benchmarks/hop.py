"""What the background loop costs a cell: one hand-over for each request and for each drawing, none for each token.

A synchronous call goes to a loop on a thread of its own and back; the same call awaited on the caller's loop does not.
Both take their turns in each round. A paced stream of 200 chunks is then followed as a cell follows it, and its
drawings are counted against its pieces.

    python benchmarks/hop.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import asyncio
import statistics
import time

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


async def awaited(lb: LoadBalancer) -> float:
    """Return the microseconds of a call that is awaited on the caller's loop."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        await lb.ask("Why?", settings=WHOLE)
    return (time.perf_counter() - begun) / CALLS * 1e6


def handed_over(lb: LoadBalancer) -> float:
    """Return the microseconds of a call that goes through the background loop."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        call(lb)
    return (time.perf_counter() - begun) / CALLS * 1e6


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
        here, there, paced = balancer(server.url), balancer(server.url), balancer(f"{server.url}/paced")

        async def rounds() -> list[tuple[float, float]]:
            await awaited(here)
            await asyncio.to_thread(handed_over, there)
            return [(await awaited(here), await asyncio.to_thread(handed_over, there)) for _ in range(given.rounds)]

        samples = asyncio.run(rounds())
        drawn, pieces = drawings(paced)
    own, handed = (statistics.median(column) for column in zip(*samples, strict=True))
    extra = statistics.median(there - here for here, there in samples)
    rows = [
        ("awaited on the caller's loop", f"{own:,.0f} µs", ""),
        ("through the background loop", f"{handed:,.0f} µs", f"+{extra:,.0f} µs a request"),
        (f"a stream of {CHUNKS} chunks in {pieces} pieces", "", f"{drawn} drawings"),
    ]
    table(["one call after another", "time per call", "hand-overs"], rows)
    save(
        given.json, {"benchmark": "hop", "own": own, "handed": handed, "extra": extra, "drawn": drawn, "pieces": pieces}
    )


if __name__ == "__main__":
    main()
