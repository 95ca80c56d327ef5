"""The cool-down of one backend after it answered 429 (too many requests), and the line of those who wait for its end.

While it lasts the backend is skipped. When it ends one request goes first; the others go on skipping, or waiting, until
that one is settled. Then those who wait follow in the order of their requests, no faster than the backend bears
(`Pace`), so neither the end of a cool-down nor what follows is a stampede.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

from llx_magic.core.pace import Pace

DEFAULT_SECONDS = 10.0
"""How long to stay away when the server names no time."""

LONGEST_SECONDS = 3600.0
"""The cap on what a server asks for, and what an exhausted quota costs."""

ROUNDS_IN_VAIN = 10
"""After so many refusals in a row of the one that went first nobody waits any longer."""


def cool_down_seconds(retry_after: float | None, *, quota_exhausted: bool) -> float:
    """Return how long, in seconds, a 429 keeps the backend out."""
    if quota_exhausted:
        return LONGEST_SECONDS
    return min(DEFAULT_SECONDS if retry_after is None else retry_after, LONGEST_SECONDS)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request waits at most: ``limit`` seconds (None: not at all), having begun to wait at ``since``."""

    since: float
    limit: float | None


class CoolDown:
    """Whether a backend is cooling down, who goes first at the end, and who waits.

    A request stands for its visit, since it makes one at a time. Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._until: float | None = None
        self._first: int | None = None
        self._under_way: set[int] = set()
        self._in_vain = 0
        self._answered_at = -math.inf
        self._line: dict[int, Patience] = {}
        self._numbers: list[int] = []  # a heap of the numbers in line, and of some that have left it
        self._least_limit = math.inf
        self._pace: Pace | None = None
        self._refused = (-math.inf, 0.0)  # when it was refused last, and for how long

    @property
    def has_line(self) -> bool:
        """Whether somebody waits."""
        return bool(self._line)

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left (0 while the first request after it is out), or None when not cooling down."""
        return None if self._until is None else max(0.0, self._until - now)

    def refuses(self, request: int, now: float) -> bool:
        """Return whether a visit must be skipped now: it may begin only in its turn."""
        if self._until is None and self._pace is None:
            return False
        if request in self._under_way:
            return False
        if self._until is not None:
            return now < self._until or self._first is not None or self.has_line
        return self.has_line or len(self._under_way) >= self._at_most(now)

    def admit(self, request: int) -> None:
        """Let a visit through; where a cool-down has just ended, it goes first and holds the others back."""
        if self._until is None and self._pace is None:
            return
        self._under_way.add(request)
        if self._until is not None and self._first is None:
            self._first = request

    def start(self, request: int, now: float, seconds: float, *, will_retry: bool) -> bool:
        """Begin, or lengthen, a cool-down because ``request`` was refused.

        Returns whether it goes first at the end: where it ``will_retry`` itself and nobody else is to go first.
        """
        self._refused = (now, seconds)
        if request == self._first:
            self._in_vain += 1
        if self._pace is not None and request in self._under_way:
            others = None if request == self._first else len(self._under_way - {request, self._first})
            self._pace.refused(now, cool_down=seconds, others=others)
        self._until = now + seconds if self._until is None else max(now + seconds, self._until)
        if not will_retry or self._first not in (None, request):
            return False
        self.admit(request)
        return True

    def settle(self, request: int, now: float, *, learnt: bool) -> bool:
        """Release what the visit, or a turn that was not used, holds; True if that ended the cool-down.

        ``learnt`` is False for a visit that was cancelled or limited again: then the next request goes first.
        """
        if self._until is None and self._pace is None:
            return False
        self._under_way.discard(request)
        if learnt:
            self._in_vain, self._answered_at = 0, now
        ended = learnt and self._first == request
        if self._first == request:
            self._first = None
        if ended:
            self._until = None
        if self._pace is not None and ended:
            self._pace.begin()
        elif self._pace is not None and learnt:
            self._pace.passed(now)
        return ended

    def lift(self) -> None:
        """End the cool-down because the user says so; those who wait follow one after the other all the same."""
        self._until, self._first, self._in_vain = None, None, 0
        if not self._line:
            self._pace = None
            self._under_way.clear()
        elif self._pace is not None:
            self._pace.begin()

    def is_worth_waiting(self, now: float, patience: Patience) -> bool:
        """Return whether to wait for the end: it comes soon enough, and the backend has not refused for too long.

        Each wait may take the whole of the limit, as long as somebody is answered in between.
        """
        if patience.limit is None or self._until is None:
            return patience.limit is not None
        if not self._in_vain:
            return self._until - now <= patience.limit
        waiting_since = max(patience.since, self._answered_at)
        return self._in_vain < ROUNDS_IN_VAIN and self._until - waiting_since <= patience.limit

    def join(self, request: int, patience: Patience) -> None:
        """Wait, behind all requests with a lower number."""
        if not self._line:
            self._numbers.clear()
            self._least_limit = math.inf
        if request not in self._line:
            heapq.heappush(self._numbers, request)
        self._line[request] = patience
        self._least_limit = min(self._least_limit, patience.limit or 0.0)
        if self._pace is None and self._until is not None:
            self._pace = Pace(*self._refused)

    def leave(self, request: int) -> None:
        """Wait no longer; harmless for who does not wait."""
        self._line.pop(request, None)

    def call_next(self, now: float) -> int | None:
        """Take the next one out of the line whose turn it is, and keep its place for it until it is settled."""
        if not self._line or not self._has_place(now):
            return None
        while (request := heapq.heappop(self._numbers)) not in self._line:
            pass
        del self._line[request]
        self.admit(request)
        return request

    def next_turn_at(self) -> float | None:
        """Return when the next in line may go first; None where that depends on those under way."""
        return self._until if self._line and self._first is None else None

    def losing_patience(self, now: float) -> list[int]:
        """Return those in line who need not wait any longer, since it has become too long."""
        if not self._in_vain and (self.seconds_left(now) or 0.0) <= self._least_limit:
            return []
        return [request for request, patience in self._line.items() if not self.is_worth_waiting(now, patience)]

    def _has_place(self, now: float) -> bool:
        if self._until is not None:
            return now >= self._until and self._first is None
        return len(self._under_way) < self._at_most(now)

    def _at_most(self, now: float) -> float:
        if self._pace is not None and not self._line and self._pace.is_over(now):
            self._pace = None
            self._under_way.clear()
        return math.inf if self._pace is None else self._pace.at_most
