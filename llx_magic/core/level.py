"""How many rows at once a backend bears, found out by what becomes of them: from nothing told, and without end.

The level grows by one for each answer (so it doubles in the time of a reply) until something is refused; then it falls
by a third, once for all that were under way together, returns most of the way quickly and feels beyond it ever faster:
additive increase and multiplicative decrease, as TCP does it (https://www.rfc-editor.org/rfc/rfc5681#section-3.1), with
the return of CUBIC (https://www.rfc-editor.org/rfc/rfc9438#section-4). A server that queues refuses nothing: there the
time to the first token tells, never that of the whole reply, which is its length.
"""

from __future__ import annotations

import msgspec

START = 4.0
"""How many rows begin."""

CUT = 0.7
"""What is left of the level when something is refused."""

SATURATED = 0.8
"""From what share of the level on an answer teaches anything: where fewer are under way, they prove nothing."""

NEAR_WALL = 0.95
"""Up to what share of the level at the last refusal the return is quick."""

RETURN = 4.0
"""How many places each round gives back on the quick return."""

FIRST_STEP = 0.25
"""How many places the first round beyond gives; each round without a refusal doubles it."""

UNKNOWN = 1_000_000.0
"""Stands for a wall that is not known: higher than any level."""


class Level(msgspec.Struct):
    """The level of one backend, the clock an argument.

    ``at_most`` rows may be under way. ``wall`` is the level at the last refusal, ``cut_at`` when it was: what was sent
    before that tells nothing more. ``step`` and ``answered`` belong to the round that goes on beyond the wall.
    Times are seconds of a monotonic clock.
    """

    at_most: float = START
    wall: float = UNKNOWN
    cut_at: float = -1.0
    step: float = FIRST_STEP
    answered: int = 0
    is_starting: bool = True

    def refused(self, admitted_at: float, now: float) -> None:
        """Take a refusal of what was admitted then."""
        if admitted_at <= self.cut_at:
            return
        self.wall, self.at_most = self.at_most, max(1.0, CUT * self.at_most)
        self.cut_at, self.step, self.answered, self.is_starting = now, FIRST_STEP, 0, False

    def passed(self, under_way: int, ceiling: float) -> None:
        """Take an answer; ``under_way`` were so many, itself among them, and the level need not exceed ``ceiling``."""
        if under_way < SATURATED * min(self.at_most, ceiling):
            return
        if self.is_starting:
            self.at_most += 1.0
        elif self.at_most < NEAR_WALL * self.wall:
            self.at_most += RETURN / self.at_most
        else:
            self.at_most += self.step / self.at_most
            self.answered += 1
            if self.answered >= self.at_most:
                self.answered, self.step = 0, 2 * self.step
        self.at_most = min(self.at_most, ceiling)
