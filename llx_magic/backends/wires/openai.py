"""The wire form of OpenAI's chat completions. No I/O."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.backends.wires.wire import Asked, Concession, Wire, data_url, json_body, unsayable
from llx_magic.core.failure import FailureKind
from llx_magic.core.message import File, Image

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.core.failure import Failure
    from llx_magic.core.message import Message, Piece
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.text.values import JsonValue


class Extra(enum.StrEnum):
    """Something that a request can do without; the value is what it is called in the request."""

    USAGE = "stream_options"
    JSON = "response_format"
    STREAM = "stream"
    MAX_TOKENS = "max_tokens"


MAY_REFUSE = frozenset({
    FailureKind.BAD_REQUEST, FailureKind.ACCESS, FailureKind.SERVER, FailureKind.OTHER_STATUS, FailureKind.BAD_REPLY,
})  # fmt: skip
"""Kinds that such a refusal comes as: some servers break at what they do not know."""

STREAM_REFUSED = re.compile(
    r"verified to stream|parameter stream\b|['\"`]stream['\"`]|: stream: |"
    r"stream(?:ing|ed)?(?: mode| response| output)?s? (?:is |are |was )?(?:not|un)\s?"
    r"(?:supported|allowed|available|enabled)"
    r"|(?:not|n't|cannot) (?:support|allow|stream)\w{0,3}(?: \w{1,20}){0,2} ?stream|only supports non-?stream",
    re.IGNORECASE,
)
"""Words for a model that does not stream, or not for this organization."""

_REFUSED = {
    Extra.USAGE: re.compile(r"stream_options|include_usage|streamOptions", re.IGNORECASE),
    Extra.JSON: re.compile(r"response_format|responseFormat|json_object|json mode|json_schema", re.IGNORECASE),
    Extra.MAX_TOKENS: re.compile(r"max_completion_tokens", re.IGNORECASE),
    Extra.STREAM: STREAM_REFUSED,
}
"""The words that name each, in the order in which they are looked for."""

_UNNAMED = re.compile(
    r"extra (?:inputs|fields|parameters)"
    r"|(?:unknown|unrecognized|unsupported|unexpected|additional|invalid) (?:\w{1,20} )?"
    r"(?:fields?|param\w{0,8}|arguments?|property|properties|keys?)|not permitted|forbidden extra",
    re.IGNORECASE,
)
"""Words for something that was not expected, whatever it was."""

_ONLY_THIS_PROMPT = re.compile(r"must contain the word", re.IGNORECASE)
"""That word is JSON: https://platform.openai.com/docs/guides/structured-outputs?api-mode=chat#json-mode"""


class OpenAIChat(Wire):
    """OpenAI's chat completions, and whatever calls itself compatible with them."""

    version = "/v1"
    version_is_known = False
    takes_images = takes_files = True

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a chat completion.

        ``params`` go through as they are, but the model, the messages and whether to stream are the request's. A stream
        asks for its usage unless ``params`` hold ``stream_options``; null leaves it out. What ``without`` names is left
        out, or said in the server's own way, unless ``params`` ask for it themselves.

        Raises:
            BackendFailed: of kind bad request, where ``params`` hold what JSON cannot.
        """
        body: dict[str, JsonValue] = {
            **request.params,
            "model": model,
            "messages": [{"role": each.role, "content": _content(each)} for each in request.messages],
        }
        streaming = request.streaming and Extra.STREAM not in without
        body.pop("stream", None)
        if not streaming or body.get("stream_options", Extra.USAGE not in without) in (None, False):
            body.pop("stream_options", None)
        elif "stream_options" not in body:
            body["stream_options"] = {"include_usage": True}
        if streaming:
            body["stream"] = True
        if request.effort is not None:
            body.setdefault("reasoning_effort", request.effort)
        if request.schema is not None and Extra.JSON not in without:
            schema: JsonValue = {"name": "reply", "schema": dict(request.schema)}
            body.setdefault("response_format", {"type": "json_schema", "json_schema": schema})
        elif request.json and Extra.JSON not in without:
            body.setdefault("response_format", {"type": "json_object"})
        if Extra.MAX_TOKENS in without and "max_tokens" in body:
            body.setdefault("max_completion_tokens", body.pop("max_tokens"))
        return Asked("/chat/completions", json_body(body))

    def reader(self, name: str, model: str, progress: Progress) -> ReplyReader:
        """Return what reads one reply."""
        return ReplyReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses of what a request asked for; None where it refuses none of it.

        Where a server only says that something was not expected, and names none of the user's own parameters, it may be
        the wish for usage, which the user knows nothing of.
        """
        asked = _asked_for(request, without)
        if failure.kind not in MAY_REFUSE:
            return None
        for extra, words in _REFUSED.items():
            if extra in asked and words.search(failure.message):
                return Concession(extra, lasts=_ONLY_THIS_PROMPT.search(failure.message) is None)
        unexpected = failure.kind is FailureKind.BAD_REQUEST and _UNNAMED.search(failure.message)
        is_the_users = any(name in failure.message for name in request.params)
        return Concession(Extra.USAGE) if unexpected and Extra.USAGE in asked and not is_the_users else None


def _content(message: Message) -> JsonValue:
    if isinstance(message.content, str):
        return message.content
    return [_part(piece) for piece in message.content]


def _part(piece: Piece) -> JsonValue:
    """Return a piece as OpenAI's chat completions take it (https://platform.openai.com/docs/guides/images-vision)."""
    match piece:
        case str():
            return {"type": "text", "text": piece}
        case Image():
            return {"type": "image_url", "image_url": {"url": piece.url or data_url(piece)}}
        case File(url=""):
            return {"type": "file", "file": {"filename": piece.name, "file_data": data_url(piece)}}
    raise unsayable("a file at an address: read it and give its bytes")


def _asked_for(request: ChatRequest, without: Collection[str]) -> set[Extra]:
    """Return what a request asks for that it could do without, and that has not been left out yet."""
    asked = set()
    if request.streaming and Extra.STREAM not in without:
        asked |= {Extra.STREAM} if "stream_options" in request.params else {Extra.STREAM, Extra.USAGE}
    if (request.json or request.schema is not None) and "response_format" not in request.params:
        asked.add(Extra.JSON)
    if request.params.get("max_tokens") is not None and "max_completion_tokens" not in request.params:
        asked.add(Extra.MAX_TOKENS)
    return asked.difference(without)


WIRE = OpenAIChat()
