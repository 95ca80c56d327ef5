"""The wire form of Amazon Bedrock's Converse. No I/O.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from llx_magic.backends.reading.lenient import object_in, parts_in
from llx_magic.backends.wires.bedrock_parts import blocks_of
from llx_magic.backends.wires.bedrock_reader import ReplyReader
from llx_magic.backends.wires.limits import limit_in, shortened
from llx_magic.backends.wires.refusals import Refusable, first_refused, has_system
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    in_path,
    json_body,
    names_in,
    with_schema,
    wordless,
)
from llx_magic.core.failure import FailureKind
from llx_magic.install import install_line
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.core.failure import Failure
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest

JsonObject = dict[str, JsonValue]

_SYSTEM, _STREAM, _OUTPUT = "system", "stream", "outputConfig"
"""What a request can do without."""

_REFUSABLE: Final = {
    _SYSTEM: Refusable("support (?:the )?system|system (?:messages?|prompts?|field) (?:is|are) not", has_system),
    _STREAM: Refusable(
        r"(?:not|n't) support (?:converse)?\s?stream|(?:unsupported|not supported) (?:for|by|in) (?:converse)?\s?stream"
        r"|stream\w{0,3} (?:is |are )?(?:not |un)supported",
        lambda asked: asked.streaming,
    ),
    _OUTPUT: Refusable(
        "output_?config|text_?format|json_?schema|structured output", lambda asked: bool(_output(asked))
    ),
}

_CONFIG: Final = {
    "max_tokens": "maxTokens", "max_completion_tokens": "maxTokens", "top_p": "topP", "stop": "stopSequences",
    "temperature": "temperature", "maxTokens": "maxTokens", "topP": "topP", "stopSequences": "stopSequences",
}  # fmt: skip
"""Parameters that stand in ``inferenceConfig``, under the usual names and Converse's own; the latter come last."""

_OF_THE_REQUEST: Final = frozenset({
    "system", "inferenceConfig", "toolConfig", "guardrailConfig", "projectIdentifier", "additionalModelRequestFields",
    "promptVariables", "additionalModelResponseFieldPaths", "requestMetadata", "performanceConfig", "serviceTier",
    "outputConfig",
})  # fmt: skip
_OURS: Final = frozenset({"messages", "modelId", "model", "stream", "stream_options", "seed"})
"""What is not the parameters' to say, or has no word in this form."""


_HINTS: Final = (
    (re.compile(r"on-demand throughput", re.IGNORECASE), "name an inference profile: us., eu. … or global. before it"),
    (
        re.compile(r"signature (?:has )?expired|signature not yet current", re.IGNORECASE),
        "this machine's clock is wrong",
    ),
    (
        re.compile(r"security token .{0,40}expired", re.IGNORECASE),
        "sign in anew, as with aws sso login, or take a new key",
    ),
)
"""What to do about some refusals, by their words."""


