"""What `scaling.py` measures: requests, replies and conversations of any size, and the server that they go to."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import itertools
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import quick_server
from quick_server import _Connection as QuickConnection

from llx_magic import Connection, LoadBalancer, Message, ModelProfile, Profile
from llx_magic.core.admission import Applicant
from llx_magic.core.breaker import CircuitBreaker, Outcome
from llx_magic.core.gate import Gate
from llx_magic.core.tokens import WINDOW_SECONDS, TokenWindow
from llx_magic.dashboard import panel
from llx_magic.dashboard.timeline import Timeline
from llx_magic.session.conversations import Conversations
from llx_magic.session.turns import turn_of
from llx_magic.settings.declaration import Settings
from llx_magic.settings.layers import Layer, settings_of

KEY_VARIABLE, KEY = "LLX_SCALING_KEY", "sk-scaling-0123456789abcdef0123456789abcdef"
TEXT = "The quick brown fox jumps over the lazy dog, and then it does so again. " * 4
NEVER = 10**9

Work = Callable[[], int]
"""Does something and returns how many units of it were done."""


class BurstServer(quick_server.QuickServer):
    """The quick server, which at ``{url}/1234/v1`` streams a reply of 1,234 tokens in one burst."""

    def __init__(self) -> None:
        super().__init__()
        self._command = [sys.executable, __file__]


class _Connection(QuickConnection):
    def _answer(self, request: bytes, head_end: int) -> None:
        found = re.match(rb"POST /(\d+)/v1/", request)
        if found is None:
            super()._answer(request, head_end)
            return
        whole, rest = divmod(int(found[1]), quick_server.CHUNKS)
        self._transport.write(quick_server.HEAD)
        for pieces in (*itertools.repeat(quick_server.PIECES, whole), quick_server.PIECES[:rest]):
            self._transport.write(b"".join(pieces))
        self._transport.write(quick_server.END)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=4096)
    print(json.dumps({"event": "listening", "port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


class Bench:
    """Makes what the curves measure, and closes it."""

    def __init__(self, url: str, folder: Path) -> None:
        os.environ[KEY_VARIABLE] = KEY
        self._url = url
        self._folder = folder
        self._open = contextlib.ExitStack()
        self.full = functools.cache(self._full)

    def close(self) -> None:
        """Close the connections and forget what was kept for one panel."""
        self._open.close()
        self.full.cache_clear()
        gc.collect()

    def http(self, path: str = "") -> tuple[asyncio.Runner, LoadBalancer]:
        """Return a load balancer with one backend over HTTP, and a loop with connections of its own."""
        reached = Connection(base_url=f"{self._url}{path}/v1", auth_key_env=KEY_VARIABLE)
        lb = LoadBalancer(Profile.single(ModelProfile("mock", "openai", "mock", connection=reached)))
        runner = self._open.enter_context(asyncio.Runner())
        self._open.callback(lambda: runner.run(lb.aclose()))
        return runner, lb

    def _run(self, ask: Callable[[], Awaitable[object]], units: int = 1) -> Work:
        runner = self._open.enter_context(asyncio.Runner())

        async def asked() -> int:
            await ask()
            return units

        return lambda: runner.run(asked())

    def backends(self, count: int, **settings: object) -> Work:
        """A request that the first of so many backends answers."""
        lb = simulated(count)
        return self._run(lambda: lb.ask("why", settings=settings), count)

    def failing(self, count: int) -> Work:
        """A request that every backend fails but the last."""
        lb = simulated(count, failing=count - 1)
        return self._run(lambda: lb.ask("why"), count)

    def drawing(self, count: int) -> Work:
        """The dashboard of so many backends."""
        lb = simulated(count)
        return _times(functools.partial(_draw, lb, observed(lb, 9)), count)

    def _full(self, kept: int) -> tuple[LoadBalancer, Timeline]:
        lb = simulated(3, history_limit=kept)
        return lb, observed(lb, kept)

    def kept(self, kept: int) -> Work:
        """Requests where the history is full with so many."""
        lb, _ = self.full(kept)

        async def ask() -> None:
            for _ in range(20):
                await lb.ask("why")

        return self._run(ask, 20)

    def drawn(self, kept: int) -> Work:
        """The dashboard after so many requests."""
        return _times(functools.partial(_draw, *self.full(kept)))

    def history(self, kept: int) -> Work:
        """The table of so many requests."""
        return _times(self.full(kept)[0].history, kept)

    def at_a_time(self, count: int) -> Work:
        """So many requests at a time over HTTP."""
        runner, lb = self.http()

        async def all_of_them() -> int:
            replies = await asyncio.gather(*(lb.ask("why", settings={"streaming": "disabled"}) for _ in range(count)))
            assert all(reply.text == quick_server.TEXT for reply in replies)
            return count

        return lambda: runner.run(all_of_them())

    def streamed(self, tokens: int) -> Work:
        """A reply of so many tokens, taken piece by piece."""
        runner, lb = self.http(f"/{tokens}")

        async def taken() -> int:
            *pieces, reply = [part async for part in lb.stream("why")]
            assert len(pieces) == tokens
            assert reply.text.count(" word") == tokens
            return tokens

        return lambda: runner.run(taken())

    def asked(self, count: int) -> Work:
        """A prompt of so many messages."""
        runner, lb = self.http()
        said = [Message("user" if at % 2 else "assistant", TEXT) for at in range(count, 0, -1)]
        return lambda: runner.run(_count(lb.ask(said, settings={"streaming": "disabled"}), count))

    def turn(self, count: int) -> Work:
        """The last turn of a conversation of so many messages that is kept in a file, asked again and recorded."""
        runner, lb = self.http()
        conversations, name = Conversations(self._folder), f"of-{count}"
        reply = runner.run(lb.ask("why"))
        for at in range(max(1, count // 2)):
            conversations.record(name, turn_of(reply, TEXT, cell=str(at), unix_seconds=0.0))
        last = str(max(1, count // 2) - 1)

        async def again() -> int:
            before = conversations.messages_before(name, last)
            answer = await lb.ask([*before, Message("user", TEXT)], settings={"streaming": "disabled"})
            conversations.record(name, turn_of(answer, TEXT, cell=last, unix_seconds=0.0))
            return len(before) + 1

        return lambda: runner.run(again())


async def _count(asked: Awaitable[object], units: int) -> int:
    await asked
    return units


def _times(work: Callable[[], object], units: int = 1) -> Work:
    def done() -> int:
        work()
        return units

    return done


def simulated(count: int, failing: int = 0, history_limit: int = 100) -> LoadBalancer:
    """Return a load balancer of so many simulated backends, the first of which fail."""
    members = tuple(
        ModelProfile(f"b{place}", "simulated", "m", params={"script": "503" if place < failing else "ok"})
        for place in range(count)
    )
    settings = {
        "history_limit": history_limit,
        "failover_retry_count": 1,
        "circuit_breaker_failure_threshold": NEVER,
    }
    return LoadBalancer(Profile.single(members[0]) if count == 1 else Profile.failover("bench", members, settings))


def observed(lb: LoadBalancer, requests: int) -> Timeline:
    """Ask so many requests and return what the dashboard remembers of them."""
    timeline = Timeline()
    lb.subscribe(timeline.fold)

    async def ask() -> None:
        for _ in range(requests):
            await lb.ask("why")

    asyncio.run(ask())
    return timeline


def _draw(lb: LoadBalancer, timeline: Timeline) -> None:
    snapshot = lb.snapshot()
    panel.draw(snapshot, timeline.view(snapshot, 300.0))


def in_window(seconds: float, many: int, step: Callable[[float, float], None]) -> Work:
    """Take steps evenly, so many in the window's seconds, and go on where it is full: one comes as one goes."""
    moments = itertools.count()
    apart = seconds / many

    def go(steps: int) -> int:
        for moment in itertools.islice(moments, steps):
            step(moment * apart, apart)
        return steps

    go(many)
    return lambda: go(100)


