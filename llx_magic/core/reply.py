"""What goes to a backend and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Literal, cast, get_args

import msgspec

from llx_magic.core.effort import CALLED
from llx_magic.core.events import Event, VisitSucceeded
from llx_magic.core.message import Message
from llx_magic.core.tokens import tokens_per_second
from llx_magic.core.trace import NO_TRACE, Trace
from llx_magic.errors import UsageProblem, brief
from llx_magic.text.blocks import Code, ReplyFormatError, code_of, read_json
from llx_magic.text.screen import printable
from llx_magic.text.shape import Read
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    import pandas as pd


Effort = Literal["none", "low", "medium", "high"]
"""How much a model should reason before it answers."""


def read_effort(given: str) -> Effort:
    """Return an effort, checked.

    Raises:
        UsageProblem: for a word that is none.
    """
    if given not in get_args(Effort):
        meant = f"; did you mean {CALLED[given]!r}?" if given in CALLED else ""
        raise UsageProblem(f"effort must be one of {', '.join(get_args(Effort))}; got {brief(given)}{meant}")
    return cast("Effort", given)


ToFrame = Callable[[str], "pd.DataFrame"]
"""Makes a DataFrame of the one table of a text."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One prompt as a backend receives it.

    ``params`` are the model's own (``temperature``, ``max_tokens`` …), passed on as they are. ``streaming`` asks for
    pieces as they are made. ``json`` asks for a reply that is one JSON object, where the wire form has a word for that;
    ``schema`` is a JSON schema that it should fit. ``effort`` says how much the model should reason.
    """

    messages: tuple[Message, ...]
    params: Mapping[str, JsonValue] = msgspec.field(default_factory=dict)
    streaming: bool = True
    json: bool = False
    schema: Mapping[str, JsonValue] | None = None
    effort: Effort | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the backend counted them.

    ``cached`` of the prompt's tokens were read from the provider's cache, and ``cache_written`` of them written to it.
    ``reasoning`` of the completion's tokens were spent on reasoning.
    """

    prompt_tokens: int
    completion_tokens: int
    cached: int = 0
    cache_written: int = 0
    reasoning: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


