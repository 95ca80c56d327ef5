"""What several processes make of one server of shared facts: the common limit, one probe, a 429, and what it costs.

Each process is a Python of its own that loads a load balancer of two models over HTTP; the models' server and the
server of Redis (Debian's redis-server) are on loopback. The minute is a real one.

    python benchmarks/shared.py [--only limit,probe,heed,cost] [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from kernel import save, table

LIMIT = 240
LIMIT_SECONDS = 135.0
RECOVERY_SECONDS = 2.0
TURNS = 16
REPLY = json.dumps(
    {
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10},
    }
).encode()


class Models:
    """Two models: ``/a`` does as ``mode`` says and notes when it is asked; ``/b`` always answers."""

    def __init__(self) -> None:
        self.mode = "ok"
        self.times: list[float] = []
        self.refused_at = 0.0
        self.released = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.lower().split(b"\r\n")
                length = next((int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                writer.write(await self._answer(lines[0].startswith(b"post /a/")))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, is_a: bool) -> bytes:  # noqa: FBT001
        if not is_a:
            return _http(200, REPLY)
        self.times.append(time.time())
        if self.mode == "hold":
            await self.released.wait()
        if self.mode == "429":
            self.mode, self.refused_at = "ok", time.time()
            return _http(429, b"{}", b"Retry-After: 30\r\n")
        return _http(503, b"{}") if self.mode == "503" else _http(200, REPLY)


def _http(status: int, body: bytes, more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + more + b"\r\n" + body


class Stage:
    """The servers, the profiles, and the processes that ask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = Models()
        self.children: list[asyncio.subprocess.Process] = []

    async def begin(self) -> None:
        served = await asyncio.start_server(self.models.serve, "127.0.0.1", 0, limit=1 << 20)
        url = f"http://127.0.0.1:{served.sockets[0].getsockname()[1]}"
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._redis = await asyncio.create_subprocess_exec("redis-server", *options, stdout=asyncio.subprocess.DEVNULL)
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        for name in ("a", "b"):
            self._save(name, {"provider": "here", "model": name, "ephemeralSettings": {"base-url": f"{url}/{name}/v1"}})
        await asyncio.sleep(0.5)

    def profile(self, **settings: object) -> Path:
        rules = {"failover_retry_count": 1, "streaming": False, **settings}
        balancer = {"type": "loadbalancer", "policy": "failover", "profiles": ["a", "b"], "ephemeralSettings": rules}
        return self._save("lb", balancer)

    def _save(self, name: str, document: dict[str, object]) -> Path:
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"version": 1, **document}), encoding="utf-8")
        return path

    async def start(self, count: int, *, shared: bool = True, **settings: object) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "LLX_SHARED"}
        if shared:
            environment["LLX_SHARED"] = self.redis_url
        path = str(self.profile(**settings))
        pipe = asyncio.subprocess.PIPE
        for _ in range(count):
            child = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "--child", path, stdin=pipe, stdout=pipe, env=environment
            )
            self.children.append(child)
        await self.tell("ask", 1)
        await asyncio.sleep(0.5)

    async def tell(self, *words: object, only: slice = slice(None)) -> list[dict[str, float]]:
        """Give the processes something to do; return what each says of it."""
        asked = self.children[only]
        for child in asked:
            assert child.stdin is not None
            child.stdin.write((json.dumps(words) + "\n").encode())
        return [json.loads(await child.stdout.readline()) for child in asked if child.stdout is not None]

    async def stop(self) -> None:
        for child in self.children:
            assert child.stdin is not None
            child.stdin.close()
            await child.wait()
        self.children.clear()
        self.models.times.clear()

    async def end(self) -> None:
        await self.stop()
        self._redis.terminate()
        await self._redis.wait()


async def limit(stage: Stage) -> dict[str, float]:
    """Eight processes under one limit: the most in any 60 s, and what was used of it once the pace was reached."""
    await stage.start(8, rpm_limit=LIMIT, cooldown_wait_ms=600_000)
    await stage.tell("run", LIMIT_SECONDS, 4)
    times = sorted(stage.models.times)
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 60:
            first += 1
        most = max(most, last - first + 1)
    late = [at for at in times if at > times[0] + LIMIT_SECONDS - 65]
    used = sum(at < late[0] + 60 for at in late) / LIMIT
    return {"most in any 60 s": most, "limit": LIMIT, "used of it in a minute": used}


