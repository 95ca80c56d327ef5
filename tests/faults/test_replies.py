"""What the HTTP backend makes of each reply and fault of a real server on a real connection."""

from __future__ import annotations

import asyncio
import time

import pytest

from llx_magic.backends.reading.reply import AFTER_FINISH_SECONDS
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.reply import Answer, Usage
from tests.faults.asking import KEY, Pieces, answer_of, ask, attempt, backend, question
from tests.faults.modes import MODES, good_bytes
from tests.faults.server import Exchange, FaultServer, status

TEXT = "Grün ist ☂ gut,\u2028 über 😀.\nUnd \u0085 Schluss."

WHOLE = (
    "ok", "ok-close", "stream-anyway", "cr", "crlf", "bom", "comments", "multiline-data", "no-last-blank-line",
    "gzipped", "raw-deflate", "byte-by-byte", "usage-each", "azure", "reasoning-content", "reasoning",
    "content-parts", "json-anyway", "finish-without-done", "done-without-finish", "finish-each", "finish-reasoning",
    "finish-then-another", "id-each", "heartbeats", "odd-fields", "halves", "events-as-json", "events-as-html",
    "events-without-a-type", "document-as-events", "document-as-text", "document-without-a-type",
    "document-with-end-mark", "json-lines", "json-array", "single-line-ends", "gzip-without-a-label",
    "gzip-that-is-none", "thinking-parts", "reasoning-details", "think-tags", "usage-in-choice", "usage-in-groq",
    "usage-of-gemini", "usage-as-text", "finish-in-capitals", "refuses-stream-options",
)  # fmt: skip

