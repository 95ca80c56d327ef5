"""Bedrock's Converse as a server that is strict: whatever the service refuses is refused in its own words.

    with serve() as server:
        ...  # the service's root is root_of(server); the model is MODEL
        # credentials: KEY as a bearer's, or a signature with ACCESS_KEY, SECRET and REGION

Any other model is unknown. ``PLAIN`` has no place for a system prompt, writes at most 100 tokens, knows no schema and
does not stream. ``BARE`` can be asked by an inference profile alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tests.faults.server import Exchange, FaultServer
from tests.signatures import scope_of, signature_problem
from tests.wires.frames import event
from tests.wires.mocks.refused import Refused, root_of  # noqa: F401 - whoever asks the mock wants its root

KEY = "bedrock-key-of-the-mock-0123"
ACCESS_KEY, SECRET, REGION = "AKIDOFTHEMOCK", "a-secret/of+the+mock=", "us-east-1"
MODEL, PLAIN, BARE = "us.example.large-v1:0", "example.plain-v1:0", "example.large-v1:0"
TEXT = "Two is a prime."

_FIELDS = {
    "messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig", "projectIdentifier", "promptVariables",
    "additionalModelRequestFields", "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig",
    "serviceTier", "outputConfig",
}  # fmt: skip
_CONFIG = {"maxTokens": int, "temperature": int | float, "topP": int | float, "stopSequences": list}
_IMAGES = {"png", "jpeg", "gif", "webp"}
_DOCUMENTS = {"pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"}
_NAME = re.compile(r"(?!.*\s\s)[A-Za-z0-9\s\-()\[\]]{1,200}")
_PATH = re.compile(r"/model/([^/]+)/converse(-stream)?")
_SYSTEM_TOO = "This model doesn't support system messages. Try again without system messages."
_ON_DEMAND = (
    f"Invocation of model ID {BARE} with on-demand throughput isn\u2019t supported. Retry your request with the ID or "
    "ARN of an inference profile that contains this model."
)


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    try:
        _answer(exchange)
    except Refused as refused:
        status, error, message = refused.args
        exchange.whole(status, json.dumps({"message": message}).encode(), {"x-amzn-ErrorType": f"{error}:http://x/"})


def _answer(exchange: Exchange) -> None:
    _check_credential(exchange)
    path = exchange.request.path.partition("?")[0]
    if exchange.request.method == "GET":
        exchange.whole(200, json.dumps(LISTS.get(path, {})).encode())
        return
    found = _PATH.fullmatch(path)
    if found is None or ":" in found[1]:
        raise Refused(404, "UnknownOperationException", "no such operation")
    body = exchange.request.json
    _check(body)
    _check_model(unquote(found[1]), body, streaming=bool(found[2]))
    if found[2]:
        exchange.begin_stream({"Content-Type": "application/vnd.amazon.eventstream", "x-amzn-RequestId": "0a1b-2c"})
        for each in _stream():
            exchange.chunk(each)
        exchange.end_stream()
    else:
        content = {"message": {"role": "assistant", "content": [{"text": TEXT}]}}
        reply = {"output": content, "stopReason": "end_turn", "usage": _USAGE, "metrics": {"latencyMs": 1}}
        exchange.whole(200, json.dumps(reply).encode(), {"x-amzn-RequestId": "0a1b-2c"})


_USAGE = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
LISTS = {
    "/foundation-models": {
        "modelSummaries": [
            {"modelId": PLAIN, "inferenceTypesSupported": ["ON_DEMAND"], "outputModalities": ["TEXT"]},
            {"modelId": BARE, "inferenceTypesSupported": ["INFERENCE_PROFILE"], "outputModalities": ["TEXT"]},
        ]
    },
    "/inference-profiles": {"inferenceProfileSummaries": [{"inferenceProfileId": MODEL, "status": "ACTIVE"}]},
}


def _stream() -> Iterator[bytes]:
    yield event("messageStart", {"role": "assistant", "p": "abcd"})
    for piece in re.findall(r"\S+\s*", TEXT):
        yield event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}, "p": "abcdef"})
    yield event("contentBlockStop", {"contentBlockIndex": 0, "p": "a"})
    yield event("messageStop", {"stopReason": "end_turn", "p": "abc"})
    yield event("metadata", {"usage": _USAGE, "metrics": {"latencyMs": 1}, "p": "ab"})


def _check_credential(exchange: Exchange) -> None:
    shown = exchange.request.headers.get("authorization", "")
    if shown.startswith("Bearer "):
        if shown != f"Bearer {KEY}":
            raise Refused(403, "AccessDeniedException", "Invalid API Key format: Must start with pre-defined prefix")
        return
    if error := signature_problem(exchange.request, ACCESS_KEY, SECRET):
        raise Refused(403, error, "The request signature we calculated does not match the signature you provided.")
    if scope_of(exchange.request) != (REGION, "bedrock"):
        raise Refused(403, "InvalidSignatureException", "Credential should be scoped to a valid region.")


def _invalid(message: str) -> Refused:
    return Refused(400, "ValidationException", message)


def _check_model(model: str, body: dict[str, Any], *, streaming: bool) -> None:
    if model == BARE:
        raise _invalid(_ON_DEMAND)
    if model not in (MODEL, PLAIN):
        raise _invalid("The provided model identifier is invalid.")
    if model == MODEL:
        return
    if streaming:
        raise _invalid("The model is unsupported for streaming.")
    if body.get("system"):
        raise _invalid(_SYSTEM_TOO)
    if body.get("outputConfig"):
        raise _invalid("This model doesn't support the outputConfig field.")
    if body.get("inferenceConfig", {}).get("maxTokens", 0) > 100:
        raise _invalid("The maximum tokens you requested exceeds the model limit of 100. Try again with a lower value.")


def _check(body: dict[str, Any]) -> None:
    if unknown := set(body) - _FIELDS:
        raise _invalid(f"{len(unknown)} validation error detected: {min(unknown)}: extraneous key is not permitted")
    for name, value in body.get("inferenceConfig", {}).items():
        if name not in _CONFIG or not isinstance(value, _CONFIG[name]):
            raise _invalid(f"Value at 'inferenceConfig.{name}' failed to satisfy constraint")
    if any(set(each) != {"text"} or not each["text"] for each in body.get("system", [])):
        raise _invalid("Value at 'system' failed to satisfy constraint: Member must have length greater than 0")
    _check_output(body.get("outputConfig", {}))
    turns = body.get("messages", [])
    if not turns or turns[0]["role"] != "user":
        raise _invalid("A conversation must start with a user message.")
    for number, turn in enumerate(turns):
        if set(turn) != {"role", "content"} or turn["role"] not in ("user", "assistant") or not turn["content"]:
            raise _invalid(f"Value at 'messages.{number}' failed to satisfy constraint")
        if number and turn["role"] == turns[number - 1]["role"]:
            raise _invalid("A conversation must alternate between user and assistant roles.")
        _check_blocks(turn["content"])
    names = [block["document"]["name"] for turn in turns for block in turn["content"] if "document" in block]
    if len(set(names)) < len(names):
        raise _invalid("Duplicate document names are not allowed.")


def _check_output(config: dict[str, Any]) -> None:
    if set(config) - {"textFormat", "effort"} or not isinstance(config.get("effort", "low"), str):
        raise _invalid("Value at 'outputConfig' failed to satisfy constraint")
    if "textFormat" in config:
        schema = config["textFormat"]["structure"]["jsonSchema"]
        if config["textFormat"]["type"] != "json_schema" or not isinstance(json.loads(schema["schema"]), dict):
            raise _invalid("Value at 'outputConfig.textFormat' failed to satisfy constraint")


def _check_blocks(blocks: list[dict[str, Any]]) -> None:
    for block in blocks:
        if len(block) != 1 or not set(block) <= {"text", "image", "document", "cachePoint", "guardContent"}:
            raise _invalid("The content block must have exactly one of its members.")
        if not block.get("text", "x").strip():
            raise _invalid("The text field in the ContentBlock object is blank. Add text to the text field.")
        for kind, formats in (("image", _IMAGES), ("document", _DOCUMENTS)):
            if kind in block:
                _check_bytes(block[kind], formats)
        if "document" in block and not _NAME.fullmatch(block["document"].get("name", "")):
            raise _invalid("The document file name can only contain alphanumeric characters, whitespace characters, …")
    kinds = {kind for block in blocks for kind in block}
    if "document" in kinds and "text" not in kinds:
        raise _invalid("The content block must have a text block beside a document.")


def _check_bytes(block: dict[str, Any], formats: set[str]) -> None:
    try:
        data = base64.b64decode(block["source"]["bytes"], validate=True)
    except (KeyError, binascii.Error):
        data = b""
    if block.get("format") not in formats or not data:
        raise _invalid("The content block has a format or bytes that cannot be read.")