class BedrockConverse(Wire):
    """One form for all of Bedrock's models; the address is that of the region, the model stands in the path."""

    takes_images = takes_files = True
    models_path = "/foundation-models?byOutputModality=TEXT"
    more_models_paths = ("/inference-profiles?maxResults=1000",)

    def obstacle(self) -> str | None:
        """Return what to install where botocore is missing, which reads the frames of a stream."""
        try:
            importlib.import_module("botocore.eventstream")
        except ImportError:
            return f"Bedrock's streams need a package that is not installed; type {install_line('aws')}"
        return None

    def models_root(self, base_url: str) -> str:
        """Return the address of the service that lists models, which is beside the one that answers."""
        return base_url.replace("://bedrock-runtime", "://bedrock", 1)

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a reply in one piece or as a stream.

        Parameters under the names of the request's own fields and of ``inferenceConfig`` stand there, all others in
        ``additionalModelRequestFields``, since they are the model's.

        Raises:
            BackendFailed: of kind bad request, for a piece of a prompt that Converse has no word for.
        """
        messages = with_schema(request, in_words=_OUTPUT in without)
        system, turns = blocks_of(messages, as_system=_SYSTEM not in without)
        params = {name: value for name, value in request.params.items() if value is not None}
        body: JsonObject = {"messages": turns}
        if system:
            body["system"] = system
        body |= {name: value for name, value in params.items() if name in _OF_THE_REQUEST}
        inference, notes = _inference(params, without)
        _add(body, "inferenceConfig", inference)
        rest = {name: value for name, value in params.items() if name not in {*_CONFIG, *_OF_THE_REQUEST, *_OURS}}
        _add(body, "additionalModelRequestFields", rest)
        if _OUTPUT not in without:
            _add(body, "outputConfig", _output(request))
        streaming = request.streaming and _STREAM not in without
        accept = "application/vnd.amazon.eventstream" if streaming else "application/json"
        path = f"/model/{in_path(model)}/converse{'-stream' if streaming else ''}"
        return Asked(path, json_body(body), {"Accept": accept}, (*notes, *_notes(request, without)))

    def reader(self, name: str, model: str, progress: Progress) -> ReplyReader:
        """Return what reads one reply."""
        return ReplyReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what this model does not take of what a request asks for: not all models of Bedrock take all of it."""
        if failure.kind not in (FailureKind.BAD_REQUEST, FailureKind.ACCESS):
            return None
        if shorter := limit_in(failure, without):
            return shorter
        extra = first_refused(_REFUSABLE, failure, request, without)
        return Concession(extra) if extra else None

    def hint(self, failure: Failure, model: str) -> str:
        """Return what to do about some refusals, by their words."""
        return next((hint for words, hint in _HINTS if words.search(failure.message)), "")

    def models(self, document: JsonValue) -> tuple[str, ...]:
        """Return the names in a page: of models that can be asked as they are, or of inference profiles."""
        models = [
            each
            for each in parts_in(object_in(document).get("modelSummaries"))
            if not isinstance(ways := each.get("inferenceTypesSupported"), list) or "ON_DEMAND" in ways
        ]
        profiles = names_in(document, "inferenceProfileSummaries", "inferenceProfileId")
        return (*names_in([*models], "", "modelId"), *profiles)


def _add(body: JsonObject, name: str, values: Mapping[str, JsonValue]) -> None:
    """Put values into an object of the body; those that the parameters say there themselves outweigh them."""
    own = body.get(name)
    if values and (own is None or isinstance(own, dict)):
        body[name] = {**values, **(own or {})}


def _inference(params: Mapping[str, JsonValue], without: Collection[str]) -> tuple[JsonObject, list[str]]:
    config = {theirs: params[name] for name, theirs in _CONFIG.items() if name in params}
    if isinstance(stop := config.get("stopSequences"), str):
        config["stopSequences"] = [stop]
    most, notes = shortened(config.get("maxTokens"), without)
    return config | ({"maxTokens": most} if notes else {}), notes


def _output(request: ChatRequest) -> JsonObject:
    """Return how the reply should be: by a schema, which stands there as a text, and with how much reasoning."""
    config: JsonObject = {}
    if request.schema is not None:
        schema = json_body(dict(request.schema)).decode()
        structure: JsonValue = {"jsonSchema": {"schema": schema, "name": "reply"}}
        config["textFormat"] = {"type": "json_schema", "structure": structure}
    if request.effort not in (None, "none"):
        config["effort"] = request.effort
    return config


def _notes(request: ChatRequest, without: Collection[str]) -> tuple[str, ...]:
    notes = wordless(request.params, "seed")
    if request.effort == "none":
        notes.append("Converse has no word for no reasoning at all: effort not sent")
    elif request.effort is not None and _OUTPUT in without:
        notes.append(EFFORT_IGNORED)
    return tuple(notes)


WIRE = BedrockConverse()