BROKEN = {
    "ok-error-body": (FailureKind.SERVER, "the server reported an error: scripted: upstream is down"),
    "ok-html": (FailureKind.BAD_REPLY, "a web page instead of a reply: Bad gateway | proxy"),
    "ok-empty": (FailureKind.BAD_REPLY, "an empty reply body"),
    "ok-empty-stream": (FailureKind.BAD_REPLY, "the stream ended without a reply"),
    "ok-bad-json": (FailureKind.BAD_REPLY, "an unusable reply: "),
    "ok-wrong-shape": (FailureKind.BAD_REPLY, "an unusable reply: "),
    "ok-no-choices": (FailureKind.BAD_REPLY, "an unusable reply: it holds no choices"),
    "stop-without-text": (FailureKind.BAD_REPLY, "empty reply"),
    "done-only": (FailureKind.BAD_REPLY, "empty reply"),
    "filtered": (FailureKind.CONTENT_FILTER, "filtered by alpha"),
    "error-event": (FailureKind.SERVER, "the server reported an error: scripted: overloaded"),
    "named-error-event": (FailureKind.SERVER, "the server reported an error: scripted: overloaded"),
    "event-rate-limit": (FailureKind.RATE_LIMIT, "the server reported an error: scripted"),
    "event-429": (FailureKind.RATE_LIMIT, "the server reported an error: scripted"),
    "event-quota": (FailureKind.RATE_LIMIT, "the server reported an error: scripted"),
    "event-wait": (FailureKind.RATE_LIMIT, "the server reported an error: scripted"),
    "event-too-long": (FailureKind.CONTEXT_LENGTH, "the server reported an error: scripted"),
    "event-filter": (FailureKind.CONTENT_FILTER, "filtered by alpha: the server reported an error: scripted"),
    "event-access": (FailureKind.ACCESS, "the server reported an error: scripted"),
    "event-bad-request": (FailureKind.BAD_REQUEST, "the server reported an error: scripted (parameter top_k)"),
    "event-unknown": (FailureKind.BAD_REPLY, "the server reported an error: scripted"),
    "error-field": (FailureKind.CONTEXT_LENGTH, "the server reported an error: Context size has been exceeded."),
    "error-document-as-events": (FailureKind.RATE_LIMIT, "the server reported an error: scripted: slow down"),
    "plain-text": (FailureKind.BAD_REPLY, "an unusable reply: 'something went wrong'"),
    "page-as-events": (FailureKind.BAD_REPLY, "a web page instead of a reply: Bad gateway | proxy"),
    "tool-only": (FailureKind.BAD_REQUEST, "the reply asks for the tool look_up; llx_magic runs none"),
    "key-as-400": (FailureKind.ACCESS, "400 Bad Request: scripted: no such key"),
    "credit-as-400": (FailureKind.RATE_LIMIT, "400 Bad Request: Your credit balance is too low"),
    "safety-in-words": (FailureKind.CONTENT_FILTER, "filtered by alpha: 400 Bad Request: it was rejected by our"),
    "never-fits": (FailureKind.CONTEXT_LENGTH, "413 Content Too Large: Request too large for model"),
    "llamacpp-500": (FailureKind.CONTEXT_LENGTH, "500 Internal Server Error: Context size has been exceeded."),
    "capacity-429": (FailureKind.SERVER, "429 Too Many Requests: Service tier capacity exceeded"),
    "bad-event": (FailureKind.BAD_REPLY, "an unusable piece of the stream: "),
    "unfinished-event": (FailureKind.BAD_REPLY, "an unusable piece of the stream: "),
    "role-then-end": (FailureKind.BAD_REPLY, "the stream ended without a reply"),
    "role-then-reset": (FailureKind.NETWORK, "connection closed before the reply was complete"),
    "close": (FailureKind.NETWORK, "connection closed by 127.0.0.1:"),
    "reset": (FailureKind.NETWORK, "connection reset by 127.0.0.1:"),
    "half-a-head": (FailureKind.NETWORK, "connection closed by 127.0.0.1:"),
    "short-body": (FailureKind.NETWORK, "connection closed before the reply was complete"),
    "bad-status-line": (FailureKind.NETWORK, "127.0.0.1:"),
    "duplicate-length": (FailureKind.NETWORK, "127.0.0.1:"),
    "bad-chunk-size": (FailureKind.NETWORK, "127.0.0.1:"),
    "endless-headers": (FailureKind.NETWORK, "127.0.0.1:"),
    "gzip-garbage": (FailureKind.BAD_REPLY, "a reply that is not validly compressed"),
    "unknown-encoding": (FailureKind.BAD_REPLY, "a reply with the content encoding 'br', which was not asked for"),
    "redirect": (FailureKind.REDIRECT, "base-url redirects to https://elsewhere.example/v1"),
    "endless-line": (FailureKind.TOO_LARGE, "a reply with an endless line or event"),
    "endless-comments": (FailureKind.TOO_LARGE, "a reply with an endless line or event"),
    "endless-body": (FailureKind.TOO_LARGE, "a reply of more than 16 MiB"),
    "gzip-bomb": (FailureKind.TOO_LARGE, "a reply "),
    "huge-error": (FailureKind.SERVER, "500 Internal Server Error: scripted: too long again"),
    "slow-error": (FailureKind.SERVER, "503 Service Unavailable"),
    "loading": (FailureKind.SERVER, "503 Service Unavailable: Loading model"),
    "image-500": (FailureKind.BAD_REQUEST, "500 Internal Server Error: image input is not supported"),
    "quota": (FailureKind.RATE_LIMIT, "429 Too Many Requests: You exceeded your quota"),
    "context-length": (FailureKind.CONTEXT_LENGTH, "400 Bad Request: too long for this model"),
    "context-llamacpp": (
        FailureKind.CONTEXT_LENGTH,
        "400 Bad Request: the request exceeds the available context size (5000",
    ),
    "policy": (FailureKind.CONTENT_FILTER, "filtered by alpha: 400 Bad Request: no"),
    "401-bare": (FailureKind.ACCESS, "401 Unauthorized"),
    "400": (FailureKind.BAD_REQUEST, "400 Bad Request: scripted"),
    "404": (FailureKind.ACCESS, "404 Not Found: scripted"),
    "409": (FailureKind.CONFLICT, "409 Conflict: scripted"),
    "451": (FailureKind.OTHER_STATUS, "451 Unavailable For Legal Reasons: scripted"),
    "503": (FailureKind.SERVER, "503 Service Unavailable: scripted"),
    "529": (FailureKind.SERVER, "529 Overloaded: scripted"),
}
"""Faults before any text: the same verdict whether a stream was asked for or not."""

