"""A model server on loopback in a process of its own that costs as little as it can: the figures are the clients'.

    with QuickServer() as server:
        f"{server.url}/v1"        # answers at once; a stream is 200 chunks in one burst
        f"{server.url}/paced/v1"  # a stream of 200 chunks, one every `PACE` seconds
        f"{server.url}/500/v1"    # status 500 at once
        f"{server.url}/dead/v1"   # status 500 after `DEAD_SECONDS`
        f"{server.url}/count"     # how many requests /dead got so far, as a number
    server.url                # all of it in the services' own forms too, see `form_replies.py`
        refused_url()             # nothing listens there

Replies are bytes that were made before; a request is searched for the end of its head, its length and the word
"stream", and nothing else of it is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import re
import socket
import sys
from typing import NamedTuple

from form_replies import Replies, form_replies
from mock_server import MockServer

CHUNKS = 200
PACE = 0.002
DEAD_SECONDS = 0.2
TEXT = "Two is a prime."

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_STREAM = re.compile(rb'"stream": ?true')
_STREAM_IN_PATH = re.compile(rb":streamGenerateContent|/converse-stream")


class QuickServer(MockServer):
    """The server, from outside; to be used in a ``with`` statement."""

    def __init__(self) -> None:
        super().__init__()
        self._command = [sys.executable, __file__]
        self._facts = queue.Queue()

    @property
    def url(self) -> str:
        return self.base_url.removesuffix("/v1")


def refused_url() -> str:
    """Return an address on loopback where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def _response(status: str, body: bytes, kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _chunk(payload: object) -> bytes:
    return _http_chunk(b"data: " + (payload if isinstance(payload, bytes) else json.dumps(payload).encode()) + b"\n\n")


def _http_chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _delta(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _chunk(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "mock", "choices": [choice]}
    )


def _head(kind: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


_USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
_MESSAGE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "logprobs": None, "finish_reason": "stop"}
_WHOLE = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "mock", "choices": [_MESSAGE]}
WHOLE = _response("200 OK", json.dumps({**_WHOLE, "usage": _USAGE}).encode())
ERROR = _response("500 Internal Server Error", b'{"error": {"message": "broken", "type": "server_error"}}')
WORDS = [f" word{number}" for number in range(CHUNKS)]
PIECES = [_delta({"content": word}) for word in WORDS]
HEAD = _head("text/event-stream")
END = _delta({}, "stop") + _chunk(b"[DONE]") + b"0\r\n\r\n"


class Form(NamedTuple):
    """A reply in one form as bytes: a whole one, or a stream's beginning, a chunk for each piece, and its end."""

    whole: bytes
    begin: bytes
    pieces: list[bytes]
    end: bytes


def _form(replies: Replies) -> Form:
    first = next(number for number, event in enumerate(replies.events) if WORDS[0].encode() in event)
    chunks = [_http_chunk(event) for event in replies.events]
    begin, pieces, end = chunks[:first], chunks[first : first + CHUNKS], chunks[first + CHUNKS :]
    whole = _response("200 OK", replies.whole)
    return Form(whole, _head(replies.kind) + b"".join(begin), pieces, b"".join(end) + b"0\r\n\r\n")


OPENAI = Form(WHOLE, HEAD, PIECES, END)
FORMS = {mark: _form(replies) for mark, replies in form_replies(TEXT, WORDS).items()}


class _Connection(asyncio.Protocol):
    dead_count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(b"\r\n\r\n")) >= 0:
            found = _LENGTH.search(self._received, 0, head_end)
            end = head_end + 4 + (int(found[1]) if found else 0)
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            self._answer(request, head_end)

    def _answer(self, request: bytes, head_end: int) -> None:
        path = request[: request.find(b"\r\n")].split()[1]
        if path.startswith(b"/500/"):
            self._transport.write(ERROR)
        elif path.startswith(b"/dead/"):
            _Connection.dead_count += 1
            self._loop.call_later(DEAD_SECONDS, self._transport.write, ERROR)
        elif path == b"/count":
            self._transport.write(_response("200 OK", str(_Connection.dead_count).encode()))
        else:
            form = next((FORMS[mark] for mark in FORMS if mark in path), OPENAI)
            if not (_STREAM.search(request, head_end) or _STREAM_IN_PATH.search(path)):
                self._transport.write(form.whole)
            elif path.startswith(b"/paced/"):
                self._transport.write(form.begin)
                self._pace(form, self._loop.time(), 0)
            else:
                for data in (form.begin, *form.pieces, form.end):
                    self._transport.write(data)

    def _pace(self, form: Form, begun: float, number: int) -> None:
        if number == CHUNKS:
            self._transport.write(form.end)
            return
        self._transport.write(form.pieces[number])
        self._loop.call_at(begun + (number + 1) * PACE, self._pace, form, begun, number + 1)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"event": "listening", "port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
