"""What a row costs, store and frame included, and what a cell notices of a run over rows beside it.

CPU per row at 64 at a time, as the ratio to bare httpx under a semaphore in the same round, each in a process of its
own. Then the seconds until the first piece of a cell's prompt, alone and while a run goes on at full speed on the same
loop, in turn.

    python benchmarks/rows.py [--rounds N] [--rows N] [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quick_server import TEXT, QuickServer

HERE = Path(__file__).parent
AT_A_TIME = 64
AT_MOST = 0.15
DELAY_AT_MOST = 0.010
TEMPLATE = "In one word, is this review of {{ product }} good or bad? {{ text }}"
KEY = "sk-benchmark-0000"
ASIDE = 40
"""How many prompts of a cell are asked beside a run, and as many without."""


def rows_of(count: int, round_: int) -> object:
    import pandas as pd

    words = "it came late and the box was open but it does what it says and so far nothing is broken " * 3
    return pd.DataFrame({
        "product": [f"product {number % 7}" for number in range(count)],
        "text": [f"{round_} {number} {words}" for number in range(count)],
    })  # fmt: skip


class Httpx:
    """Bare httpx under a semaphore: no store, no frame, no error is looked at."""

    def __init__(self, url: str) -> None:
        import httpx

        self._client = httpx.AsyncClient(headers={"Authorization": f"Bearer {KEY}"})
        self._url = f"{url}/v1/chat/completions"

    async def rows(self, count: int, round_: int) -> int:
        semaphore, frame = asyncio.Semaphore(AT_A_TIME), rows_of(count, round_)

        async def one(product: str, text: str) -> str:
            async with semaphore:
                prompt = TEMPLATE.replace("{{ product }}", product).replace("{{ text }}", text)
                body = {"model": "mock", "messages": [{"role": "user", "content": prompt}]}
                response = await self._client.post(self._url, json=body)
                response.raise_for_status()
                return response.json()["choices"][0]["message"]["content"]

        return sum(reply == TEXT for reply in await asyncio.gather(*map(one, frame["product"], frame["text"])))


class Ours:
    """``lb.map`` with its store on the disk, and the frame of its result."""

    def __init__(self, url: str) -> None:
        self._balancer = balancer_at(url)
        self._folder = tempfile.TemporaryDirectory()

    async def rows(self, count: int, round_: int) -> int:
        store = Path(self._folder.name, f"{round_}.sqlite")
        settings = {"streaming": "disabled", "concurrency": AT_A_TIME}
        result = await self._balancer.map(rows_of(count, round_), TEMPLATE, store=store, settings=settings)
        return int((result.frame["reply"] == TEXT).sum())


def balancer_at(url: str):
    import llx_magic as llx

    os.environ["BENCHMARK_KEY"] = KEY
    connection = llx.Connection(base_url=f"{url}/v1", auth_key_env="BENCHMARK_KEY")
    return llx.load(llx.Profile.single(llx.ModelProfile("quick", "openai", "mock", connection=connection)), trust=True)


async def work(name: str, url: str) -> None:
    """Carry out one task for each line of standard input, and write its figures."""
    contender = {"httpx": Httpx, "ours": Ours}[name](url)
    while line := await asyncio.to_thread(sys.stdin.readline):
        count, round_ = json.loads(line)
        begun, processor = time.perf_counter(), time.process_time()
        answered = await contender.rows(count, round_)
        figures = {"cpu": (time.process_time() - processor) / count, "seconds": (time.perf_counter() - begun) / count}
        print(json.dumps(figures if answered == count else {"error": f"{answered} of {count} rows"}), flush=True)


@contextmanager
def process(name: str, url: str) -> Iterator[subprocess.Popen[str]]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, __file__, "--work", name, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as started:
        yield started
        started.stdin.close()


def cpu_per_row(url: str, rounds: int, count: int) -> dict[str, list[float]]:
    """Return the CPU per row of each, round by round; the first round of each is not counted."""
    figures: dict[str, list[float]] = {"httpx": [], "ours": []}
    with process("httpx", url) as bare, process("ours", url) as ours:
        for round_ in range(rounds + 1):
            for name, started in (("httpx", bare), ("ours", ours)):
                started.stdin.write(f"{json.dumps([count, round_])}\n")
                started.stdin.flush()
                told = json.loads(started.stdout.readline())
                if "error" in told:
                    raise SystemExit(f"{name}: {told['error']}")
                if round_:
                    figures[name].append(told["cpu"])
    return figures


def first_pieces(url: str, of_rows: str, prompts: int) -> dict[str, list[float]]:
    """Return the seconds until the first piece of a cell's prompts: alone, and beside a run at full speed."""
    from llx_magic.core.reply import Delta
    from llx_magic.engine.background import BACKGROUND
    from llx_magic.session.mapping import MapRun

    cell, beside = balancer_at(f"{url}/paced"), balancer_at(of_rows)

    def first_piece() -> float:
        seen: list[float] = []
        plan, begun = cell.prepare("why is it so?"), time.perf_counter()

        def watch(part: object) -> None:
            if isinstance(part, Delta) and not seen:
                seen.append(time.perf_counter() - begun)

        BACKGROUND.run(cell.run(plan, watch))
        return seen[0]

    figures: dict[str, list[float]] = {"alone": [], "beside a run": []}
    with tempfile.TemporaryDirectory() as folder:
        endless = ({"product": "p", "text": f"{number} and so on"} for number in range(10**9))
        settings = {"streaming": "disabled"}
        first_piece()
        for part in range(4):
            figures["alone"] += [first_piece() for _ in range(prompts // 4)]
            options = {"settings": settings, "store": Path(folder, f"{part}.sqlite")}
            run = MapRun(beside, endless, TEMPLATE, options)
            running = BACKGROUND.start(lambda watch, run=run: run.run(watch))
            running.begin()
            time.sleep(1.0)
            figures["beside a run"] += [first_piece() for _ in range(prompts // 4)]
            run.stop()
            running.follow(lambda _parts: 0.0)
    BACKGROUND.stop()
    return figures


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=2000)
    options.add_argument("--json", type=Path)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--work", nargs=2)
    given = options.parse_args()
    if given.work:
        asyncio.run(work(*given.work))
        return 0
    rounds, count = (2, 500) if given.quick else (given.rounds, given.rows)
    with QuickServer() as server, QuickServer() as of_rows:
        cpu = cpu_per_row(server.url, rounds, count)
        pieces = first_pieces(server.url, of_rows.url, ASIDE // 2 if given.quick else ASIDE)
    ratios = [ours / bare for ours, bare in zip(cpu["ours"], cpu["httpx"], strict=True)]
    ratio = statistics.median(ratios)
    medians = {name: statistics.median(figures) for name, figures in pieces.items()}
    delay = medians["beside a run"] - medians["alone"]
    worst = max(pieces["beside a run"]) - medians["alone"]
    print("| | httpx | ours | ratio | at most |")
    print("|---|---|---|---|---|")
    bare, ours = (statistics.median(cpu[name]) * 1e6 for name in ("httpx", "ours"))
    print(f"| CPU per row, {AT_A_TIME} at a time, store and frame included | {bare:.0f} µs | {ours:.0f} µs |"
          f" {ratio:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) | {AT_MOST} |")  # fmt: skip
    print("\n| | alone | beside a run | delay | at most |")
    print("|---|---|---|---|---|")
    alone, beside, later, latest = (f"{each * 1e3:.1f} ms" for each in (*medians.values(), delay, worst))
    print(f"| first piece of a cell's prompt, median | {alone} | {beside} | {later} (worst {latest}) |"
          f" {DELAY_AT_MOST * 1e3:.0f} ms |")  # fmt: skip
    if given.json:
        given.json.write_text(json.dumps({"cpu": cpu, "ratio": ratio, "pieces": pieces, "delay": delay}))
    return 0 if ratio <= AT_MOST and delay <= DELAY_AT_MOST else 1


if __name__ == "__main__":
    raise SystemExit(main())
