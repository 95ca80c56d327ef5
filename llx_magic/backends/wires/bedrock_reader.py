"""Replies of Amazon Bedrock's Converse, whole and in events, to text. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within
from llx_magic.backends.reading.frames import FrameDecoder
from llx_magic.backends.reading.lenient import object_in, parts_in, text_in
from llx_magic.backends.reading.reader import Reader
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    from collections.abc import Mapping


class ReplyReader(Reader):
    """Takes one reply of Converse as it arrives: its usage comes after the word for its end."""

    piece = "output"
    decoder = FrameDecoder

    def came_with(self, headers: Mapping[str, str], wall_clock: float) -> None:
        """Take the headers, of which one names the reply."""
        super().came_with(headers, wall_clock)
        self.response_id = headers.get("x-amzn-requestid") or None

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take an event under its name, or a whole reply."""
        known = False
        for name, value in document.items():
            if isinstance(value, dict) and name in _EVENTS:
                known = self.has_begun = True
                self._take_event(name, value)
        if isinstance(word := document.get("stopReason"), str) and "output" in document:
            self.finish(word)
            self.add_usage(document.get("usage"))
        if not known and error_within(document, has_choices=False):
            self.take_error(error_of(document))

    def _take_event(self, name: str, event: Mapping[str, JsonValue]) -> None:
        match name:
            case "contentBlockStart":
                self._take_block(object_in(event.get("start")))
            case "contentBlockDelta":
                self._take_block(object_in(event.get("delta")))
            case "messageStop":
                self.finish(text_in(event.get("stopReason")))
            case "metadata":
                self.add_usage(event.get("usage"))
                self.done = self.has_finished
            case "output":
                for block in parts_in(object_in(event.get("message")).get("content")):
                    self._take_block(block)

    def _take_block(self, block: Mapping[str, JsonValue]) -> None:
        """Take a block of content, or the beginning or a piece of one."""
        if text := text_in(block.get("text")):
            self.add_text(text)
        thought = object_in(block.get("reasoningContent"))
        self.add_reasoning(text_in(thought.get("text")) or text_in(object_in(thought.get("reasoningText")).get("text")))
        if tool := object_in(block.get("toolUse")):
            self.add_tool(text_in(tool.get("name")))
        for each in parts_in(object_in(block.get("citationsContent")).get("content")):
            if text := text_in(each.get("text")):
                self.add_text(text)


_EVENTS = frozenset({
    "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "output",
})  # fmt: skip
