"""Every way of answering, by name: the good forms that providers send, and the faults.

Names that begin with a status are plain error responses; see ``find_mode``.
"""

from __future__ import annotations

import functools
import gzip
import http
import json
import urllib.parse
import zlib

from tests.faults.server import Exchange, FaultServer, Mode, sse, status

MODES: dict[str, Mode] = {}

HTML = b"<!doctype html><html><head><title>Bad gateway | proxy</title></head><body>oops</body></html>"


def find_mode(name: str) -> Mode:
    """Return the mode of that name; a number is a status with an error body in OpenAI's form."""
    if name.isdigit():
        code = int(name)
        phrase = http.HTTPStatus(code).phrase if code in set(http.HTTPStatus) else "strange"
        return status(code, body={"error": {"message": f"scripted: {phrase}", "type": "scripted_error", "code": None}})
    return MODES[name]


def mode(function: Mode) -> Mode:
    """Register a mode under its own name, with hyphens."""
    MODES[function.__name__.strip("_").replace("_", "-")] = function
    return function


def good_events(exchange: Exchange) -> list[object]:
    """Return the events of an ordinary reply."""
    words = [exchange.delta(content=piece) for piece in exchange.server.pieces]
    first, last = exchange.delta(role="assistant", content=""), exchange.delta(finish_reason="stop")
    return [first, *words, last, exchange.usage_chunk(), "[DONE]"]


def good_bytes(exchange: Exchange) -> bytes:
    return b"".join(map(sse, good_events(exchange)))


def send_stream(exchange: Exchange, data: bytes, headers: dict[str, str] | None = None, size: int = 0) -> None:
    """Send bytes as an event stream, in chunks of ``size`` where it is given."""
    exchange.begin_stream(headers)
    for start in range(0, len(data), size or len(data)):
        exchange.chunk(data[start : start + (size or len(data))])
    exchange.end_stream()


# --- replies that are good ------------------------------------------------------------------------------------------


@mode
def ok(exchange: Exchange) -> None:
    """Stream when asked to, else answer whole."""
    if not exchange.streaming:
        exchange.pause()
        exchange.whole(200, json.dumps(exchange.completion()).encode())
        return
    exchange.begin_stream()
    exchange.event(exchange.delta(role="assistant", content=""))
    exchange.words()
    for event in (exchange.delta(finish_reason="stop"), exchange.usage_chunk(), "[DONE]"):
        exchange.event(event)
    exchange.end_stream()


@mode
def ok_close(exchange: Exchange) -> None:
    """Answer well, without keeping the connection."""
    ok(exchange)
    exchange.close()


@mode
def ok_when_released(exchange: Exchange) -> None:
    exchange.hold()
    ok(exchange)


@mode
def json_anyway(exchange: Exchange) -> None:
    exchange.whole(200, json.dumps(exchange.completion()).encode())


@mode
def stream_anyway(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange))


@mode
def cr(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange).replace(b"\n", b"\r"), size=7)


@mode
def crlf(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange).replace(b"\n", b"\r\n"), size=1)


@mode
def bom(exchange: Exchange) -> None:
    send_stream(exchange, b"\xef\xbb\xbf" + good_bytes(exchange), size=2)


@mode
def comments(exchange: Exchange) -> None:
    send_stream(exchange, b": ping\n\n" + good_bytes(exchange).replace(b"\n\n", b"\n: ping\nid: 7\nretry: 3\n\n"))


@mode
def multiline_data(exchange: Exchange) -> None:
    events = [json.dumps(each, indent=1) if isinstance(each, dict) else str(each) for each in good_events(exchange)]
    lines = ["".join(f"data: {line}\n" for line in each.split("\n")) for each in events]
    send_stream(exchange, "\n".join([*lines, ""]).encode())


@mode
def no_last_blank_line(exchange: Exchange) -> None:
    events = good_events(exchange)[:-2]
    send_stream(exchange, b"".join(map(sse, events)).rstrip(b"\n"))