CUT = {
    "text-then-error": (FailureKind.BAD_REPLY, "the server reported an error: scripted: broke off"),
    "text-then-reset": (FailureKind.NETWORK, "connection closed before the reply was complete"),
    "text-then-close": (FailureKind.NETWORK, "connection closed before the reply was complete"),
    "text-then-end": (FailureKind.BAD_REPLY, "the stream ended before the reply was complete"),
    "text-then-bad-event": (FailureKind.BAD_REPLY, "an unusable piece of the stream: "),
    "text-then-filter": (FailureKind.CONTENT_FILTER, "filtered by alpha"),
    "text-then-safety": (FailureKind.CONTENT_FILTER, "filtered by alpha"),
    "text-then-abort": (FailureKind.BAD_REPLY, "the server broke off with 'abort'"),
    "text-then-rate-limit": (FailureKind.RATE_LIMIT, "the server reported an error: scripted"),
    "finish-each-then-reset": (FailureKind.NETWORK, "connection closed before the reply was complete"),
}
"""Faults after some text."""


def released(mode: str, text: str = TEXT) -> FaultServer:
    """Return a server whose modes never hold."""
    server = FaultServer(mode, text=text)
    server.release()
    return server


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("mode", WHOLE)
def test_every_good_form_gives_the_exact_text(mode, streaming):
    """However the bytes are laid out, compressed or cut, and whichever form was asked for."""
    with released(mode) as server:
        answer, pieces = ask(server.base_url, streaming=streaming)
    assert isinstance(answer, Answer), answer
    assert answer.text == TEXT == "".join(pieces.text)
    assert answer.model == "fault-model"
    assert answer.finish_reason == (None if mode == "done-without-finish" else "stop")


USAGE_MODES = [
    "ok", "usage-each", "azure", "json-anyway", "gzipped", "usage-in-choice", "usage-in-groq", "usage-of-gemini",
    "usage-as-text", "finish-each", "finish-then-another",
]  # fmt: skip


@pytest.mark.parametrize("mode", USAGE_MODES)
@pytest.mark.parametrize("streaming", [True, False])
def test_usage_is_read_wherever_it_stands(mode, streaming):
    """In a chunk of its own, in every chunk, or in the whole reply."""
    with FaultServer(mode, usage=(30, 4)) as server:
        assert ask(server.base_url, streaming=streaming)[0].usage == Usage(30, 4)


REASONING_MODES = [
    "reasoning", "reasoning-content", "finish-reasoning", "thinking-parts", "reasoning-details", "think-tags",
]  # fmt: skip


@pytest.mark.parametrize("mode", REASONING_MODES)
def test_reasoning_is_no_part_of_the_text(mode):
    """It is reported and kept apart."""
    with FaultServer(mode) as server:
        answer, pieces = ask(server.base_url)
    assert answer.reasoning == "".join(pieces.reasoning) == "First think."
    assert answer.text == "".join(pieces.text) == FaultServer.DEFAULT_TEXT


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("mode", BROKEN)
def test_a_fault_before_any_text_has_its_kind_and_its_line(mode, streaming):
    """One printable line, no text, and never an empty success."""
    kind, begins = BROKEN[mode]
    with released(mode) as server:
        failure, pieces = ask(server.base_url, streaming=streaming)
    assert isinstance(failure, Failure), failure
    assert failure.kind is kind, failure
    assert failure.message.startswith(begins), failure.message
    assert failure.message.isprintable()
    assert pieces.text == []


@pytest.mark.parametrize("mode", CUT)
async def test_a_fault_after_some_text_keeps_what_had_arrived(mode):
    """So that it can be withdrawn, or shown as incomplete."""
    kind, begins = CUT[mode]

    pieces = Pieces()
    with FaultServer(mode) as server:
        async with backend(server.base_url) as asked:
            answering = asyncio.create_task(answer_of(asked, question(), pieces))
            await asyncio.wait_for(pieces.seen.wait(), 10)
            server.release()
            with pytest.raises(BackendFailed) as caught:
                await answering
    failure = caught.value.failure
    assert failure.kind is kind, failure
    assert failure.message.startswith(begins), failure.message
    assert "".join(pieces.text)
    assert "Testing is ".startswith("".join(pieces.text))


@pytest.mark.parametrize("mode", ["finish-then-reset", "finish-then-silence", "done-then-silence"])
async def test_a_reply_that_is_whole_survives_what_the_connection_does_next(mode):
    """A reset or silence after the finish reason, or after the end mark, takes nothing away."""
    with FaultServer(mode) as server:
        async with backend(server.base_url) as asked:
            answering = asyncio.create_task(answer_of(asked))
            await asyncio.to_thread(server.reached.wait, 10)
            if mode == "finish-then-reset":
                server.release()
            answer = await answering
    assert answer.text == FaultServer.DEFAULT_TEXT
    assert answer.finish_reason == (None if mode == "done-then-silence" else "stop")


