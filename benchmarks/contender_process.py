"""One contender in a process of its own: takes a task as a line of JSON, carries it out, gives a line of figures.

    python contender_process.py NAME

NAME is one of `contenders`, or a form of `form_clients` with "ours in " or "client of " before it.

Then, on standard input: {"task": "calls", "url": ..., "count": ..., "at_a_time": ...}
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import statistics
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

from contender import COOL_DOWN_SECONDS, Contender
from contenders import CONTENDERS
from form_clients import CLIENTS
from quick_server import CHUNKS, TEXT

WARM_UP = 5


class _Tasks:
    """What can be measured. Clients are made once for each kind of task and kept, as their users keep them."""

    def __init__(self, name: str) -> None:
        self._kind = (CONTENDERS | CLIENTS)[name]
        self._made: dict[str, Contender] = {}

    def _contender(self, urls: list[str], made_for: str) -> Contender:
        key = json.dumps([urls, made_for])
        if key not in self._made:
            self._made[key] = self._kind(urls, made_for)
        return self._made[key]

    async def calls(self, url: str, count: int, at_a_time: int) -> dict[str, float]:
        contender = self._contender([f"{url}/v1"], "calls")
        assert await contender.call() == TEXT

        async def caller() -> None:
            for _ in range(count // at_a_time):
                await contender.call()

        await asyncio.gather(*(contender.call() for _ in range(at_a_time)))
        return await _measured(lambda: asyncio.gather(*(caller() for _ in range(at_a_time))), count)

    async def stream(self, url: str, count: int, path: str, at_a_time: int = 1) -> dict[str, float]:
        contender = self._contender([f"{url}{path}/v1"], "stream")
        firsts: list[float] = []

        async def read() -> int:
            begun, pieces = time.perf_counter(), 0
            async for _ in contender.stream():
                if not pieces:
                    firsts.append(time.perf_counter() - begun)
                pieces += 1
            return pieces

        assert await read() == CHUNKS
        firsts.clear()

        async def read_all() -> None:
            for _ in range(count):
                await asyncio.gather(*(read() for _ in range(at_a_time)))

        measured = await _measured(read_all, count * at_a_time * CHUNKS)
        return {**measured, "ttft": statistics.median(firsts)}

    async def failover(self, url: str, first: str, count: int) -> dict[str, float]:
        contender = self._contender([first, f"{url}/v1"], "failover")
        direct = self._contender([f"{url}/v1"], "calls")
        for _ in range(WARM_UP):
            assert await contender.call() == await direct.call() == TEXT

        async def each(one: Contender) -> None:
            for _ in range(count):
                await one.call()

        after = await _measured(lambda: each(contender), count)
        before = await _measured(lambda: each(direct), count)
        return {"seconds": after["seconds"], "extra": after["seconds"] - before["seconds"]}

    async def half_open(self, url: str, callers: int) -> dict[str, float]:
        contender = self._contender([f"{url}/dead/v1", f"{url}/v1"], "half-open")
        for _ in range(3):
            await contender.call()
        await asyncio.sleep(COOL_DOWN_SECONDS + 0.2)
        before = await asyncio.to_thread(_reached, url)
        await asyncio.gather(*(contender.call() for _ in range(callers)))
        return {"reached": await asyncio.to_thread(_reached, url) - before}


async def _measured(work: Callable[[], Awaitable[object]], count: int) -> dict[str, float]:
    begun, processor = time.perf_counter(), time.process_time()
    await work()
    return {
        "seconds": (time.perf_counter() - begun) / count,
        "cpu": (time.process_time() - processor) / count,
    }


def _reached(url: str) -> int:
    with urllib.request.urlopen(f"{url}/count") as response:
        return int(response.read())


async def _work(name: str, answers) -> None:
    tasks = _Tasks(name)
    while line := await asyncio.to_thread(sys.stdin.readline):
        given = json.loads(line)
        try:
            result = await getattr(tasks, given.pop("task"))(**given)
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(result), file=answers, flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):  # for what libraries print
        asyncio.run(_work(sys.argv[1], answers))
    os._exit(0)  # libraries need not tidy up