@mode
def gzipped(exchange: Exchange) -> None:
    if exchange.streaming:
        send_stream(exchange, gzip.compress(good_bytes(exchange)), {"Content-Encoding": "gzip"}, size=50)
    else:
        body = gzip.compress(json.dumps(exchange.completion()).encode())
        exchange.whole(200, body, {"Content-Encoding": "gzip"})


@mode
def gzip_flushed(exchange: Exchange) -> None:
    """Compress each event on its own and hold after the first word, as a good server flushes."""
    compress = zlib.compressobj(wbits=31)
    exchange.begin_stream({"Content-Encoding": "gzip"})
    for number, event in enumerate(good_events(exchange)):
        exchange.chunk(compress.compress(sse(event)) + compress.flush(zlib.Z_SYNC_FLUSH))
        if number == 1:
            exchange.hold()
    exchange.chunk(compress.flush())
    exchange.end_stream()


@mode
def raw_deflate(exchange: Exchange) -> None:
    compress = zlib.compressobj(wbits=-15)
    data = compress.compress(good_bytes(exchange)) + compress.flush()
    send_stream(exchange, data, {"Content-Encoding": "deflate"}, size=40)


@mode
def byte_by_byte(exchange: Exchange) -> None:
    """One byte at a time, unescaped, so that every UTF-8 sequence is cut."""
    events = [
        json.dumps(each, ensure_ascii=False) if isinstance(each, dict) else each for each in good_events(exchange)
    ]
    send_stream(exchange, b"".join(map(sse, events)), size=1)


@mode
def usage_each(exchange: Exchange) -> None:
    events = [{**each, "usage": exchange.usage()} if isinstance(each, dict) else each for each in good_events(exchange)]
    send_stream(exchange, b"".join(map(sse, events)))


