"""The turns of a conversation, and the file that holds them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from llx_magic.core.message import Message
from llx_magic.core.reply import Reply
from llx_magic.errors import UsageProblem
from llx_magic.text.screen import one_line
from llx_magic.text.wording import shown_path

VERSION = 1
MOST_TURNS = 1000
MOST_BYTES = 8 << 20

_REMEDY = "the most it may have; clear it, or go on in another"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One prompt and the reply it got.

    ``cell`` identifies the notebook cell that asked, or its place in the run of a notebook that a program executes;
    None where it has no identity. ``at`` is the time of the reply in
    UTC as ISO 8601. ``system`` is the system prompt that was given with this turn, None for none.
    """

    cell: str | None
    prompt: str
    reply: str
    backend: str
    model: str
    at: str
    system: str | None = None


class Before(NamedTuple):
    """What was said before a turn: its messages, user and assistant alternating, and the system prompt given last."""

    messages: tuple[Message, ...] = ()
    system: str | None = None

    @classmethod
    def of(cls, turns: tuple[Turn, ...]) -> Before:
        """Return what some turns say."""
        said = ((Message("user", turn.prompt), Message("assistant", turn.reply)) for turn in turns)
        system = next((turn.system for turn in reversed(turns) if turn.system is not None), None)
        return cls(tuple(chain.from_iterable(said)), system)


def turn_of(reply: Reply, prompt: str, *, cell: str | None, unix_seconds: float, system: str | None = None) -> Turn:
    """Return the turn that a prompt and its reply make; ``unix_seconds`` is when the reply came."""
    at = dt.datetime.fromtimestamp(unix_seconds, dt.UTC).isoformat(timespec="milliseconds")
    return Turn(
        cell=cell, prompt=prompt, reply=reply.text, backend=reply.backend, model=reply.model, at=at, system=system
    )


def described(name: str | None) -> str:
    """Return how a message calls a conversation."""
    return f"conversation {name}" if name else "the unnamed conversation"


def counted(turns: int) -> str:
    """Return a number of turns in words."""
    return "no turns" if not turns else "1 turn" if turns == 1 else f"{turns} turns"


@dataclass(frozen=True, slots=True)
class _Head:
    version: int


@dataclass(frozen=True, slots=True)
class _File:
    version: int
    turns: tuple[Turn, ...]


def decode(path: Path, content: bytes) -> tuple[Turn, ...]:
    """Return the turns of a conversation's file.

    Raises:
        UsageProblem: for a file that is too large, broken, or of a newer version.
    """
    import msgspec

    if len(content) > MOST_BYTES:
        raise UsageProblem(
            f"{shown_path(path)}: is larger than {MOST_BYTES >> 20} MiB, the most a conversation may have"
        )
    try:
        version = msgspec.json.decode(content, type=_Head).version
        if version <= VERSION:
            return msgspec.json.decode(content, type=_File).turns
    except (msgspec.MsgspecError, RecursionError, ValueError) as problem:
        why = one_line(str(problem), 200)
    else:
        raise UsageProblem(
            f"{shown_path(path)}: has version {version}, made by a newer llx_magic; this one reads {VERSION}"
        )
    raise UsageProblem(f"{shown_path(path)}: is no conversation ({why}); repair the file, or delete the conversation")


def encode(name: str | None, turns: tuple[Turn, ...]) -> bytes:
    """Return the file of a conversation.

    Raises:
        UsageProblem: where it has too many turns or would be too large.
    """
    import msgspec

    if len(turns) > MOST_TURNS:
        raise too_long(name)
    content = msgspec.json.format(msgspec.json.encode(_File(VERSION, turns)), indent=1) + b"\n"
    if len(content) > MOST_BYTES:
        raise UsageProblem(f"{described(name)} would be larger than {MOST_BYTES >> 20} MiB, {_REMEDY}")
    return content


def too_long(name: str | None) -> UsageProblem:
    """Return the error of a conversation that has no room for another turn."""
    return UsageProblem(f"{described(name)} has {MOST_TURNS} turns, {_REMEDY}")


def storable(turn: Turn) -> Turn:
    """Return the turn with ``?`` for half characters, which no file in UTF-8 can hold."""
    return replace(
        turn,
        prompt=_whole(turn.prompt),
        reply=_whole(turn.reply),
        backend=_whole(turn.backend),
        model=_whole(turn.model),
        system=None if turn.system is None else _whole(turn.system),
    )


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
