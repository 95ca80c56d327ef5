"""What every reader of replies does, whatever the wire form: collects the reply, and judges its end."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

from llx_magic.backends.reading.errors import ServerError, describe
from llx_magic.backends.reading.finish import Finish, meaning_of, says_nothing
from llx_magic.backends.reading.kinds import failure_of
from llx_magic.backends.reading.rates import NO_WINDOWS, told_by_error, told_by_headers
from llx_magic.backends.reading.thinking import part_without_opening
from llx_magic.backends.reading.transcript import Transcript
from llx_magic.backends.reading.usage import counts_of, usage_of
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.reply import Answer, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.core.ports import Progress
    from llx_magic.core.rate_facts import Windows
    from llx_magic.text.values import JsonValue

AFTER_FINISH_SECONDS = 1.0
"""How long the next piece is waited for once a finish reason came: usage, the end mark, or text after all."""

WITHOUT_TEXT_SECONDS = 30.0
"""How long it is waited for where no text came before that finish reason: some gateways finish the reasoning so."""

AFTER_END_SECONDS = 0.1
"""How long the connection's own end is waited for after the end mark, so that it can be used again."""

ENDED_EARLY = "the stream ended before the reply was complete"
NOTHING_CAME = "the stream ended without a reply"

_LASTING = frozenset((Finish.FILTER, Finish.BROKEN))
"""What no later word takes back."""

_MOST_TOOLS = 5