@pytest.mark.parametrize(("mode", "pause"), [("finish-each", 0.4), ("finish-reasoning", 1.5)])
def test_a_finish_reason_ends_nothing_by_itself(mode, pause):
    """Pieces 0.4 s apart that each have one are one reply; so are reasoning with one and text after 1.5 s."""
    with FaultServer(mode, text="One two three four five.", chunk_delay=pause) as server:
        answer, _ = ask(server.base_url)
    assert answer.text == "One two three four five."
    assert answer.usage == Usage(12, 8)


REASONING = {
    "parts of the content": lambda piece: {"content": [{"type": "thinking", "thinking": [{"text": piece}]}]},
    "details": lambda piece: {"reasoning_details": [{"type": "reasoning.text", "text": piece}]},
    "tags in the text": lambda piece: {"content": piece},
}


@pytest.mark.parametrize("words", REASONING.values(), ids=REASONING)
async def test_reasoning_in_any_place_keeps_the_limit_on_the_first_token_from_ending_the_reply(words):
    """2.4 s of it, where 1.2 s without a sign of life would end the attempt."""

    def think(exchange: Exchange) -> None:
        exchange.begin_stream()
        for piece in ("<think>So ", "it ", "is ", "and ", "so ", "on.</think>"):
            exchange.event(exchange.delta(**words(piece)))
            time.sleep(0.4)
        exchange.chunk(good_bytes(exchange))
        exchange.end_stream()

    with FaultServer(think) as server:
        async with backend(server.base_url) as asked:
            answer = await attempt(asked, question(), first_token_timeout_ms=1200)
    assert answer.text == FaultServer.DEFAULT_TEXT
    assert "it is and so on." in answer.reasoning


async def test_a_loop_that_was_held_up_takes_what_has_arrived_before_it_takes_the_silence_for_the_end():
    """The user's own computation may hold the loop for longer than the silence that ends a reply."""
    with FaultServer("finish-each", text="One two three.", chunk_delay=0.2) as server:
        async with backend(server.base_url) as asked:
            pieces = Pieces()
            answering = asyncio.create_task(answer_of(asked, question(), pieces))
            await asyncio.wait_for(pieces.seen.wait(), 10)
            time.sleep(AFTER_FINISH_SECONDS + 0.5)  # noqa: ASYNC251 - this is what is tried
            answer = await answering
    assert answer.text == "One two three."


