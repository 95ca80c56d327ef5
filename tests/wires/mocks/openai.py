"""OpenAI's chat completions as a server that is strict: whatever the service refuses is refused in its own words.

with serve() as server:
    ...  # server.base_url is what the official client takes; the key is KEY, the model is MODEL
"""

from __future__ import annotations

import json
from typing import Any

from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks.responses import Refused

KEY = "sk-a-key-of-the-mock"
MODEL = "gpt-x"
TEXT = "Two is a prime."

_FIELDS = {
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens",
    "stop", "seed", "n", "response_format", "reasoning_effort", "user", "tools", "tool_choice", "metadata", "store",
    "frequency_penalty", "presence_penalty", "logprobs", "logit_bias", "service_tier", "parallel_tool_calls",
}  # fmt: skip
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PARTS = {"text": {"type", "text"}, "image_url": {"type", "image_url"}, "file": {"type", "file"}}
_USAGE = {
    "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip
_SAFE = {"hate": {"filtered": False, "severity": "safe"}}


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    request = exchange.request
    try:
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            raise Refused(404, f"Invalid URL ({request.method} {request.path})")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "Incorrect API key provided.", "invalid_api_key")
        check_body(request.json)
        if request.json.get("model") != MODEL:
            raise Refused(404, "The model does not exist or you do not have access to it.", "model_not_found", "model")
    except Refused as refused:
        exchange.whole(refused.status, json.dumps({"error": refused.error}).encode())
    else:
        reply(exchange)


def check_body(body: Any) -> None:
    """Refuse what the service refuses of a request.

    Raises:
        Refused: for the first thing that it refuses.
    """
    for name in sorted(set(body) - _FIELDS):
        _check(False, f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    _check(bool(body.get("messages")), "Invalid 'messages': empty array.", "messages", "empty_array")
    for number, turn in enumerate(body["messages"]):
        _check_turn(turn, f"messages[{number}]")
    options = body.get("stream_options", {})
    _check(set(options) <= {"include_usage", "include_obfuscation"}, "Unknown parameter", "stream_options")
    _check("stream_options" not in body or bool(body.get("stream")), "The 'stream_options' parameter is only allowed "
           "when 'stream' is enabled.", "stream_options")  # fmt: skip
    both = "max_tokens" in body and "max_completion_tokens" in body
    _check(not both, "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
           "max_tokens", "invalid_parameter_combination")  # fmt: skip


def _check_turn(turn: Any, where: str) -> None:
    _check(turn.get("role") in _ROLES, f"Invalid value: '{turn.get('role')}'.", f"{where}.role", "invalid_value")
    content = turn.get("content")
    _check(isinstance(content, str | list), f"Invalid value for 'content': expected a string, got {content!r}.", where)
    for part in content if isinstance(content, list) else ():
        kind = part.get("type")
        _check(kind in _PARTS, f"Invalid value: '{kind}'.", f"{where}.content", "invalid_value")
        _check(set(part) == _PARTS[kind], f"Unknown parameter in '{kind}'", f"{where}.content", "unknown_parameter")


def _check(is_fine: bool, message: str, param: str, code: str | None = None) -> None:
    if not is_fine:
        raise Refused(400, message, code, param)


def reply(exchange: Exchange, *, filtered: bool = False) -> None:
    """Send a good reply, streamed or whole; ``filtered`` with what Azure's filter says of it."""
    body = exchange.request.json
    results = {"content_filter_results": _SAFE} if filtered else {}
    if not body.get("stream"):
        message = {"role": "assistant", "content": TEXT, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", **results}
        exchange.whole(200, json.dumps(_document("chat.completion", [choice], usage=_USAGE)).encode())
        return
    exchange.begin_stream()
    if filtered:
        prompt = [{"prompt_index": 0, "content_filter_results": _SAFE}]
        first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": prompt}
        exchange.event(first)
    _piece(exchange, delta={"role": "assistant", "content": "", "refusal": None}, finish_reason=None)
    for piece in (TEXT[:6], TEXT[6:]):
        _piece(exchange, delta={"content": piece}, finish_reason=None, **{key: {} for key in results})
    if filtered:  # results that come after the text they are about have no delta
        _piece(exchange, finish_reason=None, content_filter_offsets={"end_offset": 15}, **results)
    _piece(exchange, delta={}, finish_reason="stop")
    if body.get("stream_options", {}).get("include_usage"):
        exchange.event(_document("chat.completion.chunk", [], usage=_USAGE))
    exchange.event("[DONE]")
    exchange.end_stream()


def _piece(exchange: Exchange, **choice: Any) -> None:
    exchange.event(_document("chat.completion.chunk", [{"index": 0, "logprobs": None, **choice}]))


def _document(kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_700_000_000, "model": "gpt-x-001", "choices": choices,
            **more}  # fmt: skip
