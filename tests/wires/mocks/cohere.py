"""Cohere's chat, version 2, as a server that is strict: whatever the service refuses is refused in its own words.

    with serve() as server:
        ...  # the service's root is root_of(server); the key is KEY, the model is MODEL

``PLAIN`` neither reasons nor keeps to a schema; any other model is unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks.refused import Refused, root_of  # noqa: F401 - whoever asks the mock wants its root

KEY = "co-a-key-of-the-mock"
MODEL, PLAIN = "command-x-reasoning", "command-x"
TEXT = "Two is a prime."
MOST_CHARACTERS = 4_000

_FIELDS = {
    "model", "messages", "stream", "tools", "documents", "citation_options", "response_format", "safety_mode",
    "max_tokens", "stop_sequences", "temperature", "seed", "frequency_penalty", "presence_penalty", "k", "p",
    "logprobs", "tool_choice", "strict_tools", "thinking", "priority",
}  # fmt: skip


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    request = exchange.request
    url = urlsplit(request.path)
    try:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "invalid api token" if "authorization" in request.headers else "no api key supplied")
        if (request.method, url.path) == ("GET", "/v1/models"):
            exchange.whole(200, json.dumps(MODELS).encode())
        elif (request.method, url.path) != ("POST", "/v2/chat"):
            raise Refused(404, f"{url.path} not found")
        else:
            _check(request.json)
            _reply(exchange, request.json)
    except Refused as refused:
        status, words = refused.args
        exchange.whole(status, json.dumps({"message": words}).encode())


def _check(body: Any) -> None:
    for name in sorted(set(body) - _FIELDS):
        raise Refused(422, f"invalid request: unknown field: parameter '{name}' is not a valid field")
    if body.get("model") not in (MODEL, PLAIN):
        raise Refused(404, f"model '{body.get('model')}' not found, make sure the correct model ID was used")
    _that(isinstance(body.get("stream", False), bool), "stream must be a boolean")
    _that(bool(body.get("messages")), "messages must not be empty")
    for turn in body["messages"]:
        _check_turn(turn)
    _that(body["messages"][-1]["role"] in ("user", "tool", "system"), "the last message must be the user's")
    _that(isinstance(body.get("stop_sequences", []), list), "stop_sequences must be a list")
    _check_thinking(body.get("thinking"), body["model"])
    form = body.get("response_format", {"type": "text"})
    _that(form.get("type") in ("text", "json_object") and set(form) <= {"type", "json_schema"},
          f"invalid response_format: {form}")  # fmt: skip
    has_schema = "json_schema" in form
    _that(not has_schema or body["model"] != PLAIN, f"json_schema is not supported by model {PLAIN}")
    if sum(len(json.dumps(turn["content"])) for turn in body["messages"]) > MOST_CHARACTERS:
        raise Refused(400, "too many tokens: total number of tokens in the prompt exceeds the limit of 1000")


def _check_turn(turn: Any) -> None:
    _that(set(turn) <= {"role", "content", "tool_calls", "tool_plan", "citations", "tool_call_id"}, "unknown field")
    _that(turn["role"] in ("system", "user", "assistant", "tool"), f"invalid role: {turn['role']}")
    for part in [] if isinstance(turn["content"], str) else turn["content"]:
        kind = part.get("type")
        _that(kind in ("text", "image_url", "document", "thinking") and kind in part, f"invalid content: {kind}")
        if kind == "image_url":
            _that(part["image_url"]["url"].startswith(("data:image/", "https://")), "invalid image url")


def _check_thinking(thinking: Any, model: str) -> None:
    if thinking is None:
        return
    _that(model == MODEL, f"thinking is not supported by model {model}")
    is_fine = thinking.get("type") in ("enabled", "disabled") and set(thinking) <= {"type", "token_budget"}
    _that(is_fine, "invalid thinking")
    _that(thinking.get("token_budget", 1) > 0, "thinking.token_budget must be positive")


def _that(is_fine: bool, words: str) -> None:
    if not is_fine:
        raise Refused(400, f"invalid request: {words}")


def _reply(exchange: Exchange, body: Any) -> None:
    reasons = body["model"] == MODEL and body.get("thinking", {}).get("type") != "disabled"
    if not body.get("stream", False):
        content = [{"type": "thinking", "thinking": "Let me see."}] if reasons else []
        message = {"role": "assistant", "content": [*content, {"type": "text", "text": TEXT}]}
        document = {"id": "c-1", "finish_reason": "COMPLETE", "message": message, "usage": USAGE}
        exchange.whole(200, json.dumps(document).encode())
        return
    exchange.begin_stream()
    for kind, event in _events(reasons):
        exchange.chunk(f"event: {kind}\ndata: {json.dumps({'type': kind, **event})}\n\n".encode())
    exchange.chunk(b"data: [DONE]\n\n")
    exchange.end_stream()


def _events(reasons: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    yield "message-start", {"id": "c-1", "delta": {"message": message}}
    blocks = [*([("thinking", ["Let me ", "see."])] if reasons else []), ("text", [TEXT[:6], TEXT[6:]])]
    for index, (kind, pieces) in enumerate(blocks):
        yield "content-start", {"index": index, "delta": {"message": {"content": {"type": kind, kind: ""}}}}
        for piece in pieces:
            yield "content-delta", {"index": index, "delta": {"message": {"content": {kind: piece}}}}
        yield "content-end", {"index": index}
    yield "message-end", {"id": "c-1", "delta": {"finish_reason": "COMPLETE", "usage": USAGE}}


USAGE = {
    "billed_units": {"input_tokens": 4.0, "output_tokens": 5.0},
    "tokens": {"input_tokens": 9.0, "output_tokens": 5.0},
    "cached_tokens": 2.0,
}
MODELS = {"models": [{"name": MODEL, "endpoints": ["chat"]}, {"name": PLAIN, "endpoints": ["chat"]}],
          "next_page_token": "more"}  # fmt: skip
