"""Cohere's own form, version 2 of its chat. No I/O.

https://docs.cohere.com/reference/chat-stream
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within
from llx_magic.backends.reading.finish import Finish, meaning_of
from llx_magic.backends.reading.lenient import object_in, parts_in, text_in
from llx_magic.backends.reading.reader import Reader
from llx_magic.backends.wires.refusals import Refusable, first_refused, has_json
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    data_url,
    json_body,
    names_in,
    renamed,
    unsayable,
    with_schema,
)
from llx_magic.core.failure import FailureKind
from llx_magic.core.message import Image

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.message import Message, Piece
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.text.values import JsonValue

_NAMES = {"top_p": "p", "top_k": "k", "stop": "stop_sequences", "max_completion_tokens": "max_tokens"}
"""Cohere's names for parameters that people know under those of OpenAI."""

_BUDGETS = {"low": 1_024, "medium": 4_096}
"""How many tokens of reasoning an effort allows; a high one is not limited."""

THINKING, SCHEMA, JSON = "thinking", "json_schema", "response_format"
"""What a model may refuse, by Cohere's names: to reason by order, to keep to a schema, and to write JSON."""

_REFUSABLE = {
    THINKING: Refusable(
        "thinking|reasoning", lambda asked: asked.effort is not None and "thinking" not in asked.params
    ),
    SCHEMA: Refusable(
        "json_?schema|schema", lambda asked: asked.schema is not None and "response_format" not in asked.params
    ),
    JSON: Refusable(
        "response_?format|json_object|json mode",
        lambda asked: has_json(asked) and "response_format" not in asked.params,
    ),
}


class CohereChat(Wire):
    """Cohere's chat."""

    takes_images = True
    models_path = "/v1/models?endpoint=chat&page_size=1000"

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a chat. Parameters go through, some of them under Cohere's own names.

        Raises:
            BackendFailed: of kind bad request, for a file, and for what JSON cannot hold.
        """
        said = with_schema(request, in_words=bool({SCHEMA, JSON} & {*without}))
        messages: list[JsonValue] = [{"role": each.role, "content": _content(each)} for each in said]
        own = renamed(request.params, _NAMES)
        own.pop("stream_options", None)  # it reports the usage unasked
        if isinstance(own.get("stop_sequences"), str):
            own["stop_sequences"] = [own["stop_sequences"]]
        body: dict[str, JsonValue] = {**own, "model": model, "messages": messages, "stream": request.streaming}
        notes: tuple[str, ...] = ()
        if request.effort is not None and "thinking" not in body:
            if THINKING in without:
                notes = (EFFORT_IGNORED,)
            else:
                body["thinking"] = _thinking(request.effort)
        if (request.json or request.schema is not None) and JSON not in without and "response_format" not in body:
            told = {} if request.schema is None or SCHEMA in without else {"json_schema": dict(request.schema)}
            body["response_format"] = {"type": "json_object", **told}
        return Asked("/v2/chat", json_body(body), notes=notes)

    def reader(self, name: str, model: str, progress: Progress) -> CohereReader:
        """Return what reads one reply."""
        return CohereReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a model refuses of the effort, the schema or the form of JSON that were asked for."""
        if failure.kind is not FailureKind.BAD_REQUEST:
            return None
        extra = first_refused(_REFUSABLE, failure, request, without)
        return Concession(extra) if extra else None

    def models(self, document: JsonValue) -> tuple[str, ...]:
        """Return the names of the models on one page of the list."""
        return names_in(document, "models", "name")


def _thinking(effort: str) -> JsonValue:
    if effort == "none":
        return {"type": "disabled"}
    limit: dict[str, JsonValue] = {"token_budget": _BUDGETS[effort]} if effort in _BUDGETS else {}
    return {"type": "enabled", **limit}


def _content(message: Message) -> JsonValue:
    if isinstance(message.content, str):
        return message.content
    return [_part(piece) for piece in message.content]


def _part(piece: Piece) -> JsonValue:
    match piece:
        case str():
            return {"type": "text", "text": piece}
        case Image():
            return {"type": "image_url", "image_url": {"url": piece.url or data_url(piece)}}
    raise unsayable("files")


class CohereReader(Reader):
    """Takes one reply of Cohere: events that are named by their ``type``, or the whole message."""

    piece = "message"

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take an event or a whole reply; events that hold nothing of the message are passed over."""
        kind, delta = document.get("type"), document.get("delta")
        whole = document.get("message")
        if error_within(document, has_choices=kind not in (None, "error") or isinstance(whole, dict)):
            self.take_error(error_of(document))
        elif isinstance(delta, dict):
            self.has_begun = True
            self.note_id(document.get("id"))
            if isinstance(message := delta.get("message"), dict):
                self._take_message(message)
            if kind == "message-end":
                self._take_end(delta)
                self.done = True
        elif isinstance(whole, dict):
            self.has_begun = True
            self.note_id(document.get("id"))
            self._take_message(whole)
            self._take_end(document)

    def _take_message(self, message: Mapping[str, JsonValue]) -> None:
        self.add_reasoning(text_in(message.get("tool_plan")))
        for part in parts_in(message.get("content")):
            self.add_reasoning(text_in(part.get("thinking")))
            if text := text_in(part.get("text")):
                self.add_text(text)
        for call in parts_in(message.get("tool_calls")):
            if name := text_in(object_in(call.get("function")).get("name")):
                self.add_tool(name)

    def _take_end(self, end: Mapping[str, JsonValue]) -> None:
        """Take the reason of the end and the counts; an error in the middle of a stream is an end like any other."""
        self.add_usage(end.get("usage"))
        reason = end.get("finish_reason")
        if not isinstance(reason, str):
            return
        if meaning_of(reason) is Finish.BROKEN:
            error = error_of(end.get("error") or f"the reply ended with {reason}")
            error.codes.add("timeout" if reason == "TIMEOUT" else "internal_error")
            self.take_error(error)
        self.finish(reason)


WIRE = CohereChat()
