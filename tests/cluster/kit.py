"""A cluster of processes on this machine, and a server that counts what it is asked."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

import dask
from distributed import Client, Nanny, Scheduler, SpecCluster

import llx_magic as llx
from llx_magic.core.progress import MapProgress
from llx_magic.session.mapping import MapRun
from llx_magic.session.options import MapOptions
from tests.faults.modes import find_mode
from tests.faults.server import Exchange, FaultServer

TEMPLATE = "say {{ row }}"

QUIET = {
    "distributed.logging": {"distributed": "critical", "tornado": "critical", "bokeh": "critical"},
    "distributed.worker.memory.terminate": False,
}
"""A test that kills a worker is told by its own claims whether that went well."""


def workers_with(*environments: Mapping[str, str]) -> SpecCluster:
    """Start a scheduler and a worker for each of the environments, every worker a process of its own, over TCP."""
    # Whoever silences logs sets the level of the handlers that pytest shows logs with, for all later tests.
    options = {"nthreads": 1, "silence_logs": False}
    specs = {
        place: {"cls": Nanny, "options": {**options, "env": dict(environment)}}
        for place, environment in enumerate(environments)
    }
    with dask.config.set(QUIET):
        return SpecCluster(
            workers=specs,
            worker={"cls": Nanny, "options": options},
            scheduler={"cls": Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard_address": ":0"}},
            silence_logs=False,
        )


SCHEDULER = """
import asyncio, sys
from distributed import Scheduler

async def main():
    async with Scheduler(host="127.0.0.1", port=int(sys.argv[1]), dashboard_address=":0") as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(main())
"""

WORKER = """
import asyncio, sys
from distributed import Worker

async def main():
    async with Worker(sys.argv[1], nthreads=1, host="127.0.0.1", dashboard_address=":0") as worker:
        await worker.finished()

if __name__ == "__main__":
    asyncio.run(main())
"""


class Apart:
    """A scheduler and one worker, each a process of its own that nobody starts again."""

    def __init__(self, port: int = 0) -> None:
        self.scheduler = _started(SCHEDULER, str(port))
        assert self.scheduler.stdout is not None
        self.address = self.scheduler.stdout.readline().strip()
        self.worker = _started(WORKER, self.address)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.worker, self.scheduler):
            process.kill()
            process.communicate()


def _started(code: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def profile_of(server: FaultServer, key: str | None = None, **settings) -> llx.Profile:
    """Return a profile of one backend, which is that server; ``key`` is the variable that names its key."""
    connection = llx.Connection(base_url=server.base_url, auth_key_env=key)
    return llx.Profile.single(llx.ModelProfile("a", "openai", "m", connection=connection, settings=settings))


def simulated(**params) -> llx.Profile:
    return llx.Profile.single(llx.ModelProfile("a", "simulated", "m", params=params))


def rows(count: int, word: str = "row") -> list[str]:
    return [f"{word} {number}" for number in range(count)]


def counts(result) -> dict[str, int]:
    """How many rows came to what, without the noughts."""
    told = result.summary
    every = {name: getattr(told, name) for name in ("answered", "stored", "shared", "failed", "not_asked")}
    return {name: count for name, count in every.items() if count}


def asked(server: FaultServer) -> Counter[str]:
    """How often each prompt has come in."""
    return Counter(each.json["messages"][-1]["content"] for each in list(server.requests))


def answered(server: FaultServer) -> Counter[str]:
    """How often each prompt was answered in full."""
    return Counter(each.json["messages"][-1]["content"] for each in list(server.requests) if each.answered.is_set())


def after(seconds: float, mode: str = "ok") -> Callable[[Exchange], None]:
    """Return a mode that answers so many seconds later."""

    def answer(exchange: Exchange) -> None:
        time.sleep(seconds)
        find_mode(mode)(exchange)

    return answer


def only_with(*keys: str) -> Callable[[Exchange], None]:
    """Return a mode that answers who shows one of these keys, after a moment, and refuses others."""

    def answer(exchange: Exchange) -> None:
        time.sleep(0.1)
        shown = exchange.request.headers.get("authorization", "").removeprefix("Bearer ")
        find_mode("ok" if shown in keys else "401")(exchange)

    return answer


def pids(client: Client) -> dict[str, int]:
    return client.run(os.getpid)


def warm_up() -> None:
    """Import on a worker what the first row would wait for."""
    importlib.import_module("llx_magic.session.row_engine")
    llx.load(simulated()).prepare("x", schema={"type": "object"})


def wait_until_ready(client: Client, count: int, seconds: float = 60.0) -> None:
    """Wait for so many workers that do what they are told: one that was killed may be counted for a moment."""
    ends = time.monotonic() + seconds
    while True:
        client.wait_for_workers(count, timeout=seconds)
        done = list(client.run(warm_up, on_error="return").values())
        if done == [None] * len(done) and len(done) >= count:
            return
        assert time.monotonic() < ends, done
        time.sleep(0.1)


def look_first_in(folder: str) -> None:
    """Have a worker find packages in a folder before all others."""
    sys.path.insert(0, folder)


class Watched:
    """A run on a thread of its own, and what it tells of how far it has come."""

    def __init__(self, profile: llx.Profile, data: object, **options) -> None:
        self.balancer = llx.load(profile)
        self.run = MapRun(self.balancer, data, TEMPLATE, cast("MapOptions", options))
        self.told: list[MapProgress] = []
        self.result: llx.MapResult | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> Watched:
        self._thread.start()
        return self

    def end(self, seconds: float = 60.0) -> llx.MapResult:
        self._thread.join(seconds)
        assert self.result is not None
        return self.result

    def _work(self) -> None:
        from llx_magic.engine.background import BACKGROUND

        self.result = BACKGROUND.run(self.run.run(self._tell))

    def _tell(self, part: object) -> None:
        if isinstance(part, MapProgress):
            self.told.append(part)
