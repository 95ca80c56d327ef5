"""The wire form of chat completions: bodies, replies and what statuses mean, without any HTTP."""

from __future__ import annotations

import http
import json
import math
import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.reading.sse import ServerEvent
from llx_magic.backends.reading.waits import LONGEST_WAIT, retry_after
from llx_magic.backends.wires.openai import WIRE
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.backends.wires.openai_refusals import Extra
from llx_magic.backends.wording import LONGEST_DETAIL, one_line
from llx_magic.core.failure import FailureKind
from llx_magic.core.message import Message
from llx_magic.core.reply import ChatRequest, Usage
from llx_magic.keys.redaction import LIVE_KEYS, LONGEST_READ, LiveKeys
from tests.backends.kit import KEY, NOON, delta, read, read_whole, refusal
from tests.faults.asking import Pieces
from tests.growing import growth

NOON_DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def body(*, streaming: bool = True, without: tuple[Extra, ...] = (), json_mode: bool = False, **params) -> Any:
    messages = (Message("system", "Be brief."), Message("user", "Why?"))
    request = ChatRequest(messages=messages, params=params, streaming=streaming, json=json_mode)
    return json.loads(WIRE.encode(request, "m1", without).body)


# --- the address ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["[::1]evil.com", "[::1]evil.com:80", "[::1].evil.com", "evil.com[::1]", "[::1]x:80", "a[::1]:80"]
)
def test_text_beside_the_brackets_of_an_address_is_refused_and_not_this_machine(host):
    """Which of the two is the host differs from reader to reader, and a key may go to this machine unencrypted."""
    endpoint = Endpoint(f"http://{host}/v1", "m")
    assert not endpoint.is_loopback
    assert endpoint.problem() == f"base-url must name a host or a whole IP address, got 'http://{host}/v1'"
    assert "never sent unencrypted" in (endpoint.unencrypted_problem() or "")


@pytest.mark.parametrize("host", ["[::1]", "[::1]:8080", "[::1]:", "127.0.0.1:80", "localhost"])
def test_this_machine_is_known_by_each_of_its_names(host):
    """A server on it gets its key without encryption."""
    endpoint = Endpoint(f"http://{host}/v1", "m")
    assert endpoint.is_loopback
    assert endpoint.problem() is None
    assert endpoint.unencrypted_problem() is None


# --- the request ----------------------------------------------------------------------------------------------------


def test_a_stream_asks_for_its_usage():
    """``stream`` and ``stream_options`` are added, messages and model are the request's."""
    assert body() == {
        "model": "m1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_whole_reply_is_asked_for_without_streaming_keys():
    """Some servers refuse ``stream_options`` where nothing streams."""
    assert set(body(streaming=False, stream=True, stream_options={"a": 1})) == {"model", "messages"}


def test_params_go_through_as_they_are():
    """Nested values too; what the request itself says cannot be replaced."""
    sent = body(temperature=0.5, stop=["a"], response_format={"type": "json_object"}, model="other", messages=[])
    assert sent["temperature"] == 0.5
    assert sent["stop"] == ["a"]
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["model"] == "m1"
    assert len(sent["messages"]) == 2


def test_stream_options_can_be_left_out_or_replaced():
    """For a server that refuses them, by provider or by parameter."""
    assert "stream_options" not in body(without=(Extra.USAGE,))
    assert "stream_options" not in body(stream_options=None)
    assert body(stream_options={"include_usage": False})["stream_options"] == {"include_usage": False}


# --- a stream -------------------------------------------------------------------------------------------------------


def test_a_stream_is_reported_in_order_and_answered_whole():
    """Pieces as they came; text, model, usage and finish reason in the answer."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, "model": "m2"}
    answer, pieces = read(delta("", role="assistant"), delta("Tw"), delta("o."), delta(None, "stop"), usage, "[DONE]")
    assert pieces.text == ["Tw", "o."]
    assert (answer.text, answer.finish_reason, answer.usage) == ("Two.", "stop", Usage(3, 2))


def test_the_model_is_the_servers_word_or_else_the_one_asked_for():
    """An empty name, as in Azure's first chunk, is no name."""
    assert read({**delta("a", "stop"), "model": "real"})[0].model == "real"
    assert read({"choices": [], "model": ""}, delta("a", "stop"))[0].model == "asked-for"


def test_reasoning_is_reported_apart_from_text():
    """Under either name that servers use."""
    answer, pieces = read(delta(reasoning_content="Hm "), delta(reasoning="so"), delta("Yes", "stop"))
    assert (answer.text, answer.reasoning) == ("Yes", "Hm so")
    assert pieces.reasoning == ["Hm ", "so"]


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many"}, [1], "none", {"prompt_tokens": 10**400}],
)
def test_usage_that_cannot_be_read_does_not_spoil_the_reply(usage):
    """The answer then has none."""
    assert read({**delta("Yes", "stop"), "usage": usage})[0].usage is None


