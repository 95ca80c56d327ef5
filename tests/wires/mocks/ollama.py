"""Ollama's ``/api/chat`` as a server that is strict: whatever it refuses is refused in its own words.

    with serve() as server:
        ...  # the service's root is root_of(server); no key is needed, the model is MODEL

Where Ollama ignores a field without a word, this one refuses it: such a field has no use, so none should be sent. Of
the models ``MODEL`` reasons as much as it is told, ``OLDER`` reasons or does not, ``PLAIN`` does not reason; any other
has not been pulled. The window is ``WINDOW`` tokens of four characters unless ``num_ctx`` says otherwise.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks.refused import Refused, root_of  # noqa: F401 - whoever asks the mock wants its root

MODEL, OLDER, PLAIN = "qwen-x:4b", "deepseek-x:8b", "gemma-x:4b"
TEXT = "Two is a prime."
WINDOW = 4096

_FIELDS = {
    "model", "messages", "stream", "format", "options", "think", "keep_alive", "truncate", "shift", "tools", "logprobs",
    "top_logprobs",
}  # fmt: skip
_INTEGERS = {"num_predict", "num_ctx", "num_keep", "seed", "top_k", "num_gpu", "num_thread", "repeat_last_n"}
_FLOATS = {"temperature", "top_p", "min_p", "typical_p", "repeat_penalty", "presence_penalty", "frequency_penalty"}


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    request = exchange.request
    try:
        if (request.method, request.path) == ("GET", "/api/tags"):
            exchange.whole(200, json.dumps(TAGS).encode())
        elif (request.method, request.path) != ("POST", "/api/chat"):
            exchange.whole(404, b"404 page not found", {"Content-Type": "text/plain"})
        else:
            _check(request.json)
            _reply(exchange, request.json)
    except Refused as refused:
        status, words = refused.args
        exchange.whole(status, json.dumps({"error": words}).encode())


def _check(body: Any) -> None:
    _that(set(body) <= _FIELDS, f"ignored: {sorted(set(body) - _FIELDS)}")
    if body.get("model") not in (MODEL, OLDER, PLAIN):
        raise Refused(404, f"model '{body.get('model')}' not found")
    for turn in body["messages"]:
        _check_turn(turn)
    options = body.get("options", {})
    for name, value in options.items():
        _check_option(name, value)
    _that(isinstance(body.get("stream", True), bool), "json: cannot unmarshal into field ChatRequest.stream")
    _that(isinstance(body.get("truncate", True), bool), "json: cannot unmarshal into field ChatRequest.truncate")
    form = body.get("format", "")
    _that(isinstance(form, dict) or form in ("", "json"), f'invalid format: "{form}"; expected "json" or a JSON schema')
    _check_think(body.get("think"), body["model"])
    tokens = sum(len(turn["content"]) for turn in body["messages"]) // 4
    window = options.get("num_ctx", WINDOW)
    if tokens > window and body.get("truncate") is False:
        inner = {"code": 400, "message": "the request exceeds the available context size, try increasing it",
                 "type": "exceed_context_size_error", "n_prompt_tokens": tokens, "n_ctx": window}  # fmt: skip
        raise Refused(400, json.dumps({"error": inner}))


def _check_turn(turn: Any) -> None:
    _that(set(turn) <= {"role", "content", "images", "thinking", "tool_calls", "tool_name"}, "ignored in a message")
    _that(turn["role"] in ("system", "user", "assistant", "tool"), f"invalid role: {turn['role']}")
    _that(
        isinstance(turn["content"], str),
        "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
    )
    for image in turn.get("images", []):
        try:
            base64.b64decode(image, validate=True)
        except (binascii.Error, ValueError):
            raise Refused(400, "illegal base64 data at input byte 4") from None


def _check_option(name: str, value: Any) -> None:
    if name == "stop":
        _that(isinstance(value, list), 'option "stop" must be of type array')
    elif name in _INTEGERS:
        _that(isinstance(value, int) and not isinstance(value, bool), f'option "{name}" must be of type integer')
    elif name in _FLOATS:
        _that(isinstance(value, int | float), f'option "{name}" must be of type float32')
    else:
        raise Refused(400, f"ignored: options.{name}")


def _check_think(think: Any, model: str) -> None:
    is_known = think is None or isinstance(think, bool) or think in ("low", "medium", "high", "max")
    _that(is_known, f'invalid think value: "{think}" (must be "high", "medium", "low", true, or false)')
    _that(not think or model != PLAIN, f'"{model}" does not support thinking')
    _that(not isinstance(think, str) or model == MODEL, f'think value "{think}" is not supported for this model')


def _that(is_fine: bool, words: str) -> None:
    if not is_fine:
        raise Refused(400, words)


def _reply(exchange: Exchange, body: Any) -> None:
    lines = list(_lines(body))
    if not body.get("stream", True):
        exchange.whole(200, json.dumps(_joined(lines)).encode())
        return
    exchange.begin_stream({"Content-Type": "application/x-ndjson"})
    for line in lines:
        exchange.chunk(json.dumps(line).encode() + b"\n")
    exchange.end_stream()


def _lines(body: Any) -> Iterator[dict[str, Any]]:
    if body.get("think", body["model"] != PLAIN):  # a model that can reason does so unless told otherwise
        yield _line(body, {"content": "", "thinking": "Let me see."})
    yield _line(body, {"content": TEXT[:6]})
    yield _line(body, {"content": TEXT[6:]})
    counts = {"prompt_eval_count": 9, "eval_count": 5, "total_duration": 812_000_000, "load_duration": 81_000_000}
    yield _line(body, {"content": ""}) | {"done": True, "done_reason": "stop", **counts}


def _line(body: Any, message: dict[str, str]) -> dict[str, Any]:
    about = {"model": body["model"], "created_at": "2026-11-26T10:00:00.123456789Z"}
    return {**about, "message": {"role": "assistant", **message}, "done": False}


def _joined(lines: list[dict[str, Any]]) -> dict[str, Any]:
    said = {
        name: whole
        for name in ("content", "thinking")
        if (whole := "".join(line["message"].get(name, "") for line in lines))
    }
    return {**lines[-1], "message": {"role": "assistant", **said}}


TAGS = {"models": [{"name": each, "model": each, "size": 1, "digest": "d"} for each in (MODEL, OLDER, PLAIN)]}
