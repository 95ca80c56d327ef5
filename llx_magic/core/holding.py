"""The places of a common limit of requests at once that this process holds.

A process holds as many as it has requests under way, and gives them back when it has not needed them for a moment.
Where others lack some, each gets an equal part; where there are more processes than places, they take turns.
"""

from __future__ import annotations

import msgspec

from llx_magic.core.sharing import Held, HoldWanted

LONGEST_PAUSE = 1.0
"""How long the server can say to wait at most before it is asked again."""


SOON_SECONDS = 0.005
"""When to look again for an answer that is on its way."""


class Holding(msgspec.Struct):
    """How many places are ``held``; ``most`` is how many were needed since that was last looked at.

    ``asked_at`` is when the server was asked, as long as no answer has come; before ``next_at`` it need not be. Where
    places are ``scarce``, others lack some of those that are held here.
    """

    held: int = 0
    most: int = 0
    asked_at: float | None = None
    next_at: float = 0.0
    scarce: bool = False

    def look_at(self, now: float) -> float:
        """Return when to look again, where there is no place now."""
        return max(self.next_at, now + SOON_SECONDS)

    def due_at(self, now: float) -> float | None:
        """Return when there may be a place, where there is none: soon, if nobody has asked; else nobody knows."""
        return now + SOON_SECONDS if self.asked_at is None and now >= self.next_at else None

    def need(self, in_use: int, more: int, limit: int, now: float) -> HoldWanted | None:
        """Return what to ask the server for, where there is no place for ``more`` beside those in use."""
        self.most = max(self.most, min(in_use + more, limit))
        if self.held > in_use or in_use >= limit or self.asked_at is not None or now < self.next_at:
            return None
        return self.ask(in_use, in_use + more, limit, now)

    def ask(self, in_use: int, wanted: int, limit: int, now: float) -> HoldWanted:
        """Ask for so many; what is not in use may be another one's until the answer comes."""
        self.asked_at, self.held = now, min(self.held, in_use)
        return HoldWanted(min(wanted, limit), in_use, limit)

    def has_ended(self, in_use: int, waiting: int, limit: int, now: float) -> HoldWanted | None:
        """Return what to say when a request has ended: its place is another one's where places are scarce."""
        if not self.scarce or self.held <= in_use or self.asked_at is not None:
            return None
        return self.ask(in_use, in_use + waiting, limit, now)

    def renew(self, in_use: int, limit: int, now: float) -> HoldWanted | None:
        """Return what to say from time to time: that the places are held still, or that they were not needed."""
        most, self.most = max(self.most, in_use), in_use
        if self.asked_at is not None or not (self.held or in_use):
            return None
        return self.ask(in_use, most, limit, now)

    def hear(self, answer: Held, limit: int, now: float) -> None:
        """Take the answer."""
        self.asked_at, self.held, self.scarce = None, max(0, min(answer.places, limit)), answer.scarce
        self.next_at = now + max(0.0, min(answer.wait, LONGEST_PAUSE)) if answer.wait > 0 else 0.0

    def lose(self) -> None:
        """Forget all: who gave the places does not answer."""
        self.held, self.asked_at, self.next_at, self.scarce = 0, None, 0.0, False
