"""What a long session costs: `history()` of 100,000 requests, and the memory once `history_limit` is passed.

The requests are real ones to a simulated backend without latency, every tenth of which fails over. `history()` is
taken with `history_limit` at 100,000; memory (resident) with a limit of 1,000 on a clock that moves a second for each
request, once the bound is passed and again after ten times as many. The figures to hold are 100 ms and no growth.

    python benchmarks/frames.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable

import psutil
from kernel import arguments, save, table

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.engine.clocks import ManualClock

REQUESTS = 100_000
BOUND = 1_000
FRAMES = ("history", "attempts", "events", "tpm", "circuit", "stats")


def balancer(limit: int, clock: ManualClock | None = None) -> LoadBalancer:
    """Return a load balancer whose first backend is out of order for every tenth request."""
    first = ModelProfile("first", "simulated", "m", params={"script": ",".join(["ok"] * 9 + ["503"]), "cycle": True})
    second = ModelProfile("second", "simulated", "m")
    settings = {"history_limit": limit, "failover_retry_count": 1, "circuit_breaker_failure_threshold": 10**9}
    return LoadBalancer(Profile.failover("bench", (first, second), settings), clock=clock)


async def ask(lb: LoadBalancer, times: int, clock: ManualClock | None = None) -> None:
    for _ in range(times):
        await lb.ask("why")
        if clock is not None:
            clock.advance(1)


def milliseconds(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median of the time that passed, and of the processor's time, which others' work does not lengthen."""
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter(), time.process_time()
        call()
        taken.append(((time.perf_counter() - begun[0]) * 1e3, (time.process_time() - begun[1]) * 1e3))
    passed, worked = zip(*taken, strict=True)
    return statistics.median(passed), statistics.median(worked)


def resident() -> float:
    """Return the megabytes of this process."""
    gc.collect()
    return psutil.Process().memory_info().rss / 1e6


def memory() -> tuple[float, float, int]:
    """Return the megabytes when the bound is reached, the growth after ten times as many, and the rows kept."""
    clock = ManualClock()
    lb = balancer(BOUND, clock)
    for frame in FRAMES:
        getattr(lb, frame)()
    asyncio.run(ask(lb, 2 * BOUND, clock))
    full = resident()
    asyncio.run(ask(lb, 20 * BOUND, clock))
    return full, resident() - full, len(lb.history())


def main() -> None:
    given = arguments(__doc__, 5)
    full, growth, kept = memory()
    lb = balancer(REQUESTS)
    begun = time.perf_counter()
    asyncio.run(ask(lb, REQUESTS))
    asked = time.perf_counter() - begun
    lb.history()  # imports what is left to import
    taken = {frame: milliseconds(getattr(lb, frame), given.rounds) for frame in FRAMES}
    rows = {frame: len(getattr(lb, frame)()) for frame in FRAMES}
    print(f"{REQUESTS:,} requests were asked in {asked:.0f} s\n")
    table(
        ["frame", "rows", "ms, median", "ms of processor, median"],
        [
            (name, f"{rows[name]:,}", f"**{ms:.0f}** (at most 100)" if name == "history" else f"{ms:.0f}", f"{cpu:.0f}")
            for name, (ms, cpu) in taken.items()
        ],
    )
    print(f"memory with history_limit {BOUND:,}, {kept:,} rows kept:\n")
    table(
        ["after", "MB"],
        [(f"{2 * BOUND:,} requests", f"{full:.1f}"), (f"{22 * BOUND:,} requests", f"{growth:+.2f} (flat)")],
    )
    save(given.json, {"benchmark": "frames", "ms": taken, "rows": rows, "growth_mb": growth})


if __name__ == "__main__":
    main()
