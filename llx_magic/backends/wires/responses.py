"""The wire form of OpenAI's Responses. No I/O.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

import enum
import itertools
import re
from typing import TYPE_CHECKING

from llx_magic.backends.wires.azure import at_azure
from llx_magic.backends.wires.limits import limit_in, shortened
from llx_magic.backends.wires.openai_refusals import MAY_REFUSE, STREAM_REFUSED
from llx_magic.backends.wires.refusals import Refusable, first_refused, has_json
from llx_magic.backends.wires.responses_reader import ReplyReader
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    data_url,
    json_body,
    unsayable,
    with_schema,
    wordless,
)
from llx_magic.core.message import File, Image, Message

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.message import Piece
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.text.values import JsonValue


class Extra(enum.StrEnum):
    """Something that a request can do without; the value is what it is called in the request."""

    SUMMARY = "reasoning.summary"
    REASONING = "reasoning"
    PADDING = "stream_options"
    JSON = "text.format"
    STREAM = "stream"


_REFUSABLE = {
    Extra.SUMMARY: Refusable("reasoning[._ ]summar|generate_summary", lambda asked: asked.effort != "none"),
    Extra.REASONING: Refusable("reasoning", lambda asked: "reasoning" not in asked.params),
    Extra.PADDING: Refusable("stream_options|include_obfuscation", lambda asked: asked.streaming),
    Extra.JSON: Refusable(r"text\.format|text_format|json_object|json mode|json_schema", has_json),
    Extra.STREAM: Refusable(STREAM_REFUSED, lambda asked: asked.streaming),
}

_ONLY_THIS_PROMPT = re.compile(r"must contain the word", re.IGNORECASE)

_LIMITS = ("max_completion_tokens", "max_tokens")
_WORDLESS = ("stop", "seed")
"""Neutral parameters that this form has no word for."""

_NOT_THEIRS = frozenset({*_LIMITS, *_WORDLESS, "model", "input", "messages", "stream"})


class Responses(Wire):
    """OpenAI's Responses, at OpenAI and at those who offer it as well."""

    version = "/v1"
    version_is_known = False
    takes_images = takes_files = True

    def configured(self, url: str, keys: Mapping[str, str]) -> Wire:
        """Return the form as it is spoken at an address."""
        return at_azure(self, url, keys)

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a response.

        Nothing is stored at the service unless ``params`` ask for that. Neutral parameters are translated; what this
        form has no word for is left out, with a remark.

        Raises:
            BackendFailed: of kind bad request, where the form has no way to say what is asked.
        """
        params = request.params
        streaming = request.streaming and Extra.STREAM not in without
        body: dict[str, JsonValue] = {
            "store": False,
            "max_output_tokens": next((params[name] for name in _LIMITS if params.get(name) is not None), None),
            **({"stream_options": {"include_obfuscation": False}} if Extra.PADDING not in without else {}),
            **_turns(with_schema(request, in_words=Extra.JSON in without)),
            **{name: value for name, value in params.items() if name not in _NOT_THEIRS},
            "model": model,
            "stream": streaming or None,
        }
        if not streaming:
            body.pop("stream_options", None)
        _add(body, "reasoning", _reasoning(request, without))
        _add(body, "text", _text(request, without))
        body["max_output_tokens"], notes = shortened(body["max_output_tokens"], without)
        notes += wordless(params, *_WORDLESS)
        if request.effort is not None and Extra.REASONING in without:
            notes.append(EFFORT_IGNORED)
        said: dict[str, JsonValue] = {name: value for name, value in body.items() if value is not None}
        return Asked("/responses", json_body(said), notes=tuple(notes))

    def reader(self, name: str, model: str, progress: Progress) -> ReplyReader:
        """Return what reads one reply."""
        return ReplyReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses of what a request asked for; None where it refuses none of it.

        An organization that is not verified gets no stream and no summaries from some models:
        https://help.openai.com/en/articles/10910291-api-organization-verification
        """
        if failure.kind not in MAY_REFUSE:
            return None
        if shorter := limit_in(failure, without):
            return shorter
        extra = first_refused(_REFUSABLE, failure, request, without)
        return Concession(extra, lasts=_ONLY_THIS_PROMPT.search(failure.message) is None) if extra else None


def _add(body: dict[str, JsonValue], name: str, ours: dict[str, JsonValue]) -> None:
    """Add fields to an object of the request; the user's own outweigh them, and null leaves all of it out."""
    theirs = body.get(name, {})
    if ours and isinstance(theirs, dict):
        body[name] = {**ours, **theirs}


def _reasoning(request: ChatRequest, without: Collection[str]) -> dict[str, JsonValue]:
    """Return how much to reason, and that it be told: it is life on the line long before the first word."""
    if Extra.REASONING in without:
        return {}
    summary: dict[str, JsonValue] = {} if Extra.SUMMARY in without or request.effort == "none" else {"summary": "auto"}
    return summary if request.effort is None else {"effort": request.effort, **summary}


def _text(request: ChatRequest, without: Collection[str]) -> dict[str, JsonValue]:
    if Extra.JSON in without:
        return {}
    if request.schema is not None:
        return {"format": {"type": "json_schema", "name": "reply", "schema": dict(request.schema)}}
    return {"format": {"type": "json_object"}} if request.json else {}


def _turns(messages: tuple[Message, ...]) -> dict[str, JsonValue]:
    """Return the turns; what the system says in words before all others stands apart, unless it is all there is."""
    heads = list(itertools.takewhile(_is_told, messages))
    if len(heads) == len(messages):
        return {"input": _input(messages)}
    said = "\n\n".join(each.text for each in heads)
    return {"input": _input(messages[len(heads) :]), "instructions": said or None}


def _is_told(message: Message) -> bool:
    return message.role == "system" and all(isinstance(piece, str) for piece in message.pieces)


def _input(messages: tuple[Message, ...]) -> list[JsonValue]:
    return [{"role": each.role, "content": _content(each)} for each in messages]


def _content(message: Message) -> JsonValue:
    if isinstance(message.content, str):
        return message.content
    return [_part(piece, message.role) for piece in message.content]


def _part(piece: Piece, role: str) -> JsonValue:
    """Return a piece as the service takes it; an assistant's own words are told apart from all others."""
    match piece:
        case str():
            return {"type": "output_text" if role == "assistant" else "input_text", "text": piece}
        case _ if role == "assistant":
            raise unsayable("an image or a file in the assistant's own words")
        case Image():
            return {"type": "input_image", "image_url": piece.url or data_url(piece)}
        case File(url=""):
            return {"type": "input_file", "filename": piece.name, "file_data": data_url(piece)}
        case File():
            return {"type": "input_file", "file_url": piece.url}


WIRE = Responses()
