"""A run over rows at a service that takes only so much: rows answered, time against the ideal, and refusals.

Two kinds of service, each a process of its own on loopback: one takes 100 requests a second and has 20 saved up at
most, the other so many at once, which changes while the run goes on. What they tell of that differs. The ideal is what
a caller would take who knows the limits and never sends one too many.

    python benchmarks/rows_storm.py [--quick] [--rounds N] [--only WORD] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from kernel import save, table
from limited_server import LimitedServer

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.profiles.document import Connection

RATE, BURST = 100, 20


@dataclass(frozen=True)
class Storm:
    """One service and what is to be held there: ``seconds`` at most, or a ``share`` of the ideal, and refusals."""

    name: str
    rows: int = 600
    places: str = ""
    says: str = "nothing"
    latency: float = 0.25
    queues: bool = False
    seconds: float | None = None
    share: float | None = None
    refusals: int = 0

    @property
    def ideal(self) -> float:
        """How many seconds the rows take at least."""
        if not self.places:
            return (self.rows - BURST) / RATE + self.latency
        parts = [int(each) for each in self.places.split(",")]
        return sum(self.rows / len(parts) * self.latency / each for each in parts)

    def server(self) -> LimitedServer:
        """Return the service, which runs inside a ``with``."""
        rate = "" if self.places else f"{RATE}/{BURST}"
        return LimitedServer(
            rate=rate, places=self.places, says=self.says, seconds=self.latency, rows=self.rows, queues=self.queues
        )


STORMS = (
    Storm("100/s, all headers", says="all", latency=0.05, seconds=6.5),
    Storm("100/s, Retry-After alone", says="wait", latency=0.05, seconds=12, refusals=40),
    Storm("100/s, says nothing", latency=0.05, seconds=12, refusals=40),
    Storm("20 places", places="20", share=0.88, refusals=12),
    Storm("20, 60, 10 places", rows=1200, places="20,60,10", latency=0.5, share=0.88, refusals=24),
    Storm("100/s, all headers, slow", says="all", share=0.88),
    Storm("100/s, Retry-After alone, slow", says="wait", seconds=12, refusals=40),
    Storm("100/s, says nothing, slow", seconds=12, refusals=40),
    Storm("60, 10 places", rows=800, places="60,10", latency=0.5, share=0.88, refusals=16),
    Storm("20, 60 places", rows=800, places="20,60", latency=0.5, share=0.7, refusals=16),
    Storm("20 places, queues", places="20", queues=True, share=0.9),
)
QUICK = 4


@dataclass(frozen=True)
class Found:
    """What one run came to; ``flight`` is how many were under way when the places became fewer."""

    answered: int
    seconds: float
    refused: int
    flight: int
    cpu: float


async def run(url: str, rows: int, store: Path) -> tuple[int, float, float]:
    """Return how many rows were answered, in how many seconds, of which so many on the processor."""
    member = ModelProfile("limited", "openai", "m", connection=Connection(base_url=f"{url}/v1"))
    async with LoadBalancer(Profile.single(member), isolated=True) as lb:
        began, cpu = time.monotonic(), time.process_time()
        result = await lb.map([f"row {number}" for number in range(rows)], "{{ row }}", store=str(store))
        took, cpu = time.monotonic() - began, time.process_time() - cpu
    return sum(result.frame["llx_status"] == "answered"), took, cpu


def measure(storm: Storm) -> Found:
    """Run all rows at a fresh server, into a fresh store."""
    with storm.server() as server, tempfile.TemporaryDirectory() as folder:
        answered, seconds, cpu = asyncio.run(run(server.url, storm.rows, Path(folder) / "replies.sqlite"))
        facts = server.facts()
    return Found(answered, seconds, facts["refused"], _flight(storm, facts["flight_at_change"]), cpu)


def _flight(storm: Storm, flights: list[int]) -> int:
    """Return how many were under way beyond the places when these became fewer."""
    parts = [int(each) for each in storm.places.split(",")] if storm.places else []
    falls = [flight for before, after, flight in zip(parts, parts[1:], flights[1:], strict=False) if after < before]
    return sum(falls)


def verdict(storm: Storm, found: Found) -> str:
    """Say what is not held; empty where everything is. A flight that a fall of the places meets may be refused."""
    missed = []
    if found.answered < storm.rows:
        missed.append(f"{storm.rows - found.answered} rows not answered")
    if storm.seconds is not None and found.seconds > storm.seconds:
        missed.append(f"more than {storm.seconds:g} s")
    if storm.share is not None and storm.ideal / found.seconds < storm.share:
        missed.append(f"less than {storm.share:g} of the ideal")
    if found.refused > storm.refusals + found.flight:
        missed.append(f"more than {storm.refusals + found.flight} refusals")
    return ", ".join(missed)


def warm_up() -> None:
    """Import everything once: it is not what is measured."""
    measure(Storm("warm-up", rows=8, places="8", latency=0.01))


def chosen(asked: argparse.Namespace) -> Iterator[Storm]:
    """Give the services that the command line means."""
    for place, storm in enumerate(STORMS):
        if asked.only in storm.name if asked.only else not asked.quick or place < QUICK:
            yield storm


def main() -> None:
    """Read the command line and run."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--rounds", type=int, default=1, help="how often each service is asked (1)")
    reader.add_argument("--quick", action="store_true", help=f"the first {QUICK} services alone")
    reader.add_argument("--only", metavar="WORD", default="", help="only services whose name holds this")
    reader.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    asked = reader.parse_args()
    warm_up()
    lines, figures = [], {}
    for storm in chosen(asked):
        found = [measure(storm) for _ in range(asked.rounds)]
        seconds = statistics.median(each.seconds for each in found)
        refused = statistics.median(each.refused for each in found)
        held = "; ".join(dict.fromkeys(said for each in found if (said := verdict(storm, each)))) or "yes"
        answered = min(each.answered for each in found)
        lines.append((
            storm.name, f"{answered} of {storm.rows}", f"{seconds:.1f}", f"{storm.ideal:.1f}",
            f"{storm.ideal / seconds:.2f}", f"{refused:g}", f"{1000 * refused / storm.rows:.0f}",
            f"{max(each.flight for each in found)}", held,
        ))  # fmt: skip
        figures[storm.name] = {"ideal": storm.ideal, "samples": [asdict(each) for each in found]}
    table(
        ["service", "answered", "s", "ideal", "share", "refused", "per 1,000 rows", "under way at a fall", "held"],
        lines,
    )
    save(asked.json, {"benchmark": "rows_storm", "figures": figures})


if __name__ == "__main__":
    main()
