"""A model server on loopback, in a process of its own, that takes only so much and refuses the rest with a 429.

    with LimitedServer(rate="100/20", says="all") as server:     # 100 requests a second, 20 saved up at most
    with LimitedServer(places="20,60,10", rows=2400) as server:  # so many at once, by thirds of the rows
        f"{server.url}/v1"        # replies after `seconds`, a fifth more or less
        server.facts()            # what it has answered and refused so far

``says`` is what it tells of its limits: ``all`` (OpenAI's headers with every reply, `Retry-After: 1` with a refusal),
``wait`` (`Retry-After: 1` alone) or ``nothing``. With ``queues=True`` nothing is refused: what finds no place waits.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import random
import re
import subprocess
import sys
import urllib.request

RETRY_AFTER = 1

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_BODY = json.dumps(
    {
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25},
    }
).encode()
_REFUSAL = b'{"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}'


class LimitedServer:
    """The server, from outside; to be used in a ``with`` statement."""

    def __init__(
        self, *, rate: str = "", places: str = "", says: str = "nothing", seconds: float = 0.25, rows: int = 0,
        queues: bool = False,
    ) -> None:  # fmt: skip
        given = {"rate": rate, "places": places, "says": says, "seconds": seconds, "rows": rows}
        options = [f"--{name}={value}" for name, value in given.items()]
        self._command = [sys.executable, __file__, *options, *(["--queues"] if queues else [])]

    def __enter__(self) -> LimitedServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def facts(self) -> dict[str, float]:
        """Return how many were ``answered`` and ``refused``, and the refusals ``after_change`` of its places."""
        with urllib.request.urlopen(f"{self.url}/facts", timeout=10) as reply:
            return json.load(reply)


class _Limits:
    """What the server takes, and what it has done."""

    def __init__(self, asked: argparse.Namespace) -> None:
        per_second, _, burst = asked.rate.partition("/")
        self.per_second, self.burst = float(per_second or 0), float(burst or 0)
        self.left, self.as_of = self.burst, 0.0
        self.schedule = [int(each) for each in asked.places.split(",")] if asked.places else []
        self.rows, self.says, self.seconds, self.queues = asked.rows, asked.says, asked.seconds, asked.queues
        self.under_way = self.answered = self.refused = self.most = 0
        self.refused_since_change: list[int] = [0] * max(1, len(self.schedule))
        self.flight_at_change: list[int] = [0] * max(1, len(self.schedule))
        self.waiting: collections.deque[_Connection] = collections.deque()

    @property
    def phase(self) -> int:
        """Which part of the schedule holds now."""
        share = self.rows / len(self.schedule) if self.schedule else 0
        return min(len(self.schedule) - 1, int(self.answered / share)) if share else 0

    def has_room(self, now: float) -> bool:
        """Take a request in, unless that is too much."""
        if self.per_second:
            self.left = min(self.burst, self.left + (now - self.as_of) * self.per_second)
            self.as_of = now
            if self.left < 1:
                return False
            self.left -= 1
            return True
        return self.under_way < self.schedule[self.phase]

    def head(self) -> str:
        """Return what is told of the limits, as OpenAI tells it."""
        if self.says != "all" or not self.per_second:
            return ""
        wait = (self.burst - self.left) / self.per_second
        return (
            f"x-ratelimit-limit-requests: {60 * self.per_second:.0f}\r\n"
            f"x-ratelimit-remaining-requests: {int(self.left)}\r\n"
            f"x-ratelimit-reset-requests: {wait * 1000:.0f}ms\r\n"
        )


class _Connection(asyncio.Protocol):
    limits: _Limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._received, 0, head_end)
            end = head_end + 4 + (int(found[1]) if found else 0)
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            if request.startswith(b"GET /facts"):
                names = ("answered", "refused", "most", "refused_since_change", "flight_at_change")
                self._send("200 OK", json.dumps({name: getattr(self.limits, name) for name in names}).encode())
            else:
                self._take()

    def _take(self) -> None:
        limits = self.limits
        if limits.has_room(asyncio.get_running_loop().time()):
            self.begin()
        elif limits.queues:
            limits.waiting.append(self)
        else:
            limits.refused += 1
            limits.refused_since_change[limits.phase] += 1
            wait = f"retry-after: {RETRY_AFTER}\r\n" if limits.says != "nothing" else ""
            self._send("429 Too Many Requests", _REFUSAL, limits.head() + wait)

    def begin(self) -> None:
        """Work on the request."""
        limits = self.limits
        limits.under_way += 1
        limits.most = max(limits.most, limits.under_way)
        seconds = limits.seconds * random.uniform(0.8, 1.2)
        asyncio.get_running_loop().call_later(seconds, self._answer, limits.head())

    def _answer(self, told: str) -> None:
        limits = self.limits
        before = limits.phase
        limits.answered += 1
        limits.under_way -= 1
        if limits.phase != before:
            limits.flight_at_change[limits.phase] = limits.under_way
        self._send("200 OK", _BODY, told)
        while limits.waiting and limits.has_room(asyncio.get_running_loop().time()):
            limits.waiting.popleft().begin()

    def _send(self, status: str, body: bytes, more: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more}\r\n"
        self._transport.write(head.encode() + body)


async def _serve(limits: _Limits) -> None:
    _Connection.limits = limits
    limits.as_of = asyncio.get_running_loop().time()
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _options() -> argparse.Namespace:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--rate", default="")
    reader.add_argument("--places", default="")
    reader.add_argument("--says", choices=["all", "wait", "nothing"], default="nothing")
    reader.add_argument("--seconds", type=float, default=0.25)
    reader.add_argument("--rows", type=int, default=0)
    reader.add_argument("--queues", action="store_true")
    return reader.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_Limits(_options())))