def test_only_the_first_choice_counts():
    """Further choices, asked for by a parameter, are not mixed into the text."""
    chunk = {"choices": [{"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "A"}}]}
    assert read(chunk, delta("", "stop"))[0].text == "A"


@pytest.mark.parametrize("first", [{}, {"index": None}, {"index": 0}])
def test_a_further_choice_without_an_index_is_not_mixed_into_the_text_either(first):
    """Its place in the list is its index."""
    choices = [{**first, "message": {"content": "A"}, "finish_reason": "stop"}, {"message": {"content": "B"}}]
    assert read_whole({"choices": choices}).text == "A"


def test_unknown_and_missing_fields_are_tolerated():
    """Pings, new fields, null where an object could be, and numbers as text."""
    odd = {"choices": None, "x_new": [1, {"a": None}], "usage": None, "error": None}
    late = {"choices": [{"index": "0", "delta": {"content": "Yes", "tool_calls": None}, "logprobs": None}]}
    answer, _ = read({"type": "ping"}, odd, {"choices": [{"delta": None}]}, {"choices": [{}]}, late, "[DONE]")
    assert answer.text == "Yes"


@pytest.mark.parametrize("end", ["[DONE]", " [DONE] ", "[DONE]\n"])
def test_text_and_the_end_mark_make_a_reply_without_a_finish_reason(end):
    """It is a success; the missing reason shows as None. What follows the mark is ignored."""
    answer, _ = read(delta("Yes"), end, delta(" and no"), "rubbish")
    assert (answer.text, answer.finish_reason) == ("Yes", None)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "the stream ended without a reply"),
        ([delta("", role="assistant")], "the stream ended without a reply"),
        (["[DONE]"], "empty reply"),
        ([delta("", "stop"), "[DONE]"], "empty reply"),
        ([delta(" \n", "stop")], "empty reply"),
        ([delta(reasoning="thought only"), "[DONE]"], "only reasoning, no answer"),
        ([delta(reasoning="thought only"), delta("", "stop"), "[DONE]"], "only reasoning, no answer"),
        ([delta("Half an ans")], "the stream ended before the reply was complete"),
        ([delta("Half"), delta(None, "error")], "the server broke off with an error"),
        ([delta("Half"), {"error": {"message": "boom"}}], "the server reported an error: boom"),
        ([delta("Half"), {"error": "boom", "choices": []}], "the server reported an error: boom"),
        ([ServerEvent("error", '{"message": "boom"}')], "the server reported an error: boom"),
        ([ServerEvent("error", "boom")], "the server reported an error: boom"),
        ([{"error": {"code": 7}}], "the server reported an error: it does not say which"),
        ([{"error": {}}], "the stream ended without a reply"),
        ([delta("Half"), '{"choices": [{"del'], 'an unusable piece of the stream: \'{"choices": [{"del\''),
        (["[1, 2]"], "the stream ended without a reply"),
        (['{"choices": ' + "[" * 100_000], "an unusable piece of the stream: "),
    ],
)
def test_what_is_no_whole_reply_fails_as_unusable(events, message):
    """Never an empty success, never a silent cut."""
    failure, _ = read(*events)
    assert failure.kind is FailureKind.BAD_REPLY
    assert failure.message.startswith(message)
    assert "\n" not in failure.message


def test_a_reply_cut_by_its_own_limit_is_a_success_even_when_empty():
    """``length`` says that the model spent its tokens, perhaps on reasoning."""
    assert read(delta("Hal"), delta(None, "length"))[0].finish_reason == "length"
    assert read(delta(None, "length"))[0].text == ""


def test_a_filtered_reply_names_the_backend():
    """With or without text before it."""
    for events in ([delta(None, "content_filter")], [delta("Ha"), delta(None, "content_filter"), "[DONE]"]):
        failure, _ = read(*events)
        assert (failure.kind, failure.message) == (FailureKind.CONTENT_FILTER, "filtered by alpha")


