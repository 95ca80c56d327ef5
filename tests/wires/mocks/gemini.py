"""Gemini's ``generateContent`` as a server that is strict: whatever the service refuses is refused in its own words.

    with serve() as server:
        ...  # the service's root is root_of(server); the key is KEY, the model is MODEL

Any other model is unknown; ``OLDER`` takes a budget of reasoning and no level, ``PLAIN`` does not reason at all and has
no place for the system's words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks.refused import Refused, root_of  # noqa: F401 - whoever asks the mock wants its root

KEY = "AIza-a-key-of-the-mock"
TOKEN = "ya29.a-token-of-the-mock"
MODEL, OLDER, PLAIN = "gemini-x", "gemini-w", "gemma-x"
TEXT = "Two is a prime."

_FIELDS = {
    "contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig", "cachedContent",
    "serviceTier", "store", "labels",
}  # fmt: skip
_CONFIG = {
    "temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "candidateCount", "presencePenalty",
    "frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities",
    "thinkingConfig", "mediaResolution", "logprobs", "responseLogprobs",
}  # fmt: skip
_THINKING = {"includeThoughts", "thinkingBudget", "thinkingLevel"}
_PART = {"text", "inlineData", "fileData", "functionCall", "functionResponse"}
_PATH = re.compile(
    r"/(v1beta1|v1beta|v1)((?:/projects/[^/]+/locations/[^/]+)?)(?:/publishers/google)?/models/([^/:]+):(\w+)"
)
_MOST_TOKENS = 65_536


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    try:
        _answer(exchange)
    except Refused as refused:
        code, word, message, *details = refused.args
        document = {"error": {"code": code, "message": message, "status": word, "details": details}}
        exchange.whole(code, json.dumps(document, indent=2).encode(), {"Content-Type": "application/json"})


def _answer(exchange: Exchange) -> None:
    url = urlsplit(exchange.request.path)
    if exchange.request.method == "GET" and url.path == "/v1beta/models":
        _check_key(exchange, "")
        exchange.whole(200, json.dumps(MODELS).encode())
        return
    found = _PATH.fullmatch(unquote(url.path))
    if exchange.request.method != "POST" or found is None:
        raise Refused(404, "NOT_FOUND", f"The requested URL {url.path} was not found on this server.")
    _, project, model, method = found.groups()
    _check_key(exchange, project)
    if model not in (MODEL, OLDER, PLAIN) or method not in ("generateContent", "streamGenerateContent"):
        raise Refused(404, "NOT_FOUND", f"models/{model} is not found for API version v1beta, or is not supported")
    _check_body(exchange.request.json, model)
    wants_events = parse_qs(url.query).get("alt") == ["sse"]
    pieces = list(_pieces(exchange.request.json, model))
    if method == "generateContent":
        exchange.whole(200, json.dumps(_joined(pieces), indent=2).encode())
    elif wants_events:
        exchange.begin_stream()
        for each in pieces:
            exchange.chunk(f"data: {json.dumps(each)}\r\n\r\n".encode())
        exchange.end_stream()
    else:
        exchange.begin_stream({"Content-Type": "application/json; charset=UTF-8"})
        for number, each in enumerate(pieces):
            exchange.chunk(f"{',' if number else '['}{json.dumps(each, indent=2)}\r\n".encode())
        exchange.chunk(b"]")
        exchange.end_stream()


def _check_key(exchange: Exchange, project: str) -> None:
    headers = exchange.request.headers
    if "key=" in exchange.request.path:
        raise Refused(400, "INVALID_ARGUMENT", "a key in an address is seen in logs")
    if project:
        if headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
    elif "x-goog-api-key" not in headers:
        raise Refused(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
    elif headers["x-goog-api-key"] != KEY:
        reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        raise Refused(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason)


def _check_body(body: Any, model: str) -> None:
    _only(body, _FIELDS, "")
    _check(bool(body.get("contents")), "* GenerateContentRequest.contents: contents is not specified")
    for turn in body["contents"]:
        _only(turn, {"role", "parts"}, "contents[].")
        _check(turn.get("role", "user") in ("user", "model"), "Please use a valid role: user, model.")
        _check_parts(turn.get("parts"))
    if "systemInstruction" in body:
        _check(model != PLAIN, f"Developer instruction is not enabled for models/{PLAIN}")
        _check_parts(body["systemInstruction"].get("parts"))
    config = body.get("generationConfig", {})
    _only(config, _CONFIG, "generation_config.")
    _check(len(config.get("stopSequences", ())) <= 5, "stop sequences: at most 5")
    _check(isinstance(config.get("stopSequences", []), list), "stop_sequences must be a list")
    if "responseSchema" in config or "responseJsonSchema" in config:
        is_json = config.get("responseMimeType") == "application/json"
        _check(is_json, "response_schema needs response_mime_type application/json")
    most = config.get("maxOutputTokens", 1)
    _check(0 < most <= _MOST_TOKENS, f"Unable to submit request because it has a maxOutputTokens value of {most} but "
           f"the supported range is from 1 (inclusive) to {_MOST_TOKENS + 1} (exclusive). Update the value and try "
           "again.")  # fmt: skip
    _check_thinking(config.get("thinkingConfig", {}), model)


def _check_thinking(thinking: Any, model: str) -> None:
    _only(thinking, _THINKING, "generation_config.thinking_config.")
    _check(not thinking or model != PLAIN, f"Thinking is not enabled for models/{PLAIN}")
    _check("thinkingLevel" not in thinking or model != OLDER, "Thinking level is not supported for this model.")
    both = "thinkingLevel" in thinking and "thinkingBudget" in thinking
    _check(not both, "You can only set only one of thinking budget and thinking level.")
    is_off = thinking.get("thinkingBudget") == 0
    _check(not is_off or model == OLDER, "Budget 0 is invalid. This model only works in thinking mode.")


def _check_parts(parts: Any) -> None:
    _check(bool(parts), "contents.parts must not be empty.")
    for part in parts:
        named = _PART & set(part)
        _check(len(named) == 1, "contents.parts: data: exactly one field must be initialized")
        _only(part, {*_PART, "thought", "thoughtSignature"}, "contents[].parts[].")
        _check(part.get("text") != "", "Unable to submit request because it has an empty text parameter.")
        for name, fields in (("inlineData", {"mimeType", "data"}), ("fileData", {"mimeType", "fileUri"})):
            _only(part.get(name, {}), fields, f"contents[].parts[].{name}.")


def _only(given: Any, known: set[str], where: str) -> None:
    for name in sorted(set(given) - known):
        _check(False, f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}{name}': Cannot find field.")


def _check(is_fine: bool, message: str) -> None:
    if not is_fine:
        raise Refused(400, "INVALID_ARGUMENT", message)


def _pieces(body: Any, model: str) -> Iterator[dict[str, Any]]:
    thinking = body.get("generationConfig", {}).get("thinkingConfig", {})
    if thinking.get("includeThoughts"):
        yield _piece([{"text": "Let me see.", "thought": True}], model, thoughts=12)
    yield _piece([{"text": TEXT[:6]}], model, thoughts=12)
    yield _piece([{"text": TEXT[6:]}], model, thoughts=12, finishReason="STOP")


def _piece(parts: list[Any], model: str, thoughts: int, **more: str) -> dict[str, Any]:
    usage = {"promptTokenCount": 9, "totalTokenCount": 9 + thoughts, "thoughtsTokenCount": thoughts}
    if more:
        usage |= {"candidatesTokenCount": 5, "totalTokenCount": 14 + thoughts}
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **more}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": f"{model}-001", "responseId": "r-1"}


def _joined(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    last = pieces[-1]
    parts = [part for each in pieces for part in each["candidates"][0]["content"]["parts"]]
    return {**last, "candidates": [{**last["candidates"][0], "content": {"role": "model", "parts": parts}}]}


MODELS = {
    "models": [
        {"name": f"models/{MODEL}", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": f"models/{OLDER}", "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/embedding-x", "supportedGenerationMethods": ["embedContent"]},
    ],
    "nextPageToken": "more",
}
