"""How much of something was sent in the last minute, so that a limit of it is never exceeded in any minute.

A limit that is large beside one request is used evenly, since services hold many of them to account by the second.
"""

from __future__ import annotations

import math

import msgspec

SPAN = 61.0
"""For how many seconds something counts: a minute, and one more, since some arrive later than others."""

GRAIN_SECONDS = 0.25
"""What is sent within the same grain shares an entry; it counts until the grain's end would be over."""

BURST_SECONDS = 1.0
"""How far what is sent may be ahead of an even rate."""

LARGE = 60.0
"""From how many requests a minute on they are spaced: about one each second."""

ROUNDING = 1e-6
"""How much a sum of times may be wrong by."""


class Minute(msgspec.Struct):
    """What was sent, by the time of its grain, oldest first; ``next_at`` is when the next would go at an even rate."""

    entries: list[tuple[float, float]] = []
    total: float = 0.0
    next_at: float = 0.0

    def places(self, limit: float, one: float, now: float) -> int:
        """Return how many requests may be sent now that take ``one`` each; one beyond the limit goes all alone."""
        used = self._used(now)
        if one > limit:
            return 0 if used else 1
        places = math.floor((limit - used) / one + ROUNDING)
        if limit >= LARGE * one:
            ahead = max(0.0, self.next_at - now)
            places = min(places, math.floor((BURST_SECONDS - ahead) / self._apart(limit, one) + ROUNDING) + 1)
        return max(0, places)

    def left(self, limit: float, now: float) -> int:
        """Return how much of the limit is left, however evenly it is used."""
        return math.floor(limit - self._used(now) + ROUNDING)

    def due_at(self, limit: float, one: float, now: float) -> float:
        """Return when the next request may be sent, where none may now."""
        spaced = self.next_at - BURST_SECONDS if limit >= LARGE * one else now
        over = self._used(now) + min(one, limit) - limit
        freed = now
        for at, sent in self.entries:
            if over <= ROUNDING:
                break
            if at + GRAIN_SECONDS + SPAN > now:
                over -= sent
                freed = at + GRAIN_SECONDS + SPAN
        return max(now, spaced, freed)

    def take(self, limit: float, one: float, now: float) -> None:
        """Count what is sent."""
        self._forget(now)
        self.next_at = max(self.next_at, now) + self._apart(limit, one)
        self._add(now, one)

    def part_at(self, at: float) -> None:
        """Let what is sent from then on have entries of its own."""
        if self.entries and self.entries[-1][0] < at:
            self.entries.append((at, 0.0))

    def correct(self, at: float, difference: float) -> None:
        """Take that what was sent then took so much more, or less, than was expected."""
        for place, (began, sent) in enumerate(self.entries):
            if began <= at < began + GRAIN_SECONDS:
                difference = max(difference, -sent)
                self.entries[place] = (began, sent + difference)
                self.total += difference
                return

    def _apart(self, limit: float, one: float) -> float:
        return (SPAN + GRAIN_SECONDS) * one / limit

    def _add(self, now: float, one: float) -> None:
        if self.entries and now < self.entries[-1][0] + GRAIN_SECONDS:
            began, sent = self.entries[-1]
            self.entries[-1] = (began, sent + one)
        else:
            self.entries.append((now, one))
        self.total += one

    def _used(self, now: float) -> float:
        return self.total - sum(sent for _, sent in self.entries[: self._old(now)])

    def _forget(self, now: float) -> None:
        old = self._old(now)
        self.total -= sum(sent for _, sent in self.entries[:old])
        del self.entries[:old]
        if not self.entries:
            self.total = 0.0

    def _old(self, now: float) -> int:
        old = 0
        while old < len(self.entries) and self.entries[old][0] + GRAIN_SECONDS + SPAN <= now:
            old += 1
        return old
