"""How many requests are under way at one backend, and how many more may be: the part of a gate that counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llx_magic.core.events import SkipReason
from llx_magic.core.level import Level

if TYPE_CHECKING:
    from llx_magic.settings.declaration import Settings

LOOK_AGAIN_SECONDS = 0.25
"""When to ask again where only something that no row does can make room."""


class Room(NamedTuple):
    """How many rows may be sent to a backend now; where none may, why, and when to ask again.

    ``at`` is a time of the clock, None where that is when one of the rows under way has ended.
    """

    places: int
    at: float | None = None
    reason: SkipReason | None = None
    message: str = ""


class Traffic(msgspec.Struct):
    """What is under way at one backend, rows and others together.

    ``level`` begins with the first row. ``paused_until`` is the end of the latest wait that the server named.
    """

    under_way: int = 0
    rows: int = 0
    level: Level | None = None
    paused_until: float = 0.0

    def room(self, now: float, settings: Settings) -> Room:
        """Return how many rows may be sent now, as far as what is under way tells."""
        if now < self.paused_until:
            return Room(0, self.paused_until, SkipReason.COOLING_DOWN, "cooling down after a rate limit")
        places = int(min((self.level or Level()).at_most, settings.concurrency)) - self.under_way
        if places > 0:
            return Room(places)
        return self.until_one_ends(now, "as many under way as it has been seen to bear")

    def until_one_ends(self, now: float, message: str) -> Room:
        """Return that there is none until one of those under way ends; where no row is, somebody has to look."""
        return Room(0, None if self.rows else now + LOOK_AGAIN_SECONDS, SkipReason.AT_LEVEL, message)

    def admit(self, *, is_row: bool) -> None:
        """Count one that goes to the backend."""
        self.under_way += 1
        if is_row:
            self.rows += 1
            if self.level is None:
                self.level = Level()

    def settle(self, *, is_row: bool) -> None:
        """Count one that has ended."""
        self.under_way -= 1
        self.rows -= is_row

    def answered(self, settings: Settings) -> None:
        """Learn from a row that was answered; it still counts as under way."""
        if self.level is not None:
            self.level.passed(self.under_way, settings.concurrency)

    def pause(self, until: float) -> None:
        """Let no row begin before then, nor before an earlier pause ends."""
        self.paused_until = max(self.paused_until, until)

    def lift(self) -> None:
        """End the wait of rows because the user says so."""
        self.paused_until = 0.0

    def refused(self, admitted_at: float, now: float, wait: float | None) -> None:
        """Learn from a refusal of what was admitted then, a row or not; the server wants to be left alone for ``wait``.

        A later refusal never makes an earlier wait shorter.
        """
        if wait is not None:
            self.pause(now + wait)
        if self.level is not None:
            self.level.refused(admitted_at, now)
