"""Whether memory grows with the requests that were made: ours, openai's SDK, LiteLLM's Router.

Each client is a process of its own and makes calls 16 at a time with its default settings; its memory (resident) is
read from outside after the warm-up, at which all that is bounded is full, and at the end. The clients run beside each
other, as only memory is measured. LiteLLM's Router makes fewer calls, since it takes the longest for each.

    python benchmarks/memory.py [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

import psutil
from calls import Process
from environments import python_of
from kernel import save, table
from quick_server import QuickServer

AT_A_TIME, STEPS = 16, 3
CALLS = {"llx_magic": (10_000, 100_000), "openai": (10_000, 100_000), "LiteLLM Router": (10_000, 20_000)}
QUICK_CALLS = {"llx_magic": (10_000, 30_000), "openai": (2_000, 10_000), "LiteLLM Router": (500, 2_000)}
"""After how many calls memory is read, for each client."""


class Measured(threading.Thread):
    """One client's calls, and the memory at several moments, in megabytes."""

    def __init__(self, name: str, url: str, counts: tuple[int, int]) -> None:
        super().__init__(name=name, daemon=True)
        warm, last = counts
        self.moments = [warm + (last - warm) * step // STEPS for step in range(STEPS + 1)]
        self.megabytes: list[float] = []
        self.problem = python_of(name).problem
        self._url = url

    def run(self) -> None:
        if self.problem:
            return
        process = Process(self.name, python_of(self.name).python)
        made = 0
        try:
            for moment in self.moments:
                answer = process.do(task="calls", url=self._url, count=moment - made, at_a_time=AT_A_TIME)
                if "error" in answer:
                    self.problem = str(answer["error"])
                    return
                made = moment
                self.megabytes.append(psutil.Process(process.pid).memory_info().rss / 1e6)
                print(f"{self.name}: {made:,} calls, {self.megabytes[-1]:.1f} MB", file=sys.stderr)
        finally:
            process.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    parser.add_argument("--quick", action="store_true", help="fewer calls")
    given = parser.parse_args()
    with QuickServer() as server:
        counts = QUICK_CALLS if given.quick else CALLS
        clients = [Measured(name, server.url, each) for name, each in counts.items()]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    rows, figures, problems = [], {}, {}
    for client in clients:
        if client.problem:
            problems[client.name] = client.problem
            continue
        warm, *_, last = client.megabytes
        grown = last - warm
        each = grown * 1e6 / (client.moments[-1] - client.moments[0])
        calls = f"{client.moments[0]:,} → {client.moments[-1]:,}"
        course = " → ".join(f"{megabytes:.1f}" for megabytes in client.megabytes)
        rows.append((client.name, calls, course, f"{grown:+.1f}", f"{each:+,.0f}"))
        figures[client.name] = {"calls": client.moments, "megabytes": client.megabytes, "bytes_per_call": each}
    table(["client", "calls", "MB, at four moments from the first to the last", "growth, MB", "bytes a call"], rows)
    for name, why in problems.items():
        print(f"{name} was not measured: {why}\n")
    save(given.json, {"benchmark": "memory", "figures": figures, "problems": problems})


if __name__ == "__main__":
    main()
