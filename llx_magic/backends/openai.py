"""The wire form of OpenAI's chat completions: a request to a JSON body, and what comes back to text. No I/O.

Lenient about what replies leave out, add or order differently, as servers that call themselves compatible do; strict
about what makes a reply whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec

from llx_magic.backends.status import blamed_on_request, describe, error_of, read_error
from llx_magic.backends.wording import Redactor, one_line
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.reply import Answer, Usage

if TYPE_CHECKING:
    from llx_magic.backends.sse import ServerEvent
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import ChatRequest
from llx_magic.core.values import JsonValue

LONGEST_TEXT = 16 * 1024 * 1024
"""How many characters of text and reasoning one reply may have."""

ENDED_EARLY = "the stream ended before the reply was complete"
NOTHING_CAME = "the stream ended without a reply"


def request_body(request: ChatRequest, model: str, *, takes_stream_options: bool) -> bytes:
    """Return the JSON body for ``POST {base_url}/chat/completions``.

    ``params`` go through as they are, but the model, the messages and whether to stream are the request's. A stream
    asks for its usage unless the server refuses to be asked or ``params`` hold ``stream_options``; null leaves it out.
    Half of a surrogate pair, which no UTF-8 can hold, is sent as U+FFFD.

    Raises:
        BackendFailed: of kind bad request, where ``params`` hold what JSON cannot.
    """
    body: dict[str, JsonValue] = {
        **request.params,
        "model": model,
        "messages": [{"role": each.role, "content": each.content} for each in request.messages],
    }
    body.pop("stream", None)
    if not request.streaming or body.get("stream_options", takes_stream_options) in (None, False):
        body.pop("stream_options", None)
    elif "stream_options" not in body:
        body["stream_options"] = {"include_usage": True}
    if request.streaming:
        body["stream"] = True
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


class _Part(msgspec.Struct, frozen=True):
    text: str | None = None


class _Words(msgspec.Struct, frozen=True):
    """A message or a delta of one."""

    content: str | list[_Part] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    index: int | None = 0
    delta: _Words | None = None
    message: _Words | None = None
    finish_reason: str | None = None


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class _Counts(msgspec.Struct, frozen=True):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None


_NULL = msgspec.Raw(b"null")


class _Chunk(msgspec.Struct, frozen=True):
    """A whole completion, or a piece of one: they differ in ``message`` and ``delta`` only."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    model: str | None = None
    error: msgspec.Raw = _NULL


_chunks = msgspec.json.Decoder(_Chunk, strict=False)
_counts = msgspec.json.Decoder(_Counts | None, strict=False)
_anything = msgspec.json.Decoder()
_FINISH_REASONS = frozenset(("stop", "length", "content_filter", "tool_calls", "function_call", "error"))
"""Words of the protocol, on which a verdict rests: no key is looked for in them."""


