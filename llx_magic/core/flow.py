"""How many rows a second a backend takes, learnt from its refusals.

One that names a wait mostly counts requests in a time, and saves up what was not used. So the rows that it took until
it refused one say too much of its rate, by what it had saved; by the time of the whole cycle, the wait included, they
say too little. The rate is taken to be the geometric mean of both. Where that is still too high, the next one comes
soon; the longer one takes to come, the closer the two are together.

Some services save up nothing: of two rows at once they refuse one, however few are under way, as nginx does without a
burst (https://nginx.org/en/docs/http/ngx_http_limit_req_module.html). There rows are kept at an even distance. Whether
it is so, a trial tells: a second row, sent half-way through the reply to the first. Where that is borne, the distance
gets shorter with each row, until one is refused.
"""

from __future__ import annotations

import math

import msgspec

BELOW = 0.95
"""Which share of the estimated rate rows are sent at."""

FEWEST = 16
"""How many rows there must have been for a rate where no wait is named: such a refusal may come from chance."""

RARELY, WAITS = 40, 2.0
"""How many answers, and how many times the last wait, there are before a higher rate is tried."""

FIRST_STEP = 0.04
"""By how much the rate rises at first, if many rows told it; each further rise is twice as large."""

FELT = 0.85
"""From what share of the rate on rows are held back by it, and not by something else."""

LATE_SECONDS = 0.05
"""How far rows may be ahead of an even rate: timers are late, and one that wakes may send several.

After each refusal it is half of that, since some services count within very short times.
"""

SHORTEST_SECONDS = 0.05
"""The shortest time that a rate is told from."""

LONGEST_SECONDS = 60.0
"""The longest wait that tells of a rate: a longer one is for a quota, of an hour or a day, that is used up.

Fewer rows than the wait has seconds tell nothing either: the quota of a minute may have been used up before.
"""

RISE, RISE_SECONDS = 1.15, 0.2
"""By how much the rate rises with each row while it is sought, and how soon again: a refusal takes its time to come."""

ROUNDING = 1e-6
"""What sums of times may be wrong by, in rows."""


