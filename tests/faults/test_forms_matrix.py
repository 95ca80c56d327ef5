"""Every form at a real socket: the service is read as it should be, and no fault of a server passes for a reply.

The bytes are those of the golden replies, so that what is held here beyond them is the way over the network.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable

import pytest

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import MOST_CONCESSIONS, HttpBackend
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.message import Message
from llx_magic.core.reply import Answer, ChatRequest
from llx_magic.providers.provider import FORMS
from tests.faults.asking import KEY, QUESTION, FixedKey, Pieces, question
from tests.faults.modes import HTML
from tests.faults.server import Exchange, FaultServer, Mode, status
from tests.wires.goldens import Golden, goldens, terminals

FORM_NAMES = sorted(FORMS.values())
ALL = goldens()
PLAIN = {each.form: each for each in ALL if each.scenario == "plain"}
TEXT = "Two is a prime."
each_form = pytest.mark.parametrize("form", FORM_NAMES)


def ask(form: str, mode: Mode, request: ChatRequest | None = None) -> tuple[Answer | Failure, Pieces, FaultServer]:
    """Ask a server in one form and return what came of it, what was shown meanwhile, and the server."""

    async def run(server: FaultServer) -> tuple[Answer | Failure, Pieces]:
        pieces = Pieces()
        backend = HttpBackend("alpha", Endpoint(server.base_url, "asked-for"), FixedKey(), wire_named(form))
        try:
            return await (await backend.prepare()).answer(request or question(), pieces), pieces
        except BackendFailed as failed:
            return failed.failure, pieces
        finally:
            await backend.aclose()

    with FaultServer(mode) as server:
        return *asyncio.run(asyncio.wait_for(run(server), 30)), server


def sending(body: bytes, end: Callable[[Exchange], None] = Exchange.end_stream, **headers: str) -> Mode:
    """Return a mode that streams a body and ends in that way; ``headers`` have ``_`` for ``-``."""

    def answer(exchange: Exchange) -> None:
        exchange.begin_stream({name.replace("_", "-"): value for name, value in headers.items()})
        if body:
            exchange.chunk(body)
        end(exchange)

    return answer


def before_the_end(form: str) -> int:
    """Return how many bytes of the plain reply come before its end may be believed."""
    body = PLAIN[form].body.rstrip()
    return min(at + len(mark) for mark in terminals(form) if (at := body.find(mark)) >= 0) - 1


@pytest.mark.parametrize("golden", ALL, ids=lambda each: f"{each.form}-{each.scenario}")
def test_over_a_socket_a_reply_gives_what_its_bytes_give(golden: Golden):
    def answer(exchange: Exchange) -> None:
        exchange.head(golden.status, {**golden.headers, "Transfer-Encoding": "chunked"})
        if golden.body:
            exchange.chunk(golden.body)
        if golden.head.get("ends") == "silence":
            exchange.hold()
        exchange.end_stream()

    outcome, pieces, _ = ask(golden.form, answer)
    seen, expected = golden.seen(outcome, pieces), golden.expected()
    assert {**seen, "wait": None} == {**expected, "wait": None}, outcome  # some waits count from the time of day


@each_form
@pytest.mark.parametrize("part", [0.0, 0.3, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("end", [Exchange.end_stream, Exchange.close, Exchange.reset], ids=lambda each: each.__name__)
def test_a_reply_that_is_cut_is_no_reply_wherever_and_however_it_was_cut(form, part, end):
    size = int(before_the_end(form) * part)
    outcome, pieces, _ = ask(form, sending(PLAIN[form].body[:size], end))
    assert isinstance(outcome, Failure)
    assert outcome.kind in (FailureKind.BAD_REPLY, FailureKind.NETWORK)
    assert TEXT.startswith("".join(pieces.text))


@each_form
@pytest.mark.parametrize("label", ["text/html", "application/json", "text/plain", "application/octet-stream", ""])
def test_what_a_reply_is_labelled_as_does_not_matter(form, label):
    outcome, _, _ = ask(form, sending(PLAIN[form].body, Content_Type=label))
    assert isinstance(outcome, Answer)
    assert outcome.text == TEXT


@each_form
def test_a_compressed_reply_is_read(form):
    outcome, _, _ = ask(form, sending(gzip.compress(PLAIN[form].body), Content_Encoding="gzip"))
    assert isinstance(outcome, Answer)
    assert outcome.text == TEXT


@each_form
@pytest.mark.parametrize("filler", [b" ", b"\0", b"["])
def test_a_few_bytes_that_become_very_many_are_no_reply(form, filler):
    outcome, _, _ = ask(form, sending(gzip.compress(filler * 20_000_000, 1), Content_Encoding="gzip"))
    assert isinstance(outcome, Failure)
    assert outcome.kind in (FailureKind.TOO_LARGE, FailureKind.BAD_REPLY)


@each_form
@pytest.mark.parametrize("code", [200, 500])
def test_a_web_page_is_no_reply(form, code):
    outcome, _, _ = ask(form, status(code, {"Content-Type": "text/html"}, HTML))
    assert isinstance(outcome, Failure)
    assert outcome.kind in (FailureKind.BAD_REPLY, FailureKind.SERVER)
    assert "Bad gateway | proxy" in outcome.message


@each_form
def test_a_redirect_is_not_followed(form):
    outcome, _, server = ask(form, status(307, {"Location": "https://elsewhere.example/?key=1"}))
    assert isinstance(outcome, Failure)
    assert outcome.kind is FailureKind.REDIRECT
    assert len(server.requests) == 1


@each_form
def test_another_reply_on_the_same_connection_adds_nothing(form):
    """Two good replies follow each other; those that have ids have different ones."""
    body = PLAIN[form].body
    another = body
    for ours in (b"msg_01", b"r-1", b"resp_1", b"c-1", b'"id":"c1"'):
        another = another.replace(ours, ours[:-2] + b"9" + ours[-1:])
    outcome, _, _ = ask(form, sending(body.rstrip() + b"\n\n" + another if form != "bedrock" else body + another))
    assert isinstance(outcome, Answer)
    assert outcome.text == TEXT


@each_form
@pytest.mark.parametrize("code", [200, 400, 401, 404, 429, 500])
@pytest.mark.parametrize("cut", [None, 20], ids=["whole", "cut"])
def test_a_key_that_the_server_echoes_is_in_no_message(form, code, cut):
    echoed = KEY if cut is None else KEY[:cut]
    body = {"error": {"message": f"Incorrect API key provided: {echoed}", "code": code, "type": echoed}}
    outcome, _, _ = ask(form, status(code, body=body))
    assert isinstance(outcome, Failure)
    assert echoed not in outcome.message


@each_form
def test_a_request_is_not_sent_for_ever_where_the_server_refuses_the_same_again_and_again(form):
    """The words name what each form could do without, each time with another number."""
    asked = 0

    def refuse(exchange: Exchange) -> None:
        nonlocal asked
        asked += 1
        words = (
            f"max_tokens: 90000 > {9000 - asked}, which is the maximum; maxOutputTokens value of 90000 but the "
            f"supported range is from 1 (inclusive) to {9000 - asked} (exclusive); stream_options, json_schema, "
            "thinking, system instructions are not supported, reasoning_effort, response_format, outputConfig"
        )
        exchange.whole(400, json.dumps({"error": {"message": words}, "message": words}).encode())

    request = ChatRequest(
        messages=(Message("system", "Be brief."), *QUESTION), params={"max_tokens": "90000"}, schema={"type": "object"},
        effort="high", streaming=True,
    )  # fmt: skip
    outcome, _, server = ask(form, refuse, request)
    assert isinstance(outcome, Failure)
    assert len(server.requests) <= 1 + MOST_CONCESSIONS


@each_form
@pytest.mark.parametrize("name", ["some\ud83d", "some\0\r\nX-Evil: 1", "a/../../b?c#d"])
def test_a_model_s_name_may_hold_anything(form, name):
    """It is sent as it is, as far as the form can say it, and adds no header."""

    def answer(exchange: Exchange) -> None:
        sending(PLAIN[form].body)(exchange)

    async def run(server: FaultServer) -> Answer:
        backend = HttpBackend("alpha", Endpoint(server.base_url, name), FixedKey(), wire_named(form))
        try:
            return await (await backend.prepare()).answer(question(), Pieces())
        finally:
            await backend.aclose()

    with FaultServer(answer) as server:
        outcome = asyncio.run(asyncio.wait_for(run(server), 30))
    assert outcome.text == TEXT
    assert "x-evil" not in server.requests[0].headers
