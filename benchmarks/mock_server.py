"""A model server on loopback in a process of its own: OpenAI's protocol, one reply, at a steady pace.

    with MockServer(tokens_per_second=200) as server:
        ...                      # POST {server.base_url}/chat/completions
        server.next("dropped")   # when the client left, by the clock of `time.monotonic`

The reply is `TOKENS`: 2,000 pieces of Markdown, about 9 KB. A pace of 0 sends them without any pause, and ``endless``
begins anew at the end. The server tells what happened on its standard output, one JSON object a line: ``listening``,
``request``, ``finished`` (the last token was handed to the operating system) and ``dropped`` (the client closed its
side before that). `time.monotonic` is one clock for all processes of a machine, so these times compare with those of
the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

TEXT = '''\
## {number}. Keeping a client responsive

When a service slows down, callers pile up behind it. Three mechanisms help, and they **work together**: a deadline for
the whole call, a limit on how long a *single* piece may take, and a breaker that stops asking for a while.

- A deadline bounds what one caller can lose. It has to cover connecting, sending and the last byte that arrives.
- A stall limit notices a peer that sends a little now and then, which no deadline per read would ever notice.
- A breaker protects everybody else: after a few failures it answers at once, and lets one probe through later.

The following function is the core of it; see `asyncio.timeout` for what happens when the time is up:

```python
async def ask(client, prompt: str, seconds: float = 30.0) -> str:
    """Return the reply, or raise TimeoutError."""
    pieces: list[str] = []
    async with asyncio.timeout(seconds):
        async for piece in client.stream(prompt):
            if piece.kind == "text":  # reasoning is not shown
                pieces.append(piece.text)
    return "".join(pieces)
```

How the limits compare on a link with 40 ms of latency, measured over 1,000 calls:

| limit | catches | typical value | cost |
|---|---|---:|---|
| connect | a host that is gone | 5 s | none |
| first token | a queue that is too long | 20 s | none |
| stall | a connection that went quiet | 15 s | one timer |
| total | everything else | 120 s | one timer |

1. Begin with the deadline, because it is the only one that the user can feel.
2. Add the stall limit once replies are streamed.
3. Add the breaker last, and test that it *closes* again: a breaker that stays open is an outage of its own.

> A retry that is not bounded turns one slow server into many. Keep a budget, and let it be small.

'''


def tokens(count: int = 2000) -> list[str]:
    """Return so many pieces of Markdown, of the length that models' tokens have."""
    text = "".join(TEXT.replace("{number}", str(number)) for number in range(1, 12))
    return list(itertools.islice(re.findall(r"\s*(?:[A-Za-z]{1,9}|[^A-Za-z\s]{1,3})", text), count))


TOKENS = tokens()


class MockServer:
    """The server, from outside; to be used in a ``with`` statement."""

    def __init__(self, tokens_per_second: float = 0.0, *, endless: bool = False) -> None:
        command = [sys.executable, __file__, "--tokens-per-second", str(tokens_per_second)]
        self._command = [*command, "--endless"] if endless else command
        self._facts: queue.Queue[dict[str, float | str]] = queue.Queue()

    def __enter__(self) -> MockServer:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, daemon=True).start()
        self.base_url = f"http://127.0.0.1:{int(self.next('listening', 'port'))}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def pid(self) -> int:
        return self._process.pid

    def next(self, event: str, value: str = "at", seconds: float = 60.0) -> float:
        """Wait for the next such event and return its time; earlier events of other kinds are passed over."""
        while True:
            fact = self._facts.get(timeout=seconds)
            if fact["event"] == event:
                return float(fact[value])

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._facts.put(json.loads(line))


def _say(event: str, **values: float) -> None:
    print(json.dumps({"event": event, "at": time.monotonic(), **values}), flush=True)


def _chunk(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return _sse({"id": "c1", "object": "chat.completion.chunk", "model": "mock", "choices": [choice]})


def _sse(payload: object) -> bytes:
    return _http_chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


USAGE = {"prompt_tokens": 20, "completion_tokens": len(TOKENS), "total_tokens": 20 + len(TOKENS)}
CHUNKS = [_chunk({"content": token}) for token in TOKENS]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = (
    _chunk({}, "stop")
    + _sse({"id": "c1", "model": "mock", "choices": [], "usage": USAGE})
    + _http_chunk(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)
_MESSAGE = {"index": 0, "message": {"role": "assistant", "content": "".join(TOKENS)}, "finish_reason": "stop"}
WHOLE = json.dumps({"id": "c1", "object": "chat.completion", "model": "mock", "choices": [_MESSAGE], "usage": USAGE})


class _Server:
    def __init__(self, tokens_per_second: float, *, endless: bool) -> None:
        self._pause = 1 / tokens_per_second if tokens_per_second else 0.0
        self._endless = endless

    async def serve(self) -> None:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        _say("listening", port=server.sockets[0].getsockname()[1])
        await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                _say("request")
                if json.loads(body).get("stream"):
                    await self._watched(reader, writer)
                else:
                    whole = WHOLE.encode()
                    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}\r\n\r\n"
                    writer.write(head.encode() + whole)
                    await writer.drain()
        writer.close()

    async def _watched(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Stream the reply, unless the client goes away first."""
        gone = asyncio.ensure_future(reader.read(1))
        stream = asyncio.ensure_future(self._stream(writer))
        await asyncio.wait((gone, stream), return_when=asyncio.FIRST_COMPLETED)
        finished = not gone.done() and stream.exception() is None
        if not finished:
            _say("dropped")
        gone.cancel()
        stream.cancel()
        await asyncio.gather(gone, stream, return_exceptions=True)
        if not finished:
            raise ConnectionResetError

    async def _stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        begun = time.monotonic()
        for number, chunk in enumerate(self._chunks(), 1):
            writer.write(chunk)
            await writer.drain()
            if self._pause:
                await asyncio.sleep(max(0.0, begun + number * self._pause - time.monotonic()))
        writer.write(LAST)
        await writer.drain()
        _say("finished")

    def _chunks(self) -> Iterator[bytes]:
        return itertools.cycle(CHUNKS) if self._endless else iter(CHUNKS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens-per-second", type=float, default=0.0)
    parser.add_argument("--endless", action="store_true")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Server(given.tokens_per_second, endless=given.endless).serve())


if __name__ == "__main__":
    main()
