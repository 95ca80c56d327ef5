"""What is left of the limits that a service tells of, kept up to date between its replies.

A reply tells what was left when its request came. From then on the limit fills up, and what is sent is taken off. Most
services fill up bit by bit; one that sets all back at once is known by a reset that is too far away for that.
"""

from __future__ import annotations

import msgspec

from llx_magic.core.load import PLENTY, Load
from llx_magic.core.rate_facts import Allowance, Measure, RateFacts

PART = 0.99
"""Which part of the told rate is used: clocks differ."""

KEPT, KEPT_AT_MOST = 0.1, 3.0
"""Which part of the most that was ever left is kept back, and how many times a request at most: networks differ."""

HELD_UP_SECONDS = 0.06
"""What comes back in this time is kept back too, up to half of all: requests that were held up arrive together."""

SLACK_SECONDS, SLACK = 1.0, 0.05
"""How much later than its rate says a limit may be full: in seconds, since many round, and in windows."""

ROUNDING = 1e-6
"""How much a sum of times may be wrong by."""

LEAST = 1e-9
"""Stands for what a request takes of a limit while that is not known yet."""


class Told(msgspec.Struct):
    """One limit: at most ``limit`` in ``window`` seconds, of which ``left`` was left at ``at``.

    All is left again at ``resets_at``; ``is_filled_at_once`` says that nothing is before that. ``most`` is the most
    that was ever seen to be left.
    """

    measure: Measure
    window: float | None
    at: float
    limit: float | None = None
    left: float = 0.0
    most: float = 0.0
    resets_at: float | None = None
    is_filled_at_once: bool = False

    @property
    def rate(self) -> float:
        """How much of it comes back in a second; 0 where it comes back at once."""
        if self.is_filled_at_once or self.limit is None or self.window is None:
            return 0.0
        return PART * self.limit / self.window

    @property
    def can_be_told(self) -> bool:
        """Whether anybody knows when there is more; otherwise only asking tells."""
        return self.rate > 0 or self.resets_at is not None

    def holds(self, one: float) -> float:
        """Return how much there can be left: all where it is set back at once, else as much as was ever seen."""
        if self.is_filled_at_once and self.limit is not None:
            return self.limit
        return max(self.most, one if self.limit is None else min(one, self.limit))

    def available(self, now: float, one: float) -> float:
        """Return how much is left now, where one request takes so much."""
        if self.rate:
            return min(self.holds(one), self.left + self.rate * (now - self.at))
        return self.holds(one) if self.resets_at is not None and now >= self.resets_at else self.left

    def kept(self, most: float, one: float) -> float:
        """Return how much is kept back of so much; nothing of what is set back at once, where the count alone tells."""
        if not self.rate:
            return 0.0
        return min(most / 2, max(min(KEPT * most, KEPT_AT_MOST * one), HELD_UP_SECONDS * self.rate))

    def due_at(self, missing: float, now: float) -> float:
        """Return when so much more is left."""
        return now + missing / self.rate if self.rate else max(now, self.resets_at or now)

    def take(self, taken: float, now: float) -> None:
        """Take off what is sent."""
        left = self.available(now, taken)
        if not self.rate and self.resets_at is not None and now >= self.resets_at:
            self.resets_at = None if self.window is None else now + self.window
        self.left, self.at = left - taken, now

    def learn(self, told: Allowance, since: float, as_of: float, now: float) -> None:
        """Take what was told of a request sent at ``as_of``; so much has been sent ``since``."""
        self.limit = told.limit
        self.is_filled_at_once = self.is_filled_at_once or _is_filled_at_once(told)
        left = _left(told)
        if not self.most:  # what came back meanwhile may have been lost, since no more than all can be left
            self.most = left
            self.left = min(left, left + self.rate * (now - as_of)) - since
        self.most = max(self.most, left)
        at_least, at_most = left - since, left + self.rate * (now - as_of) - since
        self.left, self.at = max(at_least, min(at_most, self.available(now, 0.0))), now
        self.resets_at = None if told.resets_in is None else now + told.resets_in


class Bucket(msgspec.Struct):
    """All limits of one backend that its service has told of."""

    told: list[Told] = []

    @property
    def paces(self) -> bool:
        """Whether it is known how many requests a second are allowed."""
        return any(each.measure is Measure.REQUESTS and each.rate for each in self.told)

    def learn(self, facts: RateFacts, since: Load, as_of: float, now: float) -> None:
        """Take what a reply tells to a request that was sent at ``as_of``; so much has been sent ``since``."""
        for each in facts:
            known = next((one for one in self.told if (one.measure, one.window) == (each.measure, each.window)), None)
            if known is None:
                known = Told(each.measure, each.window, now)
                self.told.append(known)
            known.learn(each, amount(each.measure, since), as_of, now)

    def take(self, load: Load, now: float) -> None:
        """Take off what is sent."""
        for each in self.told:
            each.take(amount(each.measure, load), now)

    def places(self, load: Load, now: float) -> tuple[int, float | None]:
        """Return how many requests of such a load may be sent now; where none may, when."""
        places, at = PLENTY, now
        for each in self.told:
            if not each.can_be_told:
                continue
            one = max(amount(each.measure, load), LEAST)
            left, most = each.available(now, one), each.holds(one)
            kept = each.kept(most, one)
            wanted = min(one + kept, most)
            if left >= wanted - ROUNDING:
                places = min(places, max(1, int((left - kept) / one + ROUNDING)))
            else:
                places, at = 0, max(at, each.due_at(wanted - left, now))
        return places, None if places else at


def amount(measure: Measure, load: Load) -> float:
    """Return how much a load takes of what a limit counts."""
    match measure:
        case Measure.REQUESTS:
            return load.requests
        case Measure.INPUT:
            return load.prompt
        case Measure.OUTPUT:
            return load.completion
        case _:
            return load.tokens


def _left(told: Allowance) -> float:
    """Return how much was left; where only the limit is told, a second of it is a beginning."""
    if told.remaining is not None:
        return told.remaining
    return (told.limit or 0.0) / max(1.0, told.window or 1.0)


def _is_filled_at_once(told: Allowance) -> bool:
    """Return whether a limit is full again so late that it cannot fill up bit by bit."""
    limit, window, wait = told.limit, told.window, told.resets_in
    if wait is None or not limit or window is None:
        return window is None
    return wait > (limit - _left(told)) * window / limit + SLACK_SECONDS + SLACK * window
