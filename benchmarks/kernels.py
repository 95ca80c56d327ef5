"""Where sharing ends: up to 10,000 kernels that share a backend through one server, on virtual time.

The kernels are gates of the pure core; the server is a queue that takes as long for each thing as a real one does
(``kernels_server.py``, by what ``kernels_costs.py`` measured). No socket is opened, and nothing waits.

    python benchmarks/kernels.py [--quick] [--kernels 10,100] [--only quiet,prompts,outage,heed,limit] [--json FILE]
"""

from __future__ import annotations

import argparse
import itertools
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from kernel import save, table
from kernels_model import World

from llx_magic.core.breaker import CircuitState
from llx_magic.settings.declaration import Settings
from llx_magic.shared.redis_facts import REST_SECONDS

ALL = (10, 100, 1_000, 3_000, 10_000)
QUICK = (10, 100, 1_000)
FAILURES = Settings().circuit_breaker_failure_threshold
SETTLED = 10.0
"""Seconds after which everybody is there."""


def quiet(number: int, seconds: float, rest: float) -> dict[str, float]:
    """Nobody asks anything: what it costs the server that all are there."""
    world = World(number, Settings(), pause=None, rest=rest)
    found = _load(world, seconds)
    costs = world.server.costs
    memory = number * (2 * costs.connection + costs.peer) + costs.streams
    return {**found, "connections": 2 * number, "memory, MB": memory / 1e6}


def prompts(number: int, seconds: float, rest: float) -> dict[str, float]:
    """Each asks once a minute, without a limit."""
    world = World(number, Settings(), rest=rest)
    found = _load(world, seconds)
    return {**found, "facts a second": world.server.entries / world.clock.now}


def outage(number: int, seconds: float, rest: float) -> dict[str, float]:
    """Each asks once a minute; the backend goes down, and comes back two minutes later."""
    world = World(number, Settings(circuit_breaker_recovery_timeout_ms=30_000), rest=rest)
    world.clock.run(SETTLED)
    world.backend.mode, began = "down", world.clock.now
    _until(world, lambda: world.backend.failures >= FAILURES, began + 100.0)
    third = world.clock.now
    knows = _until(world, lambda: world.in_state(CircuitState.CLOSED) == 0, began + 120.0)
    failed = len(world.backend.failed)
    world.clock.run(began + 120.0)
    probes = list(world.backend.probes)
    world.backend.mode, again = "ok", world.clock.now
    _until(world, lambda: len(world.backend.probes) > len(probes), again + 60.0)
    answered = world.clock.now + world.backend.seconds
    back = _until(world, lambda: world.in_state(CircuitState.CLOSED) == number, answered + 60.0)
    apart = [b - a for a, b in itertools.pairwise([*probes, world.backend.probes[len(probes)]])]
    return {
        "ms from the third failure until all circuits are open": 1000 * (knows - third),
        "requests that failed until then": failed,
        "probes in two minutes": len(probes),
        "s between two probes, least": min(apart),
        "ms from its reply until all are closed again": 1000 * (back - answered),
        "alone": world.lost,
    }


def heed(number: int, seconds: float, rest: float) -> dict[str, float]:
    """One is refused by a 429, while each asks once a minute: how long until the median and the last one know."""
    world = World(number, Settings(), rest=rest)
    world.clock.run(SETTLED)
    world.backend.mode = "429"
    world.clock.run(SETTLED + 20.0)
    at = sorted(kernel.heeds_at for kernel in world.kernels if kernel.heeds_at is not None)
    return {"ms, median": 1000 * (at[len(at) // 2] - at[0]), "ms, last": 1000 * (at[-1] - at[0]), "heard": len(at)}


def limit(number: int, seconds: float, rest: float) -> dict[str, float]:
    """All want four times what a common ``rpm_limit`` allows: the most in any minute, and what was used of it."""
    allowed = max(60, number // 2)
    world = World(number, Settings(rpm_limit=allowed, cooldown_wait_ms=10_000), pause=30.0, alone=True, rest=rest)
    found = _load(world, 120.0, after=70.0)
    times = world.backend.asked
    most = max(place + 1 - bisect_right(times, at - 60.0) for place, at in enumerate(times))
    used = sum(at > world.clock.now - 60.0 for at in times)
    return {"rpm_limit": allowed, "most in 60 s, share": most / allowed, "used, share": used / allowed, **found}


def _load(world: World, seconds: float, after: float = SETTLED) -> dict[str, float]:
    """Let some time pass; say what that asked of the server."""
    server = world.server
    world.clock.run(after)
    busy, trips, server.longest = server.busy, server.trips, 0.0
    world.clock.run(after + seconds)
    return {
        "server's CPU, %": 100 * (server.busy - busy) / seconds,
        "trips a second": (server.trips - trips) / seconds,
        "longest queue, ms": 1000 * server.longest,
        "alone": world.lost,
    }


def _until(world: World, holds: Callable[[], bool], end: float) -> float:
    while not holds() and world.clock.now < end:
        world.clock.run(world.clock.now + 0.005)
    return world.clock.now


FIGURES: dict[str, Callable[[int, float, float], dict[str, float]]] = {
    "quiet": quiet,
    "prompts": prompts,
    "outage": outage,
    "heed": heed,
    "limit": limit,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="up to 1,000 kernels and half the time")
    parser.add_argument("--kernels", help="how many, with commas between")
    parser.add_argument("--only", default=",".join(FIGURES))
    parser.add_argument("--rest", type=float, default=REST_SECONDS, help="seconds between two looks, for each kernel")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    numbers = [int(each) for each in given.kernels.split(",")] if given.kernels else QUICK if given.quick else ALL
    seconds, found = 30.0 if given.quick else 60.0, dict[str, list[float]]()
    for name in given.only.split(","):
        print(f"\n{FIGURES[name].__doc__}\n", flush=True)
        measured = [FIGURES[name](number, seconds, given.rest) for number in numbers]
        rows = [[what, *(f"{each[what]:,.4g}" for each in measured)] for what in measured[0]]
        table(["kernels", *(f"{number:,}" for number in numbers)], rows)
        for number, each in zip(numbers, measured, strict=True):
            found.update({f"{name}, {number} kernels: {what}": [value] for what, value in each.items()})
    save(given.json, found)


if __name__ == "__main__":
    main()
