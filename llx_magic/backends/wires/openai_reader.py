"""Replies in the form of OpenAI's chat completions, whole and in pieces, to text. No I/O.

Lenient about what replies leave out, add or order differently, as servers that call themselves compatible do; strict
about what makes a reply whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import error_of, error_within, says_something
from llx_magic.backends.reading.lenient import is_of_another_choice
from llx_magic.backends.reading.reader import Reader
from llx_magic.backends.wires.openai_chunk import (
    Choice,
    Chunk,
    Content,
    Words,
    chunk_of,
    content_in,
    read_chunk,
    read_plain_text,
    reasoning_in,
    tools_in,
    word_in,
)
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    from llx_magic.backends.reading.sse import ServerEvent
    from llx_magic.core.ports import Progress


class ReplyReader(Reader):
    """Takes one reply in OpenAI's form as it arrives."""

    piece = "choices"

    def __init__(self, name: str, model: str, progress: Progress) -> None:
        super().__init__(name, model, progress)
        self._named: object = None
        """The model as the last chunk named it."""
        self._is_completion = False
        """Whether a whole message came, and not a piece of one."""
        self._is_plain: bool | None = None
        """Whether every piece since the first text adds text and nothing else; None before that."""

    def take_end_of_document(self) -> None:
        """Take that the body was one document; one that holds pieces only may have lost its end."""
        self.done = self._is_completion or not self.has_begun

    def take(self, event: ServerEvent) -> None:
        """Take an event, quickly where it is one more piece of text, as nearly all are."""
        if self._is_plain and not self.done and event.event == "message":
            if text := read_plain_text(event.data, self.response_id, self._named):
                self._empty = 0
                self.add_text(text)
                return
            self._is_plain = False  # to find that out takes longer than it saves
        super().take(event)

    def take_json(self, data: str) -> None:
        """Take a chunk quickly where it is as the form says."""
        chunk = read_chunk(data)
        if chunk is not None and chunk.choices and not (chunk.error or chunk.base_resp):
            self._take_chunk(chunk)
        else:
            super().take_json(data)

    def take_document(self, document: dict[str, JsonValue]) -> None:
        """Take a chunk that is not quite as the form says, has no choices, or may report an error."""
        chunk = chunk_of(document)
        if error_within(document, has_choices=bool(chunk.choices)):
            self.take_error(error_of(document))
        elif chunk.choices:
            self._take_chunk(chunk)
        elif not self.is_of_another(chunk.id):
            self.add_usage(document)
            self._take_facts(chunk)

    def _take_chunk(self, chunk: Chunk) -> None:
        if self._word is not None and self.is_of_another(chunk.id):
            return
        self.has_begun = True
        if chunk.id != self.response_id:
            self.note_id(chunk.id)
        if chunk.usage or chunk.model != self._named or chunk.x_groq or chunk.usage_metadata:
            self._take_facts(chunk)
        for place, choice in enumerate(chunk.choices or ()):
            index = place if choice.index is None else choice.index
            if not (index and is_of_another_choice(index)):
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
        if choice.error and says_something(choice.error):
            self.take_error(error_of(choice.error))
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
                if self._is_plain is None:
                    self._is_plain = True
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
