"""The turns of a conversation: text, and the images and files that stand in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture in a prompt: its bytes, or the https address where the server finds it.

    ``media_type`` is the one of its bytes (``image/png``); empty for an address.
    """

    media_type: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file in a prompt, such as a PDF: its bytes, or the https address where the server finds it.

    ``name`` is what the model is told that it is called.
    """

    media_type: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = ""
    name: str = "file"


Piece = str | Image | File
"""What a message is made of."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: a text, or texts, images and files in their order."""

    role: Literal["system", "user", "assistant"]
    content: str | tuple[Piece, ...]

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What it is made of, in its order; a text is one piece."""
        return (self.content,) if isinstance(self.content, str) else self.content

    @property
    def text(self) -> str:
        """Its texts alone, each as a paragraph of its own."""
        if isinstance(self.content, str):
            return self.content
        return "\n\n".join(piece for piece in self.content if isinstance(piece, str))

    @property
    def is_blank(self) -> bool:
        """Whether it says and shows nothing."""
        if isinstance(self.content, str):
            return not self.content.strip()
        return not any(not isinstance(piece, str) or piece.strip() for piece in self.content)


def attachments(messages: tuple[Message, ...]) -> Iterator[Image | File]:
    """Yield the images and files of messages, in their order."""
    for message in messages:
        yield from (piece for piece in message.pieces if not isinstance(piece, str))
