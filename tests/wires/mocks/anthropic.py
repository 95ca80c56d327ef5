"""A server of Anthropic's Messages on loopback that refuses what the service refuses, in the service's own words.

    with ClaudeServer() as server:
        anthropic.Anthropic(base_url=server.root, api_key=KEY).messages.create(...)

Doors: ``ClaudeServer("vertex")`` takes the model in the path and the version in the body, as Vertex AI does;
``"mantle"`` takes a bearer token alone, ``"foundry"`` the key in ``api-key`` too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.asking import KEY
from tests.faults.server import Exchange, FaultServer

VERSIONS = ("2023-06-01", "2026-10-21")
MODEL = "claude-x-20261001"
FIELDS = {
    "model", "messages", "max_tokens", "system", "stream", "stop_sequences", "temperature", "top_p", "top_k",
    "metadata", "service_tier", "thinking", "output_config", "cache_control", "tools", "tool_choice", "container",
    "inference_geo",
}  # fmt: skip
ROLES = ("user", "assistant")
IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
EFFORTS = ("low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True)
class Refused(Exception):
    """The service's error."""

    status: int
    kind: str
    message: str


def bad(message: str) -> Refused:
    return Refused(400, "invalid_request_error", message)


@dataclass(frozen=True)
class Abilities:
    """What the model that is served can do."""

    max_tokens: int = 64_000
    window: int = 200_000
    adaptive: bool = True
    thinks: bool = True
    schema: bool = True
    display: bool = True
    versions: tuple[str, ...] = VERSIONS


