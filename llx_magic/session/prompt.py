"""What a prompt may be, and the messages that it is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from llx_magic.core.message import File, Image, Message, Piece, Takes, held_by
from llx_magic.engine.plan import Candidate
from llx_magic.errors import UsageProblem
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.reading import read

Prompt = str | Image | File | Sequence[Message | Piece]
"""What can be asked: a text, an image or a file, several of them in their order, or a conversation that ends so."""


def read_pieces(messages: tuple[Message, ...], longest: int) -> tuple[Message, ...]:
    """Return messages whose images and files are read; no side of an image is longer than that afterwards.

    Raises:
        UsageProblem: where one cannot be read.
    """
    try:
        return read(messages, longest)
    except UnreadableError as problem:
        raise UsageProblem(f"{problem}; nothing was sent") from None


def taken_by(candidates: tuple[Candidate, ...], messages: tuple[Message, ...]) -> Takes:
    """Return what messages hold beside text.

    Raises:
        UsageProblem: where nobody takes it.
    """
    held = held_by(messages)
    refusals = [(each.backend.name, each.takes.refusal(held)) for each in candidates] if any(held) else []
    if refusals and all(why for _name, why in refusals):
        said = ", ".join(dict.fromkeys(f"{name} {why}" for name, why in refusals))
        raise UsageProblem(f"nobody can be asked this: {said}; nothing was sent")
    return held


def conversation_of(prompt: object) -> tuple[Message, ...]:
    """Return the messages that a prompt is; pieces that follow each other are one of the user's.

    Raises:
        UsageProblem: for anything else, which a caller without a type checker may give.
    """
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    parts = tuple(prompt) if isinstance(prompt, Sequence) else (prompt,)
    if wrong := [part for part in parts if not isinstance(part, Message | Piece)]:
        allowed = "a text, or a sequence of texts, images, files and messages"
        raise UsageProblem(f"the prompt must be {allowed}; got {type(wrong[0]).__name__}")
    said: list[Message] = []
    for is_message, group in groupby(parts, lambda part: isinstance(part, Message)):
        together = tuple(group)
        said += together if is_message else (Message("user", together),)
    return tuple(said)
