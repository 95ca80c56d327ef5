"""A run over rows that is killed (`kill -9`) at random moments, and what the store costs.

**Kill.** A process runs over the rows, 32 at a time, and says of each row when it is shown as done. It is killed at a
random moment; then the next process makes the same call, on the same store, until one is through; then the rows are new
ones. The server counts how often each row is asked and answered, so that what a kill costs is seen from outside:

- *asked again*: rows that the server had answered, and that had to be asked once more. At most those in flight and one
  commit group.
- *shown and asked again*: rows that were shown as done. None.
- *lost*, *doubled*, *another's*: rows without a reply at the end, with two, or with that of another row. None.

**Share.** What the store takes of the CPU of a row: to make the key, claim it, look it up in vain, encode, write
and commit, 64 rows under way, beside a call of bare `httpx.AsyncClient` under a semaphore of 64 in the same run.

    python benchmarks/rows_kill.py [--kills N] [--rows N] [--seed N] [--quick] [--json FILE]

Exits with 1 where a claim does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx
from kernel import save, table
from quick_server import QuickServer

from llx_magic.core.message import Message
from llx_magic.core.reply import Usage
from llx_magic.errors import LlxError
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.replies.key import Keys, asked_of
from llx_magic.replies.record import Stored
from llx_magic.replies.store import ReplyStore
from llx_magic.replies.writer import LARGEST_GROUP, Writer
from llx_magic.session.balancer import LoadBalancer

AT_A_TIME = 32
LATENCY_SECONDS = (0.02, 0.06)
"""Between these the server takes for a reply."""

LATEST_KILL_SECONDS = 1.0
MOST_AGAIN = AT_A_TIME + LARGEST_GROUP

SHARE_AT_A_TIME = 64
MOST_SHARE = 0.03


class Server(asyncio.Protocol):
    """Answers each prompt with a text of its own, and counts what was asked and answered, which ``/counts`` tells."""

    asked: ClassVar[Counter[str]] = Counter()
    answered: ClassVar[Counter[str]] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.data = transport, b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        length = int(next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0))
        if not separator or len(body) < length:
            return
        self.data = body[length:]
        if head.startswith(b"GET"):
            self.send({"asked": self.asked, "answered": self.answered})
            return
        prompt = json.loads(body[:length])["messages"][-1]["content"]
        self.asked[prompt] += 1
        asyncio.get_running_loop().call_later(random.uniform(*LATENCY_SECONDS), self.answer, prompt)

    def answer(self, prompt: str) -> None:
        if self.transport.is_closing():
            return
        self.answered[prompt] += 1
        message = {"role": "assistant", "content": reply_to(prompt)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self.send({"model": "m", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}})

    def send(self, document: object) -> None:
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


def reply_to(prompt: str) -> str:
    return f"the reply to {prompt}"


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run the server in a process of its own; the value is its address."""
    process = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait(10)


def counts(url: str) -> tuple[Counter[str], Counter[str]]:
    """Return how often the server was asked each prompt, and answered it."""
    with urllib.request.urlopen(f"{url}/counts") as response:
        told = json.load(response)
    return Counter(told["asked"]), Counter(told["answered"])


def run_rows(url: str, rows: list[str], store: Path, shown: int) -> None:
    """Run over the rows in this process; each that is shown as done is a line in the pipe ``shown``."""

    async def run() -> None:
        profile = Profile.single(ModelProfile("one", "openai", "m", connection=Connection(base_url=f"{url}/v1")))
        settings = {"concurrency": AT_A_TIME, "streaming": "disabled"}
        async with LoadBalancer(profile, isolated=True) as lb:
            async for row in lb.map_rows(rows, "{{ row }}", store=store, settings=settings):
                os.write(shown, json.dumps([row.place, row.text]).encode() + b"\n")

    asyncio.run(run())


