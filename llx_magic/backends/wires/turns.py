"""Messages as turns that alternate, for the forms in which what the system says stands apart from them. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llx_magic.backends.wires.wire import unsayable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llx_magic.core.message import Message, Piece


class Turns(NamedTuple):
    """What the system says, and who says what after it: ``user`` or ``assistant``, by turns."""

    system: list[str]
    turns: list[tuple[str, list[Piece]]]


def turns_of(messages: Iterable[Message], *, apart: bool = True) -> Turns:
    """Return messages as turns: those of one role that follow each other become one.

    Blank texts are left out, and so is the white space after an assistant's last words, which the model is to go on
    with: the services refuse both. Where the system's words may not stand ``apart``, or are all there is, they stand
    before what the user says first.

    Raises:
        BackendFailed: of kind bad request, where nothing is said at all, where the user does not speak first, and where
            an image or a file stands in a system prompt.
    """
    system: list[str] = []
    turns: list[tuple[str, list[Piece]]] = []
    for message in messages:
        pieces = [piece for piece in message.pieces if not isinstance(piece, str) or piece.strip()]
        if message.role == "system":
            system += _texts(pieces)
        elif pieces:
            if not turns or turns[-1][0] != message.role:
                turns.append((message.role, []))
            turns[-1][1].extend(pieces)
    if system and not (apart and turns):
        if not turns or turns[0][0] != "user":
            turns.insert(0, ("user", []))
        turns[0][1][:0] = system
        system = []
    if not turns or turns[0][0] != "user":
        raise unsayable("a conversation in which the user does not speak first")
    role, pieces = turns[-1]
    if role == "assistant" and isinstance(words := pieces[-1], str):
        pieces[-1] = words.rstrip()
    return Turns(system, turns)


def _texts(pieces: list[Piece]) -> list[str]:
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if len(texts) < len(pieces):
        raise unsayable("an image or a file in a system prompt: put it into the prompt itself")
    return texts