class PartialReply:
    """One reply as far as it has come; a reader tells what it finds, and ``end`` judges whether it is whole.

    ``model`` is what the answer is credited to where the server names no model; ``name`` is the backend's, for
    messages.
    """

    windows: Windows = NO_WINDOWS
    """For how many seconds the service counts what it limits, where its headers do not say."""

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        self.name = name
        self.done = False
        """Whether the server said that nothing follows."""
        self.response_id: str | None = None
        """The server's own name of the reply, as it gave it."""
        self._ids_differ = False
        """Whether pieces of this reply have different names before it finishes, so that these mean nothing."""
        self.taken = 0
        """How many pieces of the reply were taken: it grows with each that says anything."""
        self._model = model
        self._progress = progress
        self._headers: Mapping[str, str] = {}
        self._wall_clock = 0.0
        self._counts: dict[str, int] = {}
        self._finish: Finish | None = None
        self._word: str | None = None
        self._goes_on = False
        """Whether text came after a finish reason, so that this server's finish reasons mean little."""
        self._tools: tuple[str, ...] = ()
        self._asks_for_tool = False
        self._refuses = False
        self._why_filtered = ""

    def came_with(self, headers: Mapping[str, str], wall_clock: float) -> None:
        """Take the response's headers and the time of day, for the wait that an error inside the reply asks for."""
        self._headers, self._wall_clock = headers, wall_clock
        if told := told_by_headers(headers, wall_clock, self.windows):
            self._progress.on_rates(told)

    def tell_of_limits(self, error: ServerError) -> None:
        """Report what an error tells of the service's limits."""
        if told := told_by_error(error, self._headers, self._wall_clock, self.windows):
            self._progress.on_rates(told)

    @cached_property
    def _transcript(self) -> Transcript:
        """The text; made when some comes, since a thousand requests that wait hold what they are made of."""
        return Transcript(self._progress)

    # --- what is known ----------------------------------------------------------------------------------------------

    @property
    def complete(self) -> bool:
        """Whether the reply may be whole as it is: a finish reason came, or text and the end mark."""
        return self._word is not None or (self.done and self._transcript.has_text)

    @property
    def whole_if_cut(self) -> bool:
        """Whether the reply is whole though the connection broke or an error followed."""
        return self.complete and (self.done or not self._goes_on)

    @property
    def has_finished(self) -> bool:
        """Whether a finish reason came."""
        return self._word is not None

    @property
    def patience(self) -> float | None:
        """How many seconds of silence end the reply now; None where nothing but its limits does."""
        if self.done:
            return AFTER_END_SECONDS
        if self._word is None:
            return None
        has_ended = self._transcript.has_text or self._finish is not Finish.STOP
        return AFTER_FINISH_SECONDS if has_ended else WITHOUT_TEXT_SECONDS

    # --- what comes -------------------------------------------------------------------------------------------------

    def add_text(self, piece: str) -> None:
        """Take a piece of the reply's text."""
        self.taken += 1
        if self._word is not None:
            self._goes_on = True
        self._transcript.add_text(piece)

    def add_reasoning(self, piece: str) -> None:
        """Take a piece of reasoning that came apart from the text."""
        if piece:
            self.taken += 1
            self._transcript.add_reasoning(piece)

    def add_refusal(self, piece: str) -> None:
        """Take a piece of a refusal in the model's own words: it is the reply's text, with a note."""
        self._refuses = True
        self.add_text(piece)

    def add_tool(self, name: str) -> None:
        """Note that the reply asks for a tool; the name may be empty."""
        self.taken += 1
        self._asks_for_tool = True
        shown = one_line(name, 60)
        if shown and shown not in self._tools and len(self._tools) < _MOST_TOOLS:
            self._tools = (*self._tools, shown)

    @property
    def usage(self) -> Usage | None:
        """What has been told of the tokens so far; None where nothing was."""
        return usage_of(self._counts)

    def add_usage(self, reported: JsonValue) -> None:
        """Take token counts; those that come later replace earlier ones, count by count."""
        counts = counts_of(reported)
        if counts:
            self.taken += 1
            self._counts |= counts

    def finish(self, word: str) -> None:
        """Take the server's word for why the model stopped; more may follow all the same."""
        if says_nothing(word):
            return
        self.taken += 1
        if self._finish not in _LASTING:
            self._finish = meaning_of(word)
            self._word = one_line(word, 40) if self._finish in (None, Finish.BROKEN) else self._finish
            if self._finish is Finish.FILTER and "filter" not in word.lower() and not self._why_filtered:
                self._why_filtered = one_line(word, 40)  # such as SAFETY or RECITATION, which the reader may mend

    def filtered(self, why: str) -> None:
        """Take that the service withholds the reply; ``why`` is its word for the reason, if it gives one."""
        self._why_filtered = one_line(why, 120)
        self.finish(Finish.FILTER)

    def note_id(self, given: object) -> None:
        """Take the server's own name of the reply, as a piece of it has it; what is no text is none."""
        if isinstance(given, str) and given and given != self.response_id:
            self._ids_differ = self._ids_differ or self.response_id is not None
            self.response_id = given

    def is_of_another(self, given: object) -> bool:
        """Return whether the reply has finished and a piece with that name belongs to another one.

        A server that gives each piece a name of its own shows that before it finishes.
        """
        if not self.has_finished or self._ids_differ or self.response_id is None:
            return False
        return isinstance(given, str) and given not in ("", self.response_id)

    def credit(self, model: str) -> None:
        """Take the model's name as the server gives it; once text has come it stays."""
        if model != self._model and not self._transcript.has_text:
            self._model = one_line(model, 200) or self._model

    # --- the end ----------------------------------------------------------------------------------------------------

    def end(self) -> Answer:
        """Take the end of the reply and return the answer.

        Raises:
            BackendFailed: where the reply is cut, empty, filtered, or asks for a tool and says nothing.
        """
        may_be_all = self._finish not in (Finish.LENGTH, *_LASTING) and (self.done or self._word is not None)
        self._transcript.close(reasoning_may_be_all=may_be_all)
        text, reasoning = self._transcript.text, self._transcript.reasoning
        self._refuse_the_unusable(is_empty=not text.strip())
        notes = self._notes()
        if not reasoning and (parted := part_without_opening(text)):
            reasoning, text = parted
            notes.append("what came before </think> was taken for reasoning")
        return Answer(
            text=text,
            model=self._model,
            usage=self.usage,
            finish_reason=self._word,
            reasoning=reasoning,
            notes=tuple(notes),
            response_id=self.response_id and one_line(self.response_id, 128),
        )

    def fail(self, message: str, kind: FailureKind = FailureKind.BAD_REPLY) -> NoReturn:
        """Raise the failure."""
        raise BackendFailed(Failure(kind=kind, message=message)) from None

    def fail_as_reported(self, error: ServerError, message: str = "") -> NoReturn:
        """Raise the failure that an error inside the reply means, in the server's own words unless told otherwise."""
        self.tell_of_limits(error)
        if not message:
            message = f"the server reported an error: {describe(error) or 'it does not say which'}"
        failure = failure_of(
            error, self._headers, status=None, message=message, name=self.name, wall_clock=self._wall_clock
        )
        raise BackendFailed(failure) from None

    def _refuse_the_unusable(self, *, is_empty: bool) -> None:
        """Raise for a reply that is not whole, or that cannot be shown."""
        if self._finish is Finish.FILTER or (self._finish is Finish.REFUSED and is_empty):
            why = f": {self._why_filtered}" if self._why_filtered else ""
            self.fail(f"filtered by {self.name}{why}", FailureKind.CONTENT_FILTER)
        if self._finish is Finish.BROKEN:
            self.fail(f"the server broke off with {'an error' if self._word == 'error' else repr(self._word)}")
        if is_empty and (self._asks_for_tool or self._finish is Finish.TOOL):
            self.fail(f"the reply {self._wish()}", FailureKind.BAD_REQUEST)
        nothing = "only reasoning, no answer" if self._transcript.reasoning.strip() else "empty reply"
        if not self.complete:
            self.fail(nothing if self.done else NOTHING_CAME if is_empty else ENDED_EARLY)
        if is_empty and self._finish is not Finish.LENGTH:
            self.fail(nothing)

    def _notes(self) -> list[str]:
        notes = []
        if self._word is not None and self._finish is None:
            notes.append(f"the backend finished with {self._word!r}")
        if self._refuses or self._finish is Finish.REFUSED:
            notes.append("the model refused")
        if self._asks_for_tool or self._finish is Finish.TOOL:
            notes.append(f"the reply {self._wish()}")
        return notes

    def _wish(self) -> str:
        tools = ", ".join(self._tools)
        named = f"the tool{'s' if len(self._tools) > 1 else ''} {tools}" if tools else "a tool"
        return f"asks for {named}; llx_magic runs none"
