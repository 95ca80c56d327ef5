"""Replies of Gemini's ``generateContent``, whole and in pieces, to text. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within
from llx_magic.backends.reading.finish import Finish
from llx_magic.backends.reading.lenient import is_of_another_choice, is_true, object_in, parts_in, text_in
from llx_magic.backends.reading.reader import Reader
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import FailureKind

if TYPE_CHECKING:
    from llx_magic.core.ports import Progress
    from llx_magic.text.values import JsonValue


class ReplyReader(Reader):
    """Takes one reply in Gemini's form: each piece is a whole response that holds what is new.

    There is no end mark: the last piece is the one that says why the model stopped, and the connection's end follows.
    """

    piece = "candidates"

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        super().__init__(name, model, progress)
        self._pieces = 0

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take one response, or an error that stands in its place."""
        candidates = parts_in(document.get("candidates"))
        if error_within(document, has_choices=bool(candidates)):
            self.take_error(error_of(document))
            return
        if self.is_of_another(document.get("responseId")):
            return
        self._take_facts(document)
        if not candidates:
            self._refuse_the_blocked(document.get("promptFeedback"))
        for each in candidates:
            if not is_of_another_choice(each.get("index")):
                self._take_candidate(each)

    def take_end_of_document(self) -> None:
        """Take that the body was one document, or an array of them, whose last says why the model stopped."""
        self.done = self.has_finished or self._pieces <= 1

    def _take_facts(self, document: dict[str, JsonValue]) -> None:
        self.add_usage(document.get("usageMetadata"))
        self.credit(text_in(document.get("modelVersion")))
        self.note_id(document.get("responseId"))

    def _refuse_the_blocked(self, feedback: JsonValue) -> None:
        """Fail where the prompt was blocked, so that there is no reply at all."""
        if not isinstance(feedback, dict) or not (reason := feedback.get("blockReason")):
            return
        said = feedback.get("blockReasonMessage") or reason
        message = f"filtered by {self.name}: the prompt was blocked ({one_line(str(said), 200)})"
        self.fail(message, FailureKind.CONTENT_FILTER)

    def _take_candidate(self, candidate: dict[str, JsonValue]) -> None:
        self.has_begun = True
        self._pieces += 1
        content = candidate.get("content")
        for part in parts_in(object_in(content).get("parts", content)):
            self._take_part(part)
        if isinstance(reason := candidate.get("finishReason"), str):
            self.finish(reason)

    def _take_part(self, part: dict[str, JsonValue]) -> None:
        if text := text_in(part.get("text")):
            if is_true(part.get("thought")):
                self.add_reasoning(text)
            else:
                self.add_text(text)
        elif called := object_in(part.get("functionCall")):
            self.add_tool(text_in(called.get("name")))

    def _notes(self) -> list[str]:
        """Add why there may be no text: the reasoning counts towards the limit."""
        notes = super()._notes()
        if self._finish is Finish.LENGTH and not self._transcript.has_text:
            notes.append("its reasoning used up max_tokens (maxOutputTokens)")
        return notes
