"""The wire form of Anthropic's Messages, at Anthropic's own address and behind the doors of the clouds. No I/O.

The form: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import msgspec

from llx_magic.backends.wires.anthropic_blocks import block_of
from llx_magic.backends.wires.anthropic_reader import MessageReader
from llx_magic.backends.wires.anthropic_refusals import Extra, conceded
from llx_magic.backends.wires.anthropic_schema import fitting
from llx_magic.backends.wires.limits import shortened
from llx_magic.backends.wires.turns import turns_of
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    in_path,
    json_body,
    with_schema,
    wordless,
)
from llx_magic.providers.provider import VERTEX_HOSTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.keys.secret import Secret
    from llx_magic.text.values import JsonValue

_NEW, _OLD = "2026-10-21", "2023-06-01"
"""Versions of the API: https://platform.claude.com/docs/en/api/versioning"""

_SAMPLING = ("temperature", "top_p", "top_k")
"""Parameters that the new version refuses."""

_MAX_TOKENS = 8_192
_MAX_TOKENS_THINKING = 32_000
"""How long a reply may be where nothing says so: the service must be told, and counts thoughts as well."""

_BUDGETS = {"low": 2_048, "medium": 8_192, "high": 24_576}
"""Tokens of thought for models that are told in tokens how much to think."""

_SMALLEST_BUDGET = 1_024

_OURS = frozenset({"model", "messages", "stream", "stop", "seed"})
"""Names of parameters that are the request's, or no words of this form."""


class Door(NamedTuple):
    """Where the form is spoken: ``key_headers`` show the key (none: as a bearer token)."""

    key_headers: tuple[str, ...] = ()
    has_new_version: bool = False
    below: str = ""
    """What the path of a base URL begins with there."""
    vertex: str = ""
    """The version as Vertex AI has it, which takes it in the body and the model in the path."""


_ELSEWHERE = Door(("x-api-key",))
_DOORS = (
    (re.compile(r"api\.anthropic\.com"), Door(("x-api-key",), has_new_version=True)),
    # https://learn.microsoft.com/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude
    (re.compile(r".+\.azure\.(?:com|us|cn)"), Door(("x-api-key", "api-key"), below="/anthropic")),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
    (re.compile(r"bedrock-mantle\..+"), Door()),
    # https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai
    (re.compile(r"claude\.googleapis\.com"), Door()),
    (VERTEX_HOSTS, Door(vertex="vertex-2023-10-16")),
)


