"""How fast a backend that limits its rate may be asked again while others still wait.

Two kinds of limit answer 429: so many requests in a time, and so many at once. Neither is told, so both are learnt from
what was let through before the last refusal. A refusal that met a request alone can only be of the first kind.
"""

from __future__ import annotations

import math

UNTROUBLED = 4
"""After so many times the last cool-down without a refusal the backend may be asked twice as much at once."""


class Pace:
    """How many requests may be under way at one backend, from the end of a cool-down to its next refusal.

    Such a stretch begins with one request alone. When it got through, as many follow as got through in the last
    stretch, and then one alone again, two, four and so on, so that about one refusal in each stretch finds the limit.
    """

    def __init__(self, refused_at: float, cool_down: float) -> None:
        self._refused_at = refused_at
        self._cool_down = cool_down
        self._budget: int | None = None
        self._passed = 0
        self._growing = 1
        self._at_once = math.inf

    def begin(self) -> None:
        """Start a stretch: the one that went first after a cool-down got through."""
        self._budget = self._passed or self._budget
        self._passed = 1
        self._growing = 1 if self._budget else 2

    def passed(self, now: float) -> None:
        """Note that a further request got through."""
        self._passed += 1
        if self._budget is None or self._passed > self._budget:
            self._growing += 1  # one more for each, so twice as many in each round
        if now - self._refused_at >= UNTROUBLED * self._cool_down:
            self._at_once *= 2
            self._refused_at = now

    def refused(self, now: float, *, cool_down: float, others: int | None) -> None:
        """Note a refusal for ``cool_down`` seconds; ``others`` were under way beside it, None where it went first."""
        self._refused_at, self._cool_down = now, cool_down
        if others:
            self._at_once = min(self._at_once, others)
        elif others == 0:
            self._at_once *= 2

    def is_over(self, now: float) -> bool:
        """Return whether nothing has been refused for so long that nobody needs to be held back any more."""
        return now - self._refused_at >= UNTROUBLED * self._cool_down

    @property
    def at_most(self) -> float:
        """How many requests may be under way at this moment."""
        if self._budget is None or self._passed >= self._budget:
            return min(self._growing, self._at_once)
        return min(self._budget - self._passed, self._at_once)
