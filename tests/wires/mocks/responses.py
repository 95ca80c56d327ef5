"""OpenAI's Responses as a server that is strict: whatever the service refuses is refused in its own words.

    with serve() as server:
        ...  # server.base_url is what the official client takes; the key is KEY, the model is MODEL

``PLAIN`` does not reason. ``GATED`` gives streams and summaries of its reasoning to verified organizations only, and
this one is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.faults.server import Exchange, FaultServer

KEY = "sk-a-key-of-the-mock"
MODEL, PLAIN, GATED = "gpt-x", "gpt-w", "gpt-y"
TEXT = "Two is a prime."

_FIELDS = {
    "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "store", "stream", "stream_options",
    "reasoning", "text", "tools", "tool_choice", "metadata", "include", "user", "truncation", "service_tier",
    "prompt_cache_key", "parallel_tool_calls", "previous_response_id", "background", "safety_identifier",
}  # fmt: skip
_MOVED = {"max_tokens": "max_output_tokens", "response_format": "text.format", "reasoning_effort": "reasoning.effort",
          "messages": "input"}  # fmt: skip
_EFFORTS = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}
_PARTS = {
    "input_text": {"type", "text"},
    "input_image": {"type", "image_url", "detail", "file_id"},
    "input_file": {"type", "filename", "file_data", "file_url", "file_id"},
}


class Refused(Exception):
    """The request is refused with this status and this error."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    request = exchange.request
    try:
        if (request.method, request.path) != ("POST", "/v1/responses"):
            raise Refused(404, f"Invalid URL ({request.method} {request.path})")
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "Incorrect API key provided.", "invalid_api_key")
        check_body(request.json)
        if request.json["model"] not in (MODEL, PLAIN, GATED):
            raise Refused(404, "The model does not exist or you do not have access to it.", "model_not_found")
    except Refused as refused:
        exchange.whole(refused.status, json.dumps({"error": refused.error}).encode())
    else:
        reply(exchange)


def reply(exchange: Exchange) -> None:
    """Send a good reply, streamed or whole."""
    body = exchange.request.json
    if not body.get("stream"):
        exchange.whole(200, json.dumps(_response(body, "completed")).encode())
        return
    exchange.begin_stream()
    for number, event in enumerate(_events(body)):
        document = json.dumps({**event, "sequence_number": number})
        exchange.chunk(f"event: {event['type']}\ndata: {document}\n\n".encode())
    exchange.end_stream()


def check_body(body: Any) -> None:
    """Refuse what the service refuses of a request.

    Raises:
        Refused: for the first thing that it refuses.
    """
    for name in sorted(set(body) - _FIELDS):
        hint = f" In the Responses API, this parameter has moved to '{_MOVED[name]}'." if name in _MOVED else ""
        _check(False, f"Unsupported parameter: '{name}'.{hint}", name, "unsupported_parameter")
    _check(bool(body.get("input")), "Missing required parameter: 'input'.", "input")
    _check(isinstance(body.get("model"), str), "Missing required parameter: 'model'.", "model")
    _check(body.get("max_output_tokens", 16) >= 16, "Invalid 'max_output_tokens': below the minimum of 16",
           "max_output_tokens")  # fmt: skip
    for item in body["input"] if isinstance(body["input"], list) else ():
        _check_item(item)
    _check_format(body)
    _check_reasoning(body.get("reasoning", {}), body["model"])
    _check(set(body.get("stream_options", {})) <= {"include_obfuscation"}, "Unknown parameter", "stream_options")
    _check("stream_options" not in body or bool(body.get("stream")), "only allowed with 'stream'", "stream_options")
    if body["model"] == GATED:
        _check(not body.get("stream"), "Your organization must be verified to stream this model. Please go to: "
               "https://platform.openai.com/settings/organization/general and click on Verify Organization.", "stream",
               "unsupported_value")  # fmt: skip