@mode
def azure(exchange: Exchange) -> None:
    """Begin as Azure does: a chunk without choices that holds the filter's verdict on the prompt."""
    first = {"choices": [], "created": 0, "id": "", "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    send_stream(exchange, sse(first) + good_bytes(exchange))


def _reasoned(exchange: Exchange, name: str) -> None:
    thoughts = [exchange.delta(**{name: piece, "content": None}) for piece in ("First ", "think.")]
    send_stream(exchange, b"".join(map(sse, thoughts)) + good_bytes(exchange))


@mode
def reasoning_content(exchange: Exchange) -> None:
    _reasoned(exchange, "reasoning_content")


@mode
def reasoning(exchange: Exchange) -> None:
    _reasoned(exchange, "reasoning")


@mode
def content_parts(exchange: Exchange) -> None:
    """Content as a list of parts."""
    parts = [{"type": "text", "text": exchange.server.text}]
    events = [exchange.delta(content=parts), exchange.delta(content=None, finish_reason="stop"), "[DONE]"]
    send_stream(exchange, b"".join(map(sse, events)))


@mode
def length(exchange: Exchange) -> None:
    if not exchange.streaming:
        exchange.whole(200, json.dumps(exchange.completion(finish_reason="length")).encode())
        return
    exchange.begin_stream()
    exchange.words(2)
    exchange.event(exchange.delta(finish_reason="length"))
    exchange.event("[DONE]")
    exchange.end_stream()


@mode
def length_without_text(exchange: Exchange) -> None:
    send_stream(exchange, sse(exchange.delta(finish_reason="length")) + sse("[DONE]"))


@mode
def finish_then_reset(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.words()
    exchange.event(exchange.delta(finish_reason="stop"))
    exchange.hold()
    exchange.reset()


@mode
def finish_without_done(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.words()
    exchange.event(exchange.delta(finish_reason="stop"))
    exchange.end_stream()


@mode
def finish_then_silence(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.words()
    exchange.event(exchange.delta(finish_reason="stop"))
    exchange.hold()


@mode
def done_then_silence(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.words()
    exchange.event("[DONE]")
    exchange.hold()


@mode
def done_without_finish(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.words()
    exchange.event("[DONE]")
    exchange.end_stream()


# --- replies that are good in an unusual way ------------------------------------------------------------------------


@mode
def finish_each(exchange: Exchange) -> None:
    """Say with every piece that it is the last, as some gateways to Gemini do."""
    exchange.begin_stream()
    for piece in exchange.server.pieces:
        exchange.event(exchange.delta(content=piece, finish_reason="stop"))
        exchange.pause()
    exchange.event(exchange.usage_chunk())
    exchange.event("[DONE]")
    exchange.end_stream()


@mode
def finish_reasoning(exchange: Exchange) -> None:
    """Finish the reasoning with a reason of its own, and pause before the text."""
    exchange.begin_stream()
    exchange.event(exchange.delta(reasoning_content="First think.", finish_reason="stop"))
    exchange.pause()
    exchange.chunk(good_bytes(exchange))
    exchange.end_stream()


@mode
def finish_then_another(exchange: Exchange) -> None:
    """Let the words of another reply follow the end of this one."""
    other = {**exchange.delta(content="of another", finish_reason="stop"), "id": "c2"}
    usage = {**exchange.usage_chunk(), "id": "c2", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    events = [*good_events(exchange)[:-1], other, usage, "[DONE]"]
    send_stream(exchange, b"".join(map(sse, events)))


@mode
def id_each(exchange: Exchange) -> None:
    """Give every piece an id of its own."""
    events = [
        {**each, "id": f"c{number}"} if isinstance(each, dict) else each
        for number, each in enumerate(good_events(exchange))
    ]
    send_stream(exchange, b"".join(map(sse, events)))


@mode
def heartbeats(exchange: Exchange) -> None:
    """Keep the stream alive with events that are no JSON, or JSON but no piece of a reply."""
    beats = ("ping", "keep-alive", ": OPENROUTER PROCESSING", "", "1", '"ping"', "null", "[]", '{"type": "ping"}')
    between = "".join(f"data: {beat}\n\n" for beat in beats).encode()
    send_stream(exchange, between + good_bytes(exchange).replace(b"\n\n", b"\n\n" + between))


@mode
def odd_fields(exchange: Exchange) -> None:
    """Have every field that is not needed in a type that nobody expects."""
    odd: list[dict[str, object]] = [
        {"error": "", "model": 7, "id": 5}, {"error": {}, "usage": "none"}, {"error": [], "usage": []},
        {"error": False, "x_groq": 1}, {"system_fingerprint": ["x"], "created": "now"},
    ]  # fmt: skip
    fields: list[dict[str, object]] = [
        {"reasoning_content": {"x": 1}}, {"reasoning": []}, {"tool_calls": {}}, {"refusal": False}, {"role": 3},
        {"function_call": ""}, {"reasoning_details": "", "thinking": 0},
    ]  # fmt: skip
    nothing: tuple[object, ...] = ([], "", 0, False)
    events: list[object] = [{"choices": [{"delta": delta}]} for delta in nothing]
    for number, each in enumerate(good_events(exchange)):
        if isinstance(each, dict) and each["choices"]:
            [choice] = each["choices"]
            choice = {"finish_reason": False, "logprobs": {"x": 1}, "index": "0", **choice}
            choice["delta"] = {**fields[number % len(fields)], **choice["delta"]}
            events.append({**each, **odd[number % len(odd)], "choices": [choice], "model": exchange.server.model})
        else:
            events.append(each)
    data = b"".join(map(sse, events)).replace(b'"x": 1', b'"x": NaN, "y": 1e999, "z": ' + b"9" * 5000)
    send_stream(exchange, data)


@mode
def halves(exchange: Exchange) -> None:
    """Write characters beyond U+FFFF as two escapes, and end a piece between the two."""
    exchange.begin_stream()
    for character in exchange.server.text:
        raw = character.encode("utf-16-be")
        for at in range(0, len(raw), 2):
            piece = json.dumps(exchange.delta(content="HALF")).replace("HALF", f"\\u{raw[at : at + 2].hex()}")
            exchange.event(piece)
    exchange.chunk(b"".join(map(sse, good_events(exchange)[-3:])))
    exchange.end_stream()


def _labelled(exchange: Exchange, data: bytes, label: str | None) -> None:
    headers = {"Transfer-Encoding": "chunked", **({"Content-Type": label} if label else {})}
    exchange.head(200, headers)
    exchange.chunk(data)
    exchange.end_stream()


@mode
def events_as_json(exchange: Exchange) -> None:
    _labelled(exchange, good_bytes(exchange), "application/json")


@mode
def events_as_html(exchange: Exchange) -> None:
    _labelled(exchange, good_bytes(exchange), "text/html; charset=utf-8")


@mode
def events_without_a_type(exchange: Exchange) -> None:
    _labelled(exchange, good_bytes(exchange), None)


@mode
def document_as_events(exchange: Exchange) -> None:
    _labelled(exchange, json.dumps(exchange.completion(), indent=1).encode(), "text/event-stream")


@mode
def document_as_text(exchange: Exchange) -> None:
    _labelled(exchange, b"\xef\xbb\xbf\n  " + json.dumps(exchange.completion()).encode() + b"\n", "text/plain")


@mode
def document_without_a_type(exchange: Exchange) -> None:
    _labelled(exchange, json.dumps(exchange.completion()).encode(), None)


@mode
def document_with_end_mark(exchange: Exchange) -> None:
    """Stick the end mark of a stream to a document."""
    _labelled(exchange, json.dumps(exchange.completion()).encode() + b"data: [DONE]\n\n", "application/json")


@mode
def json_lines(exchange: Exchange) -> None:
    """Send each piece as a line of its own, without a frame."""
    lines = [json.dumps(each) for each in good_events(exchange)[:-1]]
    _labelled(exchange, "\n".join(lines).encode(), "application/x-ndjson")


@mode
def json_array(exchange: Exchange) -> None:
    """Send all pieces as the items of one array."""
    _labelled(exchange, json.dumps(good_events(exchange)[:-1]).encode(), "application/json")


@mode
def single_line_ends(exchange: Exchange) -> None:
    """End each event with its line, and no empty one."""
    send_stream(exchange, good_bytes(exchange).replace(b"\n\n", b"\n"))


@mode
def gzip_without_a_label(exchange: Exchange) -> None:
    send_stream(exchange, gzip.compress(good_bytes(exchange)))


@mode
def gzip_that_is_none(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange), {"Content-Encoding": "gzip"})


@mode
def thinking_parts(exchange: Exchange) -> None:
    """Have the reasoning in parts of the content, as Mistral does."""
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]} for piece in ("First ", "think.")]
    events = [exchange.delta(content=[part]) for part in parts]
    send_stream(exchange, b"".join(map(sse, events)) + good_bytes(exchange))


@mode
def reasoning_details(exchange: Exchange) -> None:
    """Have the reasoning in a list and again as a text, and a part of it encrypted, as OpenRouter does."""
    details = [{"type": "reasoning.text", "text": "First "}, {"type": "reasoning.encrypted", "data": "xyz"}]
    events = [
        exchange.delta(content="", reasoning="First ", reasoning_details=details),
        exchange.delta(content="", reasoning_details=[{"type": "reasoning.summary", "summary": "think."}]),
    ]
    send_stream(exchange, b"".join(map(sse, events)) + good_bytes(exchange))


@mode
def think_tags(exchange: Exchange) -> None:
    """Have the reasoning in the text, between tags, one character a piece."""
    events = [exchange.delta(content=character) for character in "\n<think>\nFirst think.</think>\n\n"]
    send_stream(exchange, b"".join(map(sse, events)) + good_bytes(exchange))


def _with_usage(exchange: Exchange, usage: dict[str, object]) -> None:
    *events, last, _, mark = good_events(exchange)
    assert isinstance(last, dict)
    send_stream(exchange, b"".join(map(sse, [*events, {**last, **usage}, mark])))


@mode
def usage_in_choice(exchange: Exchange) -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": exchange.usage()}
    _with_usage(exchange, {"choices": [choice]})


@mode
def usage_in_groq(exchange: Exchange) -> None:
    _with_usage(exchange, {"x_groq": {"id": "r1", "usage": exchange.usage()}})


@mode
def usage_of_gemini(exchange: Exchange) -> None:
    """Count the tokens under Gemini's names, and its thoughts only in the total."""
    prompt, completion = exchange.server.usage
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": completion - 1,
        "totalTokenCount": prompt + completion,
    }
    _with_usage(exchange, {"usageMetadata": counts})


@mode
def usage_as_text(exchange: Exchange) -> None:
    _with_usage(exchange, {"usage": {name: f"{count}.0" for name, count in exchange.usage().items()}})


@mode
def finish_in_capitals(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange).replace(b'"stop"', b'"FinishReason.STOP"'))


@mode
def finish_unknown(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange).replace(b'"stop"', b'"escalation"'))