class AnthropicMessages(Wire):
    """Anthropic's Messages, and whatever takes the same requests."""

    version = "/v1"
    takes_images = takes_files = True
    models_path = "/models?limit=1000"

    def __init__(self, door: Door = _ELSEWHERE, within: str = "") -> None:
        self._door = door
        self._within = within
        """What the door wants between the base URL and the rest of the path, unless the base URL says it."""
        if door.vertex:
            self.models_path = ""
        elif within:
            self.version = f"{within}{self.version}"

    def configured(self, url: str, keys: Mapping[str, str]) -> Wire:
        """Return the form as it is spoken at a base URL."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        door = next((door for pattern, door in _DOORS if pattern.fullmatch(host)), _ELSEWHERE)
        within = "/publishers/anthropic" if door.vertex and "/publishers/" not in parts.path else ""
        within = within or (door.below if not parts.path.strip("/") else "")
        return AnthropicMessages(door, within)

    def proof(self, key: Secret) -> Mapping[str, Secret]:
        """Return the headers that show a key."""
        return dict.fromkeys(self._door.key_headers, key) or super().proof(key)

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a message.

        ``params`` go through as they are, and win; ``stop`` gets the form's own name. What the service must be told
        and nobody said is supplied.

        Raises:
            BackendFailed: of kind bad request, where the form has no way to say what is asked.
        """
        params = request.params
        body: dict[str, JsonValue] = {name: value for name, value in params.items() if name not in _OURS}
        notes = wordless(params, "seed")
        if (stop := params.get("stop")) is not None:
            body.setdefault("stop_sequences", stop if isinstance(stop, list) else [stop])
        schema = None if request.schema is None or Extra.FORMAT in without else fitting(request.schema)
        system, turns = turns_of(with_schema(request, in_words=schema is None))
        if system:
            body.setdefault("system", "\n\n".join(system))
        body["messages"] = [{"role": role, "content": [block_of(each) for each in pieces]} for role, pieces in turns]
        notes += _limit_length(body, request, without)
        notes += _ask_to_think(body, request, without)
        if schema is not None:
            _configure(body, "format", {"type": "json_schema", "schema": schema})
        if request.streaming:
            body["stream"] = True
        asked = self._addressed(body, model, streaming=request.streaming, without=without)
        return msgspec.structs.replace(asked, notes=tuple(notes))

    def _addressed(self, body: dict[str, JsonValue], model: str, *, streaming: bool, without: Collection[str]) -> Asked:
        """Return the body with model and version where the door has them."""
        if self._door.vertex:
            verb = "streamRawPredict" if streaming else "rawPredict"
            body.setdefault("anthropic_version", self._door.vertex)
            return Asked(f"{self._within}/models/{in_path(model, keep='@')}:{verb}", json_body(body))
        is_new = self._door.has_new_version and Extra.VERSION not in without and body.keys().isdisjoint(_SAMPLING)
        headers = {"anthropic-version": _NEW if is_new else _OLD}
        return Asked("/messages", json_body({"model": model, **body}), headers)

    def reader(self, name: str, model: str, progress: Progress) -> MessageReader:
        """Return what reads one reply."""
        return MessageReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses of what a request asked for; None where it refuses none of it."""
        return conceded(failure, request, without)


def _limit_length(body: dict[str, JsonValue], request: ChatRequest, without: Collection[str]) -> list[str]:
    """Say how long the reply may be; return what the user should know of it."""
    if (asked := body.get("max_tokens")) is None:
        thinking = body.get("thinking")
        budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        thinks = request.effort not in (None, "none") or "thinking" in body
        body["max_tokens"] = _MAX_TOKENS_THINKING if thinks else _MAX_TOKENS
        if isinstance(budget, int):
            body["max_tokens"] = budget + _MAX_TOKENS
    body["max_tokens"], notes = shortened(body["max_tokens"], without)
    return [] if asked is None else notes


def _ask_to_think(body: dict[str, JsonValue], request: ChatRequest, without: Collection[str]) -> list[str]:
    """Say how much to think: by a word where the model takes one, else in tokens; return what the user should know."""
    effort, most = request.effort, body["max_tokens"]
    if effort is None:
        return []
    if (Extra.DISABLED if effort == "none" else Extra.THINKING) in without:
        return [EFFORT_IGNORED]
    shown: dict[str, JsonValue] = {} if Extra.DISPLAY in without else {"display": "summarized"}
    if effort == "none":
        body.setdefault("thinking", {"type": "disabled"})
    elif Extra.ADAPTIVE not in without:
        body.setdefault("thinking", {"type": "adaptive", **shown})
        _configure(body, "effort", effort)
    else:
        budget = min(_BUDGETS[effort], most - 1) if isinstance(most, int) else _BUDGETS[effort]
        if budget < _SMALLEST_BUDGET and "thinking" not in body:
            return [f"effort {effort} has no effect: max_tokens leaves no room for thoughts"]
        body.setdefault("thinking", {"type": "enabled", "budget_tokens": budget, **shown})
    return []


def _configure(body: dict[str, JsonValue], name: str, value: JsonValue) -> None:
    """Set a field of the output's configuration, unless the user's own says it."""
    own = body.setdefault("output_config", {})
    if isinstance(own, dict):
        body["output_config"] = {name: value, **own}


WIRE = AnthropicMessages()