@pytest.mark.parametrize(
    "last", [b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n', b"data: [DONE]\n\n"]
)
def test_comments_after_the_end_do_not_hold_a_reply(last):
    """Only a piece of the reply begins the silence anew."""

    def talk(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.words()
        exchange.chunk(last)
        while True:
            exchange.chunk(b": still here\n\ndata: ping\n\n")
            exchange.check_peer()

    with FaultServer(talk) as server:
        assert ask(server.base_url)[0].text == FaultServer.DEFAULT_TEXT


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("mode", ["length", "length-of-gemini"])
def test_a_reply_cut_by_max_tokens_is_a_success_and_says_so(mode, streaming):
    """In whatever word."""
    with FaultServer(mode) as server:
        assert ask(server.base_url, streaming=streaming)[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("mode", "note"),
    [
        ("finish-unknown", "the backend finished with 'escalation'"),
        ("refusal", "the model refused"),
        ("text-and-tool", "the reply asks for the tool look_up; llx_magic runs none"),
    ],
)
def test_a_reply_with_something_to_know_about_it_has_a_note(mode, note):
    """The text is whole all the same."""
    with FaultServer(mode) as server:
        answer, _ = ask(server.base_url)
    assert (answer.text, answer.notes) == (FaultServer.DEFAULT_TEXT, (note,))


def test_an_empty_reply_cut_by_max_tokens_is_a_success():
    """The model may have spent its tokens on thinking."""
    with FaultServer("length-without-text") as server:
        answer, pieces = ask(server.base_url)
    assert (answer.text, answer.finish_reason, pieces.text) == ("", "length", [])


def test_text_without_end_stops_at_the_cap():
    """16 MiB, and no more is held."""
    with FaultServer("endless-text") as server:
        failure, pieces = ask(server.base_url)
    assert failure.kind is FailureKind.TOO_LARGE
    assert len("".join(pieces.text)) <= 16 * 2**20


@pytest.mark.parametrize("mode", ["stall", "gzip-flushed"])
async def test_a_piece_is_reported_as_soon_as_it_has_come(mode):
    """Nothing is held back until more bytes arrive, compressed or not."""
    pieces = Pieces()
    with FaultServer(mode) as server:
        async with backend(server.base_url) as asked:
            answering = asyncio.create_task(answer_of(asked, question(), pieces))
            await asyncio.wait_for(pieces.seen.wait(), 10)
            early = list(pieces.text)
            server.release()
            answer = await answering
    assert early[0] == "Testing "
    assert answer.text == FaultServer.DEFAULT_TEXT


@pytest.mark.parametrize(
    "mode", ["no-headers", "dripping-headers", "comments-only", "role-then-silence", "stall", "trickle"]
)
@pytest.mark.parametrize("streaming", [True, False])
async def test_cancelling_closes_the_connection_at_once(mode, streaming):
    """So that a server stops generating; the cancellation comes out as itself."""
    with FaultServer(mode, chunk_delay=0.001) as server:
        async with backend(server.base_url) as asked:
            pieces = Pieces()
            answering = asyncio.create_task(answer_of(asked, question(streaming=streaming), pieces))
            waited_for = pieces.seen.wait() if mode == "trickle" else asyncio.to_thread(server.reached.wait, 10)
            await asyncio.wait_for(waited_for, 10)
            answering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await answering
            noticed = await asyncio.to_thread(server.requests[-1].disconnected.wait, 5)
    assert noticed


@pytest.mark.parametrize("mode", ["echo-key", "echo-key-in-stream", "echo-key-in-redirect"])
async def test_a_key_that_a_server_repeats_is_removed(mode):
    """In the message, in the exception's repr, and in whatever the exception refers to."""
    with FaultServer(mode) as server:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed) as caught:
                await answer_of(asked)
    error = caught.value
    assert "***" in error.failure.message
    assert not any(part in repr(error) for part in (KEY, KEY[:8], KEY.replace("/", "%2F")))


@pytest.mark.parametrize("mode", ["401", "reset", "bad-chunk-size", "duplicate-length", "text-then-close", "ok-html"])
async def test_no_exception_in_the_chain_and_no_frame_shows_the_key(mode):
    """The HTTP library's exceptions hold the request and its headers, so none is left in the chain."""
    with FaultServer(mode) as server:
        async with backend(server.base_url) as asked:
            with pytest.raises(BackendFailed) as caught:
                await answer_of(asked)
    error = caught.value
    assert error.__cause__ is None
    assert error.__context__ is None
    frame = error.__traceback__
    while frame is not None:
        if "llx_magic" in frame.tb_frame.f_code.co_filename:
            assert KEY not in repr(frame.tb_frame.f_locals)
        frame = frame.tb_next


def test_retry_after_and_should_retry_are_read_from_the_headers():
    """Whatever the case of their names."""
    limited = status(429, {"Retry-After": "2", "X-Should-Retry": "false"}, {"error": {"message": "slow down"}})
    with FaultServer(limited) as server:
        failure, _ = ask(server.base_url)
    assert (failure.retry_after, failure.should_retry, failure.status) == (2.0, False, 429)


def test_a_retry_after_date_is_relative_to_the_servers_own_clock():
    """A server whose clock is years off still asks for three seconds."""
    dates = {"Date": "Tue, 14 Nov 2000 22:13:47 GMT", "Retry-After": "Tue, 14 Nov 2000 22:13:50 GMT"}
    with FaultServer(status(503, dates)) as server:
        assert ask(server.base_url)[0].retry_after == 3.0


def test_an_exhausted_quota_is_marked():
    """It is no matter of seconds."""
    with FaultServer("quota") as server:
        assert ask(server.base_url)[0].quota_exhausted


def test_every_mode_of_the_fault_server_is_asked_by_some_test():
    """A mode that no test uses proves nothing."""
    elsewhere = {"ok-when-released"}
    here = {*WHOLE, *BROKEN, *CUT, "length", "length-without-text", "endless-text", "stall", "gzip-flushed", "trickle"}
    here |= {"length-of-gemini", "finish-unknown", "refusal", "text-and-tool", "comments-only", "role-then-silence"}
    here |= {"finish-then-reset", "finish-then-silence", "done-then-silence", "no-headers", "dripping-headers"}
    here |= {"echo-key", "echo-key-in-stream", "echo-key-in-redirect"}
    assert set(MODES) == (here - {each for each in here if each.isdigit()}) | elsewhere