async def probe(stage: Stage) -> dict[str, float]:
    """Three processes with fifty callers each at a circuit that is half-open: how many requests it gets."""
    await stage.start(3, circuit_breaker_recovery_timeout_ms=int(1000 * RECOVERY_SECONDS))
    stage.models.mode = "503"
    for _ in range(3):
        await stage.tell("ask", 1, only=slice(1))
    await asyncio.sleep(RECOVERY_SECONDS + 0.1)
    stage.models.mode, before = "hold", len(stage.models.times)
    asking = asyncio.ensure_future(stage.tell("ask", 50))
    await asyncio.sleep(2.0)
    probes = len(stage.models.times) - before
    stage.models.mode = "ok"
    stage.models.released.set()
    await asking
    stage.models.released.clear()
    return {"probes": probes}


async def heed(stage: Stage) -> dict[str, float]:
    """A 429 that one of four processes meets: milliseconds until the others keep away."""
    await stage.start(4)
    watching = asyncio.ensure_future(stage.tell("watch"))
    await asyncio.sleep(0.3)
    stage.models.mode = "429"
    stage.models.refused_at = 0.0
    said = await watching
    return {"ms until the last one keeps away": 1000 * (max(each["at"] for each in said) - stage.models.refused_at)}


async def cost(stage: Stage) -> dict[str, float]:
    """Microseconds of CPU for a call, 64 at a time, without sharing and with it, with limits and without.

    Two processes take turns, since the machine is not equally fast all the time; the median of the turns counts.
    """
    found: dict[str, float] = {}
    for name, settings in (("", {}), (", with a limit", {"rpm_limit": 10_000_000})):
        for shared in (False, True):
            await stage.start(1, shared=shared, **settings)
        turns = [[await stage.tell("cost", 640, only=only) for only in (slice(1), slice(1, 2))] for _ in range(TURNS)]
        alone, shared_cost = (statistics.median(turn[which][0]["cpu"] for turn in turns[1:]) for which in (0, 1))
        found[f"µs a call, alone{name}"], found[f"µs a call, shared{name}"] = alone, shared_cost
        found[f"% of CPU that sharing adds{name}"] = 100 * (shared_cost / alone - 1)
        await stage.stop()
    return found


FIGURES: dict[str, Callable[[Stage], Awaitable[dict[str, float]]]] = {
    "limit": limit,
    "probe": probe,
    "heed": heed,
    "cost": cost,
}


async def measure(names: list[str], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name in names:
        for _ in range(1 if name == "limit" else rounds):
            with tempfile.TemporaryDirectory() as folder:
                stage = Stage(Path(folder))
                await stage.begin()
                try:
                    for what, value in (await FIGURES[name](stage)).items():
                        found.setdefault(f"{name}: {what}", []).append(value)
                finally:
                    await stage.end()
    return found


class Asker:
    """One of the processes that ask: what it is told to do, on its standard input, it does."""

    def __init__(self, path: str) -> None:
        import llx_magic

        self.lb = llx_magic.load(path)

    async def ask(self, number: int) -> dict[str, float]:
        replies = await asyncio.gather(*(self.lb.ask("why") for _ in range(number)))
        return {"of a": sum(reply.backend == "a" for reply in replies)}

    async def run(self, seconds: float, callers: int) -> dict[str, float]:
        until = time.monotonic() + seconds
        await asyncio.wait([asyncio.ensure_future(self._ask_on(until)) for _ in range(callers)], timeout=seconds)
        return {}

    async def watch(self) -> dict[str, float]:
        while (await self.lb.ask("why")).backend == "a":
            pass
        return {"at": time.time()}

    async def cost(self, number: int) -> dict[str, float]:
        began = time.process_time()
        await asyncio.gather(*(self._some(number // 64) for _ in range(64)))
        return {"cpu": 1e6 * (time.process_time() - began) / (number // 64 * 64)}

    async def _ask_on(self, until: float) -> None:
        while time.monotonic() < until:
            await self.lb.ask("why")

    async def _some(self, number: int) -> None:
        for _ in range(number):
            await self.lb.ask("why")


async def be_asked(path: str) -> None:
    """Do what is told, a line each, and say what came of it."""
    asker, loop = Asker(path), asyncio.get_running_loop()
    acts: dict[str, Callable[..., Awaitable[dict[str, float]]]] = {
        "ask": asker.ask,
        "run": asker.run,
        "watch": asker.watch,
        "cost": asker.cost,
    }
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what, *numbers = json.loads(line)
        print(json.dumps(await acts[what](*numbers)), flush=True)
    os._exit(0)  # whoever still waits for a place is not waited for


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(FIGURES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        asyncio.run(be_asked(given.child))
        return
    found = asyncio.run(measure(given.only.split(","), given.rounds))
    table(["what", "median", "least", "most"], [_row(name, values) for name, values in found.items()])
    save(given.json, found)


def _row(name: str, values: list[float]) -> list[str]:
    return [name, *(f"{value:.4g}" for value in (statistics.median(values), min(values), max(values)))]


if __name__ == "__main__":
    main()