class Flow(msgspec.Struct):
    """The rate of one backend, the clock an argument; ``per_second`` is 0 where rows need not be spaced.

    ``sent`` counts the rows since ``began``: the first row, or the end of the last wait. ``mark`` is the largest power
    of two that it has reached, at ``mark_at``; at ``half_at`` it had reached half of that. ``next_at`` is when the next
    row would go at an even rate, ``wait`` how long the last wait was, ``raised_at`` when the rate rose last. The rate
    was told from ``basis`` rows; rows may be ``late`` seconds ahead of it, or none where they are kept at an even
    distance. ``least_gap`` is the shortest time between two answers, of which the last came at ``answered_at``;
    ``sent_at`` is when the last row was sent. Whether an even distance is what matters may be on trial; if so, the rate
    rises then.
    """

    per_second: float = 0.0
    began: float = 0.0
    sent: int = 0
    mark: int = 1
    mark_at: float = 0.0
    half_at: float = 0.0
    next_at: float = 0.0
    answered: int = 0
    basis: float = RARELY
    late: float = LATE_SECONDS
    least_gap: float = LONGEST_SECONDS
    answered_at: float = -LONGEST_SECONDS
    step: float = FIRST_STEP
    wait: float = 0.0
    raised_at: float = 0.0
    cut_at: float = -1.0
    sent_at: float = 0.0
    is_on_trial: bool = False
    is_rising: bool = False

    @property
    def is_even(self) -> bool:
        """Whether rows are kept at an even distance."""
        return self.late == 0.0

    def places(self, now: float) -> int:
        """Return how many rows may go now."""
        ahead = max(0.0, self.next_at - now)
        return max(0, math.floor((self.late - ahead) * self.per_second + ROUNDING) + 1)

    @property
    def due_at(self) -> float:
        """When the next rows had best go, where none may now."""
        return self.next_at - self.late / 2

    def admit(self, now: float) -> None:
        """Count a row that is sent; while the rate is sought, it rises with each row that had to wait for its turn."""
        had_to_wait = (now - self.next_at) * self.per_second < 0.5
        if self.is_rising and had_to_wait and now >= self.raised_at + RISE_SECONDS:
            self.per_second, self.raised_at = RISE * self.per_second, now
        self.sent_at = now
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
        """Count an answer; after many, a higher rate is tried, and sooner where few rows told the one that is known."""
        self.least_gap, self.answered_at = min(self.least_gap, now - self.answered_at), now
        if not self.per_second or self.is_on_trial or self.is_rising:
            return
        self.answered += 1
        waits = min(WAITS, self.basis) * self.wait
        if self.answered >= min(RARELY, 4 * self.basis) and now >= self.raised_at + waits and self.is_felt(now):
            self.per_second *= 1.0 + self.step
            self.answered, self.step, self.raised_at = 0, 2.0 * self.step, now

    def refused(self, admitted_at: float, now: float, until: float) -> None:
        """Take a refusal of what was admitted then; the server wants to be left alone until a time, or names none."""
        if admitted_at <= self.cut_at or (until <= now and self.sent < FEWEST and not self.is_even):
            return
        wait = until - now
        if self.is_even:
            self._refused_evenly()
        else:
            if self.per_second:
                self.late *= 0.5
            if max(1.0, wait) <= min(self.sent, LONGEST_SECONDS):
                self._estimate(now, wait)
        self.wait, self.cut_at = wait, now
        self._begin_anew(until)

    def blames_distance(self, now: float) -> bool:
        """Return whether a refusal is for the distance between rows, of which some were answered since the last one."""
        return self.is_even and (self.is_rising or (self.answered > 0 and self.is_felt(now)))

    def try_distance(self, now: float) -> None:
        """Put on trial whether rows are borne at half the time that the one under way took, which was sent alone."""
        rate = 2.0 / max(now - self.sent_at, SHORTEST_SECONDS)
        if not self.per_second or self.per_second > rate or self.is_on_trial:
            self.per_second, self.late, self.is_on_trial = rate, 0.0, True
            self._begin_anew(max(now, self.sent_at + 1.0 / rate))

    def end_trial(self, now: float) -> None:
        """Take that rows are not borne at a distance either: it is the one under way that keeps the others away."""
        self.per_second, self.late, self.is_on_trial = 0.0, LATE_SECONDS, False
        self._begin_anew(now)

    def seek(self) -> None:
        """Let the rate rise until a row is refused, since two that were not sent at once were both borne."""
        self.is_on_trial, self.is_rising = False, True

    def refused_alone(self, now: float) -> None:
        """Take that a row was refused for no named time while no other was under way: answers cannot come closer."""
        self.is_on_trial = self.is_rising = False
        if self.least_gap < LONGEST_SECONDS:
            self.per_second, self.late = BELOW / max(self.least_gap, SHORTEST_SECONDS), 0.0
            self._begin_anew(max(now, self.answered_at + self.least_gap))
        self.least_gap = LONGEST_SECONDS

    def _begin_anew(self, at: float) -> None:
        self.began, self.sent, self.mark, self.next_at = at, 0, 1, at
        self.answered, self.step, self.raised_at = 0, max(FIRST_STEP, 1.0 / self.basis), at

    def _refused_evenly(self) -> None:
        """Go back to the rate before it rose last."""
        last_step = self.step / 2.0 if self.step > FIRST_STEP else 0.0
        self.per_second *= BELOW / (RISE if self.is_rising else 1.0 + last_step)
        self.is_rising, self.basis = False, RARELY

    def _estimate(self, now: float, wait: float) -> None:
        active = max(SHORTEST_SECONDS, now - self.half_at)
        self.basis = max(1.0, self.sent - self.mark / 2 - 1.0)
        rate = self.basis / math.sqrt(active * (active + wait))
        self.per_second = BELOW * (min(self.per_second, rate) if self.per_second else rate)
