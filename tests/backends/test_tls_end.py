"""What a server sent over TLS before it closed is given whole, however slowly it is read."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trustme

from llx_magic.backends.http.direct import DirectTransport
from llx_magic.backends.http.transport import Request

CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
TURNS = 200
"""Of the loop, between two reads of a slow reader."""


@contextlib.contextmanager
def closing(context: ssl.SSLContext, *sent: bytes) -> Iterator[str]:
    """Run a server that sends this to whoever asks, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                accepted, _ = listening.accept()
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with context.wrap_socket(accepted, server_side=True) as connection:
                    connection.recv(65536)
                    for part in sent:
                        connection.sendall(part)
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        yield f"https://localhost:{listening.getsockname()[1]}/"
    server.join(10)


async def received(context: ssl.SSLContext, url: str) -> int:
    transport, count = DirectTransport(context), 0
    response = await transport.send(Request(url, {}, b"{}"), lambda: None)
    async for data in response:
        count += len(data)
        for _ in range(TURNS):
            await asyncio.sleep(0)
    await response.aclose()
    await transport.aclose()
    return count


@pytest.mark.parametrize("has_length", [True, False], ids=["with a length", "ended by the connection"])
@pytest.mark.parametrize("parts", [(700_000,), (10, 10, 10, 400_000), (3_000_000,)], ids=str)
def test_a_body_over_tls_is_whole_though_its_server_has_closed(parts: tuple[int, ...], has_length: bool) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(theirs)
    length = b"Content-Length: %d\r\n" % sum(parts) if has_length else b""
    for _ in range(5):
        with closing(theirs, CLOSE + length + b"\r\n", *(b"w" * size for size in parts)) as url:
            assert asyncio.run(received(ours, url)) == sum(parts)