def test_an_error_inside_a_stream_that_blames_the_request_keeps_its_kind():
    """A window that is too small is no fault of the server, wherever it says so."""
    failure, _ = read({"error": {"message": "x", "code": "context_length_exceeded"}})
    assert failure.kind is FailureKind.CONTEXT_LENGTH
    failure, _ = read({"error": {"message": "x", "code": "content_filter"}})
    assert (failure.kind, failure.message) == (
        FailureKind.CONTENT_FILTER,
        "filtered by alpha: the server reported an error: x",
    )


def test_text_beyond_the_cap_is_refused():
    """16 MiB of text or reasoning in many pieces."""
    failure, _ = read(*[delta("a" * 2**20)] * 17)
    assert failure.kind is FailureKind.TOO_LARGE
    failure, _ = read(*[delta(reasoning="a" * 2**20)] * 17)
    assert failure.kind is FailureKind.TOO_LARGE


def test_the_key_is_in_no_message_of_a_stream():
    """Neither in an error, nor in a bad chunk, nor in the model's name or the finish reason."""
    for event in ({"error": {"message": "key sk-a-key-of-ours is bad"}}, '{"key": "sk-a-key-of-ours'):
        assert KEY not in read(event)[0].message
    answer, _ = read({**delta("a", KEY), "model": KEY})
    assert KEY not in repr(answer)


@pytest.mark.parametrize("key", ["1", "e", "EMPTY", "length", "content_filter"])
def test_a_placeholder_for_a_key_changes_no_word_of_the_server(key):
    """A server on this machine wants any word at all; in what it says the same word, or letter, means something."""
    message = refusal(400, {"error": {"message": "the prompt is empty, max 1 image"}}, key=key).message
    assert message.endswith("the prompt is empty, max 1 image")
    reader = ReplyReader("alpha", "m", Pieces())
    assert read_whole({**delta("A", "length"), "model": "llama-3.1-8b"}, reader).model == "llama-3.1-8b"


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls"])
def test_a_finish_reason_of_the_protocol_stays_whatever_the_key(reason):
    """What a reply's end means rests on this word."""
    LIVE_KEYS.add(reason)
    reader = ReplyReader("alpha", "m", Pieces())
    assert read_whole(delta("A", reason), reader).finish_reason == reason


# --- a whole reply --------------------------------------------------------------------------------------------------


def test_a_whole_reply_is_read():
    """Text may be a list of parts."""
    parts = [{"type": "text", "text": "Tw"}, {"type": "image"}, {"type": "text", "text": "o."}]
    for content in ("Two.", parts):
        message = {"role": "assistant", "content": content}
        answer = read_whole({"choices": [{"message": message, "finish_reason": "stop"}], "model": "m2"})
        assert (answer.text, answer.model, answer.finish_reason) == ("Two.", "m2", "stop")


def test_a_models_refusal_is_its_text():
    """The model's own words are what the user asked for."""
    message = {"content": None, "refusal": "I would rather not."}
    assert read_whole({"choices": [{"message": message}]}).text == "I would rather not."


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "an empty reply body"),
        ("  \n", "the stream ended without a reply"),
        ("<html><title>Bad\n gateway</title>", "a web page instead of a reply: Bad gateway"),
        ("<html>", "a web page instead of a reply: an HTML page"),
        ("{", "an unusable reply: '{'"),
        ("null", "an unusable reply: 'null'"),
        ("[]", "an unusable reply: it holds no choices"),
        ({}, "an unusable reply: it holds no choices"),
        ({"choices": []}, "an unusable reply: it holds no choices"),
        ({"choices": {"0": 1}}, "an unusable reply: "),
        ({"choices": [{"message": {"content": 7}}]}, "an unusable reply: "),
        ({"choices": [{"message": {"content": None}}]}, "empty reply"),
        ({"error": {"message": "boom"}, "choices": []}, "the server reported an error: boom"),
        ({"error": "boom"}, "the server reported an error: boom"),
    ],
)
def test_what_is_no_whole_document_fails_as_unusable(document, message):
    """HTML, nothing, broken JSON, another shape, an error: each says so."""
    failure = read_whole(document)
    assert failure.kind is FailureKind.BAD_REPLY
    assert failure.message.startswith(message)


# --- statuses -------------------------------------------------------------------------------------------------------

KINDS = {
    FailureKind.BAD_REQUEST: (400, 413, 422),
    FailureKind.ACCESS: (401, 402, 403, 404),
    FailureKind.SERVER: (408, 499, 500, 501, 502, 503, 504, 507, 520, 529, 599),
    FailureKind.CONFLICT: (409, 425),
    FailureKind.RATE_LIMIT: (429,),
    FailureKind.REDIRECT: (301, 302, 303, 307, 308),
    FailureKind.OTHER_STATUS: (405, 410, 418, 451),
}


