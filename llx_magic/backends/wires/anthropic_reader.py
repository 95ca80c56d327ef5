"""Replies of Anthropic's Messages, whole and as events, to text. No I/O.

The events: https://platform.claude.com/docs/en/build-with-claude/streaming. Which event a document is stands in its
``type``; the name that the stream gives it says the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within, says_something
from llx_magic.backends.reading.lenient import object_in, parts_in, text_in
from llx_magic.backends.reading.reader import Reader
from llx_magic.core.rate_facts import BY_MINUTE

if TYPE_CHECKING:
    from llx_magic.core.ports import Progress
    from llx_magic.text.values import JsonValue

_TOOLS = frozenset({"tool_use", "mcp_tool_use"})
"""Blocks that ask for a tool; what the service runs by itself (``server_tool_use``) asks nobody."""


class MessageReader(Reader):
    """Takes one reply in Anthropic's form as it arrives."""

    piece = "content"
    windows = BY_MINUTE

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        super().__init__(name, model, progress)
        self._is_message = False
        """Whether a whole message came, and not a piece of one."""

    def take_end_of_document(self) -> None:
        """Take that the body was one document; one that holds an event alone has lost its end."""
        self.done = self._is_message or not self.has_begun

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take one event, or the whole message; an event of an unknown type may come at any time and says nothing."""
        match document:
            case {"type": "content_block_delta", "delta": dict(delta)}:
                self._take_delta(delta)
            case {"type": "error"}:
                self.take_error(error_of(document))
            case {"type": "message"}:
                self._take_message(document)
            case {"type": "message_start", "message": dict(message)}:
                self._take_head(message)
            case {"type": "content_block_start", "content_block": dict(block)}:
                self._take_block(block)
            case {"type": "message_delta"}:
                self._take_last(document)
            case {"type": "message_stop"}:
                self.done = True
            case _ if says_something(document.get("error")) or (
                "type" not in document and error_within(document, has_choices=False)
            ):
                self.take_error(error_of(document))

    def _take_message(self, message: dict[str, JsonValue]) -> None:
        self._is_message = True
        self._take_head(message)
        for block in parts_in(message.get("content")):
            self._take_block(block)
        self._take_end(message)

    def _take_head(self, message: dict[str, JsonValue]) -> None:
        self.has_begun = True
        self.credit(text_in(message.get("model")))
        self.note_id(message.get("id"))
        self.add_usage(message.get("usage"))

    def _take_block(self, block: dict[str, JsonValue]) -> None:
        """Take a block; one of a stream begins empty, as a rule."""
        self.has_begun = True
        if text_in(block.get("type")) in _TOOLS:
            self.add_tool(text_in(block.get("name")))
        else:
            self._take_words(block)

    def _take_delta(self, delta: dict[str, JsonValue]) -> None:
        self.has_begun = True
        self._take_words(delta)

    def _take_words(self, said: dict[str, JsonValue]) -> None:
        kind = text_in(said.get("type"))
        if kind in ("text", "text_delta", "") and (words := text_in(said.get("text"))):
            self.add_text(words)
        elif kind in ("thinking", "thinking_delta", ""):
            self.add_reasoning(text_in(said.get("thinking")))

    def _take_last(self, event: dict[str, JsonValue]) -> None:
        """Take the event before the last one: why the model stopped, and all counts anew."""
        if isinstance(delta := event.get("delta"), dict):
            self._take_end(delta)
        self.add_usage(event.get("usage"))

    def _take_end(self, message: dict[str, JsonValue]) -> None:
        """Take why the model stopped: a refusal comes from a classifier, and what came before it is not to be used.

        https://platform.claude.com/docs/en/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals
        """
        reason = message.get("stop_reason")
        if reason == "refusal":
            details = object_in(message.get("stop_details"))
            self.filtered(": ".join(filter(None, (text_in(details.get(name)) for name in ("category", "explanation")))))
        elif isinstance(reason, str):
            self.finish(reason)
