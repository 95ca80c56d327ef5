"""Ollama's own form, ``/api/chat``. No I/O.

https://docs.ollama.com/api/chat. Beside the compatible endpoint it takes a size of the window and a time to keep the
model loaded, and it reports an error in the middle of a stream.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within
from llx_magic.backends.reading.lenient import is_true, object_in, parts_in, text_in
from llx_magic.backends.reading.reader import Reader
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    base64_of,
    json_body,
    names_in,
    renamed,
    unsayable,
)
from llx_magic.core.failure import FailureKind
from llx_magic.core.message import File, Image
from llx_magic.text.wording import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.message import Message
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.text.values import JsonValue

_OPTIONS = frozenset((
    "num_predict", "num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock",
    "numa", "low_vram", "f16_kv", "vocab_only", "draft_num_predict", "seed", "temperature", "top_k", "top_p", "min_p",
    "typical_p", "tfs_z", "repeat_last_n", "repeat_penalty", "presence_penalty", "frequency_penalty", "mirostat",
    "mirostat_tau", "mirostat_eta", "penalize_newline", "stop",
))  # fmt: skip
"""What goes under ``options`` (https://docs.ollama.com/modelfile#valid-parameters-and-values)."""

_FIELDS = frozenset(("think", "format", "keep_alive", "truncate", "shift", "tools", "logprobs", "top_logprobs"))
_OURS = frozenset(("model", "messages", "stream", "options", "stream_options"))

_NAMES = {
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
    "reasoning_effort": "think",
    "response_format": "format",
}
"""Ollama's names for parameters that people know under those of OpenAI."""

THINK, LEVEL = "think", "think level"
"""What a model may refuse: to reason by order, and to be told how much."""

_NO_LEVELS = re.compile(r"think value \S{1,20} is not supported|invalid think value", re.IGNORECASE)
_NOT_PULLED = re.compile(r"model .{0,200}not found", re.IGNORECASE)
_NO_THOUGHTS = re.compile(r"not support (?:thinking|reasoning)", re.IGNORECASE)


class OllamaChat(Wire):
    """Ollama's chat, on this machine or in its cloud."""

    takes_images = True
    models_path = "/api/tags"

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a chat; a prompt that is too long is refused and not cut.

        Parameters are put where Ollama looks for them. It ignores what it does not know without a word, so a note
        names that.

        Raises:
            BackendFailed: of kind bad request, for a file, an image at an address, and what JSON cannot hold.
        """
        own = renamed(request.params, _NAMES)
        unknown = [name for name in own if name not in _OPTIONS | _FIELDS | _OURS]
        given = own.get("options")
        options = {name: value for name, value in own.items() if name in _OPTIONS or name in unknown}
        options |= given if isinstance(given, dict) else {}
        if isinstance(options.get("stop"), str):
            options["stop"] = [options["stop"]]
        body: dict[str, JsonValue] = {
            "model": model,
            "messages": [_message(each) for each in request.messages],
            "stream": request.streaming,  # it streams unless told otherwise
            "truncate": False,
            **{name: _own_value(name, own[name]) for name in _FIELDS & own.keys()},
        }
        if options:
            body["options"] = options
        if "format" not in body and (request.schema is not None or request.json):
            body["format"] = "json" if request.schema is None else dict(request.schema)
        notes = [f"Ollama knows no {listed(unknown)} and ignores what it does not know"] if unknown else []
        if request.effort is not None and "think" not in body:
            if THINK in without:
                notes.append(EFFORT_IGNORED)
            else:
                body["think"] = request.effort != "none" and (LEVEL in without or request.effort)
        return Asked("/api/chat", json_body(body), notes=tuple(notes))

    def reader(self, name: str, model: str, progress: Progress) -> OllamaReader:
        """Return what reads one reply."""
        return OllamaReader(name, model, progress)

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what of the effort a model refuses: its degree, or to reason at all."""
        asked = request.effort is not None and not {"think", "reasoning_effort"} & request.params.keys()
        if not asked or failure.kind is not FailureKind.BAD_REQUEST:
            return None
        if LEVEL not in without and _NO_LEVELS.search(failure.message):
            return Concession(LEVEL)
        refused = THINK not in without and _NO_THOUGHTS.search(failure.message)
        return Concession(THINK) if refused else None

    def hint(self, failure: Failure, model: str) -> str:
        """Return what helps on this machine."""
        if failure.status == 404 and _NOT_PULLED.search(failure.message):
            return f"`ollama pull {model}` fetches it"
        if failure.status == 401:
            return "`ollama signin` signs this machine in; ollama.com itself wants a key"
        if failure.kind is FailureKind.CONTEXT_LENGTH:
            return "--param num_ctx=N gives the model a larger window"
        return ""

    def models(self, document: JsonValue) -> tuple[str, ...]:
        """Return the names of the models that have been pulled."""
        return names_in(document, "models", "model", "name")


def _message(message: Message) -> JsonValue:
    """Return a message: its text, and its images beside it as bare base64."""
    images: list[JsonValue] = []
    for piece in message.pieces:
        if isinstance(piece, File):
            raise unsayable("files")
        if isinstance(piece, Image):
            if piece.url:
                raise unsayable("an image at an address: read it and give its bytes")
            images.append(base64_of(piece))
    said: dict[str, JsonValue] = {"role": message.role, "content": message.text}
    return {**said, "images": images} if images else said


def _own_value(name: str, value: JsonValue) -> JsonValue:
    """Return a value that was given as OpenAI has it in Ollama's words."""
    match name, value:
        case "think", "none":
            return False
        case "format", {"type": "json_schema", "json_schema": {"schema": schema}}:
            return schema
        case "format", {"type": "json_object", "schema": schema}:
            return schema
        case "format", {"type": "json_object"}:
            return "json"
        case "format", {"type": "text"}:
            return ""
    return value


class OllamaReader(Reader):
    """Takes one reply of Ollama: a document a line, each with a piece of the message."""

    piece = "message"

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take a piece of the message, the end with its counts, or an error, which may come at any point."""
        message = document.get("message")
        if error_within(document, has_choices=isinstance(message, dict)):
            self.take_error(error_of(document))
            return
        self.credit(text_in(document.get("model")))
        if isinstance(message, dict):
            self.has_begun = True
            self._take_message(message)
        if isinstance(reason := document.get("done_reason"), str):
            self.finish(reason)
        if is_true(document.get("done")):
            self.add_usage(document)
            if not self.has_finished:  # https://github.com/ollama/ollama/blob/main/llm/server.go: DoneReason
                self.fail("the server broke off: the process that runs the model went away")
            self.done = True

    def take_end_of_document(self) -> None:
        """Take that the body was one document: a piece without its end is one that was cut."""
        self.done = self.done or not self.has_begun

    def _take_message(self, message: Mapping[str, JsonValue]) -> None:
        self.add_reasoning(text_in(message.get("thinking")))
        for part in parts_in(message.get("content")):
            if text := text_in(part.get("text")):
                self.add_text(text)
        for call in parts_in(message.get("tool_calls")):
            self.add_tool(text_in(object_in(call.get("function")).get("name")))


WIRE = OllamaChat()