class ReplyReader:
    """Takes one reply as it arrives, reports its pieces, and judges whether it is whole.

    ``model`` is what the answer is credited to where the server names no model; ``name`` is the backend's, for
    messages; ``redact`` takes the key out of everything that the server says about itself, and out of the text too.
    """

    def __init__(self, name: str, model: str, progress: Progress, redact: Redactor) -> None:
        self.name = name
        self._model = model
        self._progress = progress
        self._redact = redact
        self._hidden_in_text = redact.in_pieces()
        self._hidden_in_reasoning = redact.in_pieces()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._size = 0
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self.done = False
        """Whether the server said that nothing follows."""

    @property
    def complete(self) -> bool:
        """Whether the reply is known to be whole: a finish reason came, or text and the end mark."""
        return self._finish_reason is not None or (self.done and bool(self._text))

    @property
    def partial(self) -> str:
        """The text so far."""
        return "".join(self._text)

    def take(self, event: ServerEvent) -> None:
        """Take the next event of a stream; whatever follows the end mark is ignored.

        So is what cannot be read, or reports an error, once the reply is complete: it was shown, and stays.

        Raises:
            BackendFailed: for an error event, a bad chunk, and a text beyond the cap.
        """
        data = event.data
        if self.done or not data:
            return
        if data.strip() == "[DONE]":
            self.done = True
        elif event.event == "error":
            if not self.complete:
                self._raise_error(data)
        else:
            self._take_chunk(data, "an unusable piece of the stream")

    def take_whole(self, body: bytes) -> None:
        """Take a reply that came in one JSON document.

        Raises:
            BackendFailed: where it is none, holds an error, or has no choices.
        """
        text = body.decode("utf-8", "replace").strip()
        if not text:
            self.fail("an empty reply body")
        if text.startswith("<"):
            self.fail(f"a web page instead of a reply: {one_line(self._redact(read_error(body).text))}")
        if not self._take_chunk(text, "an unusable reply"):
            self.fail("an unusable reply: it holds no choices")
        self.done = True

    def end(self) -> Answer:
        """Take the end of the reply and return the answer.

        Raises:
            BackendFailed: where the reply is cut, empty, or was filtered.
        """
        self._add_text(self._hidden_in_text.rest())
        self._add_reasoning(self._hidden_in_reasoning.rest())
        text = "".join(self._text)
        if self._finish_reason == "content_filter":
            self.fail(f"filtered by {self.name}", FailureKind.CONTENT_FILTER)
        if self._finish_reason == "error":
            self.fail("the server broke off with an error")
        if not self.complete:
            self.fail("empty reply" if self.done else ENDED_EARLY if self._text else NOTHING_CAME)
        if not text.strip() and self._finish_reason != "length":
            self.fail("empty reply")
        return Answer(
            text=text,
            model=self._model,
            usage=self._usage,
            finish_reason=self._finish_reason,
            reasoning="".join(self._reasoning),
        )

    def fail(self, message: str, kind: FailureKind = FailureKind.BAD_REPLY) -> NoReturn:
        """Raise the failure, with the text that had arrived."""
        raise BackendFailed(Failure(kind=kind, message=message, partial=self.partial)) from None

    def _take_chunk(self, data: str, what: str) -> bool:
        """Take a chunk and return whether it held choices."""
        try:
            chunk = _chunks.decode(data)
        except (msgspec.DecodeError, RecursionError):
            if self.complete:
                return False
            self.fail(f"{what}: {one_line(self._redact(data), 80)!r}")
        if chunk.error is not _NULL and bytes(chunk.error) != b"null":
            if self.complete:
                return False
            self._raise_error(data)
        if chunk.usage is not _NULL:
            self._take_usage(chunk.usage)
        if chunk.model and chunk.model != self._model and not self._text:
            self._model = one_line(self._redact(chunk.model), 200)
        for choice in chunk.choices or ():
            if not choice.index:
                self._take_choice(choice)
        return bool(chunk.choices)

    def _take_choice(self, choice: _Choice) -> None:
        words = choice.delta or choice.message
        if words is not None:
            reasoning = words.reasoning_content or words.reasoning
            if reasoning:
                self._add_reasoning(self._hidden_in_reasoning.feed(reasoning))
            content = words.content or words.refusal
            text = content if isinstance(content, str) else "".join(part.text or "" for part in content or ())
            if text:
                self._add_text(self._hidden_in_text.feed(text))
        if choice.finish_reason:
            known = choice.finish_reason in _FINISH_REASONS
            self._finish_reason = choice.finish_reason if known else one_line(self._redact(choice.finish_reason), 40)

    def _add_reasoning(self, piece: str) -> None:
        if piece:
            self._count(piece)
            self._reasoning.append(piece)
            self._progress.on_reasoning(piece)

    def _add_text(self, piece: str) -> None:
        if piece:
            self._count(piece)
            self._text.append(piece)
            self._progress.on_text(piece)

    def _take_usage(self, raw: msgspec.Raw) -> None:
        try:
            counts = _counts.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            return  # a reply is not worth less for a count that cannot be read
        if counts is not None and (counts.prompt_tokens is not None or counts.completion_tokens is not None):
            self._usage = Usage(counts.prompt_tokens or 0, counts.completion_tokens or 0)

    def _count(self, piece: str) -> None:
        self._size += len(piece)
        if self._size > LONGEST_TEXT:
            self.fail(f"a reply of more than {LONGEST_TEXT // 2**20} MiB", FailureKind.TOO_LARGE)

    def _raise_error(self, data: str) -> NoReturn:
        try:
            error = error_of(_anything.decode(data))
        except (msgspec.DecodeError, RecursionError):
            error = read_error(data.encode())
        kind = blamed_on_request(error)
        detail = describe(error, self._redact) or "it does not say which"
        filtered = f"filtered by {self.name}: " if kind is FailureKind.CONTENT_FILTER else ""
        self.fail(f"{filtered}the server reported an error: {detail}", kind or FailureKind.BAD_REPLY)