@pytest.mark.parametrize(("kind", "status"), [(kind, status) for kind, all_of in KINDS.items() for status in all_of])
def test_each_status_has_its_kind(kind, status):
    """And the failure keeps the status."""
    failure = refusal(status, {"error": {"message": "scripted"}})
    assert (failure.kind, failure.status, failure.words) == (kind, status, None)


def test_the_message_begins_with_the_status_and_its_phrase():
    """The server's own words follow, unless they only repeat the phrase."""
    assert refusal(401).message == "401 Unauthorized"
    assert refusal(401, "Unauthorized").message == "401 Unauthorized"
    assert refusal(401, "<html><title>401 Unauthorized</title></html>").message == "401 Unauthorized"
    assert refusal(401, {"error": {"message": "bad\n  key"}}).message == "401 Unauthorized: bad key"
    assert refusal(529).message == "529 Overloaded"
    assert refusal(413).message == "413 Content Too Large"
    assert refusal(599).message == "599"


@pytest.mark.parametrize(
    "document",
    [
        {"error": {"message": "boom", "type": "t", "code": None}},
        {"error": "boom"},
        {"message": "boom"},
        {"detail": "boom"},
        {"detail": [{"loc": ["body"], "msg": "boom", "type": "missing"}]},
        {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "msg": "boom"}]}},
        [{"error": {"code": 400, "message": "boom", "status": "INVALID_ARGUMENT"}}],
        "boom",
        "<html><head><TITLE>boom</TITLE></head></html>",
    ],
)
def test_the_servers_words_are_found_in_every_layout(document):
    """OpenAI, strings, FastAPI, Mistral, Google, plain text, HTML."""
    assert refusal(500, document).message == "500 Internal Server Error: boom"


def test_a_long_message_is_cut_and_stays_one_line():
    """Control characters and line ends become spaces."""
    message = refusal(500, {"error": {"message": "a\x1b[31m\u2028b\r\n" + "long " * 1000}}).message
    assert len(message) <= len("500 Internal Server Error: ") + LONGEST_DETAIL
    assert message.endswith("…")
    assert message.isprintable()


@pytest.mark.parametrize(
    "error",
    [
        {"message": "x", "code": "context_length_exceeded"},
        {"message": "x", "type": "exceed_context_size_error"},
        {"message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens"},
        {"message": "prompt is too long: 210000 tokens > 200000 maximum"},
        {"message": "The input token count (40000) exceeds the maximum number of tokens allowed (32000)."},
        {"message": "This model's maximum prompt length is 131072 but the request contains 140000 tokens."},
        {"message": "Please reduce the length of the messages or completion."},
        {"message": "`inputs` tokens + `max_new_tokens` must be <= 4097"},
        {"message": "the request exceeds the available context size"},
    ],
)
@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_window_that_is_too_small_is_recognised(error, status):
    """By code, by type, or by the words of the providers."""
    assert refusal(status, {"error": error}).kind is FailureKind.CONTEXT_LENGTH


def test_the_token_counts_of_llamacpp_are_named():
    """So that the user sees which window was too small."""
    error = {"message": "too long", "type": "exceed_context_size_error", "n_prompt_tokens": 5000, "n_ctx": 4096}
    message = refusal(400, {"error": error}).message
    assert message == "400 Bad Request: too long (5000 tokens of prompt, window of 4096)"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "x", "code": "content_filter"}),
        (400, {"message": "x", "code": "content_policy_violation"}),
        (400, {"message": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}),
        (403, {"message": "This model requires moderation and your input was flagged"}),
    ],
)
def test_a_content_filter_is_recognised_and_named(status, error):
    """The message says by whom."""
    failure = refusal(status, {"error": error})
    assert failure.kind is FailureKind.CONTENT_FILTER
    assert failure.message.startswith(f"filtered by alpha: {status} {http.HTTPStatus(status).phrase}")


def test_a_callers_mistake_that_wears_a_500_is_a_bad_request():
    """llama.cpp answers so to an image that its model cannot see."""
    assert refusal(500, {"error": {"message": "image input is not supported"}}).kind is FailureKind.BAD_REQUEST


