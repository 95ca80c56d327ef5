"""What the connections are kept from doing: keeping cookies, complaining, speaking of the key, being shared."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.connections import CLIENTS, VARIABLE, Way, new_transport, way_to
from llx_magic.backends.http.direct import DirectTransport
from llx_magic.backends.http.httpx import HttpxTransport
from llx_magic.backends.http.transport import Broken, Request, Transport
from llx_magic.core.failure import BackendFailed
from llx_magic.core.message import Message
from llx_magic.core.reply import ChatRequest
from llx_magic.keys.secret import Secret
from tests.faults.asking import KEY, answer_of, ask, backend, backend_at, obstacle
from tests.faults.server import FaultServer, status, unused_url

UNCLOSED = """
import asyncio, sys
sys.path.insert(0, {root!r})
from tests.faults.asking import answer_of, backend_at
from tests.faults.server import FaultServer

async def run():
    await answer_of(backend_at(server.base_url))

with FaultServer() as server:
    for _ in range({loops}):
        asyncio.run(run())
"""


ADDRESSES = ("http://127.0.0.1:9/v1", "https://127.0.0.1:9/v1", "http://models.example/v1", "https://models.example/v1")


def question_to(url: str) -> Request:
    return Request(url, {"Authorization": Secret(KEY).after("Bearer ")}, b"{}")


def kind_of_transport(base_url: str) -> type[Transport]:
    async def run() -> type[Transport]:
        async with contextlib.aclosing(new_transport(way_to(Endpoint(base_url, "m")))) as transport:
            return type(transport)

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.mark.parametrize("address", ADDRESSES)
def test_connections_of_our_own_are_the_transport_unless_something_else_is_asked_for(address):
    """For every kind of address."""
    assert kind_of_transport(address) is DirectTransport


@pytest.mark.parametrize("address", ADDRESSES)
def test_the_variable_chooses_the_transport(monkeypatch, address):
    """For every kind of address."""
    monkeypatch.setenv(VARIABLE, "httpx")
    assert kind_of_transport(address) is HttpxTransport


@pytest.mark.parametrize("variable", ["https_proxy", "ALL_PROXY"])
def test_httpx_goes_where_a_proxy_stands_in_the_way_and_nowhere_else(monkeypatch, variable):
    """It knows every kind of proxy; this machine, and what no_proxy holds, is reached directly."""
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "direct.example")
    assert kind_of_transport("https://models.example/v1") is HttpxTransport
    assert kind_of_transport("https://direct.example/v1") is DirectTransport
    assert kind_of_transport("http://127.0.0.1:9/v1") is DirectTransport


def test_a_transport_that_does_not_exist_is_one_line(monkeypatch):
    """It names what was given and what is allowed."""
    monkeypatch.setenv(VARIABLE, "carrier pigeon")
    assert obstacle(backend_at(unused_url())) == "LLX_HTTP_TRANSPORT must be direct or httpx, got 'carrier pigeon'"


async def test_a_cookie_is_not_sent_back():
    """Nothing of one reply goes into the next request."""
    with FaultServer(status(503, {"Set-Cookie": "a=b; Path=/"})) as server:
        async with backend(server.base_url) as asked:
            for _ in range(2):
                with pytest.raises(BackendFailed):
                    await answer_of(asked)
        assert len(server.requests) == 2
        assert "cookie" not in server.requests[1].headers


def test_a_long_line_in_the_head_of_a_reply_is_read():
    """Some servers send long policies and cookies."""
    with FaultServer(status(503, {"X-Policy": "a" * 60_000})) as server:
        assert ask(server.base_url)[0].status == 503


async def test_a_prompt_of_several_megabytes_is_sent_whole_and_without_a_warning():
    """However it is cut on its way."""
    asked = ChatRequest(messages=(Message("user", "word " * 600_000),), params={})

    with FaultServer() as server, warnings.catch_warnings():
        warnings.simplefilter("error")
        async with backend(server.base_url) as made:
            answer = await answer_of(made, asked)
        assert answer.text == server.text
    assert len(server.requests[0].json["messages"][0]["content"]) == 3_000_000


@pytest.mark.parametrize(
    "mode", ["bad-status-line", "duplicate-length", "endless-headers", "close", "reset", "half-a-head"]
)
@pytest.mark.parametrize("library", ["direct", "httpx"])
async def test_a_fault_comes_out_as_our_own_with_nothing_chained_that_knows_the_request(mode, library):
    """The libraries' own may hold the request's headers."""
    with FaultServer(mode) as server:
        async with contextlib.aclosing(new_transport(Way(None, None, library))) as transport:
            with pytest.raises(Broken) as caught:
                await transport.send(question_to(server.base_url), lambda: None)
        broken = caught.value
    assert (broken.__cause__, broken.__context__) == (None, None)
    assert KEY not in f"{broken!r} {broken.causes!r}"
    assert all(isinstance(cause, OSError) for cause in broken.causes)


@pytest.mark.parametrize("library", ["direct", "httpx"])
async def test_a_cancellation_comes_out_without_the_frames_that_hold_the_headers(library):
    """A traceback that shows local variables would show the key in them."""
    with FaultServer("no-headers") as server:
        async with contextlib.aclosing(new_transport(Way(None, None, library))) as transport:
            sending = asyncio.create_task(transport.send(question_to(server.base_url), lambda: None))
            await asyncio.to_thread(server.reached.wait, 10)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await sending
        error: BaseException | None = caught.value
    seen = 0
    while error is not None:
        frame = error.__traceback__
        while frame is not None:
            seen += 1
            file = frame.tb_frame.f_code.co_filename
            assert not any(f"site-packages/{name}/" in file for name in ("direct", "httpx", "httpcore", "h11"))
            assert KEY not in repr(frame.tb_frame.f_locals)
            frame = frame.tb_next
        error = error.__context__
    assert seen


@pytest.mark.parametrize("loops", [1, 3])
def test_connections_that_nobody_closed_leave_nothing_on_standard_error(loops):
    """Neither when their loop is forgotten nor at the end of the process."""
    program = UNCLOSED.format(root=str(Path.cwd()), loops=loops)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stderr == ""


@pytest.mark.posix("there is no fork on Windows")
async def test_a_forked_copy_that_collects_its_garbage_leaves_the_connections_alone():
    """It shares the loop's list of sockets to watch with the original: closing there would make that one deaf."""
    with FaultServer() as server:
        async with asyncio.timeout(20):
            async with backend(server.base_url) as asked:
                await answer_of(asked)
                copy = os.fork()
                if copy == 0:
                    gc.collect()
                    os._exit(len(CLIENTS))
                assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0  # noqa: ASYNC222
                answer = await answer_of(asked)
                assert server.connections == 1
        assert answer.text == server.text