@mode
def length_of_gemini(exchange: Exchange) -> None:
    send_stream(exchange, good_bytes(exchange).replace(b'"stop"', b'"MAX_TOKENS"'))


@mode
def refusal(exchange: Exchange) -> None:
    """Have the text in the field for a refusal, in the model's own words."""
    send_stream(exchange, good_bytes(exchange).replace(b'"content"', b'"refusal"'))


@mode
def text_and_tool(exchange: Exchange) -> None:
    """Ask for a tool after the text."""
    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    events = good_events(exchange)
    tool = exchange.delta(tool_calls=[call], finish_reason="tool_calls")
    send_stream(exchange, b"".join(map(sse, [*events[:-3], tool, *events[-2:]])))


@mode
def refuses_stream_options(exchange: Exchange) -> None:
    """Refuse a request that holds stream_options, and answer any other."""
    if "stream_options" in exchange.request.json:
        detail = [
            {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}
        ]
        exchange.whole(422, json.dumps({"detail": detail}).encode())
    else:
        ok(exchange)


# --- 200, and yet no reply ------------------------------------------------------------------------------------------


@mode
def ok_error_body(exchange: Exchange) -> None:
    exchange.whole(200, json.dumps({"error": {"message": "scripted: upstream is down", "code": 502}}).encode())


