"""The wire form of Gemini's ``generateContent``, at Google AI and at Vertex AI. No I/O.

https://ai.google.dev/api/generate-content and https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference
"""

from __future__ import annotations

import enum
import mimetypes
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.backends.reading.lenient import object_in, parts_in, text_in
from llx_magic.backends.wires.gemini_reader import ReplyReader
from llx_magic.backends.wires.limits import limit_in, shortened
from llx_magic.backends.wires.refusals import Refusable, first_refused, has_json, has_system
from llx_magic.backends.wires.turns import turns_of
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    base64_of,
    in_path,
    json_body,
    with_schema,
)
from llx_magic.core.failure import FailureKind
from llx_magic.core.message import Message
from llx_magic.providers.provider import VERTEX_HOSTS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.message import File, Image, Piece
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest, Effort
    from llx_magic.keys.secret import Secret
    from llx_magic.text.values import JsonValue


class Extra(enum.StrEnum):
    """Something that a request can do without, or say in another way, where a model refuses it."""

    JSON = "responseMimeType"
    SCHEMA = "responseJsonSchema"
    THINKING = "thinkingConfig"
    LEVEL = "thinkingLevel"
    """The newer models take a level, the older ones a budget."""
    SYSTEM = "systemInstruction"


_REFUSABLE = {
    Extra.LEVEL: Refusable(
        r"thinking[ _]?(?:level|budget)|budget \d{1,9} is invalid",
        lambda asked: asked.effort is not None and "thinkingConfig" not in asked.params,
    ),
    Extra.THINKING: Refusable("thinking|include_?thoughts", lambda asked: "thinkingConfig" not in asked.params),
    Extra.SCHEMA: Refusable("response_?(?:json_?)?schema", lambda asked: asked.schema is not None),
    Extra.JSON: Refusable("json mode|response_?mime_?type", has_json),
    Extra.SYSTEM: Refusable("(?:developer|system)[ _]?instructions? (?:is|are) not", has_system),
}

_OURS = {
    "max_tokens": "maxOutputTokens", "max_completion_tokens": "maxOutputTokens", "top_p": "topP", "top_k": "topK",
    "stop": "stopSequences", "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
}  # fmt: skip
"""The neutral names of parameters that have another one here."""

_CONFIG = frozenset({
    *_OURS.values(), "temperature", "seed", "responseMimeType", "responseSchema", "responseJsonSchema",
    "responseModalities", "thinkingConfig", "speechConfig", "imageConfig", "mediaResolution", "responseLogprobs",
    "logprobs", "enableEnhancedCivicAnswers", "audioTimestamp", "routingConfig", "modelSelectionConfig",
})  # fmt: skip
"""The fields of ``generationConfig``; whatever else a profile names stands beside it."""

