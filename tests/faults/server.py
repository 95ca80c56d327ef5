"""A model server on loopback that misbehaves as told: raw sockets, one thread a connection, no framework.

    with FaultServer("401", "ok", text="Two is a prime.") as server:
        ...                                # base_url: server.base_url; the first request gets 401, all others "ok"
        server.script("reset", "429")      # what the next requests get, before the default mode again
        server.requests[-1].json["model"]  # what was received
        server.requests[-1].headers["authorization"]

A mode is a name from ``tests.faults.modes.MODES``, a status such as ``"503"``, or a function of one `Exchange`;
``status(429, {"Retry-After": "2"})`` makes one for a status with headers and a body of its own.

A mode that holds (``"no-headers"``, ``"stall"`` …) sets ``server.reached`` and waits until ``server.release()``, until
the peer goes away (then ``server.requests[-1].disconnected`` is set), or until the server is closed. So a test waits
for events and never sleeps::

    assert server.reached.wait(5)
    task.cancel()
    assert server.requests[-1].disconnected.wait(5)

``certificate="trusted"`` (or ``"wrong-host"``, ``"expired"``, ``"self-signed"``) serves TLS; ``server.ca_file`` is what
SSL_CERT_FILE must name for the first to be trusted. ``server.elsewhere`` is an address that a mode may refer to.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
import select
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POLL = 0.005
CRLF = b"\r\n"
TLS_HANDSHAKE = b"\x16"


class PeerGone(Exception):
    """The client closed its side."""


class CloseConnection(Exception):
    """The mode wants the connection closed."""


@dataclass
class Received:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    mode: str
    connection: int
    at: float
    disconnected: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Exchange:
    """What a mode works with: the request, and ways to answer or mistreat it."""

    def __init__(self, server: FaultServer, request: Received, sock: socket.socket) -> None:
        self.server = server
        self.request = request
        self._sock = sock

    @property
    def streaming(self) -> bool:
        """Whether the client asked for a stream."""
        try:
            return bool(self.request.json.get("stream"))
        except ValueError:
            return False

    def send(self, data: bytes) -> None:
        """Send raw bytes at once."""
        try:
            self._sock.sendall(data)
        except OSError:
            raise PeerGone from None

    def head(self, status: int = 200, headers: Mapping[str, str] | None = None, reason: str = "Whatever") -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.send("\r\n".join(lines).encode() + CRLF + CRLF)

    def whole(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Send a whole response with its length."""
        self.head(status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})})
        self.send(body)

    def begin_stream(self, headers: Mapping[str, str] | None = None) -> None:
        """Send the head of a chunked event stream."""
        self.head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", **(headers or {})})

    def chunk(self, data: bytes) -> None:
        """Send one HTTP chunk."""
        self.send(f"{len(data):x}".encode() + CRLF + data + CRLF)

    def end_stream(self) -> None:
        """Send the last HTTP chunk."""
        self.send(b"0\r\n\r\n")

    def event(self, payload: object) -> None:
        """Send one server-sent event: an object as JSON, a string as it is."""
        self.chunk(sse(payload))

    def words(self, count: int | None = None) -> None:
        """Send the first words of the reply's text, each as an event."""
        for piece in self.server.pieces[:count]:
            self.event(self.delta(content=piece))
            self.pause()

    def pause(self) -> None:
        if self.server.chunk_delay:
            time.sleep(self.server.chunk_delay)

    def delta(self, *, finish_reason: str | None = None, **delta: object) -> dict[str, object]:
        """Return a chunk with one choice."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {"id": "c1", "object": "chat.completion.chunk", "model": self.server.model, "choices": [choice]}

    def usage(self) -> dict[str, int]:
        prompt, completion = self.server.usage
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def usage_chunk(self) -> dict[str, object]:
        return {"id": "c1", "model": self.server.model, "choices": [], "usage": self.usage()}

    def completion(self, text: str | None = None, finish_reason: str | None = "stop") -> dict[str, object]:
        """Return a whole completion."""
        message = {"role": "assistant", "content": self.server.text if text is None else text}
        choice = {"index": 0, "message": message, "finish_reason": finish_reason}
        return {"id": "c1", "model": self.server.model, "choices": [choice], "usage": self.usage()}

    def hold(self) -> None:
        """Say that this point is reached, then wait for ``release()``; raises when the peer goes away first."""
        self.server.reached.set()
        while not self.server.gate.is_set():
            self.check_peer()
        if self.server.closing.is_set():
            raise CloseConnection

    def check_peer(self) -> None:
        """Wait a moment and raise if the peer has gone."""
        readable, _, _ = select.select([self._sock], [], [], POLL)
        if readable:
            try:
                gone = not self._sock.recv(1)
            except OSError:
                gone = True
            if gone:
                raise PeerGone

    def close(self) -> None:
        """Close the connection in the ordinary way."""
        raise CloseConnection

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise CloseConnection


Mode = Callable[[Exchange], None]


def sse(payload: object) -> bytes:
    """Return one server-sent event."""
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return f"data: {text}\n\n".encode()


def status(code: int, headers: Mapping[str, str] | None = None, body: object = None) -> Mode:
    """Return a mode that answers with a status; ``body`` is bytes, or anything that JSON can hold."""

    def answer(exchange: Exchange) -> None:
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        exchange.whole(code, raw, headers)

    answer.__name__ = str(code)
    return answer


def unused_url() -> str:
    """Return a base URL on loopback where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


