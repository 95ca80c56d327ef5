"""A server of Redis on a free loopback port, and profiles whose backends share facts through it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from llx_magic.core.ports import Account
from llx_magic.core.sharing import ANSWER_SECONDS, Answer, Fact
from llx_magic.engine.clocks import LoopClock
from llx_magic.keys.secret import Secret
from llx_magic.shared.redis_facts import RedisFacts
from tests.engine.kit import Bench, Scripted

PATIENT = 30.0
"""How long an answer of the server is waited for where nobody is to go on alone, however busy the machine is."""

PROGRAM = shutil.which("redis-server")


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class RedisServer:
    """A server that keeps nothing on the disk; it is ended by its process id."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.folder = folder
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert PROGRAM is not None
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(
            [*command, "--dir", str(self.folder), *self.options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers, "the server answers")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def until(holds: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)


class Shared(Scripted):
    """A scripted backend that says whose limits it counts for."""

    def __init__(self, name: str, *steps, key: str = "a-key-of-the-test", **how) -> None:
        super().__init__(name, *steps, **how)
        self.account = Account("127.0.0.1", name, (Secret(key),))


class Kernel(Bench):
    """A process of its own as far as sharing goes: its own threads, connections and gates, on real time."""

    def __init__(
        self, url: str, *backends: Scripted, minute: float = 60.0, patience: float = ANSWER_SECONDS, **settings
    ) -> None:
        self.facts = RedisFacts(url, minute, patience)
        super().__init__(*backends, clock=LoopClock(), facts=self.facts, **settings)


class Heard:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.facts: list[tuple[Fact, float]] = []
        self.answers: list[Answer] = []

    def hear(self, fact: Fact, age: float) -> None:
        self.facts.append((fact, age))

    def be_told(self, answer: Answer) -> None:
        self.answers.append(answer)

    def card(self, since: float) -> None:
        return None


async def soon(holds: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Wait until something holds, on a loop."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.002)