@mode
def ok_html(exchange: Exchange) -> None:
    exchange.whole(200, HTML, {"Content-Type": "text/html"})


@mode
def ok_empty(exchange: Exchange) -> None:
    exchange.whole(200, b"")


@mode
def ok_empty_stream(exchange: Exchange) -> None:
    send_stream(exchange, b"\n")


@mode
def ok_bad_json(exchange: Exchange) -> None:
    exchange.whole(200, b'{"choices": [{"message": {"content": "Test')


@mode
def ok_wrong_shape(exchange: Exchange) -> None:
    exchange.whole(200, b'{"choices": {"text": "here"}}')


@mode
def ok_no_choices(exchange: Exchange) -> None:
    exchange.whole(200, b'{"id": "c1", "object": "chat.completion"}')


@mode
def stop_without_text(exchange: Exchange) -> None:
    if exchange.streaming:
        send_stream(exchange, sse(exchange.delta(content="", finish_reason="stop")) + sse("[DONE]"))
    else:
        exchange.whole(200, json.dumps(exchange.completion(text="")).encode())


@mode
def done_only(exchange: Exchange) -> None:
    send_stream(exchange, sse("[DONE]"))


@mode
def filtered(exchange: Exchange) -> None:
    if exchange.streaming:
        send_stream(exchange, sse(exchange.delta(finish_reason="content_filter")) + sse("[DONE]"))
    else:
        exchange.whole(200, json.dumps(exchange.completion("", "content_filter")).encode())


@mode
def error_event(exchange: Exchange) -> None:
    send_stream(exchange, sse({"error": {"message": "scripted: overloaded", "type": "server_error"}}))


@mode
def named_error_event(exchange: Exchange) -> None:
    send_stream(exchange, b"event: error\n" + sse({"message": "scripted: overloaded"}))