class ClaudeServer(FaultServer):
    """Serves one model, strictly; ``root`` is the address that the official client takes."""

    def __init__(self, door: str = "", abilities: Abilities = Abilities(), *modes: Any, text: str = "") -> None:
        self.door = door
        self.abilities = abilities
        super().__init__(*modes, self._answer, text=text or self.DEFAULT_TEXT, model=MODEL)

    @property
    def root(self) -> str:
        """The base URL."""
        within = "/v1/projects/p/locations/us-east5" if self.door == "vertex" else ""
        return self.base_url.removesuffix("/v1") + within

    def _answer(self, exchange: Exchange) -> None:
        asked = exchange.request
        try:
            if asked.method == "GET":
                return exchange.whole(200, json.dumps(self._listing()).encode())
            body = self._checked(asked.path, asked.headers, asked.body)
        except Refused as refused:
            inner = {"type": refused.kind, "message": refused.message}
            document = {"type": "error", "error": inner, "request_id": "req_1"}
            return exchange.whole(refused.status, json.dumps(document).encode(), {"request-id": "req_1"})
        if not body.get("stream"):
            return exchange.whole(200, json.dumps(self._message(body)).encode())
        exchange.begin_stream()
        for event in self._events(body):
            exchange.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return exchange.end_stream()

    def _listing(self) -> dict[str, Any]:
        models = [{"type": "model", "id": name, "display_name": name} for name in (MODEL, "claude-y")]
        return {"data": models, "has_more": False, "first_id": MODEL, "last_id": "claude-y"}

    # --- what is refused ---

    def _checked(self, path: str, headers: dict[str, str], raw: bytes) -> dict[str, Any]:
        self._check_key(headers)
        body = json.loads(raw)
        body = self._from_vertex(path, body) if self.door == "vertex" else self._from_path(path, headers, body)
        if unknown := sorted(body.keys() - FIELDS):
            raise bad(f"{unknown[0]}: Extra inputs are not permitted")
        for name in ("model", "messages", "max_tokens"):
            if name not in body:
                raise bad(f"{name}: Field required")
        if body["model"] != MODEL:
            raise Refused(404, "not_found_error", f"model: {body['model']}")
        self._check_length(body)
        self._check_thinking(body)
        self._check_output(body)
        check_turns(body["messages"])
        for words in body.get("stop_sequences", []):
            if not words.strip():
                raise bad("stop_sequences: each stop sequence must contain non-whitespace")
        return body

    def _check_key(self, headers: dict[str, str]) -> None:
        bearer = headers.get("authorization") == f"Bearer {KEY}"
        plain = headers.get("x-api-key") == KEY
        shown = bearer if self.door in ("mantle", "vertex") else plain or bearer
        if not shown or (self.door == "foundry" and headers.get("api-key") != KEY):
            raise Refused(401, "authentication_error", "invalid x-api-key")

    def _from_path(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        if path != "/v1/messages":
            raise Refused(404, "not_found_error", f"Not found: {path}")
        if (version := headers.get("anthropic-version")) is None:
            raise bad("anthropic-version: header is required")
        if version not in self.abilities.versions:
            raise bad(f'anthropic-version: "{version}" is not a valid version')
        if version == VERSIONS[1] and (sampling := [n for n in ("temperature", "top_p", "top_k") if n in body]):
            raise bad(f"{sampling[0]}: not supported with anthropic-version {version}")
        return body

    @staticmethod
    def _from_vertex(path: str, body: dict[str, Any]) -> dict[str, Any]:
        within = "/v1/projects/p/locations/us-east5/publishers/anthropic/models"
        found = re.fullmatch(re.escape(within) + r"/([^/:]+):(rawPredict|streamRawPredict)", path)
        if found is None or (found[2] == "streamRawPredict") is not bool(body.get("stream")):
            raise Refused(404, "not_found_error", f"Not found: {path}")
        if body.pop("anthropic_version", None) not in ("vertex-2023-10-16", *VERSIONS):
            raise bad("anthropic_version: Field required")
        if "model" in body:
            raise bad("model: Extra inputs are not permitted")
        return {**body, "model": found[1]}

    def _check_length(self, body: dict[str, Any]) -> None:
        asked, most, prompt = body["max_tokens"], self.abilities.max_tokens, len(json.dumps(body["messages"])) // 3
        if not isinstance(asked, int) or asked < 0:
            raise bad("max_tokens: Input should be a valid integer")
        if asked > most:
            said = f"max_tokens: {asked} > {most}, which is the maximum allowed number of output tokens for {MODEL}"
            raise bad(said)
        if prompt + asked > self.abilities.window:
            said = f"input length and `max_tokens` exceed context limit: {prompt} + {asked} > {self.abilities.window}"
            raise bad(f"{said}, decrease input length or `max_tokens` and try again")

    def _check_thinking(self, body: dict[str, Any]) -> None:
        if (thinking := body.get("thinking")) is None:
            return
        if not self.abilities.thinks:
            raise bad("thinking: this model does not support thinking")
        kinds = ("disabled", "enabled", *(("adaptive",) if self.abilities.adaptive else ()))
        if thinking["type"] not in kinds:
            named = ", ".join(map(repr, kinds))
            said = f"Input tag '{thinking['type']}' found using 'type' does not match any of the expected tags: {named}"
            raise bad(f"thinking: {said}")
        allowed = {"type", *(("budget_tokens",) if thinking["type"] == "enabled" else ())}
        allowed |= {"display"} if self.abilities.display and thinking["type"] != "disabled" else set()
        if unknown := sorted(thinking.keys() - allowed):
            raise bad(f"thinking.{thinking['type']}.{unknown[0]}: Extra inputs are not permitted")
        if thinking["type"] == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
            raise bad("`max_tokens` must be greater than `thinking.budget_tokens`, which must be at least 1024")

    def _check_output(self, body: dict[str, Any]) -> None:
        output = body.get("output_config", {})
        if unknown := sorted(output.keys() - {"effort", "format"}):
            raise bad(f"output_config.{unknown[0]}: Extra inputs are not permitted")
        if "effort" in output and (not self.abilities.adaptive or output["effort"] not in EFFORTS):
            raise bad("This model does not support the effort parameter.")
        if "format" in output:
            if not self.abilities.schema:
                raise bad("output_config.format: structured outputs are not supported by this model")
            if output["format"]["type"] != "json_schema":
                raise bad("output_config.format.type: Input should be 'json_schema'")
            check_schema(output["format"]["schema"])

    # --- what is answered ---

    def _thoughts(self, body: dict[str, Any]) -> str:
        asked = body.get("thinking", {})
        is_shown = asked.get("display") == "summarized" or not self.abilities.display
        return "Let me think." if asked.get("type") in ("adaptive", "enabled") and is_shown else ""

    def _usage(self) -> dict[str, Any]:
        prompt, completion = self.usage
        cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        return {"input_tokens": prompt, "output_tokens": completion, **cache}

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        thoughts = self._thoughts(body)
        thinking = [{"type": "thinking", "thinking": thoughts, "signature": "EqQB"}] if thoughts else []
        content = [*thinking, {"type": "text", "text": self.text}]
        ended = {"stop_reason": "end_turn", "stop_sequence": None, "usage": self._usage()}
        return {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": content, **ended}

    def _events(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        begun = {
            **self._message(body),
            "content": [],
            "stop_reason": None,
            "usage": {**self._usage(), "output_tokens": 1},
        }
        yield {"type": "message_start", "message": begun}
        index = 0
        if thoughts := self._thoughts(body):
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            yield {"type": "content_block_start", "index": 0, "content_block": empty}
            thought = {"type": "thinking_delta", "thinking": thoughts}
            yield {"type": "content_block_delta", "index": 0, "delta": thought}
            signed = {"type": "signature_delta", "signature": "EqQB"}
            yield {"type": "content_block_delta", "index": 0, "delta": signed}
            yield {"type": "content_block_stop", "index": 0}
            index = 1
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        yield {"type": "ping"}
        for piece in self.pieces:
            yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": piece}}
        yield {"type": "content_block_stop", "index": index}
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        yield {"type": "message_delta", "delta": ended, "usage": {"output_tokens": self.usage[1]}}
        yield {"type": "message_stop"}


def check_turns(turns: list[dict[str, Any]]) -> None:
    """Refuse turns that the service refuses."""
    if not turns:
        raise bad("messages: at least one message is required")
    for number, turn in enumerate(turns):
        if turn.keys() != {"role", "content"} or turn["role"] not in ROLES:
            raise bad(f"messages.{number}.role: Input should be 'user' or 'assistant'")
        content = turn["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            check_block(f"messages.{number}.content", block)
    if turns[0]["role"] != "user":
        raise bad("messages: first message must use the user role")
    last = turns[-1]["content"][-1] if isinstance(turns[-1]["content"], list) else {"text": turns[-1]["content"]}
    if turns[-1]["role"] == "assistant" and last.get("text", "").rstrip() != last.get("text", ""):
        raise bad("messages: final assistant content cannot end with trailing whitespace")


def check_block(place: str, block: dict[str, Any]) -> None:
    """Refuse a block that the service refuses."""
    source = block.get("source", {})
    match block["type"]:
        case "text" if not block["text"].strip():
            raise bad(f"{place}: text content blocks must be non-empty")
        case "image" if source["type"] == "base64" and source["media_type"] not in IMAGES:
            raise bad(f"{place}.image.source.base64.media_type: Input should be one of {', '.join(IMAGES)}")
        case "document" if source["type"] == "base64" and source["media_type"] != "application/pdf":
            raise bad(f"{place}.document.source.base64.media_type: Input should be 'application/pdf'")
        case "document" if source["type"] == "text" and source["media_type"] != "text/plain":
            raise bad(f"{place}.document.source.text.media_type: Input should be 'text/plain'")
        case "text" | "image" | "document":
            allowed = {"type", "text", "source", "title", "context", "cache_control", "citations"}
            if unknown := sorted(block.keys() - allowed):
                raise bad(f"{place}.{unknown[0]}: Extra inputs are not permitted")
        case other:
            raise bad(f"{place}: Input tag '{other}' does not match any of the expected tags")


def check_schema(schema: Any) -> None:
    """Refuse a schema that the service refuses."""
    if isinstance(schema, list):
        for each in schema:
            check_schema(each)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        said = "For 'object' type, 'additionalProperties' must be explicitly set to false"
        raise bad(f"output_config.format.schema: {said}")
    if refused := schema.keys() & {"minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems", "oneOf"}:
        named = ", ".join(sorted(refused))
        raise bad(f"output_config.format.schema: For '{schema.get('type')}' type, properties {named} are not supported")
    for name, each in schema.items():
        if name in ("properties", "$defs"):
            check_schema(list(each.values()))
        elif name not in ("enum", "const", "default", "required"):
            check_schema(each)
