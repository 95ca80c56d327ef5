"""A table of 100,000 rows: the memory of a run over it, the same call again, and what edits of a table ask anew.

The model server is a process of its own on loopback that answers at once. Memory is the most that this process holds
resident while the run is under way, above what it holds with the table and after a run over 1,000 other rows, when
everything is imported and all connections are open. The result is held, with every reply; the frame is made after.

    python benchmarks/rows_size.py [--rows N] [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random
from types import TracebackType

import pandas as pd
import psutil
from kernel import save, table
from quick_server import QuickServer

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.profiles.connection import Connection
from llx_magic.rows.result import MapResult

ROWS, QUICK_ROWS, WARM_ROWS, EDITED_ROWS = 100_000, 5_000, 1_000, 200
TEMPLATE = "Is this a complaint? {{ text }}"
MOST_MEGABYTES, MOST_SECONDS = 60, 3.0
LEAST = {"one in front": 1, "shuffled": 0, "10 dropped": 0, "1 changed": 1}
"""How many requests each edit of a table needs."""


class Peak(threading.Thread):
    """The most memory that this process holds while it is entered, above what it held before, in megabytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process()
        self._is_over = threading.Event()
        self.idle = self.megabytes = 0.0

    def __enter__(self) -> Peak:
        gc.collect()
        self.idle = self._process.memory_info().rss / 1e6
        self.start()
        return self

    def run(self) -> None:
        while not self._is_over.wait(0.02):
            self.megabytes = max(self.megabytes, self._process.memory_info().rss / 1e6 - self.idle)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self.join()


class Asking:
    """One profile with a server of its own, whose requests are counted."""

    def __init__(self, url: str, store: Path) -> None:
        member = ModelProfile("mock", "openai", "mock", connection=Connection(base_url=f"{url}/v1"))
        self._balancer = LoadBalancer(Profile.single(member), isolated=True)
        self._store = store

    async def map(self, data: pd.DataFrame) -> MapResult:
        return await self._balancer.map(data, TEMPLATE, store=self._store, settings={"streaming": False})

    @property
    def requests(self) -> int:
        return sum(each.attempts for each in self._balancer.snapshot().backends)


def texts(count: int, salt: str = "") -> pd.DataFrame:
    """Return a table of different texts of about 200 characters."""
    words = ["late", "parcel", "thanks", "broken", "again", "refund", "lovely", "nobody", "answers", "please"]
    random = Random(f"rows{salt}")
    lines = [f"{salt}{at} " + " ".join(random.choices(words, k=28)) for at in range(count)]
    return pd.DataFrame({"text": lines, "n": range(count)})


async def large(asking: Asking, count: int) -> dict[str, float]:
    """Return the figures of a run over many rows, and of the same run again."""
    data = texts(count)
    await asking.map(texts(WARM_ROWS, "warm "))
    before, began, cpu = asking.requests, time.perf_counter(), time.process_time()
    with Peak() as peak:
        result = await asking.map(data)
    first = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
    asked = asking.requests - before
    assert (asked, result.summary.answered) == (count, count), result.summary
    began, cpu = time.perf_counter(), time.process_time()
    again = await asking.map(data)
    told = {"again_seconds": time.perf_counter() - began, "again_cpu": time.process_time() - cpu}
    assert again.summary.stored == count, again.summary
    began = time.perf_counter()
    assert len(again.frame) == count  # type: ignore[arg-type]
    return {
        "megabytes": peak.megabytes,
        **first,
        **told,
        "again_requests": asking.requests - before - asked,
        "frame_seconds": time.perf_counter() - began,
    }


async def edits(asking: Asking) -> dict[str, int]:
    """Return how many requests each edit of a table of 200 rows takes."""
    data = texts(EDITED_ROWS, "edited ")
    await asking.map(data)
    in_front = pd.concat([texts(1, "new "), data])
    shuffled = in_front.sample(frac=1, random_state=1)
    fewer = shuffled.drop(shuffled.index[::20][:10])
    changed = fewer.copy()
    changed.iloc[100, 0] = "something else"
    counts: dict[str, int] = {}
    for name, edited in zip(LEAST, (in_front, shuffled, fewer, changed), strict=True):
        before = asking.requests
        result = await asking.map(edited)
        assert result.summary.answered + result.summary.stored == len(edited), result.summary
        counts[name] = asking.requests - before
    return counts


async def measured(url: str, count: int) -> tuple[dict[str, float], dict[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        asking = Asking(url, Path(folder) / "replies.sqlite")
        asked = await edits(asking)
        return await large(asking, count), asked


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", metavar="N", type=int, help=f"how many rows (default: {ROWS:,})")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows")
    given = parser.parse_args()
    count = given.rows or (QUICK_ROWS if given.quick else ROWS)
    with QuickServer() as server:
        figures, asked = asyncio.run(measured(server.url, count))
    rows = [
        (
            f"{count:,} rows: most memory above idle, without the frame",
            f"{figures['megabytes']:.1f} MB",
            MOST_MEGABYTES,
        ),
        ("the same call again: requests", f"{figures['again_requests']}", 0),
        ("the same call again: CPU", f"{figures['again_cpu']:.2f} s", MOST_SECONDS),
        ("its frame", f"{figures['frame_seconds']:.2f} s", ""),
        ("the first run: CPU of a row", f"{figures['cpu'] / count * 1e3:.2f} ms", ""),
        *((f"{EDITED_ROWS} rows, {name}: requests", f"{asked[name]}", least) for name, least in LEAST.items()),
    ]
    table(("what", "llx_magic", "at most"), rows)
    save(given.json, {"benchmark": "rows_size", "rows": count, "figures": figures, "edits": asked})
    reached = (
        figures["megabytes"] <= MOST_MEGABYTES * max(1, count / ROWS)
        and not figures["again_requests"]
        and figures["again_cpu"] <= MOST_SECONDS * max(1, count / ROWS)
        and asked == LEAST
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
