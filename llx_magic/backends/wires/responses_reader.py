"""Replies of OpenAI's Responses, whole and in events, to text. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within, says_something
from llx_magic.backends.reading.lenient import object_in, parts_in, text_in
from llx_magic.backends.reading.reader import Reader

if TYPE_CHECKING:
    from llx_magic.core.ports import Progress
    from llx_magic.text.values import JsonValue

_ENDS = frozenset(("completed", "incomplete", "failed", "cancelled"))
"""What a response that has ended says of itself."""

_PARAGRAPH = "\n\n"


class ReplyReader(Reader):
    """Takes one reply of Responses as it arrives.

    There is no end mark: the last event holds the whole response, and its status is the end. What is no text, reasoning
    or end of it is passed over; there are some sixty types of events.
    """

    piece = "response"

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        super().__init__(name, model, progress)
        self._streamed: set[str] = set()
        """The types of items of which pieces came, so that the whole response at the end repeats them."""

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take an event, a whole response, or an error in the place of either."""
        kind, response = document.get("type"), document.get("response")
        event = kind.removeprefix("response.") if isinstance(kind, str) else ""
        if isinstance(response, dict):
            self._take_response(response, event)
        elif document.get("object") == "response" or isinstance(document.get("output"), list):
            self._take_response(document)
        elif event != kind and event:
            self._take_event(event, document)
        elif kind in (None, "error") and error_within(document, has_choices=False):
            self.take_error(error_of(document.get("error") or document))

    def take_end_of_document(self) -> None:
        """Take that the body was one document: a whole response ends by its status, and pieces of one do not end."""
        self.done = self.done or not self.has_begun

    def _take_event(self, kind: str, event: dict[str, JsonValue]) -> None:
        self.has_begun = True
        piece, item = event.get("delta"), event.get("item")
        take = {
            "output_text.delta": self.add_text,
            "refusal.delta": self.add_refusal,
            "reasoning_summary_text.delta": self.add_reasoning,
            "reasoning_text.delta": self.add_reasoning,
        }.get(kind)
        if take is not None and isinstance(piece, str) and piece:
            self._streamed.add("reasoning" if kind.startswith("reasoning") else "message")
            take(piece)
        elif kind == "reasoning_summary_part.added" and event.get("summary_index"):
            self.add_reasoning(_PARAGRAPH)
        elif kind == "output_item.added" and isinstance(item, dict):
            self._take_call(item)

    def _take_response(self, response: dict[str, JsonValue], event: str = "") -> None:
        """Take what is known of a response; where it has ended, as its event or its status says, all of it."""
        self.has_begun = True
        self.credit(text_in(response.get("model")))
        self.note_id(response.get("id"))
        status = event if event in _ENDS else text_in(response.get("status"))
        if status not in _ENDS:
            return
        self.add_usage(response.get("usage"))
        for item in parts_in(response.get("output")):
            if text_in(item.get("type")) not in self._streamed:
                self._take_item(item)
        if says_something(response.get("error")):
            self.take_error(error_of(response["error"]))
        self.finish(text_in(object_in(response.get("incomplete_details")).get("reason")) or status)
        self.done = True

    def _take_item(self, item: dict[str, JsonValue]) -> None:
        """Take a piece of the output that was not streamed: a message, a summary of reasoning, or a call."""
        self._take_call(item)
        is_reasoning = item.get("type") == "reasoning"
        parts = item.get("summary") or item.get("content") if is_reasoning else item.get("content")
        for number, part in enumerate(parts_in(parts)):
            text = text_in(part.get("text"))
            if is_reasoning:
                self.add_reasoning(_PARAGRAPH * bool(number) + text)
            elif text:
                self.add_text(text)
            elif refusal := text_in(part.get("refusal")):
                self.add_refusal(refusal)

    def _take_call(self, item: dict[str, JsonValue]) -> None:
        if item.get("type") in ("function_call", "custom_tool_call"):
            self.add_tool(text_in(item.get("name")))
