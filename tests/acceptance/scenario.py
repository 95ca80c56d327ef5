"""What the scenarios share: three real servers, a clock moved by hand, a notebook without a browser, and the claims."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from llx_magic.core.ports import Timer
from llx_magic.core.reply import Reply
from llx_magic.engine.background import BACKGROUND
from llx_magic.engine.clocks import ManualClock
from llx_magic.notebook.magics import LlxMagics
from llx_magic.notebook.transform import hand_over_prompts
from llx_magic.session import Session
from tests.faults.modes import find_mode
from tests.faults.server import Exchange, FaultServer, Mode, status

ROOT = Path(__file__).resolve().parents[2]
LLX = Path(sys.executable).with_name("llx")
HAIKU = "write me a haiku about testing"

STATISTICS = """\
Load Balancer Statistics
Profile: testlb489
Total Requests: 12

Backend Metrics:
  synthetic
    Requests: 8
    Success Rate: 75.0%
    Avg Latency: 1456ms
    Tokens: 3200
    TPM: 640

  chutes
    Requests: 4
    Success Rate: 100.0%
    Avg Latency: 980ms
    Tokens: 1800
    TPM: 900

  groqgpt
    Requests: 0
    Success Rate: N/A
    Avg Latency: N/A
    Tokens: 0
    TPM: 0

Circuit Breaker States:
  synthetic: open
  chutes: closed
  groqgpt: closed"""
"""The plan's layout to the letter."""

NAMES = ("synthetic", "chutes", "groqgpt")
TEXTS = {
    "synthetic": "Green bars in the dawn, every branch has been walked once, silence means it works.",
    "chutes": "Asserts fall like rain, one of them is red tonight, good that it was asked.",
    "groqgpt": "A test that can fail, says more than a hundred words, about what is true.",
}
UNAUTHORIZED = status(401)


class ScenarioClock(ManualClock):
    """A clock that stands still; a server moves it, and a wait between two attempts passes at once."""

    def jump(self, seconds: float) -> None:
        """Be later at once: what falls due finds that it is later already, as on a machine that was busy."""
        with self._lock:
            self._now += seconds
        self.advance(0.0)

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Call back later, or soon where that time has passed already."""
        timer = super().call_later(delay, callback)
        if delay <= 0:
            self.advance(0.0)
        return timer

    async def sleep(self, delay: float) -> None:
        """Pass the time instead of waiting for it."""
        self.jump(max(0.0, delay))
        await asyncio.sleep(0)


@dataclass
class Servers:
    """The three backends of the plan's profile, each a real server on loopback."""

    synthetic: FaultServer
    chutes: FaultServer
    groqgpt: FaultServer

    def __getitem__(self, name: str) -> FaultServer:
        found: FaultServer = getattr(self, name)
        return found

    def requests(self) -> dict[str, int]:
        """Return how many requests each server has received."""
        return {name: len(self[name].requests) for name in NAMES}


def taking(clock: ScenarioClock, seconds: float, mode: str | Mode = "ok", usage: tuple[int, int] | None = None) -> Mode:
    """Return a mode that lets ``seconds`` pass before it answers as ``mode``, with ``usage`` tokens."""

    def answer(exchange: Exchange) -> None:
        clock.jump(seconds)
        if usage is not None:
            exchange.server.usage = usage
        (find_mode(mode) if isinstance(mode, str) else mode)(exchange)

    answer.__name__ = f"{mode if isinstance(mode, str) else mode.__name__} after {seconds} s"
    return answer


def silent_for(clock: ScenarioClock, seconds: float) -> Mode:
    """Return a mode that takes the request, lets ``seconds`` pass and says nothing until the client goes away."""

    def keep_silent(exchange: Exchange) -> None:
        clock.jump(seconds)
        exchange.hold()

    return keep_silent