def test_an_exhausted_quota_is_told_from_a_rate_limit():
    """Only the first keeps the backend out for long."""
    assert refusal(429, {"error": {"message": "x", "code": "insufficient_quota"}}).quota_exhausted
    assert refusal(429, {"error": {"message": "x", "type": "insufficient_quota"}}).quota_exhausted
    assert not refusal(429, {"error": {"message": "x", "code": "rate_limit_exceeded"}}).quota_exhausted


def test_a_redirect_names_its_target_without_credentials():
    """Neither the user name nor the query of the target is shown."""
    message = refusal(302, location="https://user:pw@new.example/v2?token=abc#x").message
    assert message == "base-url redirects to https://new.example/v2"
    assert refusal(301, location="/v2/").message == "base-url redirects to /v2/"
    assert refusal(304).message == "base-url redirects to nowhere (304 Not Modified without a Location)"
    assert "cannot be read" in refusal(302, location="https://[broken/").message


@pytest.mark.parametrize(("value", "meaning"), [("true", True), ("False", False), ("maybe", None), ("", None)])
def test_the_servers_advice_on_retrying_is_passed_on(value, meaning):
    """``x-should-retry`` is true, false, or not said."""
    assert refusal(500, x_should_retry=value).should_retry is meaning


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "inf"}, LONGEST_WAIT),
        ({"retry-after": "1e400"}, LONGEST_WAIT),
        ({"retry-after": "9" * 400}, LONGEST_WAIT),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "nan", "retry-after": "7"}, 7.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT", "date": "Tue, 14 Nov 2023 22:13:45 GMT"}, 5.0),
        ({"retry-after": NOON_DATE, "date": "rubbish"}, 0.0),
        ({"retry-after": "Tue, 14 Nov 2000 22:13:50 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_WAIT),
        ({"retry-after": "Tue, 99 Nov 2023 99:99:99 GMT"}, None),
        ({"retry-after": "2023-11-14T22:13:50Z"}, 30.0),
        ({"retry-after": "1700000030"}, 30.0),
        ({"retry-after": "1700000030000"}, 30.0),
        ({"retry-after": "1000000000"}, 0.0),
        ({"retry-after": "00:00:30"}, 30.0),
        ({"retry-after": "7, 9"}, 7.0),
        ({"retry-after": '"7"'}, 7.0),
    ],
)
def test_every_form_of_retry_after_is_read(headers, seconds):
    """Seconds, milliseconds, dates relative to the response's own; nonsense is as good as nothing."""
    assert retry_after(headers, NOON) == seconds


@pytest.fixture
def in_new_york(monkeypatch):
    """Have the machine's clock show another time than Greenwich's."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.posix("no tzset there")
@pytest.mark.parametrize(
    "date",
    [
        "Tue Nov 14 22:13:50 2023", "Tuesday, 14-Nov-23 22:13:50 GMT", "Tue, 14 Nov 2023 22:13:50 -0000",
        "Tue, 14 Nov 2023 22:13:50", "2023-11-14T22:13:50", "Tue, 14 Nov 2023 17:13:50 -0500",
    ],
)  # fmt: skip
def test_a_date_that_names_no_zone_is_not_taken_for_the_machines_time(in_new_york, date):
    """As asctime's form, which the standard lets servers send; it would be five hours off."""
    assert retry_after({"retry-after": date}, NOON) == 30.0
    assert retry_after({"retry-after": date, "date": "Tue Nov 14 22:13:45 2023"}, NOON) == 5.0


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_retry_after_whatsoever_gives_anything_but_a_finite_wait(ms, seconds, date):
    """Whatever a server writes there."""
    found = retry_after({"retry-after-ms": ms, "retry-after": seconds, "date": date}, NOON)
    assert found is None or (math.isfinite(found) and 0 <= found <= LONGEST_WAIT)