def run_and_kill(url: str, rows: list[str], store: Path, after: float | None) -> tuple[dict[int, list[str]], bool]:
    """Run in a process of its own and kill that; return the texts shown of each row, and whether it was through."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            run_rows(url, rows, store, writing)
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    killer = None if after is None else threading.Timer(after, os.kill, (child, signal.SIGKILL))
    if killer is not None:
        killer.start()
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().splitlines()
    if killer is not None:
        killer.cancel()
        killer.join()
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("the run over rows failed by itself")
    shown: dict[int, list[str]] = {}
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):  # the last one may be cut
            place, text = json.loads(line)
            shown.setdefault(place, []).append(text)
    return shown, os.WIFEXITED(status)


@dataclass
class Tally:
    """What came of all kills."""

    again: list[int] = field(default_factory=list)
    shown_and_again: int = 0
    lost: int = 0
    doubled: int = 0
    of_another: int = 0
    finished: int = 0


def kill_often(kills: int, row_count: int, seed: int, folder: Path) -> Tally:
    """Kill runs until there were so many kills; the last table is run to its end."""
    chance, tally = random.Random(seed), Tally()
    with server() as url:
        run_rows(url, ["a first row"], folder / "first.sqlite", os.open(os.devnull, os.O_WRONLY))  # imports, for all
        while len(tally.again) < kills:
            rows = [f"row {number} of table {tally.finished}" for number in range(row_count)]
            store = folder / f"{tally.finished}.sqlite"
            one_table(url, rows, store, tally, chance, kills)
            tally.finished += 1
    return tally


def one_table(url: str, rows: list[str], store: Path, tally: Tally, chance: random.Random, kills: int) -> None:
    """Run over one table, killed again and again, until it is through."""
    shown_when: dict[str, int] = {}
    answered_once: set[str] = set()
    is_through = False
    while not is_through:
        after = chance.uniform(0.02, LATEST_KILL_SECONDS) if len(tally.again) < kills else None
        shown, is_through = run_and_kill(url, rows, store, after)
        asked, answered = counts(url)
        tally.of_another += sum(text != reply_to(rows[place]) for place, texts in shown.items() for text in texts)
        tally.doubled += sum(len(texts) > 1 for texts in shown.values())
        for place in shown:
            shown_when.setdefault(rows[place], asked[rows[place]])
        if not is_through:
            kept = kept_in(store)
            tally.again.append(len({row for row in rows if answered[row]} - kept - answered_once))
            answered_once = {row for row in rows if answered[row]} - kept
    tally.lost += len(rows) - len(shown)
    tally.doubled += sum(1 for _ in exported(store)) - len(rows)
    asked, _answered = counts(url)
    tally.shown_and_again += sum(asked[row] > before for row, before in shown_when.items())


def exported(store: Path) -> list[Stored]:
    with ReplyStore.open(store) as opened:
        return [stored for _key, stored in opened.export()]


def kept_in(store: Path) -> set[str]:
    """Return the rows whose replies are in the store."""
    return {stored.text.removeprefix("the reply to ") for stored in exported(store)}


@dataclass
class InStore:
    """Rows that go through the store alone, so many under way, as a run over rows sends them through it."""

    store: ReplyStore
    under_way: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(SHARE_AT_A_TIME))
    problems: list[LlxError] = field(default_factory=list)

    def delivered(self, tokens: list[None], problem: LlxError | None) -> None:
        if problem is not None:
            self.problems.append(problem)
        self.under_way.release(len(tokens))

    def run(self, count: int) -> float:
        """Return the CPU seconds of a row."""
        began = time.process_time()
        writer: Writer[None] = self.store.writer(self.delivered)
        keys, asked = Keys(schema=None, effort=None, as_json=False), asked_of("m", {})
        claims = self.store.claims()
        for start in range(0, count, SHARE_AT_A_TIME):
            found = [(keys.of((Message("user", f"Is {number} a prime? {'x' * 300}"),)), 0)
                     for number in range(start, start + SHARE_AT_A_TIME)]  # fmt: skip
            claims.take(found)
            self.store.find(found, {asked})
            for key in found:
                self.under_way.acquire()
                writer.put(key, a_reply(asked), None)
            claims.give_back(found)
        writer.close()
        claims.close()
        if self.problems:
            raise self.problems[0]
        return (time.process_time() - began) / count


def a_reply(asked: bytes) -> Stored:
    usage = Usage(80, 90)
    return Stored(text="y" * 360, backend="a", asked_model="m", model="m", at=time.time(), asked=asked, usage=usage)


def httpx_calls(url: str, count: int) -> float:
    """Return the CPU seconds of a call of bare httpx, 64 at a time."""

    async def run() -> None:
        limit = asyncio.Semaphore(SHARE_AT_A_TIME)
        limits = httpx.Limits(max_connections=SHARE_AT_A_TIME, max_keepalive_connections=SHARE_AT_A_TIME)
        async with httpx.AsyncClient(limits=limits, trust_env=False) as client:

            async def one(number: int) -> str:
                async with limit:
                    message = {"role": "user", "content": f"Is {number} a prime?"}
                    reply = await client.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": [message]})
                    return str(reply.json()["choices"][0]["message"]["content"])

            await asyncio.gather(*(one(number) for number in range(count)))

    began = time.process_time()
    asyncio.run(run())
    return (time.process_time() - began) / count


def share(rounds: int, count: int, folder: Path) -> tuple[float, float]:
    """Return the CPU seconds of a row in the store and of a call of httpx: medians of rounds in turn."""
    in_store, calls = [], []
    with QuickServer() as quick:
        for number in range(rounds):
            with ReplyStore.open(folder / f"share-{number}.sqlite") as store:
                in_store.append(InStore(store).run(count))
            calls.append(httpx_calls(quick.url, count // 2))
    return statistics.median(in_store), statistics.median(calls)


def main() -> int:
    """Read the command line, run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if asked.serve:
        asyncio.run(serve())
        return 0
    kills, rounds, count = (5, 1, 1_024) if asked.quick else (asked.kills, asked.rounds, 6_400)  # no rounds, no share
    with tempfile.TemporaryDirectory() as name:
        tally = kill_often(kills, asked.rows, asked.seed, Path(name))  # first, while this process has one thread
        row, call = share(rounds, count, Path(name)) if rounds else (0.0, 1.0)
    claims = [
        (f"answered rows asked again after a kill, of {kills} (most)", max(tally.again), MOST_AGAIN),
        ("rows shown as done and asked again", tally.shown_and_again, 0),
        ("rows lost", tally.lost, 0),
        ("rows doubled", tally.doubled, 0),
        ("rows with the reply of another", tally.of_another, 0),
        ("the store's CPU for a row, of a call of httpx", round(row / call, 3), MOST_SHARE),
    ]
    table(["what", "found", "at most"], claims)
    print(f"asked again in the mean {statistics.mean(tally.again):.1f}; {tally.finished} tables of {asked.rows} rows")
    print(f"a row in the store {row * 1e6:.0f} us of CPU, a call of httpx {call * 1e6:.0f} us")
    save(asked.json, {"again": tally.again, "row_seconds": row, "call_seconds": call})
    return 0 if all(found <= most for _what, found, most in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