def breaking_off(clock: ScenarioClock, seconds: float, log: DebugLog) -> Mode:
    """Return a mode that sends two words, sees them arrive, lets ``seconds`` pass and falls silent."""

    def break_off(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.event(exchange.delta(content="".join(exchange.server.pieces[:2])))
        log.wait_for("First token after")
        clock.jump(seconds)
        exchange.hold()

    return break_off


def needs_key(key: str) -> Mode:
    """Return a mode that answers requests with this key and refuses all others with 401."""

    def check(exchange: Exchange) -> None:
        right = exchange.request.headers.get("authorization") == f"Bearer {key}"
        (find_mode("ok") if right else UNAUTHORIZED)(exchange)

    return check


class DebugLog(logging.Handler):
    """Takes the debug lines from ``logging`` as they are written, so that a server can wait for one."""

    LOGGERS = ("llx_magic.lb", "llx_magic.circuit_breaker")

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.lines.append(record.getMessage())
            self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: any(text in line for line in self.lines), 20), f"no line with {text}"

    @contextlib.contextmanager
    def attached(self) -> Iterator[DebugLog]:
        loggers = [logging.getLogger(name) for name in self.LOGGERS]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.addHandler(self)
            logger.setLevel(logging.DEBUG)
        try:
            yield self
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.removeHandler(self)
                logger.setLevel(level)


@dataclass
class Cell:
    """What running one cell came to."""

    printed: str
    value: Any
    error: BaseException | None

    def expect(self) -> Cell:
        """Return the cell, which must not have failed."""
        if self.error is not None:
            raise self.error
        return self


@dataclass
class Notebook:
    """A real IPython shell with the magics over one session, driven cell by cell."""

    shell: InteractiveShell
    session: Session
    asked: int = field(default=0)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, session: Session) -> Iterator[Notebook]:
        """Start a shell for a while; what it leaves in the process is taken away again."""
        main = sys.modules["__main__"]
        shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
        shell.input_transformers_cleanup.append(hand_over_prompts)
        shell.register_magics(LlxMagics(shell, session=session))
        try:
            yield cls(shell, session)
        finally:
            session.close()
            BACKGROUND.stop()
            sys.modules["__main__"] = main

    def run(self, cell: str) -> Cell:
        """Run a cell as a user would; an error is part of what came of it."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            result = self.shell.run_cell(cell)
        return Cell(
            re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()),
            result.result,
            result.error_before_exec or result.error_in_exec,
        )

    def ask(self, prompt: str = HAIKU) -> Reply:
        """Put the prompt into a ``%%llx`` cell and return the reply."""
        self.run(f"%%llx -o answer\n{prompt}").expect()
        reply: Reply = self.shell.user_ns["answer"]
        self.asked += 1
        return reply

    def load(self, profile: str) -> None:
        self.run(f"%llx_profile load {profile}").expect()

    def set(self, **values: object) -> None:
        for key, value in values.items():
            self.run(f"%llx_set {key} {value}").expect()

    def stats(self) -> str:
        """Return what ``%llx_stats lb`` shows as text."""
        return repr(self.run("%llx_stats lb").expect().value)

    def log(self) -> list[str]:
        """Return the debug lines that ``%llx_log`` shows, without the time of day."""
        printed = self.run("%llx_log -n 100000").expect().printed
        return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3} ", "", line) for line in printed.splitlines()]


def assert_in_order(lines: Iterable[str], expected: str) -> None:
    """Claim that the expected lines, whole and exact, occur among the lines in this order."""
    rest = iter(seen := list(lines))
    for wanted in (line.strip() for line in expected.strip().splitlines()):
        assert wanted in rest, f"missing at its place: {wanted!r}, in\n" + "\n".join(seen)


def assert_block(text: str, block: str) -> None:
    """Claim that a text holds a block of lines exactly, indentation included."""
    wanted = block.strip("\n").rstrip()
    assert f"\n{wanted}\n" in f"\n{text}\n", f"not found:\n{wanted}\n--- in ---\n{text}"


def write_members(folder: Path, servers: Servers, **extra: dict[str, object]) -> None:
    """Write the profiles of the three backends; ``extra`` adds connection keys or settings to one of them."""
    for name in NAMES:
        settings = {"base-url": servers[name].base_url, **extra.get(name, {})}
        document = {"name": name, "version": 1, "provider": "openai", "model": f"{name}-model", "modelParams": {}}
        (folder / f"{name}.json").write_text(json.dumps({**document, "ephemeralSettings": settings}))


def write_balancer(folder: Path, name: str = "testlb489", **changes: object) -> None:
    """Write the plan's profile, its settings changed where ``changes`` says so; None leaves a setting out."""
    document = json.loads((ROOT / "profiles" / "testlb489.json").read_text())
    document["name"] = name
    document["profiles"] = changes.pop("profiles", document["profiles"])
    settings = {**document["ephemeralSettings"], **changes}
    document["ephemeralSettings"] = {key: value for key, value in settings.items() if value is not None}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=2))