def _check_item(item: Any) -> None:
    _check(item.get("role") in ("user", "assistant", "system", "developer"), "Invalid value: 'role'", "input[0].role")
    _check(set(item) <= {"role", "content", "type", "phase"}, "Unknown parameter: 'input[0]'", "input[0]")
    for part in item["content"] if isinstance(item["content"], list) else ():
        known = {"output_text": {"type", "text", "annotations"}} if item["role"] == "assistant" else _PARTS
        supported = ", ".join(f"'{each}'" for each in known)
        _check(part.get("type") in known, f"Invalid value: '{part.get('type')}'. Supported values are: {supported}.",
               "input[0].content[0]", "invalid_value")  # fmt: skip
        _check(set(part) <= known[part["type"]], f"Unknown parameter in '{part['type']}'", "input[0].content[0]")
        _check(isinstance(part.get("image_url", ""), str), "Invalid type for 'image_url'", "input[0].content[0]")


def _check_format(body: Any) -> None:
    text = body.get("text", {})
    _check(set(text) <= {"format", "verbosity"}, "Unknown parameter: 'text'", "text")
    given = text.get("format", {"type": "text"})
    fields = {"text": set(), "json_object": set(), "json_schema": {"name", "schema", "strict", "description"}}
    _check(given.get("type") in fields, "Invalid value: 'text.format.type'", "text.format.type")
    _check(set(given) - {"type"} <= fields[given["type"]], "Unknown parameter: 'text.format'", "text.format")
    if given["type"] == "json_schema":
        _check({"name", "schema"} <= set(given), "Missing required parameter: 'text.format.name'.", "text.format.name")
    if given["type"] == "json_object":
        _check("json" in json.dumps(body["input"]).lower(), "Response input messages must contain the word 'json' in "
               "some form to use 'text.format' of type 'json_object'.", "input")  # fmt: skip


def _check_reasoning(reasoning: Any, model: str) -> None:
    _check(set(reasoning) <= {"effort", "summary"}, "Unknown parameter: 'reasoning'", "reasoning")
    _check(reasoning.get("effort", "low") in _EFFORTS, "Invalid value: 'reasoning.effort'", "reasoning.effort")
    for name in reasoning:
        is_there = model != PLAIN
        _check(is_there, f"Unsupported parameter: 'reasoning.{name}' is not supported with this model.",
               f"reasoning.{name}", "unsupported_parameter")  # fmt: skip
    _check("summary" not in reasoning or model != GATED, "Your organization must be verified to generate reasoning "
           "summaries.", "reasoning.summary", "unsupported_value")  # fmt: skip


def _check(is_fine: bool, message: str, param: str, code: str | None = None) -> None:
    if not is_fine:
        raise Refused(400, message, code, param)


def _response(body: Any, status: str) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if body.get("reasoning", {}).get("summary"):
        summary = [{"type": "summary_text", "text": "Let me see."}]
        output.append({"id": "rs_1", "type": "reasoning", "summary": summary})
    content = [{"type": "output_text", "text": TEXT, "annotations": [], "logprobs": []}]
    output.append({"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content})
    usage = {
        "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 17,
        "output_tokens_details": {"reasoning_tokens": 12}, "total_tokens": 26,
    }  # fmt: skip
    is_whole = status == "completed"
    return {
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": status, "error": None,
        "incomplete_details": None, "model": f"{body['model']}-001", "output": output if is_whole else [],
        "usage": usage if is_whole else None, "store": body.get("store", True), "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0, "metadata": {},
        "instructions": body.get("instructions"),
    }  # fmt: skip


def _events(body: Any) -> Iterator[dict[str, Any]]:
    whole = _response(body, "completed")
    yield {"type": "response.created", "response": _response(body, "in_progress")}
    for index, item in enumerate(whole["output"]):
        yield {"type": "response.output_item.added", "output_index": index, "item": {**item, "status": "in_progress"}}
        where = {"item_id": item["id"], "output_index": index}
        if item["type"] == "reasoning":
            delta = {"summary_index": 0, "delta": item["summary"][0]["text"]}
            yield {"type": "response.reasoning_summary_text.delta", **where, **delta}
        else:
            for piece in (TEXT[:6], TEXT[6:]):
                yield {
                    "type": "response.output_text.delta",
                    **where,
                    "content_index": 0,
                    "delta": piece,
                    "logprobs": [],
                }
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": "response.completed", "response": whole}
