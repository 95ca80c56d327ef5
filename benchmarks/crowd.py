"""Many calls at once over backends that limit their rate: how many are answered, how long it takes, how many refusals.

    python benchmarks/crowd.py [--calls 500] [--backends 2] [--limit 8] [--kind rate|at-once] [--seconds 2]

Each server runs in this process on loopback and answers after ``--latency`` seconds. ``rate`` answers so many requests
in each window of ``--seconds``; ``at-once`` so many at the same time. The others get 429 with ``Retry-After``.
The ideal is what a caller who knows the limits would take.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import time
from collections import Counter

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.errors import AllBackendsFailed
from llx_magic.profiles.document import Connection

BODY = json.dumps(
    {
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()


class LimitedServer:
    """Answers so many requests in a window, or at once, and refuses the others."""

    def __init__(self, *, kind: str, limit: int, seconds: float, latency: float) -> None:
        self.kind, self.limit, self.seconds, self.latency = kind, limit, seconds, latency
        self.answered = self.refused = self.under_way = 0
        self._window, self._in_window = -math.inf, 0
        self.url = ""

    async def start(self) -> None:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"

    def _has_room(self) -> bool:
        if self.kind == "at-once":
            return self.under_way < self.limit
        if time.monotonic() - self._window >= self.seconds:
            self._window, self._in_window = time.monotonic(), 0
        self._in_window += 1
        return self._in_window <= self.limit

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                await self._answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        if not self._has_room():
            self.refused += 1
            status, body, more = "429 Too Many Requests", b"{}", f"Retry-After: {self.seconds:g}\r\n"
        else:
            self.under_way += 1
            await asyncio.sleep(self.latency)
            self.under_way -= 1
            self.answered += 1
            status, body, more = "200 OK", BODY, ""
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        writer.write(head.encode() + body)
        await writer.drain()


async def crowd(asked: argparse.Namespace) -> None:
    """Ask all at once and print what came of it."""
    servers = [
        LimitedServer(kind=asked.kind, limit=asked.limit, seconds=asked.seconds, latency=asked.latency)
        for _ in range(asked.backends)
    ]
    for server in servers:
        await server.start()
    members = tuple(
        ModelProfile(f"b{place}", "openai", "m", connection=Connection(base_url=server.url))
        for place, server in enumerate(servers)
    )
    profile = Profile.single(members[0]) if len(members) == 1 else Profile.failover("crowd", members)
    outcomes: Counter[str] = Counter()

    async def one(lb: LoadBalancer) -> None:
        try:
            await lb.ask("why", settings={"streaming": "disabled"})
            outcomes["answered"] += 1
        except AllBackendsFailed:
            outcomes["failed"] += 1

    began = time.monotonic()
    cpu = time.process_time()
    async with LoadBalancer(profile, isolated=True) as lb:
        await asyncio.gather(*(one(lb) for _ in range(asked.calls)))
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    if asked.kind == "rate":
        ideal = asked.seconds * (math.ceil(asked.calls / (asked.limit * asked.backends)) - 1) + asked.latency
    else:
        ideal = asked.latency * math.ceil(asked.calls / (asked.limit * asked.backends))
    refused = sum(server.refused for server in servers)
    print(
        f"{asked.kind} {asked.limit} per {asked.seconds:g} s, {asked.backends} backends, latency {asked.latency:g} s: "
        f"answered {outcomes['answered']} of {asked.calls} in {took:.1f} s (ideal {ideal:.1f} s), {refused} times 429, "
        f"{cpu:.1f} s of CPU"
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--backends", type=int, default=2)
    parser.add_argument("--limit", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--kind", choices=["rate", "at-once"], default="rate")
    asyncio.run(crowd(parser.parse_args()))


if __name__ == "__main__":
    main()