def _error_event(name: str, **error: object) -> None:
    """Register a stream that holds nothing but an error."""
    MODES[name] = lambda exchange: send_stream(exchange, sse({"error": {"message": "scripted", **error}}))
    MODES[name].__name__ = name


_error_event("event-rate-limit", code="rate_limit_exceeded")
_error_event("event-429", code=429)
_error_event("event-quota", code="insufficient_quota")
_error_event("event-too-long", code="context_length_exceeded")
_error_event("event-filter", code="content_filter")
_error_event("event-access", type="authentication_error")
_error_event("event-bad-request", type="invalid_request_error", param="top_k")
_error_event("event-unknown", type="scripted_error")
_error_event("event-wait", status="RESOURCE_EXHAUSTED", details=[{"retryDelay": "38s"}])


@mode
def error_field(exchange: Exchange) -> None:
    """Report an error in a field of the stream's own, as llama.cpp did."""
    send_stream(exchange, b'error: {"code": 500, "message": "Context size has been exceeded."}\n\n')


@mode
def error_document_as_events(exchange: Exchange) -> None:
    _labelled(exchange, b'{"error": {"message": "scripted: slow down", "code": "429"}}', "text/event-stream")


@mode
def plain_text(exchange: Exchange) -> None:
    _labelled(exchange, b"something went wrong", "text/plain")


@mode
def page_as_events(exchange: Exchange) -> None:
    _labelled(exchange, b"\n" + HTML, "text/event-stream")


@mode
def tool_only(exchange: Exchange) -> None:
    """Ask for a tool and say nothing."""
    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "look_up", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    events = [exchange.delta(content=None, tool_calls=[each]) for each in (call, more)]
    send_stream(exchange, b"".join(map(sse, [*events, exchange.delta(finish_reason="tool_calls"), "[DONE]"])))


@mode
def bad_event(exchange: Exchange) -> None:
    send_stream(exchange, sse('{"choices": [{"delta":'))


@mode
def unfinished_event(exchange: Exchange) -> None:
    send_stream(exchange, b'data: {"choices": [{"delta": {"content": "Te')


@mode
def role_then_end(exchange: Exchange) -> None:
    send_stream(exchange, sse(exchange.delta(role="assistant", content="")))