async def test_a_connection_given_up_at_any_moment_leaves_its_number_to_the_next(monkeypatch):
    """The loop that watches a socket has to close it; else the next one has the number of one that is watched.

    At both ends of a TLS handshake asyncio goes on for a while with what was cancelled.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def ask(transport: Transport) -> int:
        async with contextlib.aclosing(await transport.send(Request(url, {}, b"", "GET"), lambda: None)) as response:
            return response.status

    with FaultServer(certificate="trusted") as trusted:
        monkeypatch.setenv("SSL_CERT_FILE", trusted.ca_file)
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=trusted.tls) as server:
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            async with contextlib.aclosing(new_transport(way_to(Endpoint(url, "m")))) as transport:
                for turns in range(30):
                    asking = asyncio.create_task(ask(transport))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    asking.cancel()
                    await asyncio.wait([asking])
                    assert await ask(transport) == 204


async def answered_by(*pieces: bytes, body: bytes = b"{}", **headers: str) -> tuple[int, bytes]:
    """Return status and body of what a bare server says, piece by piece, before it has read more than a head."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with contextlib.aclosing(new_transport(Way(None, None, "direct"))) as transport:
            response = await transport.send(Request(url, {"A": "b", **headers}, body), lambda: None)
            async with contextlib.aclosing(response):
                return response.status, b"".join([data async for data in response])


@pytest.mark.parametrize(
    "endless", [b"1;" + b"x" * 60_000, b"0\r\n" + b"".join(b"A%d: b\r\n" % number for number in range(9_000))]
)
async def test_what_stands_between_the_pieces_of_a_body_and_behind_it_has_an_end(endless):
    """Else a server could fill the memory with the extensions of a chunk, or with fields behind the last."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    more = endless[endless.index(b"\n") + 1 :] if b"\n" in endless else endless[2:]
    with pytest.raises(Broken, match=r"^more than 1048576 bytes between two pieces of a body$"):
        await answered_by(head, endless, *[more] * 40)


async def test_a_body_without_a_length_ends_with_its_connection():
    assert await answered_by(b"HTTP/1.0 200 OK\r\n\r\nhal", b"f a word") == (200, b"half a word")


async def test_heads_that_only_announce_another_are_passed_over():
    early = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" * 3
    assert await answered_by(early, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") == (200, b"hi")


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 200 OK\r\nA: folded\r\n once\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nA: a\x01b\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ],
)
async def test_a_reply_that_is_odd_and_can_be_read_in_one_way_only_is_read(reply):
    """Servers that are written by hand send such replies, and other clients read them."""
    assert await answered_by(reply) == (200, b"hi")


@pytest.mark.parametrize("name", ["chunked", "Chunked", "gzip, CHUNKED"])
async def test_a_body_in_chunks_that_has_no_last_one_is_not_whole(name):
    """In capitals as well: https://www.rfc-editor.org/rfc/rfc9112#section-7"""
    with pytest.raises(Broken):
        await answered_by(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {name}\r\n\r\n2\r\nhi\r\n".encode())


async def test_an_answer_that_comes_before_a_large_prompt_is_sent_is_the_answer():
    """As of a server that refuses a prompt for its length, and reads no more of it."""
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nlong"
    assert await answered_by(refusal, body=b"x" * 50_000_000) == (413, b"long")


@pytest.mark.parametrize("value", ["a\r\nB: c", "a\nb", "a\0b"])
async def test_a_header_that_could_be_read_as_two_is_not_sent(value):
    with pytest.raises(Broken, match=r"^a header has a line break or a null byte$"):
        await answered_by(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", B=value)


async def test_an_address_of_the_sixth_version_is_asked_by_its_figures():
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    try:
        server = await asyncio.start_server(serve, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    async with server, contextlib.aclosing(new_transport(Way(None, None, "direct"))) as transport:
        url = f"http://[::1]:{server.sockets[0].getsockname()[1]}/v1?a=b"
        response = await transport.send(Request(url, {}, b"", "GET"), lambda: None)
        await response.aclose()
    assert heads[0] == f"GET /v1?a=b HTTP/1.1\r\nHost: {url[7:-7]}\r\n\r\n".encode()
