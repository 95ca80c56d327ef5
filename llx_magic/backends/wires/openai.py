"""The wire form of OpenAI's chat completions. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.wires.azure import at_azure
from llx_magic.backends.wires.limits import shortened
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.backends.wires.openai_refusals import Extra, refused_of
from llx_magic.backends.wires.wire import (
    EFFORT_IGNORED,
    Asked,
    Concession,
    Wire,
    data_url,
    json_body,
    renamed,
    schema_in_words,
    unsayable,
)
from llx_magic.core.effort import without_effort
from llx_magic.core.message import Image
from llx_magic.providers.accents import PLAIN, Accent, Files, Images

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.message import File, Message, Piece
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
    from llx_magic.text.values import JsonValue


class OpenAIChat(Wire):
    """OpenAI's chat completions, and whatever calls itself compatible with them, each in its own accent."""

    version = "/v1"
    version_is_known = False

    def __init__(self, accent: Accent = PLAIN) -> None:
        self._accent = accent
        self.takes_images = accent.images is not Images.NONE
        self.takes_files = accent.files is not Files.NONE

    def accented(self, accent: Accent) -> OpenAIChat:
        """Return the form as a service speaks it."""
        return type(self)(accent)

    def configured(self, url: str, keys: Mapping[str, str]) -> Wire:
        """Return the form as it is spoken at an address."""
        return at_azure(self, url, keys)

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        """Return a request for a chat completion.

        ``params`` go through as they are, but for names that the service has its own words for; the model, the messages
        and whether to stream are the request's. A stream asks for its usage unless ``params`` hold ``stream_options``;
        null leaves it out. What ``without`` names is left out, or said in the server's own way, unless ``params`` ask
        for it themselves.

        Raises:
            BackendFailed: of kind bad request, for an image or a file that the service does not take, and where
                ``params`` hold what JSON cannot.
        """
        without = self._unsaid(request, without)
        params = renamed(request.params, self._accent.names)
        messages = [self._turn(each) for each in request.messages]
        form, instruction = self._form(request, without)
        if instruction and "response_format" not in params:
            messages.insert(0, {"role": "system", "content": instruction})
        if self._accent.marks_beginning and messages and request.messages[-1].role == "assistant":
            messages[-1] = {**messages[-1], "prefix": True}
        said, notes = self._effort(request, without)
        body: dict[str, JsonValue] = {**form, **_joined(said, params), "model": model, "messages": list(messages)}
        streaming = request.streaming and Extra.STREAM not in without
        body.pop("stream", None)
        if not streaming or body.get("stream_options", Extra.USAGE not in without) in (None, False):
            body.pop("stream_options", None)
        elif "stream_options" not in body:
            body["stream_options"] = {"include_usage": True}
        if streaming:
            body["stream"] = True
        if Extra.MAX_TOKENS in without and "max_tokens" in body:
            body.setdefault("max_completion_tokens", body.pop("max_tokens"))
        for name in ("max_tokens", "max_completion_tokens"):
            if name in body:
                body[name], lowered = shortened(body[name], without)
                notes = (*notes, *lowered)
        return Asked("/chat/completions", json_body(body), notes=notes)

    def reader(self, name: str, model: str, progress: Progress) -> ReplyReader:
        """Return what reads one reply."""
        reader = ReplyReader(name, model, progress)
        reader.windows = self._accent.windows
        return reader

    def conceded(self, failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
        """Return what a failure refuses of what a request asked for; None where it refuses none of it."""
        return refused_of(failure, request, self._unsaid(request, without))

    def _unsaid(self, request: ChatRequest, without: Collection[str]) -> set[str]:
        """Return what is not said: what the server has refused, and what the service has no word for."""
        accent = self._accent
        unsaid = {*without, *accent.refuses}
        if not accent.has_schemas:
            unsaid.add(Extra.SCHEMA)
        if not accent.has_json and Extra.SCHEMA in unsaid:
            unsaid.add(Extra.JSON)
        if request.effort not in accent.effort:
            unsaid.add(Extra.EFFORT)
        return unsaid

    def _effort(
        self, request: ChatRequest, without: Collection[str]
    ) -> tuple[Mapping[str, JsonValue], tuple[str, ...]]:
        """Return the fields that say how much to reason, and a note where that cannot be said."""
        if request.effort is None:
            return {}, ()
        return ({}, (EFFORT_IGNORED,)) if Extra.EFFORT in without else (self._accent.effort[request.effort], ())

    def _form(self, request: ChatRequest, without: Collection[str]) -> tuple[Mapping[str, JsonValue], str]:
        """Return the fields that ask for JSON, and what to say in words of a schema that no field can say."""
        schema = request.schema
        if schema is None and not request.json:
            return {}, ""
        if not {Extra.SCHEMA, Extra.JSON} & {*without} and (schema is not None or not self._accent.has_json):
            said: JsonValue = {"name": "reply", "schema": {"type": "object"} if schema is None else dict(schema)}
            return {"response_format": {"type": "json_schema", "json_schema": said}}, ""
        form: Mapping[str, JsonValue] = {} if Extra.JSON in without else {"response_format": {"type": "json_object"}}
        return form, "" if schema is None else schema_in_words(schema)

    def _turn(self, message: Message) -> dict[str, JsonValue]:
        content = message.content
        if isinstance(content, str):
            return {"role": message.role, "content": content}
        return {"role": message.role, "content": [self._part(piece) for piece in content]}

    def _part(self, piece: Piece) -> JsonValue:
        """Return a piece as the service takes it (https://platform.openai.com/docs/guides/images-vision)."""
        if isinstance(piece, str):
            return {"type": "text", "text": piece}
        if not isinstance(piece, Image):
            return self._file(piece)
        if self._accent.images is Images.NONE:
            raise unsayable("images")
        if piece.url and self._accent.images is Images.BYTES:
            raise unsayable("an image at an address: read it and give its bytes")
        return {"type": "image_url", "image_url": {"url": piece.url or data_url(piece)}}

    def _file(self, piece: File) -> JsonValue:
        """Return a file as the service takes it (https://platform.openai.com/docs/guides/pdf-files)."""
        way = self._accent.files
        if way is Files.NONE:
            raise unsayable("files")
        if way is Files.DOCUMENT:
            return {"type": "document_url", "document_url": piece.url or data_url(piece), "document_name": piece.name}
        if piece.url and way is Files.BYTES:
            raise unsayable("a file at an address: read it and give its bytes")
        return {"type": "file", "file": {"filename": piece.name, "file_data": piece.url or data_url(piece)}}


def _joined(said: Mapping[str, JsonValue], params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the fields of the effort and the parameters, which win; an object of both that leaves it open has both."""
    whole = {**said, **params}
    for name, ours in said.items():
        theirs = params.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict) and without_effort({name: theirs}) == {name: theirs}:
            whole[name] = {**ours, **theirs}
    return whole


WIRE = OpenAIChat()
