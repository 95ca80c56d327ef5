"""Three model servers on loopback, in one process of its own, that fail in many ways at random.

    with SoakServer(seed=7) as server:
        ...                      # POST {server.addresses["red"]}/chat/completions
        await server.facts()     # what was met, and how many connections are open now

What a request meets is drawn from the seed, its number (the last word of its prompt), the server, and how many that
server had before. Now and then a server has a bad time in which most requests fail, so that circuits open and close all
the time. Each piece of a reply is ``server/request/serial/index/pieces``: a reader can tell whose it is, which sending
it belongs to, and whether any piece is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

NAMES = ("red", "green", "blue")

PERIOD, BAD_TIME = 1.5, 0.3
"""Of so many seconds, so many are a bad time."""

GOOD_FAULTS, BAD_FAULTS = 0.04, 0.75
"""The share of faults in good times and in bad ones."""

AT_ONCE = (
    "503",
    "500",
    "429",
    "429 for a second",
    "400",
    "401",
    "html",
    "empty",
    "no json",
    "reset",
    "closed",
    "silent",
)
HALF_WAY = ("reset half-way", "closed half-way", "stall", "bad piece", "error event", "end without a reason")
WHOLE_ONLY = ("cut body",)

_STATUS_OF = {"503": 503, "500": 500, "429": 429, "429 for a second": 429, "400": 400, "401": 401}
_BODY_OF = {"html": b"<html><title>Gateway</title></html>", "empty": b"", "no json": b'{"choices": [{"mess'}


class SoakServer:
    """The servers, from outside; to be used in a ``with`` statement."""

    def __init__(self, seed: int) -> None:
        self._command = [sys.executable, __file__, "--seed", str(seed)]

    def __enter__(self) -> SoakServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ports = json.loads(self._process.stdout.readline())
        self.addresses = {name: f"http://127.0.0.1:{port}/v1" for name, port in ports.items()}
        self._port = ports[NAMES[0]]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    async def facts(self) -> dict[str, dict[str, int] | int]:
        """Return ``met``, how often each kind of outcome was met, and ``open``, the connections that are open now."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"GET /facts HTTP/1.1\r\nHost: soak\r\n\r\n")
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        await writer.wait_closed()
        facts = json.loads(body)
        facts["open"] -= 1  # this one
        return facts


@dataclass(frozen=True, slots=True)
class Sending:
    """One reply as it is planned: its pieces, and what goes wrong, if anything."""

    pieces: tuple[str, ...]
    fault: str
    pause: float
    breaks_after: int


class _Servers:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._serial = 0
        self._asked: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._open = 0

    async def serve(self) -> None:
        servers = {name: await asyncio.start_server(self._talk(name), "127.0.0.1", 0, backlog=512) for name in NAMES}
        print(json.dumps({name: each.sockets[0].getsockname()[1] for name, each in servers.items()}), flush=True)
        await asyncio.gather(*(each.serve_forever() for each in servers.values()))

    def _talk(self, name: str):
        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._open += 1
            try:
                with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                    while await self._exchange(name, reader, writer):
                        pass
            finally:
                self._open -= 1
                writer.close()

        return connection

    async def _exchange(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False where the connection ends with it."""
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            facts = json.dumps({"met": self._met, "open": self._open}).encode()
            writer.write(_document(200, facts))
            await writer.drain()
            return False
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
        sending = self._plan(name, body["messages"][-1]["content"], streamed=bool(body.get("stream")))
        self._met[sending.fault] += 1
        if sending.fault in AT_ONCE:
            return await self._fail(sending.fault, reader, writer)
        if body.get("stream"):
            return await self._stream(sending, reader, writer)
        return await self._whole(sending, reader, writer)

    def _plan(self, name: str, prompt: str, *, streamed: bool) -> Sending:
        number = int(prompt.rpartition(" ")[2])
        self._serial += 1
        nth = self._asked[name]
        self._asked[name] += 1
        chance = random.Random(f"{self._seed}/{name}/{number}/{nth}")
        shift = NAMES.index(name) * PERIOD / len(NAMES)  # two servers have their bad times one after the other
        bad = (time.monotonic() + shift) % PERIOD < BAD_TIME
        fault = "none"
        if chance.random() < (BAD_FAULTS if bad else GOOD_FAULTS):
            fault = chance.choice((*AT_ONCE, *HALF_WAY) if streamed else (*AT_ONCE, *WHOLE_ONLY, "stall"))
        count = chance.randint(2, 9)
        pause = chance.uniform(0.001, 0.02) if chance.random() < 0.1 else 0.0
        pieces = tuple(f"{name}/{number}/{self._serial}/{index}/{count} " for index in range(count))
        return Sending(pieces, fault, pause, chance.randint(1, count - 1))

    async def _fail(self, fault: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match fault:
            case "reset":
                return _reset(writer)
            case "closed":
                return False
            case "silent":
                return await _until_the_client_leaves(reader)
        status = _STATUS_OF.get(fault, 200)
        waits = {"429": "retry-after-ms: 20\r\n", "429 for a second": "retry-after: 1\r\n"}
        body = _BODY_OF.get(fault, b'{"error": {"message": "by chance"}}')
        kind = "text/html" if fault == "html" else "application/json"
        writer.write(_document(status, body, kind, waits.get(fault, "")))
        await writer.drain()
        return True

    async def _whole(self, sending: Sending, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        message = {"role": "assistant", "content": "".join(sending.pieces)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = {"id": "c", "model": "soak", "choices": [choice], "usage": _usage(sending)}
        reply = _document(200, json.dumps(body).encode())
        await asyncio.sleep(sending.pause)
        if sending.fault == "none":
            writer.write(reply)
            await writer.drain()
            return True
        writer.write(reply[:-20])
        await writer.drain()
        return await _until_the_client_leaves(reader) if sending.fault == "stall" else False

    async def _stream(self, sending: Sending, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        sent = sending.pieces if sending.fault == "none" else sending.pieces[: sending.breaks_after]
        for piece in sent:
            if writer.is_closing():
                return False
            writer.write(_chunk({"content": piece}))
            if sending.pause:
                await writer.drain()
                await asyncio.sleep(sending.pause)
        match sending.fault:
            case "none":
                usage = {"id": "c", "choices": [], "usage": _usage(sending)}
                writer.write(_chunk({}, "stop") + _event(usage) + _http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            case "end without a reason":
                writer.write(b"0\r\n\r\n")
            case "bad piece":
                writer.write(_http_chunk(b'data: {"choices": [{"del\n\n'))
            case "error event":
                writer.write(_event({"error": {"message": "overloaded by chance"}}))
        await writer.drain()
        if sending.fault == "reset half-way":
            await asyncio.sleep(0.002)  # else the reset would overtake what was sent
            return _reset(writer)
        if sending.fault == "stall":
            return await _until_the_client_leaves(reader)
        return sending.fault in ("none", "end without a reason")


async def _until_the_client_leaves(reader: asyncio.StreamReader) -> bool:
    await reader.read(1)
    return False


def _reset(writer: asyncio.StreamWriter) -> bool:
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # the client has closed it already
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


def _usage(sending: Sending) -> dict[str, int]:
    return {"prompt_tokens": 2, "completion_tokens": len(sending.pieces)}


def _document(status: int, body: bytes, kind: str = "application/json", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    return _event(
        {"id": "c", "model": "soak", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
    )


def _event(payload: object) -> bytes:
    return _http_chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Servers(parser.parse_args().seed).serve())


if __name__ == "__main__":
    main()
