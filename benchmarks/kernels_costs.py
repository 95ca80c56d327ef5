"""What each thing that shared facts ask costs a server of Redis: its CPU, and its memory for each process.

A Debian redis-server on loopback, asked by ``llx_magic.shared.server``; the processes that wait for facts are plain
sockets. ``kernels.py`` reckons with the figures.

    python benchmarks/kernels_costs.py [--readers 100,1000] [--program redis-server] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import selectors
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from kernel import save, table
from redis import Redis

from llx_magic.core.peers import Card
from llx_magic.core.sharing import Failed, PlacesWanted, ProbeWanted, Spent, Used, Wish
from llx_magic.shared import scripts
from llx_magic.shared.link import RedisLink
from llx_magic.shared.server import FACTS, TOKENS, Said, Server

TIMES = 2_000
LIMIT = 10_000_000
FULL = 60


@contextlib.contextmanager
def running(program: str) -> Iterator[str]:
    """Run a server that keeps nothing; give its address."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--maxclients", "15000"]
        process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
        time.sleep(0.5)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


class Deaf:
    """Hears nothing, and says who it is."""

    def card(self, since: float) -> Card:
        return Card(host="node-17", process=31539, name="analysis of reports.ipynb", since=since, requests=12)

    def hear(self, fact: object, age: float) -> None: ...

    def be_told(self, answer: object) -> None: ...


EAR = Deaf()


def link(backend: str) -> RedisLink:
    return RedisLink(backend, EAR, lambda *_: None, lambda: None)


class Measuring:
    """A server, what asks it, and what asks how it fares."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.server = Server(url, 60.0)
        self.server.greet()
        self.client = Redis.from_url(url)
        self.found: dict[str, float] = {}

    def cpu(self) -> float:
        info = self.client.info("cpu")
        return float(info["used_cpu_sys"] + info["used_cpu_user"])

    def memory(self) -> float:
        return float(self.client.info("memory")["used_memory"])

    def each(self, name: str, act: Callable[[int], object], times: int = TIMES) -> None:
        """Note the microseconds of the server's CPU that one takes."""
        before = self.cpu()
        for number in range(times):
            act(number)
        self.found[f"{name}, µs of CPU"] = 1e6 * (self.cpu() - before) / times

    def wishes(self) -> None:
        """Measure what one process asks or says, a trip each."""
        one, other, full = link("a" * 22), link("b" * 22), link("c" * 22)

        def says(which: RedisLink, message: Wish) -> Callable[[int], object]:
            return lambda _: self.server.send([Said(which, message, time.monotonic())])

        self.each("places granted", says(one, PlacesWanted(8, 400.0, LIMIT, None)))
        self.each("places of two limits granted", says(other, PlacesWanted(8, 400.0, LIMIT, 1000 * LIMIT)))
        self.each("places refused", says(full, PlacesWanted(8, 400.0, FULL, None)))
        self.each("places given back", says(one, Spent(-1.0, 0.0, 0.0, LIMIT, None, int(1000 * time.time()))))
        self.server.send([Said(one, ProbeWanted(60.0, 30.0), time.monotonic())])
        self.each("probe refused", says(other, ProbeWanted(60.0, 30.0)))
        self.each(
            "fact told, nobody listens", lambda _: self.server.send([Said(one, Used(400, 0.2), time.monotonic())])
        )
        before, many = self.memory(), [link("d" * 22) for _ in range(10_000)]
        self.each("process says that it is there", lambda number: self.server.present(many[number]), len(many))
        self.found["a process that is there, bytes"] = (self.memory() - before) / len(many)

    def streams(self) -> None:
        """Fill both streams, and note what they take."""
        one = link("a" * 22)
        for message, most in ((Failed(), 2_500), (Used(400, 0.2), 6_000)):
            for _ in range(most):
                self.server.send([Said(one, message, time.monotonic())])
        self.found["both streams when full, kB"] = sum(self.client.memory_usage(key) for key in (FACTS, TOKENS)) / 1000

    def readers(self, number: int) -> None:
        """Let so many wait for facts, and tell some."""
        ends = self.server.last_numbers()
        before, address = self.memory(), urlsplit(self.url)
        waiting = [socket.create_connection((address.hostname, address.port)) for _ in range(number)]
        chosen = selectors.DefaultSelector()
        for each in waiting:
            chosen.register(each, selectors.EVENT_READ)
        for each in waiting:
            each.sendall(_look_for(ends))
        time.sleep(0.3)
        self.found[f"{number:,} processes wait, bytes of each connection"] = (self.memory() - before) / number
        facts, now, last = max(2, min(20, 20_000 // number)), self.cpu(), []
        for _ in range(facts):
            began = time.monotonic()
            self.server.send([Said(link("a" * 22), Used(400, 0.2), began)])
            last.append(time.monotonic() - began)
            look_again(waiting, chosen, _look_for(self.server.last_numbers()))
        time.sleep(0.1 + number / 20_000)
        one = (self.cpu() - now) / facts / number
        self.found[f"{number:,} processes wait, µs of CPU to hand one a fact and let it wait again"] = 1e6 * one
        self.found[f"{number:,} processes wait, ms until one who tells is answered"] = 1000 * max(last)
        for each in waiting:
            each.close()
        time.sleep(0.3)


def look_again(waiting: list[socket.socket], chosen: selectors.BaseSelector, asks: bytes) -> None:
    """Let each have its answer, and look for the next fact."""
    left = len(waiting)
    while left:
        for key, _ in chosen.select(1.0):
            key.fileobj.recv(65_536)
            key.fileobj.sendall(asks)
            left -= 1


def _look_for(ends: dict[str, tuple[int, int]]) -> bytes:
    """Return the command by which a process looks for facts, and waits for the next one."""
    numbers = [f"{first}-{second}" for first, second in ends.values()]
    words = ["XREAD", "COUNT", str(scripts.MOST_TOKENS), "BLOCK", "0", "STREAMS", *ends, *numbers]
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(each)}\r\n{each}\r\n".encode() for each in words)


def measure(program: str, readers: list[int]) -> dict[str, float]:
    with running(program) as url:
        measuring = Measuring(url)
        measuring.wishes()
        measuring.streams()
        for number in readers:
            measuring.readers(number)
        return measuring.found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", default="100,1000")
    parser.add_argument("--program", default="redis-server")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.program, [int(each) for each in given.readers.split(",")])
    table(["what", "measured"], [[name, f"{value:,.4g}"] for name, value in found.items()])
    save(given.json, {name: [value] for name, value in found.items()})


if __name__ == "__main__":
    main()
