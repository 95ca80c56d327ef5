"""How the HTTP backend makes, shares, secures and gives back its connections."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import pytest

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.connections import CLIENTS, way_to
from llx_magic.backends.http.errors import Peer, meaning_of
from llx_magic.backends.http.keys import KeyReader
from llx_magic.backends.http.transport import Broken, Fault
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, Limit
from llx_magic.core.message import Message
from llx_magic.core.reply import Answer, ChatRequest
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import KeyMissing
from llx_magic.keys.secret import Proof
from tests.engine.kit import Bench
from tests.faults.asking import KEY, FixedKey, Pieces, answer_of, ask, attempt, backend, backend_at, obstacle, question
from tests.faults.modes import good_bytes
from tests.faults.server import FaultServer, status, unused_url

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Leave the tester's own proxies out of it."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask_twice(server: FaultServer) -> list[Answer | Failure]:
    """Ask two questions one after the other on one loop."""

    async def run() -> list[Answer | Failure]:
        outcomes: list[Answer | Failure] = []
        async with backend(server.base_url) as asked:
            for _ in range(2):
                try:
                    outcomes.append(await answer_of(asked))
                except BackendFailed as failed:
                    outcomes.append(failed.failure)
        return outcomes

    return asyncio.run(run())


# --- pooled connections ---------------------------------------------------------------------------------------------


def test_a_connection_is_used_again():
    """Streamed replies are read to their end, so the second question needs no new connection."""
    with FaultServer() as server:
        assert all(isinstance(each, Answer) for each in ask_twice(server))
        assert server.connections == 1


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_pooled_connection_that_proves_dead_is_replaced_for_free(fault):
    """The question is sent again at once, on a new connection, and nobody notices."""
    with FaultServer("ok", fault, "ok") as server:
        assert all(isinstance(each, Answer) for each in ask_twice(server))
        assert [each.connection for each in server.requests] == [1, 1, 2]


def test_a_dead_pooled_connection_is_replaced_only_once():
    """If the new one dies as well, that is a network failure."""
    with FaultServer("ok", "close", "close", "ok") as server:
        _, failure = ask_twice(server)
        assert failure.kind is FailureKind.NETWORK
        assert len(server.requests) == 3


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_new_connection_that_dies_is_a_failure_at_once(fault):
    """A server that hangs up on a first question did so on purpose."""
    with FaultServer(fault) as server:
        assert ask(server.base_url)[0].kind is FailureKind.NETWORK
        assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["text-then-close", "503", "no-headers"])
async def test_a_pooled_connection_that_answered_is_not_asked_again(fault):
    """Once anything came, or while the server is silent, the question is not repeated."""
    with FaultServer("ok", fault, "ok") as server:
        async with backend(server.base_url) as asked:
            await answer_of(asked)
            answering = asyncio.create_task(answer_of(asked))
            if fault == "no-headers":
                await asyncio.to_thread(server.reached.wait, 10)
                answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)
        assert len(server.requests) == 2


async def test_idle_connections_that_the_server_dropped_do_no_harm():
    """A server that was restarted meanwhile is simply asked on a new connection."""
    with FaultServer() as server:
        async with backend(server.base_url) as asked:
            await asyncio.gather(*(answer_of(asked) for _ in range(8)))
            server.drop_connections()
            answer = await answer_of(asked)
        assert answer.text == server.text


async def test_many_questions_at_a_time_are_all_sent():
    """No pool limit holds any of them back."""
    with FaultServer("ok-when-released") as server:
        async with asyncio.timeout(30):
            async with backend(server.base_url) as asked:
                answering = [asyncio.create_task(answer_of(asked)) for _ in range(130)]
                assert await asyncio.to_thread(server.wait_for_requests, 130)
                server.release()
                assert {(await each).text for each in answering} == {server.text}


# --- one client a loop ----------------------------------------------------------------------------------------------


async def test_backends_on_one_loop_share_connections_until_the_last_gives_them_back():
    """Closing one leaves the others' connections open; closing the last closes them."""
    before = len(CLIENTS)
    with FaultServer() as server:
        first, second = backend_at(server.base_url, name="one"), backend_at(server.base_url, name="two")
        await answer_of(first)
        await answer_of(second)
        await first.aclose()
        await answer_of(second)
        assert server.connections == 1
        await second.aclose()
        assert len(CLIENTS) == before
        await second.aclose()
        await answer_of(second)
        assert server.connections == 2
        await second.aclose()


