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

from tests.faults.server import Exchange, Mode, sse, status

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
