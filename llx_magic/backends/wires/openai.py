"""The wire form of OpenAI's chat completions: a request to a JSON body, and what comes back to text. No I/O.

Lenient about what replies leave out, add or order differently, as servers that call themselves compatible do; strict
about what makes a reply whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import msgspec

from llx_magic.backends.concessions import Extra
from llx_magic.backends.reading.body import Odd
from llx_magic.backends.reading.errors import error_of, error_within, read_error, says_something
from llx_magic.backends.reading.lenient import NoJson, read_json
from llx_magic.backends.reading.reply import NOTHING_CAME, Reading
from llx_magic.backends.wires.openai_chunk import (
    Choice,
    Chunk,
    Content,
    Words,
    chunk_of,
    content_in,
    is_of_another_choice,
    read_chunk,
    reasoning_in,
    tools_in,
    word_in,
)
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.keys.redaction import LONGEST_READ
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.backends.reading.sse import ServerEvent
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import Answer, ChatRequest

_NO_CHUNKS = frozenset(("error", *Odd))
"""Types of events that hold something other than a piece of a reply."""

LONG_HEARTBEAT = 100
"""Characters of a heartbeat; a longer one counts as several."""

MOST_HEARTBEATS = 10_000
"""How many events a stream may have that are no piece of a reply: one every 60 ms for ten minutes."""

MOST_EMPTY = 100_000
"""How many events may follow each other that add nothing: some servers send a chunk for each token that is hidden."""


def request_body(request: ChatRequest, model: str, without: Collection[Extra] = ()) -> bytes:
    """Return the JSON body for ``POST {base_url}/chat/completions``.

    ``params`` go through as they are, but the model, the messages and whether to stream are the request's. A stream
    asks for its usage unless ``params`` hold ``stream_options``; null leaves it out. What ``without`` names is left
    out, or said in the server's own way, unless ``params`` ask for it themselves. Half of a surrogate pair, which no
    UTF-8 can hold, is sent as U+FFFD.

    Raises:
        BackendFailed: of kind bad request, where ``params`` hold what JSON cannot.
    """
    body: dict[str, JsonValue] = {
        **request.params,
        "model": model,
        "messages": [{"role": each.role, "content": each.content} for each in request.messages],
    }
    body.pop("stream", None)
    if not request.streaming or body.get("stream_options", Extra.USAGE not in without) in (None, False):
        body.pop("stream_options", None)
    elif "stream_options" not in body:
        body["stream_options"] = {"include_usage": True}
    if request.streaming:
        body["stream"] = True
    if request.json and Extra.JSON not in without:
        body.setdefault("response_format", {"type": "json_object"})
    if Extra.MAX_TOKENS in without and "max_tokens" in body:
        body.setdefault("max_completion_tokens", body.pop("max_tokens"))
    return _encode(body)


def _encode(body: dict[str, JsonValue]) -> bytes:
    try:
        try:
            return msgspec.json.encode(body)
        except UnicodeEncodeError:
            return msgspec.json.encode(_without_surrogates(body))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        why = one_line(str(error), 120) or type(error).__name__
    message = f"the request cannot be written as JSON ({why}); nothing was sent"
    raise BackendFailed(Failure(kind=FailureKind.BAD_REQUEST, message=message))


def _without_surrogates(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list | tuple):
        return [_without_surrogates(each) for each in value]
    if isinstance(value, dict):
        return {str(_without_surrogates(key)): _without_surrogates(each) for key, each in value.items()}
    return value


class ReplyReader(Reading):
    """Takes one reply in OpenAI's form as it arrives."""

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        super().__init__(name, model, progress)
        self._id: object = None
        self._ids_differ = False
        self._named: object = None
        """The model as the last chunk named it."""
        self._has_choices = False
        self._is_completion = False
        """Whether a whole message came, and not a piece of one."""
        self._is_json = False
        self._strays = self._empty = 0
        self._last_stray = ""

    def take(self, event: ServerEvent) -> None:
        """Take the next event of a stream; whatever follows the end mark is ignored.

        So is what cannot be read, or reports an error, once the reply is complete: it was shown, and stays.

        Raises:
            BackendFailed: for an error event, a bad chunk, and a text beyond the cap.
        """
        kind, data = event
        if self.done:
            return
        before = self.taken
        if data.startswith("{") and kind not in _NO_CHUNKS:
            self._take_json(data)
        else:
            self._take_rare(kind, data.strip())
        self._empty = self._empty + 1 if self.taken == before else 0
        if self._empty > MOST_EMPTY:
            self.fail(f"more than {MOST_EMPTY} events in a row that add nothing to the reply")

    def end(self) -> Answer:
        """Take the end of the reply and return the answer.

        Raises:
            BackendFailed: where the reply is cut, empty, filtered, or asks for a tool and says nothing.
        """
        if not self._has_choices and not self.complete:
            if self._last_stray:
                self._fail_in_words(self._last_stray, NOTHING_CAME)
            if self._is_json and self.done:
                self.fail("an unusable reply: it holds no choices")
        return super().end()

    def _take_rare(self, kind: str, data: str) -> None:
        """Take what is neither a chunk nor a piece of one: an end, an error, a heartbeat, or a body without events."""
        if data.strip("[]").casefold() == "done":
            self.done = True
        elif kind == "error":
            if not self.whole_if_cut:
                self.fail_as_reported(read_error(data.encode("utf-8", "replace")))
        elif kind == Odd.ENDED:
            self._is_json = True
            self.done = self._is_completion or not self._has_choices
        elif kind == Odd.EMPTY:
            self.fail("an empty reply body")
        elif kind == Odd.PAGE:
            self.fail(f"a web page instead of a reply: {one_line(read_error(data.encode()).text)}")
        elif kind == Odd.TEXT:
            self._fail_in_words(data, "an unusable reply")
        elif data.startswith(("{", "[{")):
            self._take_json(data)
        else:
            self._pass_over(data)

    def _pass_over(self, data: str) -> None:
        """Let a heartbeat pass: an event that is no JSON, or JSON but no object."""
        self._strays += 1 + len(data) // LONG_HEARTBEAT
        if self._strays > MOST_HEARTBEATS:
            self.fail(f"more than {MOST_HEARTBEATS} events that are no piece of a reply")
        if any(character.isalpha() for character in data):
            self._last_stray = data

    def _fail_in_words(self, said: str, what: str) -> NoReturn:
        """Fail with a text that came instead of JSON: where its words name a kind of failure, it is that."""
        if said.startswith(("{", "[")):  # broken JSON, whose words may be the model's
            self.fail(f"{what}: {one_line(said, 80)!r}")
        self.fail_as_reported(error_of(said), f"{what}: {one_line(said, 80)!r}")

    def _take_json(self, data: str) -> None:
        chunk = read_chunk(data)
        if chunk is not None and chunk.choices and not (chunk.error or chunk.base_resp):
            self._take_chunk(chunk)
            return
        try:
            document = read_json(data)
        except NoJson:
            if self.whole_if_cut:
                return
            self.fail(f"an unusable piece of the stream: {one_line(data, 80)!r}")
        for each in document if isinstance(document, list) else [document]:
            if isinstance(each, dict):
                self._take_document(each)
            else:
                self._pass_over(str(each)[:LONGEST_READ])

    def _take_document(self, document: dict[str, JsonValue]) -> None:
        """Take a chunk that is not quite as the form says, has no choices, or may report an error."""
        chunk = chunk_of(document)
        self._is_json = True
        if error_within(document, has_choices=bool(chunk.choices)):
            if not self.whole_if_cut:
                self.fail_as_reported(error_of(document))
        elif chunk.choices:
            self._take_chunk(chunk)
        elif not self._is_of_another(chunk):
            self.add_usage(document)
            self._take_facts(chunk)

    def _take_chunk(self, chunk: Chunk) -> None:
        if self.has_finished and self._is_of_another(chunk):
            return
        self._has_choices = True
        if chunk.id != self._id:
            self._note_id(chunk.id)
        if chunk.usage or chunk.model != self._named or chunk.x_groq or chunk.usage_metadata:
            self._take_facts(chunk)
        for choice in chunk.choices or ():
            if not (choice.index and is_of_another_choice(choice.index)):
                self._take_choice(choice)

    def _take_facts(self, chunk: Chunk) -> None:
        if isinstance(chunk.model, str) and chunk.model:
            self._named = chunk.model
            self.credit(chunk.model)
        if chunk.usage_metadata:
            self.add_usage(chunk.usage_metadata)
        if isinstance(chunk.x_groq, dict):
            self.add_usage(chunk.x_groq.get("usage"))
        if chunk.usage:
            self.add_usage(chunk.usage)

    def _take_choice(self, choice: Choice) -> None:
        if choice.error and says_something(choice.error) and not self.whole_if_cut:
            self.fail_as_reported(error_of(choice.error))
        words = choice.delta
        if words is None:
            words = choice.message
            self._is_completion = self._is_completion or words is not None
        if words is not None:
            self._take_words(words)
        elif isinstance(choice.text, str) and choice.text:
            self.add_text(choice.text)
        if choice.usage:
            self.add_usage(choice.usage)
        if reason := choice.finish_reason:
            self.finish(reason if isinstance(reason, str) else word_in(reason))

    def _take_words(self, words: Words) -> None:
        content = words.content
        if (
            words.reasoning_content
            or words.reasoning
            or words.thinking
            or words.reasoning_details
            or (words.reasoning_text or words.thinking_blocks)
        ):
            self.add_reasoning(reasoning_in(words))
        if content:
            if isinstance(content, str):
                self.add_text(content)
            else:
                self._take_content(content_in(content))
        elif words.refusal and isinstance(words.refusal, str):
            self.add_refusal(words.refusal)
        if words.tool_calls or words.function_call:
            for name in tools_in(words):
                self.add_tool(name)

    def _take_content(self, content: Content) -> None:
        if not content.is_readable:
            self.fail("an unusable reply: its content is no text")
        if content.reasoning:
            self.add_reasoning(content.reasoning)
        if content.text:
            self.add_text(content.text)
        if content.refusal:
            self.add_refusal(content.refusal)

    def _note_id(self, given: object) -> None:
        if isinstance(given, str) and given:
            self._ids_differ = self._ids_differ or bool(self._id)
            self._id = self.response_id = given

    def _is_of_another(self, chunk: Chunk) -> bool:
        """Return whether the reply has finished and this is a piece of another one, by its id.

        A server that gives each piece an id of its own shows that before it finishes.
        """
        if not self.has_finished or self._ids_differ:
            return False
        return isinstance(chunk.id, str) and chunk.id != self._id and bool(chunk.id) and self._id is not None
