"""The turns of a conversation: text, and the images and files that stand in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal, NamedTuple

from llx_magic.text.screen import one_line


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a prompt: its bytes, or the https address where the server finds it.

    ``source`` is what the user gives: a path, bytes, an https address, a figure of matplotlib, an image of PIL or
    IPython, or an array of numpy. It is read when the prompt is asked, which leaves None there and fills in the rest.
    ``media_type`` is the one of its bytes (``image/png``); empty for an address. ``name`` is what the user calls it,
    and is not sent. ``size`` is its width and height in pixels, where they are known.
    """

    source: object = field(default=None, repr=False)
    _: KW_ONLY
    media_type: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = ""
    name: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A file in a prompt, such as a PDF: its bytes, or the https address where the server finds it.

    ``source`` is what the user gives: a path, bytes, or an https address. It is read when the prompt is asked, which
    leaves None there and fills in the rest. ``name`` is what the model is told that it is called.
    """

    source: object = field(default=None, repr=False)
    _: KW_ONLY
    media_type: str = ""
    data: bytes = field(default=b"", repr=False)
    url: str = ""
    name: str = "file"


Piece = str | Image | File
"""What a message is made of."""

Content = str | tuple[Piece, ...]
"""What a message says and shows: a text, or pieces in their order."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation: a text, or texts, images and files in their order."""

    role: Literal["system", "user", "assistant"]
    content: Content

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

    def noted(self, note: Callable[[Image | File], str] | None = None) -> str:
        """Return its texts, each image and file as a note in its place, which by default is its label."""
        said = ""
        for piece in self.pieces:
            part = piece if isinstance(piece, str) else f"[{(note or label_of)(piece)}]"
            apart = not said or said[-1].isspace() or part[:1].isspace()
            said += part if apart else f" {part}"
        return said

    @property
    def is_blank(self) -> bool:
        """Whether it says and shows nothing."""
        if isinstance(self.content, str):
            return not self.content.strip()
        return not any(not isinstance(piece, str) or piece.strip() for piece in self.content)


def label_of(piece: Image | File) -> str:
    """Return what a person is told that an image or a file is: ``image plot.png``."""
    kind = "image" if isinstance(piece, Image) else "file"
    return one_line(f"{kind} {piece.name or piece.url}", 100).rstrip()


def attachments(messages: Iterable[Message]) -> Iterator[Image | File]:
    """Yield the images and files of messages, in their order."""
    for message in messages:
        yield from (piece for piece in message.pieces if not isinstance(piece, str))


class Takes(NamedTuple):
    """What a backend takes in a prompt beside text, or what a prompt holds."""

    images: bool = False
    files: bool = False

    def refusal(self, held: Takes) -> str | None:
        """Return why it cannot be asked what holds these, as in "does not take images"; None where it can."""
        lacking = [what for what, is_held, is_taken in zip(self._fields, held, self, strict=True) if is_held > is_taken]
        return f"does not take {' or '.join(lacking)}" if lacking else None


TEXT_ONLY = Takes()
"""What takes nothing beside text."""


def held_by(messages: Iterable[Message]) -> Takes:
    """Return what messages hold beside text."""
    kinds = {type(piece) for message in messages if not isinstance(message.content, str) for piece in message.content}
    return Takes(Image in kinds, File in kinds) if kinds else TEXT_ONLY