def test_one_backend_serves_several_loops_in_several_threads():
    """Each loop has its own client."""
    with FaultServer() as server:
        shared = backend_at(server.base_url)
        texts: list[str] = []

        async def run() -> None:
            for _ in range(5):
                texts.append((await answer_of(shared)).text)
            await shared.aclose()

        threads = [threading.Thread(target=asyncio.run, args=(run(),)) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert texts == [server.text] * 20
        assert server.connections == 4


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_question_is_not_sent_again_once_a_single_byte_of_a_reply_came(end):
    """The server has seen it and may have counted it; a connection that died in silence is another matter."""

    def cut_head(exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
        time.sleep(0.1)  # a reset would overtake the bytes
        getattr(exchange, end)()

    with FaultServer("ok", cut_head) as server:
        async with backend(server.base_url) as asked:
            await answer_of(asked)
            with pytest.raises(BackendFailed) as caught:
                await answer_of(asked)
        failure = caught.value.failure
        assert (failure.kind, len(server.requests)) == (FailureKind.NETWORK, 2)


@pytest.mark.parametrize("noticed", [False, True], ids=["not yet read", "read while idle"])
async def test_what_a_server_says_unasked_is_nobodys_answer(noticed):
    """It would pass for the answer to the next question, whoever asks it; the connection is given up instead."""
    said = threading.Event()

    def talkative(exchange) -> None:
        exchange.whole(200, json.dumps(exchange.completion("asked for")).encode())
        time.sleep(0.05)  # so that the first reply has ended
        exchange.whole(200, json.dumps(exchange.completion("unasked")).encode())
        said.set()

    with FaultServer(talkative, "ok") as server:
        async with backend(server.base_url) as one, backend(server.base_url) as other:
            texts = [(await answer_of(one, question(streaming=False))).text]
            said.wait(10)
            if noticed:
                await asyncio.sleep(0.05)
            texts.append((await answer_of(other, question(streaming=False))).text)
        assert texts == ["asked for", server.text]
        assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("garbage", [b"GARBAGE\r\n", b"\r\n", b"\0", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"])
def test_what_follows_a_whole_reply_in_the_same_packet_does_not_harm_it(garbage):
    def careless(exchange) -> None:
        body = json.dumps(exchange.completion()).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        exchange.send(head + body + garbage)

    with FaultServer(careless) as server:
        answer, _ = ask(server.base_url, streaming=False)
        assert isinstance(answer, Answer)
        assert answer.text == server.text


def test_a_chunk_that_is_malformed_behind_the_end_of_a_stream_does_not_harm_it():
    """What came before it in the same packet is read first, and holds the reason why the reply ended."""

    def careless(exchange) -> None:
        events = good_bytes(exchange)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        exchange.send(head + b"%x\r\n%s\r\nzz\r\n" % (len(events), events))

    with FaultServer(careless) as server:
        answer, _ = ask(server.base_url)
        assert isinstance(answer, Answer)
        assert answer.text == server.text


@pytest.mark.parametrize("close", ["the loop's clients", "the backend's own"])
async def test_a_question_whose_connection_is_closed_from_here_is_not_sent_again(close):
    """It may be answered already, and paid for; a connection of the pool that the server closed is another matter."""

    def held(exchange) -> None:
        exchange.hold()

    with FaultServer("ok", held, "ok") as server:
        async with backend(server.base_url) as asked:
            await answer_of(asked)
            task = asyncio.create_task(answer_of(asked))
            await asyncio.to_thread(server.reached.wait, 10)
            await (CLIENTS.close_loop() if close == "the loop's clients" else asked.aclose())
            with pytest.raises(BackendFailed) as caught:
                await task
        failure = caught.value.failure
        assert failure.kind is FailureKind.NETWORK
        assert len(server.requests) == 2


def test_a_name_that_cannot_be_decoded_is_one_line_and_the_key_is_not_in_it():
    found = obstacle(backend_at("https://xn--a.example/v1"))
    assert found == "base-url must name a host or a whole IP address, got 'https://xn--a.example/v1'"


def test_an_address_in_capitals_is_reached_in_the_same_way():
    endpoints = [Endpoint(base_url=f"{scheme}://127.0.0.1:1/v1", model="m") for scheme in ("https", "HTTPS", "HttpS")]
    assert [way_to(each) for each in endpoints] == [way_to(endpoints[0])] * 3
    assert way_to(endpoints[0]).trust is not None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_loops_that_ended_without_giving_back_are_forgotten():
    """The registry never holds more than the last of them."""
    with FaultServer() as server:
        before = len(CLIENTS)
        for _ in range(5):
            asyncio.run(answer_of(backend_at(server.base_url)))
        assert len(CLIENTS) <= before + 1
        ask(server.base_url)
        assert len(CLIENTS) <= before
        gc.collect()


async def test_a_loop_that_is_about_to_end_can_close_every_client_it_has():
    """The server then sees its connection end, although no backend gave it back; the next question opens another."""
    before = len(CLIENTS)
    with FaultServer() as server:
        held = backend_at(server.base_url)
        await answer_of(held)
        await CLIENTS.close_loop()
        assert len(CLIENTS) == before
        await CLIENTS.close_loop()
        await answer_of(held)
        assert server.connections == 2
        await held.aclose()


@pytest.mark.posix("there is no fork on Windows")
async def test_a_forked_copy_neither_uses_nor_closes_the_connections():
    """Its registry is empty and unlocked, even where another thread of the original was just using it."""
    with FaultServer() as server:
        async with backend(server.base_url) as asked:
            await answer_of(asked)
            with CLIENTS._lock:
                copy = os.fork()
                if copy == 0:
                    os._exit(0 if len(CLIENTS) == 0 and CLIENTS._lock.acquire(blocking=False) else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 0  # noqa: ASYNC222
            await answer_of(asked)
            assert server.connections == 1


def test_importing_the_backend_does_not_import_httpx():
    """The first question does, so that loading the extension costs nothing."""
    heavy = ("httpx", "ssl", "httpcore", "httptools")
    code = f"import sys, llx_magic.backends.http.backend; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() in ("[]", "['ssl']")


# --- connecting -----------------------------------------------------------------------------------------------------


def test_a_refused_connection_names_the_address():
    """In plain words."""
    url = unused_url()
    failure, _ = ask(url)
    address = url.removeprefix("http://").removesuffix("/v1")
    assert (failure.kind, failure.message) == (FailureKind.NETWORK, f"connection refused by {address}")


async def test_a_connection_that_does_not_stand_in_time_is_a_timeout():
    """The TLS handshake is part of connecting: TCP alone is not a connection."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with backend(f"https://127.0.0.1:{silent.getsockname()[1]}/v1") as asked:
            with pytest.raises(BackendFailed) as caught:
                await attempt(asked, connect_timeout_ms=50)
        failure = caught.value.failure
    assert (failure.kind, failure.limit, failure.limit_ms) == (FailureKind.TIMEOUT, Limit.CONNECT, 50)
    assert re.fullmatch(r"no connection to 127\.0\.0\.1:\d+ within 50 ms \(connect_timeout_ms\)", failure.message)
    assert failure.elapsed_ms >= 49


@pytest.mark.parametrize("by_timeout", [False, True])
async def test_a_connection_given_up_in_its_handshake_is_closed_at_once(by_timeout):
    """By the user or by the time-out: the other side sees it go."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with backend(f"https://127.0.0.1:{silent.getsockname()[1]}/v1") as asked:
            answering = asyncio.create_task(attempt(asked, connect_timeout_ms=50 if by_timeout else None))
            peer, _ = await asyncio.to_thread(silent.accept)
            with peer:
                peer.settimeout(5)
                hello = await asyncio.to_thread(peer.recv, 65536)
                assert hello
                if not by_timeout:
                    answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)
                rest = await asyncio.to_thread(peer.recv, 65536)
        assert rest == b""


@pytest.mark.parametrize("reused", [False, True])
async def test_the_connect_timeout_does_not_limit_the_answer(reused):
    """Once the connection stands, only the engine's own time-outs apply."""
    with FaultServer("ok-when-released") as server:
        async with backend(server.base_url) as asked:
            if reused:
                server.script("ok")
                await answer_of(asked)
            answering = asyncio.create_task(attempt(asked, connect_timeout_ms=30))
            await asyncio.to_thread(server.reached.wait, 10)
            await asyncio.sleep(0.1)  # longer than the limit that must not apply
            server.release()
            answer = await answering
        assert answer.text == server.text


def test_a_certificate_that_is_trusted_is_accepted(monkeypatch):
    """By the variable that names the authorities to trust."""
    with FaultServer(certificate="trusted") as server:
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        assert ask(server.base_url)[0].text == server.text
        assert ask(server.base_url, streaming=False)[0].text == server.text


@pytest.mark.parametrize(
    ("certificate", "trusts", "problem"),
    [
        ("trusted", False, "unable to get local issuer certificate"),
        ("wrong-host", True, "IP address mismatch"),
        ("expired", True, "certificate has expired"),
    ],
)
def test_a_bad_certificate_is_refused_with_its_problem(monkeypatch, certificate, trusts, problem):
    """Verification is never off, and nothing is sent."""
    with FaultServer(certificate=certificate) as server:
        if trusts:
            monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        failure, _ = ask(server.base_url)
        assert failure.kind is FailureKind.TLS
        assert failure.message.startswith(f"the certificate of 127.0.0.1:{server.port} was refused: ")
        assert problem in failure.message
        assert server.requests == []


def test_https_to_a_server_without_tls_says_so():
    """A common slip in an address."""
    with FaultServer() as server:
        failure, _ = ask(server.base_url.replace("http:", "https:"))
    assert failure.kind is FailureKind.TLS
    assert failure.message.startswith("no TLS connection to 127.0.0.1:")


async def test_cancelling_closes_a_tls_connection_at_once(monkeypatch):
    """It does not wait for the other side to say goodbye."""
    with FaultServer("stall", certificate="trusted") as server:
        monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
        async with backend(server.base_url) as asked:
            pieces = Pieces()
            answering = asyncio.create_task(answer_of(asked, question(), pieces))
            await asyncio.wait_for(pieces.seen.wait(), 10)
            answering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answering
            noticed = await asyncio.to_thread(server.requests[-1].disconnected.wait, 5)
        assert noticed


@pytest.mark.parametrize(
    ("cause", "kind", "words"),
    [
        (
            socket.gaierror(-2, "Name or service not known"),
            FailureKind.NETWORK,
            "could not resolve host models.example",
        ),
        (OSError(113, "No route to host"), FailureKind.NETWORK, "no route to models.example"),
        (OSError(110, "timed out"), FailureKind.NETWORK, "models.example did not answer the connection"),
        (ExceptionGroup("all", [OSError(99, "?"), ConnectionRefusedError()]), FailureKind.NETWORK, "models.example"),
        (
            ssl.SSLEOFError(8, "EOF occurred"),
            FailureKind.NETWORK,
            "connection closed by models.example without a reply",
        ),
    ],
)
def test_what_the_system_says_is_put_into_plain_words(cause, kind, words):
    """Found anywhere in the chain of causes."""
    error = OSError("All connection attempts failed")
    error.__cause__ = cause
    failure = meaning_of(Broken(Fault.CLOSED, cause=error), Peer("models.example"), reading=False)
    assert failure.kind is kind
    assert words in failure.message


# --- what is sent, and what is not ----------------------------------------------------------------------------------


async def test_what_is_sent():
    """The path, the key, JSON in UTF-8, parameters as they are."""
    with FaultServer() as server:
        asked = backend_at(server.base_url + "/")
        await answer_of(asked, question(temperature=0.1))
        await asked.aclose()
    sent = server.requests[0]
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.headers["content-type"] == "application/json"
    assert sent.json == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Why test?"}],
        "temperature": 0.1,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_no_authorization_is_sent(key):
    """A server on the user's own machine needs none."""
    with FaultServer() as server:
        assert ask(server.base_url, key=FixedKey(key))[0].text == server.text
        assert "authorization" not in server.requests[0].headers


def test_a_redirect_is_not_followed():
    """Neither the prompt nor the key goes where the user did not send it."""
    with FaultServer() as target, FaultServer() as server:
        server.set_default(status(307, {"Location": target.base_url + "/chat/completions"}))
        failure, _ = ask(server.base_url)
        assert failure.message == f"base-url redirects to {target.base_url}/chat/completions"
        assert target.requests == []


@dataclass
class ThreadNotingKey(FixedKey):
    threads: list[int] = field(default_factory=list)

    def read(self) -> Proof:
        self.threads.append(threading.get_ident())
        return super().read()


async def test_the_key_is_read_once_for_all_attempts_of_a_visit():
    """A keyring is not asked again for each of them."""
    with FaultServer("503", "503", "ok") as server:
        key = ThreadNotingKey()
        async with backend(server.base_url, key) as asked:
            bench = Bench(asked, clock=LoopClock(), failover_retry_count=3, failover_retry_delay_ms=0)
            assert (await bench.ask()).attempts == 3
        assert len(key.threads) == 1


@pytest.mark.parametrize("may_block", [False, True])
def test_a_key_source_that_may_block_is_read_off_the_loop(may_block):
    """The operating system's keyring may ask the user first."""
    key = ThreadNotingKey(may_block=may_block)
    with FaultServer() as server:
        ask(server.base_url, key=key)
    assert (key.threads == [threading.get_ident()]) is not may_block


class LockedKey(FixedKey):
    """A keyring that is locked until the test opens it."""

    def __init__(self) -> None:
        super().__init__(may_block=True)
        self.asked = 0
        self.opened = threading.Event()

    def read(self) -> Proof:
        self.asked += 1
        self.opened.wait(30)
        return super().read()


async def test_a_locked_keyring_is_waited_for_once_and_asked_again_when_it_is_open():
    """Those who come meanwhile are told at once; one reading is enough for all of them."""

    async def _read(reader: KeyReader[Proof]) -> Proof | None:
        try:
            return await reader.read()
        except KeyMissing:
            return None

    async with asyncio.timeout(20):
        source = LockedKey()
        reader = KeyReader(source.read, lambda: True, lambda: source.silence, 0.01)
        for _ in range(3):
            with pytest.raises(KeyMissing, match=r"^the keyring does not answer; unlock it"):
                await reader.read()
        assert source.asked == 1
        source.opened.set()
        found = FixedKey().read()
        patient = KeyReader(source.read, lambda: True, lambda: source.silence)
        assert await asyncio.gather(patient.read(), patient.read()) == [found, found]
        while (got := await _read(reader)) is None:  # noqa: ASYNC110 - the reading thread ends in its own time
            await asyncio.sleep(0)
        assert got == found
        assert KEY not in repr(reader)


def test_a_keyring_that_never_answers_does_not_hold_up_the_end_of_the_process():
    """Its reading is given up together with the process."""
    program = (
        "import asyncio, contextlib, threading\n"
        "from llx_magic.backends.http.keys import KeyReader\n"
        "look = lambda: threading.Event().wait()\n"
        "with contextlib.suppress(Exception): asyncio.run(KeyReader(look, lambda: True, str, 0.01).read())\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


async def test_half_a_surrogate_pair_in_a_prompt_or_a_parameter_is_sent_as_a_replacement_character():
    """It comes from file names that are no UTF-8; a whole pair in two halves becomes its character."""
    asked = ChatRequest(messages=(Message("user", "a \udcff \ud83d\ude00"),), params={"stop": ["\ud800"]})

    with FaultServer() as server:
        async with backend(server.base_url) as made:
            await answer_of(made, asked)
    sent = server.requests[0].json
    assert sent["messages"][0]["content"] == "a \ufffd \U0001f600"
    assert sent["stop"] == ["\ufffd"]


@pytest.mark.parametrize("value", [object(), 2j, {1: {2j}}])
async def test_what_json_cannot_hold_is_a_bad_request(value):
    """One line that says so, with nothing behind it that could hold a key."""
    with FaultServer() as server:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed) as caught:
                await answer_of(asked, question(odd=value))
        failed = caught.value
        assert not server.requests
    assert failed.failure.kind is FailureKind.BAD_REQUEST
    assert failed.failure.message.startswith("the request cannot be written as JSON (")
    assert failed.__cause__ is failed.__context__ is None


async def test_the_key_is_read_anew_for_each_request():
    """So a repaired key takes effect at once."""
    with FaultServer() as server:
        key = FixedKey("first-key")
        async with backend(server.base_url, key) as asked:
            await answer_of(asked)
            key.value = "second-key"
            await answer_of(asked)
        assert [each.headers["authorization"] for each in server.requests] == ["Bearer first-key", "Bearer second-key"]


OBSTACLES = [
    (
        "http://models.example/v1",
        KEY,
        "a key is never sent unencrypted: base-url must begin with https:// for models.example",
    ),
    ("http://127.0.0.1.evil.example/v1", KEY, "a key is never sent unencrypted"),
    ("http://10.0.0.1/v1", KEY, "a key is never sent unencrypted"),
    ("https://user:secret@models.example/v1", KEY, "base-url must not contain a user name or password"),
    ("https://models.example/v1?key=secret", KEY, "base-url must not contain a query or a fragment"),
    ("https://models.example/v1#secret", KEY, "base-url must not contain a query or a fragment"),
    ("ftp://models.example/v1", KEY, "base-url must be an http or https address, got 'ftp://models.example/v1'"),
    ("models.example/v1", KEY, "base-url must be an http or https address"),
    ("https:///v1", KEY, "base-url must be an http or https address"),
    ("https://models.example:99999/v1", KEY, "base-url must be an http or https address with a port"),
    (
        "https://192.168.1.300/v1",
        KEY,
        "base-url must name a host or a whole IP address, got 'https://192.168.1.300/v1'",
    ),
    ("https://192.168.1/v1", KEY, "base-url must name a host or a whole IP address"),
    ("https://a..example/v1", KEY, "base-url must name a host or a whole IP address"),
    (f"https://{'a' * 64}.example/v1", KEY, "base-url must name a host or a whole IP address"),
    ("https://[::1/v1", KEY, "base-url must name a host or a whole IP address"),
    ("http://127.0.0.1\\@models.example/v1", KEY, "base-url must be an http or https address of printable ASCII"),
    ("http://127.0.0.1/\r\nX: y", KEY, "base-url must be an http or https address of printable ASCII"),
]


@pytest.mark.parametrize(("url", "key", "words"), OBSTACLES)
def test_what_must_not_be_sent_is_an_obstacle_of_one_line(url, key, words):
    """Known before anything is sent; neither the key nor a secret is shown."""
    found = obstacle(backend_at(url, FixedKey(key)))
    assert found is not None
    assert found.startswith(words)
    assert found.isprintable()
    assert "secret" not in found
    assert KEY not in found


def test_a_missing_key_is_an_obstacle_that_says_what_mends_it():
    """The text is the key source's own."""
    asked = backend_at("https://models.example/v1", FixedKey(missing="no key: %llx_key set it"))
    assert obstacle(asked) == "no key: %llx_key set it"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/v1",
        "http://127.9.9.9/v1",
        "http://[::1]:1/v1",
        "http://localhost:11434/v1",
        "https://x.example",
    ],
)
def test_a_key_may_go_to_this_machine_or_over_https(url):
    """Nothing stands in the way."""
    assert obstacle(backend_at(url)) is None


def test_no_log_line_of_any_library_holds_the_key(caplog):
    """Even with everything switched on."""
    caplog.set_level(logging.DEBUG)
    with FaultServer("echo-key", "ok") as server:
        ask(server.base_url)
        ask(server.base_url)
    assert caplog.records
    assert KEY not in caplog.text


def test_a_backend_shows_no_secret_in_its_repr():
    """Nor does it show the address."""
    assert repr(backend_at("https://models.example/v1")) == "HttpBackend('alpha', model='some-model')"
