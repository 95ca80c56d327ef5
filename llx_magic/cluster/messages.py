"""What is said between a run and the engines on the workers: plain data, without any key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from llx_magic.core.message import Message, Takes
from llx_magic.core.progress import Standing
from llx_magic.core.reply import Effort, Reply
from llx_magic.errors import AllBackendsFailed
from llx_magic.settings.declaration import Settings
from llx_magic.text.values import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What an engine needs to ask the rows of one run.

    ``profile`` is the whole profile as a text. ``settings`` and ``params`` are those of each candidate, by name;
    ``backend`` is the only one to be asked, where one was named. ``is_json`` says that a reply is to be JSON, of the
    ``schema`` where there is one.
    """

    profile: str
    backend: str | None
    settings: Mapping[str, Settings]
    params: Mapping[str, Mapping[str, JsonValue]]
    is_json: bool
    schema: Mapping[str, JsonValue] | None
    effort: Effort | None


class Order(NamedTuple):
    """A row to be asked: of whom, and for how many seconds at most."""

    number: int
    messages: tuple[Message, ...]
    held: Takes
    backends: tuple[str, ...]
    seconds: float | None


class Ended(NamedTuple):
    """How a row that was handed over has ended.

    It was answered (``reply``), nobody has answered (``failed``), its time is up (``late``), or it was not asked since
    nobody can be asked there at the moment (``back``). ``fault`` is an error that nobody foresaw.
    """

    number: int
    how: Literal["answered", "failed", "late", "back", "fault"]
    reply: Reply | None = None
    failed: AllBackendsFailed | None = None
    fault: str = ""


class Opening(NamedTuple):
    """How an engine begins: whom it cannot ask and why, and whether its process shares limits with all others."""

    refusals: Mapping[str, str]
    shares: bool


class Limits(NamedTuple):
    """What the limits of the user mean for the workers together.

    They can be divided among so many workers at ``most``; None where there are none. ``per_minute`` says that one of
    them counts what was sent in the last minute.
    """

    most: int | None = None
    per_minute: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an engine tells: the rows that have ended since the last report that arrived, and how it stands.

    ``takes`` is how many rows it wants to have, with those that it has. Where that is none, ``opens_in`` says in how
    many seconds that changes, and ``message`` why. ``refusals`` are the backends that cannot be asked from there.
    """

    number: int = 0
    ended: tuple[Ended, ...] = ()
    takes: int = 0
    in_flight: int = 0
    opens_in: float | None = None
    message: str = ""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """An engine, as a worker holds it: made of a ``Job``."""

    async def open(self, parts: int) -> Opening:
        """Begin, with one of so many parts of the limits that a user has set."""

    async def divide(self, parts: int) -> None:
        """From now on, keep to one of so many parts of these limits."""

    async def give(self, orders: tuple[Order, ...]) -> None:
        """Take further rows."""

    async def report(self, seen: int) -> Report:
        """Return what there is to tell, within a second; the report of the number ``seen`` has arrived."""

    async def close(self) -> None:
        """Break off what is under way, and close its connections."""