class Answer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A whole reply, as one backend gave it.

    ``usage`` is None where none was reported. ``finish_reason`` says why the model stopped (``stop``, ``length``,
    ``tool_calls`` …, or the backend's own word where it is not known), None where the backend did not say. ``notes``
    are short remarks for the reader, such as "the model refused". ``response_id`` is the server's name of the reply.
    """

    text: str
    model: str
    usage: Usage | None = None
    finish_reason: str | None = None
    reasoning: str = ""
    notes: tuple[str, ...] = ()
    response_id: str | None = None


class Delta(msgspec.Struct, frozen=True, gc=False):
    """A piece of the reply's text, as it arrived."""

    text: str


class Thought(msgspec.Struct, frozen=True, gc=False):
    """A piece of the model's reasoning, as it arrived; it comes before the text and is not part of it."""

    text: str


@dataclass(frozen=True, slots=True)
class Restart:
    """Drop all text and reasoning so far: ``failed`` broke off for ``reason`` and ``next`` is asked from the start.

    With ``again`` the text was whole, but not what was asked for; ``next`` may be the same backend, or nobody: then the
    whole reply of ``failed`` follows once more, since no other fits.
    """

    failed: str
    reason: str
    next: str
    again: bool = False

    @property
    def line(self) -> str:
        """What happened, in a few words."""
        if not self.next:
            return f"the reply of {self.failed} stands: {self.reason}"
        if self.again:
            return f"{self.next} is asked{' again' if self.next == self.failed else ''}: {self.reason}"
        return f"{self.failed} broke off ({self.reason}), asking {self.next}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """A whole reply that was not what was asked for, so that it was asked again: who gave it and what was wrong."""

    backend: str
    text: str = field(repr=False)
    problem: str
    usage: Usage | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer and how it came about; or, where ``error`` is set, the text that had come and why it is not whole.

    ``attempts`` counts every sending on every backend. ``seconds`` is from the call to the last byte, ``ttft`` from
    the call to the first piece of text or reasoning of this answer, whatever was waited for before (None where not
    streamed).
    ``finish_reason`` says why the model stopped (``stop``, ``length`` …), None where the backend did not say.
    ``request`` numbers the requests of the profile. ``notes`` are short remarks for the reader, such as "cut at
    max_tokens". ``cost`` is in the currency of the profile's prices; with ``cost_is_estimate`` it is in US dollars, by
    the prices that are known of the provider; None where there is neither. ``misfits`` are the whole replies that were
    not what was asked for, whose tokens are in ``cost`` too; ``read`` is what was found in this one, None where any
    text would do. ``trace`` is how the request was decided; ``to_frame`` makes the DataFrame of ``frame``.
    """

    text: str
    backend: str
    model: str
    usage: Usage | None
    attempts: int
    seconds: float
    ttft: float | None
    finish_reason: str | None
    reasoning: str = ""
    request: int = 0
    notes: tuple[str, ...] = ()
    cost: float | None = None
    cost_is_estimate: bool = False
    misfits: tuple[Misfit, ...] = ()
    read: Read | None = field(default=None, repr=False)
    trace: Trace = field(default=NO_TRACE, compare=False)
    error: BaseException | None = field(default=None, compare=False)
    to_frame: ToFrame | None = field(default=None, compare=False, repr=False)

    @property
    def all_tokens(self) -> tuple[int | None, int | None]:
        """What was read and written for it, for the replies that did not fit too; None where nobody said."""
        usages = [each for each in (self.usage, *(misfit.usage for misfit in self.misfits)) if each is not None]
        if not usages:
            return None, None
        return sum(each.prompt_tokens for each in usages), sum(each.completion_tokens for each in usages)

    @property
    def ok(self) -> bool:
        """Whether the reply is whole."""
        return self.error is None

    @property
    def code(self) -> Code:
        """The code of the text, as one text; its ``blocks`` have ``language`` and ``text`` each."""
        return code_of(self.text)

    def json(self) -> JsonValue:
        """Return the JSON value that the text is, or that stands in its only code block.

        Raises:
            ReplyFormatError: where there is none; with line and column.
        """
        return read_json(self.text)

    @property
    def value(self) -> object:
        """The value that was asked for by a schema or as JSON, of the type that was given.

        Raises:
            ReplyFormatError: where the reply does not fit, with the place, where there is no whole one, and where
                neither was asked for.
        """
        if self.error is not None:
            raise ReplyFormatError(f"there is no whole reply: {str(self.error) or type(self.error).__name__}")
        if self.read is None:
            raise ReplyFormatError(
                "no schema was given with this prompt; json() reads a reply that is JSON all the same"
            )
        if self.read.problem is not None:
            raise self.read.problem
        return self.read.value

    def frame(self) -> pd.DataFrame:
        """Return the one table of the text as a DataFrame: JSON records, a Markdown table or comma-separated values.

        Raises:
            ReplyFormatError: where there is none, or more than one.
        """
        if self.to_frame is None:
            raise ReplyFormatError("only a reply that a loaded profile gave has a frame()")
        return self.to_frame(self.text)

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens per second after the first piece, as in the statistics; None where it cannot be told."""
        done = next((event for event in reversed(self.trace.events) if isinstance(event, VisitSucceeded)), None)
        if done is None or self.usage is None:
            return None
        return tokens_per_second(done.completion_tokens, done.pieces, done.generating_seconds)

    def __str__(self) -> str:
        """The text alone."""
        return self.text

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= REPR_LENGTH else self.text[: REPR_LENGTH - 1] + "…"
        state = "" if self.error is None else f", error={type(self.error).__name__}"
        return f"Reply({printable(text)!r}, backend={self.backend!r}, model={self.model!r}{state})"


class Received:
    """What has come of a reply that is under way: its text and reasoning so far, and the number of its request."""

    def __init__(self) -> None:
        self.request = 0
        self._text = StringIO()
        self._reasoning = StringIO()

    @property
    def text(self) -> str:
        """The text so far, of the backend that is answering."""
        return self._text.getvalue()

    @property
    def reasoning(self) -> str:
        """The reasoning so far, of the backend that is answering."""
        return self._reasoning.getvalue()

    def take(self, part: Arrival | Event) -> None:
        """Take one part into account; a restart withdraws the text and the reasoning."""
        match part:
            case Delta():
                self._text.write(part.text)
            case Thought():
                self._reasoning.write(part.text)
            case Restart():
                self._text, self._reasoning = StringIO(), StringIO()
            case _:
                self.request = part.request


REPR_LENGTH = 200
"""How much of its text a reply shows when it is printed as a value."""

Arrival = Delta | Thought | Restart
"""What arrives of a reply before it is whole."""

Part = Arrival | Reply
"""What ``LoadBalancer.stream`` yields."""
