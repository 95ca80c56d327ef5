"""How many rows a second a backend takes, learnt from its refusals.

One that names a wait mostly counts requests in a time, and saves up what was not used. So the rows that it took until
it refused one say too much of its rate, by what it had saved; by the time of the whole cycle, the wait included, they
say too little. The rate is taken to be the geometric mean of both. Where that is still too high, the next one comes
soon; the longer one takes to come, the closer the two are together.
"""

from __future__ import annotations

import math

import msgspec

BELOW = 0.95
"""Which share of the estimated rate rows are sent at."""

FEWEST = 16
"""How many rows there must have been for a rate where no wait is named: such a refusal may come from chance."""

RARELY, WAITS = 40, 4.0
"""How many answers, and how many times the last wait, there are before a higher rate is tried."""

FIRST_STEP = 0.02
"""By how much the rate rises at first; each further rise is twice as large."""

FELT = 0.85
"""From what share of the rate on rows are held back by it, and not by something else."""

LATE_SECONDS = 0.05
"""How far rows may be ahead of an even rate: timers are late, and one that wakes may send several."""

SHORTEST_SECONDS = 0.05
"""The shortest time that a rate is told from."""

LONGEST_SECONDS = 60.0
"""The longest wait that tells of a rate: a longer one is for a quota, of an hour or a day, that is used up.

Fewer rows than the wait has seconds tell nothing either: the quota of a minute may have been used up before.
"""

ROUNDING = 1e-6
"""What sums of times may be wrong by, in rows."""


class Flow(msgspec.Struct):
    """The rate of one backend, the clock an argument; ``per_second`` is 0 where rows need not be spaced.

    ``sent`` counts the rows since ``began``: the first row, or the end of the last wait. ``mark`` is the largest power
    of two that it has reached, at ``mark_at``; at ``half_at`` it had reached half of that. ``next_at`` is when the next
    row would go at an even rate, ``wait`` how long the last wait was, ``raised_at`` when the rate rose last.
    """

    per_second: float = 0.0
    began: float = 0.0
    sent: int = 0
    mark: int = 1
    mark_at: float = 0.0
    half_at: float = 0.0
    next_at: float = 0.0
    answered: int = 0
    step: float = FIRST_STEP
    wait: float = 0.0
    raised_at: float = 0.0
    cut_at: float = -1.0

    def places(self, now: float) -> int:
        """Return how many rows may go now."""
        ahead = max(0.0, self.next_at - now)
        return max(0, math.floor((LATE_SECONDS - ahead) * self.per_second + ROUNDING) + 1)

    @property
    def due_at(self) -> float:
        """When the next rows had best go, where none may now."""
        return self.next_at - LATE_SECONDS / 2

    def admit(self, now: float) -> None:
        """Count a row that is sent."""
        if not self.sent:
            self.began = self.mark_at = self.half_at = max(self.began, now)
        self.sent += 1
        if self.sent == 2 * self.mark:
            self.mark, self.half_at, self.mark_at = self.sent, self.mark_at, now
        if self.per_second:
            self.next_at = max(self.next_at, now) + 1.0 / self.per_second

    def is_felt(self, now: float) -> bool:
        """Return whether it is this rate that holds rows back, or none is known yet."""
        return self.sent >= FELT * self.per_second * (now - self.began)

    def passed(self, now: float) -> None:
        """Count an answer; after many, a higher rate is tried."""
        if not self.per_second:
            return
        self.answered += 1
        if self.answered >= RARELY and now >= self.raised_at + WAITS * self.wait and self.is_felt(now):
            self.per_second *= 1.0 + self.step
            self.answered, self.step, self.raised_at = 0, 2.0 * self.step, now

    def refused(self, admitted_at: float, now: float, until: float) -> None:
        """Take a refusal of what was admitted then; the server wants to be left alone until a time, or names none."""
        if admitted_at <= self.cut_at or (until <= now and self.sent < FEWEST):
            return
        wait = until - now
        if max(1.0, wait) <= min(self.sent, LONGEST_SECONDS):
            self._estimate(now, wait)
        self.began, self.sent, self.mark, self.next_at = until, 0, 1, until
        self.answered, self.step, self.wait, self.raised_at, self.cut_at = 0, FIRST_STEP, wait, until, now

    def _estimate(self, now: float, wait: float) -> None:
        active = max(SHORTEST_SECONDS, now - self.half_at)
        taken = max(1.0, self.sent - self.mark / 2 - 1.0)
        rate = taken / math.sqrt(active * (active + wait))
        self.per_second = BELOW * (min(self.per_second, rate) if self.per_second else rate)