@mode
def role_then_reset(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.event(exchange.delta(role="assistant", content=""))
    exchange.hold()
    exchange.reset()


# --- broken off after some text -------------------------------------------------------------------------------------


def _after_words(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.words(2)


@mode
def text_then_error(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.event({"error": {"message": "scripted: broke off"}})
    exchange.end_stream()


@mode
def text_then_reset(exchange: Exchange) -> None:
    """Send text and reset once released, so that the text has certainly been read."""
    _after_words(exchange)
    exchange.hold()
    exchange.reset()


@mode
def text_then_close(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.close()


@mode
def text_then_end(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.end_stream()


@mode
def text_then_bad_event(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.event('{"choices": [{"del')
    exchange.end_stream()


@mode
def text_then_filter(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.event(exchange.delta(finish_reason="content_filter"))
    exchange.end_stream()


@mode
def text_then_abort(exchange: Exchange) -> None:
    """Break off in the words of vLLM."""
    _after_words(exchange)
    exchange.event(exchange.delta(finish_reason="abort"))
    exchange.event("[DONE]")
    exchange.end_stream()


@mode
def text_then_safety(exchange: Exchange) -> None:
    """Filter in the words of Gemini."""
    _after_words(exchange)
    exchange.event(exchange.delta(finish_reason="SAFETY"))
    exchange.end_stream()


@mode
def text_then_rate_limit(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.event({"error": {"message": "scripted", "type": "rate_limit_error"}})
    exchange.end_stream()


@mode
def finish_each_then_reset(exchange: Exchange) -> None:
    """Reset a stream whose every piece says that it is the last."""
    exchange.begin_stream()
    for piece in exchange.server.pieces[:2]:
        exchange.event(exchange.delta(content=piece, finish_reason="stop"))
    exchange.hold()
    exchange.reset()


@mode
def stall(exchange: Exchange) -> None:
    """Fall silent after some text; once released, go on to a good end."""
    _after_words(exchange)
    exchange.hold()
    for piece in exchange.server.pieces[2:]:
        exchange.event(exchange.delta(content=piece))
    exchange.event(exchange.delta(finish_reason="stop"))
    exchange.event("[DONE]")
    exchange.end_stream()


@mode
def trickle(exchange: Exchange) -> None:
    """Send a word every moment, for ever."""
    exchange.begin_stream()
    while True:
        exchange.event(exchange.delta(content="word "))
        exchange.check_peer()
        exchange.pause()


# --- silence --------------------------------------------------------------------------------------------------------


@mode
def no_headers(exchange: Exchange) -> None:
    exchange.hold()


@mode
def dripping_headers(exchange: Exchange) -> None:
    """Send the response's head one byte at a time, for ever."""
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    exchange.server.reached.set()
    while not exchange.server.gate.is_set():
        exchange.send(b"a")
        exchange.check_peer()
    exchange.close()


@mode
def comments_only(exchange: Exchange) -> None:
    """Send nothing but keep-alive comments."""
    exchange.begin_stream()
    exchange.server.reached.set()
    while not exchange.server.gate.is_set():
        exchange.chunk(b": keep-alive\n\n")
        exchange.check_peer()
    exchange.close()


@mode
def role_then_silence(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.event(exchange.delta(role="assistant", content=""))
    exchange.hold()


# --- the connection and HTTP itself ---------------------------------------------------------------------------------


@mode
def close(exchange: Exchange) -> None:
    """Close without a byte."""
    exchange.close()


@mode
def reset(exchange: Exchange) -> None:
    exchange.reset()


@mode
def half_a_head(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Ty")
    exchange.close()


@mode
def short_body(exchange: Exchange) -> None:
    exchange.head(200, {"Content-Type": "application/json", "Content-Length": "500"})
    exchange.send(b'{"choices": [')
    exchange.close()


@mode
def bad_status_line(exchange: Exchange) -> None:
    exchange.send(b"HELLO WORLD\r\n\r\n")
    exchange.close()


@mode
def duplicate_length(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello")
    exchange.close()


@mode
def bad_chunk_size(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.send(b"zz\r\nhello\r\n")
    exchange.close()


@mode
def endless_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        exchange.send(b"X-More: " + b"a" * 8000 + b"\r\n")


@mode
def gzip_garbage(exchange: Exchange) -> None:
    send_stream(exchange, b"this is not gzip at all", {"Content-Encoding": "gzip"})


@mode
def unknown_encoding(exchange: Exchange) -> None:
    send_stream(exchange, b"\x00\x01", {"Content-Encoding": "br"})


@mode
def redirect(exchange: Exchange) -> None:
    exchange.whole(307, b"", {"Location": "https://user:secret@elsewhere.example/v1?token=abc"})


# --- too much -------------------------------------------------------------------------------------------------------


@mode
def endless_line(exchange: Exchange) -> None:
    exchange.begin_stream()
    exchange.chunk(b"data: ")
    while True:
        exchange.chunk(b"a" * 65536)


@mode
def endless_comments(exchange: Exchange) -> None:
    exchange.begin_stream()
    while True:
        exchange.chunk(b": padding\n" * 8192)


@mode
def endless_text(exchange: Exchange) -> None:
    exchange.begin_stream()
    event = sse(exchange.delta(content="a" * 200_000))
    while True:
        exchange.chunk(event)


@mode
def endless_body(exchange: Exchange) -> None:
    exchange.head(200, {"Content-Type": "application/json"})
    while True:
        exchange.send(b" " * 65536)


@functools.cache
def _bomb() -> bytes:
    compress = zlib.compressobj(1, wbits=31)
    zeros = bytes(16 * 2**20)
    return b"".join(compress.compress(zeros) for _ in range(64)) + compress.flush()


@mode
def gzip_bomb(exchange: Exchange) -> None:
    """Send a gigabyte of nothing in a megabyte, then hold."""
    kind = "text/event-stream" if exchange.streaming else "application/json"
    exchange.begin_stream({"Content-Encoding": "gzip", "Content-Type": kind})
    exchange.chunk(_bomb())
    exchange.hold()


@mode
def huge_error(exchange: Exchange) -> None:
    """Answer 500 with a body that never ends."""
    exchange.head(500, {"Content-Type": "text/plain"})
    exchange.send(b"scripted: too long ")
    while True:
        exchange.send(b"again and again " * 4096)


@mode
def slow_error(exchange: Exchange) -> None:
    """Answer 503 and hold before the end of the body."""
    exchange.head(503, {"Content-Type": "application/json", "Content-Length": "1000"})
    exchange.send(b"{")
    exchange.hold()


# --- what real servers say ------------------------------------------------------------------------------------------


def _key(exchange: Exchange) -> str:
    return exchange.request.headers.get("authorization", "").removeprefix("Bearer ")


@mode
def echo_key(exchange: Exchange) -> None:
    """Repeat the key in every disguise that servers use."""
    key = _key(exchange)
    escaped = "".join(f"\\u{ord(c):04x}" for c in key)
    message = f"bad key {key} at /?key={urllib.parse.quote(key, safe='')} in {json.dumps(key)} or {escaped}"
    exchange.whole(401, json.dumps({"error": {"message": message}}).encode())


@mode
def echo_key_in_stream(exchange: Exchange) -> None:
    _after_words(exchange)
    exchange.event({"error": {"message": f"bad key {_key(exchange)}"}})
    exchange.end_stream()


@mode
def echo_key_in_redirect(exchange: Exchange) -> None:
    exchange.whole(302, b"", {"Location": f"https://elsewhere.example/{urllib.parse.quote(_key(exchange), safe='')}"})


MODES["quota"] = status(429, body={"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})
MODES["context-length"] = status(
    400, body={"error": {"message": "too long for this model", "code": "context_length_exceeded"}}
)
MODES["context-llamacpp"] = status(
    400,
    body={
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 5000,
            "n_ctx": 4096,
        }
    },
)
MODES["loading"] = status(503, body={"error": {"message": "Loading model", "type": "unavailable_error", "code": 503}})
MODES["image-500"] = status(500, body={"error": {"code": 500, "message": "image input is not supported"}})
MODES["policy"] = status(400, body={"error": {"message": "no", "code": "content_policy_violation"}})
MODES["401-bare"] = status(401)
MODES["key-as-400"] = status(
    400,
    body={
        "error": {
            "code": 400,
            "message": "scripted: no such key",
            "status": "INVALID_ARGUMENT",
            "details": [{"reason": "API_KEY_INVALID"}],
        }
    },
)
MODES["credit-as-400"] = status(400, body={"error": {"message": "Your credit balance is too low", "type": "x"}})
MODES["safety-in-words"] = status(400, body={"error": {"message": "it was rejected by our safety system"}})
MODES["never-fits"] = status(
    413,
    body={
        "error": {
            "message": "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 8000",
            "code": "rate_limit_exceeded",
        }
    },
)
MODES["llamacpp-500"] = status(500, body={"error": {"code": 500, "message": "Context size has been exceeded."}})
MODES["capacity-429"] = status(429, body={"message": "Service tier capacity exceeded", "code": "3505"})


def answers(server: FaultServer, *texts: str) -> None:
    """Let the server answer with these texts, one after the other."""

    def mode(text: str):
        def answer(exchange) -> None:
            exchange.begin_stream()
            exchange.event(exchange.delta(content=text))
            exchange.event(exchange.delta(finish_reason="stop"))
            exchange.event(exchange.usage_chunk())
            exchange.event("[DONE]")
            exchange.end_stream()

        return answer

    server.script(*map(mode, texts))