@given(st.binary(max_size=200), st.sampled_from([*range(300, 600, 7), 429, 400, 403]))
def test_no_error_body_whatsoever_is_too_much(raw, status):
    """Any bytes give a failure of one printable line."""
    failure = refusal(status, raw)
    assert failure.message
    assert failure.message.isprintable()


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "usage", "error", "index", "finish_reason", "code", "detail"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("late", ["{broken", '{"error": {"message": "late"}}', ServerEvent("error", "late")])
def test_what_fails_after_the_finish_reason_does_not_take_the_reply_back(late):
    """The reply was shown whole; usage that comes still later counts."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    answer, _ = read(delta("whole", "stop"), late, usage, "[DONE]")
    assert (answer.text, answer.usage) == ("whole", Usage(3, 1))


@given(DOCUMENTS)
def test_no_document_whatsoever_escapes_as_another_exception(document):
    """In a stream, as a whole reply, or as an error."""
    for outcome in (read(document, "[DONE]")[0], read_whole(document), refusal(400, document)):
        assert getattr(outcome, "text", "") or outcome.message


# --- words ----------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
@example("0000%00\\")
def test_a_key_is_found_however_it_is_written(key):
    """As it is, percent-encoded, as JSON, as escapes."""
    from html import escape
    from urllib.parse import quote, quote_plus

    redact = LiveKeys(key).without
    for spelling in (
        key,
        quote(key),
        quote(key, safe=""),
        quote_plus(quote_plus(key)),
        json.dumps(key)[1:-1],
        json.dumps(key)[1:-1].replace("/", "\\/"),
        "".join(f"\\u{ord(c):04x}" for c in key),
        escape(key),
    ):
        # Of a key that ends with a backslash, that one and those that escape it may stay: no secret.
        shown = re.sub(r"(?<=\*\*\*)(?:\\|%(?:25)*5C)+", "", redact(f"before «{spelling}» after"))
        assert shown == "before «***» after"


def test_the_key_is_gone_before_the_message_is_cut():
    """A cut through the key would leave its beginning to be read."""
    key = "sk-" + "x1" * 40
    message = refusal(401, {"error": {"message": "a" * (LONGEST_DETAIL - 10) + key}}, key=key).message
    assert "sk-x" not in message


@given(st.integers(0, 400), st.sampled_from(["sk-" + "x1" * 20, "sk\\u-\\\\/%25&amp;key\\"]))
def test_a_key_that_the_limit_of_reading_splits_shows_none_of_its_parts(offset, key):
    """The text is cut before it is looked through, and the end of the cut is dropped."""
    spelled = "".join(f"\\\\\\\\u{ord(c):04x}" for c in key)
    for spelling in (key, spelled):
        text = "." * (LONGEST_READ + 20 * len(key) - offset) + spelling + "." * 2 * LONGEST_READ * len(key)
        assert set(LiveKeys(key).without(text)) <= {".", "*"}


@pytest.mark.parametrize("key", [None, "sk-0123456789"])
def test_however_much_came_only_its_beginning_is_looked_through(key):
    """Sixteen mebibytes give what their beginning gives."""
    redact = LiveKeys(key).without
    text = "ab" * 8 * 2**20
    assert redact(text) == redact(text[:10_000])
    assert len(redact(text)) <= LONGEST_READ


ENDLESS = [
    "\\",
    "exceed",
    "exceed a ",
    "violat",
    "violate a ",
    "<title",
    "<title ",
    "<title>",
    "%25",
    "&#0",
    "a " * 9 + "a",
    "model ",
    "try again ",
    "limit 1 requested ",
    "longer than a ",
    "the api key a ",
    "your a ",
    "{",
    "1h",
]


@pytest.mark.parametrize("unit", ENDLESS)
@pytest.mark.parametrize("key", ["sk-abcdefghijklmnopqrstuvwxyz", "sk\\a\\a\\a\\a\\a\\a\\a\\a\\a", "\\" * 40])
def test_eight_times_the_text_is_no_more_than_eight_times_the_work(unit, key):
    """Text made to be tried in every way would hold up all else on the loop; the margin is that of a busy machine."""

    def refused(size: int) -> None:
        refusal(400, (unit * size)[:size].encode(), key=key)

    assert growth(lambda: refused(700), lambda: refused(5_600), most=30, least=20e-6) < 30


@given(st.text(st.sampled_from("\\u06ab"), min_size=8, max_size=12), st.text(st.sampled_from("\\u06ab"), max_size=300))
def test_a_key_of_backslashes_is_found_and_nothing_takes_for_ever(key, text):
    """The one character that escapes others can be read in many ways."""
    assert "***" in LiveKeys(key).without(f" {key} ")
    assert key not in LiveKeys(key).without(text)


def test_live_keys_show_no_key_and_without_one_changes_nothing():
    """Its repr is safe in a traceback."""
    assert KEY not in repr(LiveKeys(KEY))
    assert LiveKeys(None).without("as it is") == "as it is"
    assert LiveKeys("").without("as it is") == "as it is"


def test_one_line_is_cut_with_an_ellipsis():
    """At most as long as asked for."""
    assert one_line("a  b\n\tc") == "a b c"
    assert one_line("abcdef", 4) == "abc…"