def rules(**settings: object) -> Settings:
    return settings_of({Layer.PROFILE: {"circuit_breaker_failure_threshold": NEVER, **settings}})


def breaker(failures: int) -> Work:
    """A counted failure where so many lie in the breaker's window."""
    circuit, given = CircuitBreaker(), rules()

    def step(now: float, _apart: float) -> None:
        circuit.settle(circuit.admit(now, given), Outcome.COUNTED_FAILURE, now, given)

    return in_window(given.circuit_breaker_failure_window_ms / 1000, failures, step)


def token_window(replies: int) -> Work:
    """A reply counted and the rate read, by elapsed and by busy time, where so many replies lie in the window."""
    window = TokenWindow()

    def step(now: float, apart: float) -> None:
        window.add(now, now + apart / 2, 100)
        window.rate(now + apart / 2, "elapsed")
        window.rate(now + apart / 2, "busy")

    return in_window(WINDOW_SECONDS, replies, step)


def gate(visits: int) -> Work:
    """A visit admitted and settled, every other one as a failure, where so many lie in the window."""
    door, given, numbers = Gate("b"), rules(tpm_threshold=0.001), itertools.count(1)

    def step(now: float, apart: float) -> None:
        number = next(numbers)
        permit = door.admit(Applicant(request=number), now, given).permit
        assert permit is not None
        door.tokens.add(now, now + apart / 2, 100)
        outcome = Outcome.SUCCESS if number % 2 else Outcome.COUNTED_FAILURE
        door.settle(permit, outcome, now + apart / 2, given)

    return in_window(WINDOW_SECONDS, visits, step)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