class FaultServer:
    """Serves scripted replies and faults until closed; see the module's docstring."""

    DEFAULT_TEXT = "Testing is a joy.\nRed, then green."

    def __init__(
        self,
        *modes: str | Mode,
        text: str = DEFAULT_TEXT,
        model: str = "fault-model",
        usage: tuple[int, int] = (12, 8),
        chunk_delay: float = 0.0,
        certificate: str | None = None,
    ) -> None:
        self.text = text
        self.model = model
        self.usage = usage
        self.chunk_delay = chunk_delay
        self.requests: list[Received] = []
        self.connections = 0
        self.reached = threading.Event()
        self.gate = threading.Event()
        self.closing = threading.Event()
        self.ca_file = ""
        self.elsewhere = ""
        self._script: deque[str | Mode] = deque(modes[:-1])
        self._default: str | Mode = modes[-1] if modes else "ok"
        self._lock = threading.RLock()
        self._arrived = threading.Condition(self._lock)
        self._open: set[socket.socket] = set()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.tls = self._tls_context(certificate) if certificate else None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def pieces(self) -> list[str]:
        """The text in pieces, as it is streamed."""
        return re.findall(r"\S+\s*|\s+", self.text)

    def script(self, *modes: str | Mode) -> None:
        """Set what the next requests get, one each; after them the default mode is back."""
        with self._lock:
            self._script = deque(modes)

    def set_default(self, mode: str | Mode) -> None:
        """Set what requests get that no script covers."""
        self._default = mode

    def wait_for_requests(self, count: int, seconds: float = 10.0) -> bool:
        """Wait until so many requests have come in since the start; False if they have not in time."""
        with self._lock:
            return self._arrived.wait_for(lambda: len(self.requests) >= count, seconds)

    def release(self) -> None:
        """Let every request that is held go on."""
        self.gate.set()

    def hold_again(self) -> None:
        """Hold requests again after ``release``."""
        self.gate.clear()
        self.reached.clear()

    def drop_connections(self) -> None:
        """Close every open connection, as a server does with idle ones."""
        with self._lock:
            open_now = list(self._open)
        for each in open_now:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop listening and drop everything; afterwards connections are refused."""
        self.closing.set()
        self.gate.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop_connections()
        self._thread.join(5)
        if self._folder is not None:
            self._folder.cleanup()

    def _tls_context(self, certificate: str) -> ssl.SSLContext:
        import trustme

        authority = trustme.CA()
        self._folder = tempfile.TemporaryDirectory()
        self.ca_file = str(Path(self._folder.name, "ca.pem"))
        authority.cert_pem.write_to_path(self.ca_file)
        long_ago = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        host = "elsewhere.example" if certificate == "wrong-host" else "127.0.0.1"
        issued = (
            authority.issue_cert(host, not_after=long_ago) if certificate == "expired" else authority.issue_cert(host)
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if certificate == "self-signed":
            own = Path(self._folder.name, "own.pem")
            own.write_bytes(authority.private_key_pem.bytes() + authority.cert_pem.bytes())
            context.load_cert_chain(own)
        else:
            issued.configure_cert(context)
        return context

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        with self._lock:
            self._open.add(sock)
        try:
            with sock, sock.makefile("rb") as reader, contextlib.suppress(OSError, ValueError):
                while self._serve_one(sock, reader, number):
                    pass
        finally:
            self._open.discard(sock)

    def _serve_one(self, sock: socket.socket, reader: io.BufferedReader, number: int) -> bool:
        try:
            if reader.peek(1)[:1] == TLS_HANDSHAKE:  # it holds a line end by chance only
                raise ValueError
            request = self._receive(reader, number)
        except ValueError:
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return False
        if request is None or self.closing.is_set():
            return False
        with self._lock:
            mode = self._script.popleft() if self._script else self._default
            request.mode = mode if isinstance(mode, str) else mode.__name__
            self.requests.append(request)
            self._arrived.notify_all()
        try:
            self._mode(mode)(Exchange(self, request, sock))
        except PeerGone:
            request.disconnected.set()
            return False
        except CloseConnection:
            return False
        finally:
            request.answered.set()
        return True

    @staticmethod
    def _receive(reader: Any, number: int) -> Received | None:
        line = reader.readline().decode("latin-1")
        if not line.strip():
            return None
        method, path, _ = line.split(" ", 2)
        headers: dict[str, str] = {}
        while raw := reader.readline().strip():
            name, _, value = raw.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = reader.read(int(headers.get("content-length", 0)))
        return Received(method, path, headers, body, "", number, time.monotonic())

    @staticmethod
    def _mode(mode: str | Mode) -> Mode:
        from tests.faults.modes import find_mode

        return find_mode(mode) if isinstance(mode, str) else mode
