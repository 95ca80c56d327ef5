"""How fast a backend that limits its rate may be asked again while others still wait.

A server may limit how many requests it takes in a time, or how many at once. It answers 429 to both and tells neither
number, so both are estimated from what it let through before the last refusal. If the request that was refused was the
only one under way, the limit is one of the first kind.
"""

from __future__ import annotations

import msgspec

UNTROUBLED = 4
"""If nothing was refused for so many times the last cool-down, twice as many requests may be under way at once."""

UNKNOWN = 1_000_000
"""Stands for the number that the backend takes at once while that is not known: larger than any that occurs."""


class Pace(msgspec.Struct):
    """How many requests may be under way at one backend, from the end of a cool-down to its next refusal.

    That time is a round. It begins with one request alone. When that one has got through, as many follow as got through
    in the last round (``budget``); then one alone again, two, four and so on, so that about one refusal in each round
    finds the limit. ``through`` counts those that got through in this round.
    """

    refused_at: float
    cool_down: float
    budget: int | None = None
    through: int = 0
    growing: int = 1
    at_once: int = UNKNOWN

    def begin(self) -> None:
        """Start a round: the request that went first after a cool-down got through."""
        self.budget = self.through or self.budget
        self.through = 1
        self.growing = 1 if self.budget else 2

    def passed(self, now: float) -> None:
        """Note that a further request got through."""
        self.through += 1
        if self.budget is None or self.through > self.budget:
            self.growing += 1  # one more for each that gets through doubles the number each time
        if now - self.refused_at >= UNTROUBLED * self.cool_down:
            self.at_once = min(2 * self.at_once, UNKNOWN)
            self.refused_at = now

    def refused(self, now: float, *, cool_down: float, others: int | None) -> None:
        """Note a refusal for ``cool_down`` seconds; ``others`` were under way beside it, None where it went first."""
        self.refused_at, self.cool_down = now, cool_down
        if others:
            self.at_once = min(self.at_once, others)
        elif others == 0:
            self.at_once = min(2 * self.at_once, UNKNOWN)

    def is_over(self, now: float) -> bool:
        """Return whether nothing has been refused for so long that nobody needs to be held back any more."""
        return now - self.refused_at >= UNTROUBLED * self.cool_down

    @property
    def at_most(self) -> int:
        """How many requests may be under way at this moment."""
        if self.budget is None or self.through >= self.budget:
            return min(self.growing, self.at_once)
        return min(self.budget - self.through, self.at_once)