_BUDGETS: Mapping[str, int] = {"none": 0, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens of reasoning: https://ai.google.dev/gemini-api/docs/openai#thinking"""


@dataclass(frozen=True)
class Gemini(Wire):
    """Gemini's own form.

    ``publisher`` is what stands before the model in the path, as at Vertex AI. ``takes_tokens`` says that a key is sent
    as a token is: the projects of Vertex AI take no other.
    """

    publisher: str = ""
    takes_tokens: bool = False
    version: str = "/v1beta"
    models_path: str = "/models?pageSize=1000"

    takes_images = takes_files = True

    def configured(self, url: str, keys: Mapping[str, str]) -> Gemini:
        """Return the form as it is spoken at an address: at Vertex AI below a publisher, with a token."""
        parts = urlsplit(url)
        is_vertex = VERTEX_HOSTS.fullmatch(parts.hostname or "") is not None or "/projects/" in parts.path
        by_token = keys.get("auth") == "google" or "/projects/" in parts.path
        if not is_vertex:
            return Gemini(takes_tokens=by_token)
        below = "" if "/publishers/" in parts.path else "/publishers/google"
        return Gemini(below, by_token, "/v1beta1", "" if "/projects/" in parts.path else f"{below}/models")

    def proof(self, key: Secret) -> Mapping[str, Secret]:
        """Return the header that shows a key; never the address, which is logged."""
        if self.takes_tokens or key.reveal().startswith("ya29."):
            return super().proof(key)
        return {"x-goog-api-key": key}

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request to generate content.

        Parameters under neutral names are translated; one under Gemini's own name goes where it belongs, and wins.

        Raises:
            BackendFailed: of kind bad request, where the form has no way to say what is asked.
        """
        body: dict[str, JsonValue] = {
            name: value
            for name, value in request.params.items()
            if name not in {*_OURS, *_CONFIG, "model", "contents", "stream", "generationConfig"}
        }
        messages = with_schema(request, in_words=bool({Extra.SCHEMA, Extra.JSON} & {*without}))
        body |= _turns(messages, apart=Extra.SYSTEM not in without)
        config, notes = _config(request, without)
        if request.effort is not None and Extra.THINKING in without:
            notes = (*notes, EFFORT_IGNORED)
        if config:
            body["generationConfig"] = config
        method = "streamGenerateContent?alt=sse" if request.streaming else "generateContent"
        return Asked(f"{self._path_of(model)}:{method}", json_body(body), notes=notes)

    def _path_of(self, model: str) -> str:
        """Return the path of a model, which may be given as a whole resource: ``tunedModels/…``, ``endpoints/…``."""
        named = in_path(model.strip("/"), keep="/@")
        if "/" in model and (not self.publisher or not model.startswith("models/")):
            return f"/{named}"
        return f"{self.publisher}/{named if '/' in model else f'models/{named}'}"

    def reader(self, name: str, model: str, progress: Progress) -> ReplyReader:
        """Return what reads one reply."""
        return ReplyReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses of what a request asked for; None where it refuses none of it."""
        if failure.kind is not FailureKind.BAD_REQUEST:
            return None
        if shorter := limit_in(failure, without):
            return shorter
        extra = first_refused(_REFUSABLE, failure, request, without)
        return Concession(extra) if extra else None

    def models(self, document: JsonValue) -> tuple[str, ...]:
        """Return the names of the models in one page that generate content."""
        page = object_in(document)
        rows = parts_in(page.get("models", page.get("publisherModels")))
        names = [text_in(each.get("name")).rpartition("/")[2] for each in rows if _generates(each)]
        return tuple(filter(None, names))


def _generates(listed: dict[str, JsonValue]) -> bool:
    methods = listed.get("supportedGenerationMethods")
    return not isinstance(methods, list) or "generateContent" in methods


def _turns(messages: tuple[Message, ...], *, apart: bool) -> dict[str, JsonValue]:
    system, turns = turns_of(messages, apart=apart)
    names = {"user": "user", "assistant": "model"}
    contents: list[JsonValue] = [{"role": names[role], "parts": [_part(each) for each in said]} for role, said in turns]
    told: dict[str, JsonValue] = {"systemInstruction": {"parts": [_part(each) for each in system]}} if system else {}
    return {**told, "contents": contents}


def _part(piece: Piece) -> JsonValue:
    return {"text": piece} if isinstance(piece, str) else _file(piece)


def _file(piece: Image | File) -> JsonValue:
    if not piece.url:
        return {"inlineData": {"mimeType": piece.media_type, "data": base64_of(piece)}}
    kind = piece.media_type or mimetypes.guess_type(urlsplit(piece.url).path)[0]
    return {"fileData": {**({"mimeType": kind} if kind else {}), "fileUri": piece.url}}


def _config(request: ChatRequest, without: Collection[str]) -> tuple[dict[str, JsonValue], tuple[str, ...]]:
    """Return the ``generationConfig`` of a request, and remarks on it; what is null is left out."""
    params = request.params
    config: dict[str, JsonValue] = {"thinkingConfig": _thinking(request.effort, without) or None}
    if Extra.JSON not in without and (request.json or request.schema is not None):
        config["responseMimeType"] = "application/json"
        if request.schema is not None and Extra.SCHEMA not in without:
            config["responseJsonSchema"] = dict(request.schema)
    config |= {theirs: params[ours] for ours, theirs in _OURS.items() if params.get(ours) is not None}
    if isinstance(words := config.get("stopSequences"), str):
        config["stopSequences"] = [words]
    config |= {name: params[name] for name in _CONFIG if name in params}
    if isinstance(whole := params.get("generationConfig"), dict):
        config |= whole
    config = {name: value for name, value in config.items() if value is not None}
    most, notes = shortened(config.get("maxOutputTokens"), without)
    return config | ({"maxOutputTokens": most} if notes else {}), tuple(notes)


def _thinking(effort: Effort | None, without: Collection[str]) -> dict[str, JsonValue]:
    """Return how much to reason: by a level, and where a model takes none by a budget; no reasoning the other way."""
    if Extra.THINKING in without:
        return {}
    shown: dict[str, JsonValue] = {} if effort == "none" else {"includeThoughts": True}
    if effort is None:
        return shown
    by_budget = (effort == "none") != (Extra.LEVEL in without)
    if by_budget:
        return {**shown, "thinkingBudget": _BUDGETS[effort]}
    return {**shown, "thinkingLevel": "MINIMAL" if effort == "none" else effort.upper()}


WIRE = Gemini()
