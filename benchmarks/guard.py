"""Whether a step of a request does more work than it did: bytecodes of Python, counted, against those on record.

Bytecodes are counted and not seconds, so the verdict is the same on a busy machine and on an idle one. A step fails
when it needs more than ``MARGIN`` times what `benchmarks/guard.json` has on record, and its rooms (the packages below
`llx_magic`) say where it grew. Another version of Python has other bytecodes, so it gets a wider margin.

    python benchmarks/guard.py [--write] [--record FILE]

``--write`` puts the present counts on record, for a growth that is meant.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from form_replies import form_replies

import llx_magic
from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.backends.reading.sse import EventDecoder
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.message import Message
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import ChatRequest, Usage
from llx_magic.dashboard import panel
from llx_magic.dashboard.timeline import Timeline
from llx_magic.engine.clocks import VirtualClock

RECORD = Path(__file__).with_name("guard.json")
MARGIN, MARGIN_OF_ANOTHER_PYTHON = 1.25, 1.75
PACKAGE = str(Path(llx_magic.__file__).parent)
ROUNDS = 20
FORMS = {
    "anthropic": b"/messages",
    "gemini": b"enerateContent",
    "ollama": b"/api/chat",
    "cohere": b"/v2/chat",
    "responses": b"/responses",
}
"""The native forms, and what a request's path has by which `form_replies` tells them; Bedrock's needs botocore."""

Counts = dict[str, int]
"""Bytecodes of one step by room."""


def counted(work: Callable[[], object], rounds: int = ROUNDS) -> Counts:
    """Return the bytecodes that ``work`` took in each room, per round, after one round that is not counted."""
    work()
    rooms: Counter[str] = Counter()
    room_of: dict[str, str | None] = {}

    def enter(frame: FrameType, _event: str, _argument: object) -> Callable[..., Any] | None:
        file = frame.f_code.co_filename
        if file not in room_of:
            room_of[file] = Path(file).relative_to(PACKAGE).parts[0] if file.startswith(PACKAGE) else None
        room = room_of[file]
        if room is None:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False

        def step(_frame: FrameType, event: str, _given: object) -> Callable[..., Any]:
            rooms[room] += event == "opcode"
            return step

        return step

    sys.settrace(enter)
    try:
        for _ in range(rounds):
            work()
    finally:
        sys.settrace(None)
    return {room: count // rounds for room, count in sorted(rooms.items())}


class Nothing:
    """Takes the pieces of a reply and leaves them."""

    def on_text(self, piece: str) -> None:
        """Take a piece of the text."""

    def on_reasoning(self, piece: str) -> None:
        """Take a piece of the reasoning."""

    def on_usage(self, usage: Usage) -> None:
        """Take nothing."""

    def on_rates(self, facts: RateFacts) -> None:
        """Take what the service tells of its limits."""


def request(backends: int, first: str = "ok", order: str = "failover") -> Callable[[], object]:
    """Return one request to so many simulated backends on virtual time; ``first`` is the script of the first."""
    members = tuple(
        ModelProfile(f"b{place}", "simulated", "m", params={"script": "ok" if place else first, "cycle": True})
        for place in range(backends)
    )
    settings = {"failover_retry_count": 1, "circuit_breaker_failure_threshold": 10**9, "history_limit": 100}
    make = Profile.failover if order == "failover" else Profile.roundrobin
    profile = Profile.single(members[0]) if backends == 1 else make("guard", members, settings)
    lb = LoadBalancer(profile, clock=VirtualClock())
    return lambda: asyncio.run(lb.ask("why"))


def decoding(chunks: int) -> Callable[[], object]:
    """Return the decoding of a stream of so many chunks, arrived one at a time."""
    chunk = {"choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
    data = [f"data: {json.dumps(chunk)}\n\n".encode()] * chunks
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    data += [f"data: {json.dumps(last)}\n\n".encode(), b"data: [DONE]\n\n"]

    def work() -> object:
        decoder, reader = EventDecoder(), ReplyReader("guard", "m", Nothing())
        for arrived in data:
            for event in decoder.feed(arrived):
                reader.take(event)
        return reader.end()

    return work


def form(mark: bytes, wire: str, pieces: int = 50) -> Callable[[], object]:
    """Return a request in a service's own form, written, and the decoding of a whole reply and of a stream at once."""
    replies = form_replies("Two is a prime.", [f" word{number}" for number in range(pieces)])[mark]
    asked, spoken = ChatRequest(messages=(Message("user", "why"),)), wire_named(wire)

    def read(body: bytes) -> object:
        reader = spoken.reader("guard", "m", Nothing())
        reader.feed(body)
        reader.flush()
        return reader.end()

    def work() -> object:
        return spoken.encode(asked, "m"), read(replies.whole), read(b"".join(replies.events))

    return work


