"""What the workers of a Dask cluster make of a run over rows: how much faster it is, and what a killed one costs.

    python benchmarks/cluster.py [--quick]

Workers are processes of this machine, spoken to over TCP. The rows are asked of a simulated model that waits real time
(2 s each, 16 at once for each worker), so that a core serves several workers: what is measured is how well they are
kept busy, and not how fast a machine is. For the kills a server counts what it is asked; the rows are those of a run of
100 at once for each worker.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import dask
from distributed import Client, LocalCluster

import llx_magic as llx
from tests.cluster.kit import wait_until_ready
from tests.faults.modes import find_mode
from tests.faults.server import Exchange, FaultServer

TEMPLATE = "say {{ row }}"
REPLY_SECONDS, AT_ONCE = 2.0, 16
KILLED_SECONDS = 0.5
CHUNK = 100


@contextmanager
def cluster(workers: int) -> Iterator[Client]:
    """Have so many workers, with all that they import."""
    with (
        dask.config.set({"distributed.logging.distributed": "critical"}),
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        ) as made,
        Client(made) as client,
    ):
        wait_until_ready(client, workers)
        yield client


def speed(counts: tuple[int, ...], rows: int) -> None:
    """Print how long the same rows take with each number of workers."""
    member = llx.ModelProfile(
        "a", "simulated", "m", params={"latency_ms": 1000 * REPLY_SECONDS}, settings={"concurrency": AT_ONCE}
    )
    alone = 0.0
    for count in counts:
        with cluster(count) as client:
            began = time.perf_counter()
            result = run(llx.Profile.single(member), rows, client)
            seconds = time.perf_counter() - began
        alone = alone or seconds
        ideal = rows * REPLY_SECONDS / AT_ONCE / count
        assert result.summary.answered == rows
        print(
            f"{count} workers: {seconds:.1f} s, {alone / seconds:.2f} x, {ideal / seconds:.0%} of the ideal", flush=True
        )


def kills(times: int, rows: int) -> None:
    """Print what it costs to kill one of two workers, each time at another moment."""
    again, lost, doubled = [], 0, 0
    for number in range(times):
        chance = random.Random(number)
        moment = chance.randint(20, rows - 20)
        with cluster(2) as client, FaultServer(slowly) as server:
            connection = llx.Connection(base_url=server.base_url)
            member = llx.ModelProfile("a", "openai", "m", connection=connection, settings={"concurrency": CHUNK})
            killer = threading.Thread(target=kill, args=(server, moment, client, chance))
            killer.start()
            frame = run(llx.Profile.single(member), rows, client).frame
            killer.join()
            asked = [each.json["messages"][-1]["content"] for each in server.requests]
        again.append(len(asked) - len(set(asked)))
        lost += rows - int(frame.reply.notna().sum())
        doubled += rows - len(set(frame.row))
        print(f"kill {number + 1} after {moment} rows: {again[-1]} asked again", flush=True)
    print(f"{times} kills, at most {CHUNK} rows under way at a worker")
    print(f"asked again: {sum(again)} in all, {max(again)} at most; lost: {lost}; doubled: {doubled}")


def slowly(exchange: Exchange) -> None:
    time.sleep(KILLED_SECONDS)
    find_mode("ok")(exchange)


def kill(server: FaultServer, moment: int, client: Client, chance: random.Random) -> None:
    """Kill a worker once so many rows have been asked."""
    processes = list(client.run(os.getpid).values())
    if server.wait_for_requests(moment, 120):
        os.kill(chance.choice(processes), signal.SIGKILL)


def run(profile: llx.Profile, rows: int, client: Client) -> llx.MapResult:
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "replies.sqlite")
        names = [f"row {number}" for number in range(rows)]
        result = llx.map(names, TEMPLATE, profile=profile, client=client, store=store, progress=False)
        _ = result.frame
        return result


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--quick", action="store_true", help="fewer rows and kills")
    is_quick = reader.parse_args().quick
    kills(2 if is_quick else 20, 300)
    speed((1, 2) if is_quick else (1, 2, 4), 100 if is_quick else 800)


if __name__ == "__main__":
    main()
