"""How fast a backend that limits its rate may be asked again while others still wait.

Two kinds of limit answer 429: so many requests in a time, and so many at once. Neither is told, so both are learnt from
what was let through before the last refusal. A refusal that met a request alone can only be of the first kind.
"""

from __future__ import annotations

import msgspec

UNTROUBLED = 4
"""After so many times the last cool-down without a refusal the backend may be asked twice as much at once."""

UNKNOWN = 1_000_000
"""So many at once are more than any request count: how many the backend takes at once is not known."""


class Pace(msgspec.Struct):
    """How many requests may be under way at one backend, from the end of a cool-down to its next refusal.

    Such a stretch begins with one request alone. When it got through, as many follow as got through in the last
    stretch, and then one alone again, two, four and so on, so that about one refusal in each stretch finds the limit.
    ``budget`` is that number; ``through`` got through in this stretch.
    """

    refused_at: float
    cool_down: float
    budget: int | None = None
    through: int = 0
    growing: int = 1
    at_once: int = UNKNOWN

    def begin(self) -> None:
        """Start a stretch: the one that went first after a cool-down got through."""
        self.budget = self.through or self.budget
        self.through = 1
        self.growing = 1 if self.budget else 2

    def passed(self, now: float) -> None:
        """Note that a further request got through."""
        self.through += 1
        if self.budget is None or self.through > self.budget:
            self.growing += 1  # one more for each, so twice as many in each round
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