def rows(count: int) -> Callable[[], object]:
    """Return a run over so many rows, stored in a new file each time, and its frame; other threads are not counted."""
    lb = LoadBalancer(Profile.single(ModelProfile("b0", "simulated", "m")), clock=VirtualClock())
    texts = [f"row {number}" for number in range(count)]

    async def run(store: Path) -> int:
        result = await lb.map(texts, "{{ row }}", store=store)
        return id(result.frame)  # asyncio.run makes a text of what its coroutine returns, and drops that

    def work() -> object:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(run(Path(folder, "guard.sqlite")))

    return work


def dashboard() -> Callable[[], object]:
    """Return the drawing of a dashboard of three backends after a few requests."""
    members = tuple(ModelProfile(f"b{place}", "simulated", "m") for place in range(3))
    lb = LoadBalancer(Profile.roundrobin("guard", members), clock=VirtualClock())
    timeline = Timeline()
    lb.subscribe(timeline.fold)
    for _ in range(9):
        asyncio.run(lb.ask("why"))
    snapshot = lb.snapshot()
    view = timeline.view(snapshot, 300.0)
    return lambda: panel.draw(snapshot, view)


def measure() -> dict[str, Counts]:
    """Return the counts of every step."""
    return {
        "a request to one backend": counted(request(1)),
        "a request to the first of 30": counted(request(30)),
        "a request that fails over": counted(request(2, "503")),
        "a turn of round robin": counted(request(3, order="roundrobin")),
        "decoding 200 chunks": counted(decoding(200), 2),
        "a run over 100 rows": counted(rows(100), 2),
        **{f"a reply in the form of {wire}": counted(form(mark, wire), 1) for wire, mark in FORMS.items()},
        "drawing the dashboard": counted(dashboard()),
    }


def verdict(found: Mapping[str, Counts], known: Mapping[str, Counts], margin: float) -> tuple[str, list[str]]:
    """Return a Markdown table of all steps, and a line for each step that grew beyond the margin."""
    lines = ["| step | bytecodes | on record | ratio |", "|---|---|---|---|"]
    grown = []
    for step, rooms in found.items():
        before = known.get(step, {})
        now, then = sum(rooms.values()), sum(before.values())
        lines.append(f"| {step} | {now:,} | {then:,} | {now / then if then else float('inf'):.2f} |")
        if now > then * margin:
            where = sorted(rooms, key=lambda room: before.get(room, 0) - rooms[room])
            told = ", ".join(f"{room} {before.get(room, 0):,} -> {rooms[room]:,}" for room in where[:3])
            grown.append(f"{step} grew from {then:,} to {now:,} bytecodes ({told})")
    return "\n".join(lines), grown


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--write", action="store_true", help="put the present counts on record")
    reader.add_argument("--record", type=Path, default=RECORD, help="the file that has them")
    given = reader.parse_args()
    found, python = measure(), ".".join(platform.python_version_tuple()[:2])
    if given.write:
        given.record.write_text(json.dumps({"python": python, "steps": found}, indent=1) + "\n")
        print(f"{given.record.name}: {len(found)} steps on record")
        return 0
    known = json.loads(given.record.read_text())
    margin = MARGIN if known["python"] == python else MARGIN_OF_ANOTHER_PYTHON
    table, grown = verdict(found, known["steps"], margin)
    print(table)
    for line in grown:
        print(f"guard: {line}; at most {margin:g} times", file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
