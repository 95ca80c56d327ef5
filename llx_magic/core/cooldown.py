"""The cool-down of one backend after it answered 429 (too many requests), and the line of those who wait for its end.

While it lasts the backend is skipped. When it ends, one request goes first; until that one is settled, all others still
skip the backend or wait. Then those who wait follow in the order of their requests, no faster than the backend bears
(`Pace`). So neither the end of a cool-down nor what follows is a stampede. Status 429 and its Retry-After header:
https://www.rfc-editor.org/rfc/rfc6585#section-4
"""

from __future__ import annotations

import math

import msgspec

from llx_magic.core.line import Line, Patience
from llx_magic.core.moments import seconds_until
from llx_magic.core.pace import Pace

DEFAULT_SECONDS = 10.0
"""How long to stay away when the server names no time."""

LONGEST_SECONDS = 3600.0
"""The cap on what a server asks for, and what an exhausted quota costs."""

ROUNDS_IN_VAIN = 10
"""Nobody waits any longer once the request that went first has been refused so many times in a row."""


def cool_down_seconds(retry_after: float | None, *, quota_exhausted: bool) -> float:
    """Return how long, in seconds, a 429 keeps the backend out."""
    if quota_exhausted:
        return LONGEST_SECONDS
    return min(DEFAULT_SECONDS if retry_after is None else retry_after, LONGEST_SECONDS)


class CoolDown(msgspec.Struct):
    """Whether a backend is cooling down, who goes first at the end, and who waits.

    A request stands for its visit, since it makes one at a time at a backend; it is named by its number. Times are
    seconds of a monotonic clock. ``in_vain`` counts the refusals in a row of the one that goes first.
    """

    until: float | None = None
    first: int | None = None
    under_way: set[int] = set()
    in_vain: int = 0
    answered_at: float = 0.0
    line: Line = msgspec.field(default_factory=Line)
    pace: Pace | None = None
    refused_at: float = 0.0
    refused_for: float = 0.0

    @property
    def has_line(self) -> bool:
        """Whether somebody waits."""
        return not self.line.is_empty

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left (0 while the first request after it is out), or None when not cooling down."""
        return None if self.until is None else seconds_until(self.until, now)

    def refuses(self, request: int, now: float) -> bool:
        """Return whether a visit must be skipped now: it may begin only in its turn."""
        if self.until is None and self.pace is None:
            return False
        if request in self.under_way:
            return False
        if self.until is not None:
            return seconds_until(self.until, now) > 0 or self.first is not None or self.has_line
        return self.has_line or len(self.under_way) >= self._at_most(now)

    def admit(self, request: int) -> None:
        """Let a visit through; where a cool-down has just ended, it goes first and holds the others back."""
        if self.until is None and self.pace is None:
            return
        self.under_way.add(request)
        if self.until is not None and self.first is None:
            self.first = request

    def start(self, request: int, now: float, seconds: float, *, will_retry: bool) -> bool:
        """Begin, or lengthen, a cool-down because ``request`` was refused.

        Returns whether it goes first at the end: where it ``will_retry`` itself and nobody else is to go first.
        """
        self.refused_at, self.refused_for = now, seconds
        if request == self.first:
            self.in_vain += 1
        if self.pace is not None and request in self.under_way:
            others = None if request == self.first else len(self.under_way - {request, self.first})
            self.pace.refused(now, cool_down=seconds, others=others)
        self.until = now + seconds if self.until is None else max(now + seconds, self.until)
        if not will_retry or self.first not in (None, request):
            return False
        self.admit(request)
        return True

    def hear(self, at: float, seconds: float) -> None:
        """Begin, or lengthen, a cool-down because another process was refused at that time."""
        self.refused_at, self.refused_for = max(at, self.refused_at), seconds
        self.until = at + seconds if self.until is None else max(at + seconds, self.until)

    def settle(self, request: int, now: float, *, conclusive: bool) -> bool:
        """Release what the visit, or a turn that was not used, holds; return whether that ended the cool-down.

        ``conclusive`` is False if the visit says nothing about the rate limit, or met it again: then the next request
        goes first.
        """
        self.under_way.discard(request)
        if self.until is None and self.pace is None:
            return False
        if conclusive:
            self.in_vain, self.answered_at = 0, now
        ended = conclusive and self.first == request
        if self.first == request:
            self.first = None
        if ended:
            self.until = None
        if self.pace is not None and ended:
            self.pace.begin()
        elif self.pace is not None and conclusive:
            self.pace.passed(now)
        return ended

    def disprove(self, admitted_at: float) -> bool:
        """Take that one outside the line, admitted then, was answered; return whether that ended the cool-down.

        It does where it was admitted after the last refusal and nobody is out to learn just that.
        """
        if self.until is None or self.first is not None or admitted_at < self.refused_at:
            return False
        self.until, self.in_vain = None, 0
        if self.pace is not None:
            self.pace.begin()
        return True

    def lift(self) -> None:
        """End the cool-down because the user says so; those who wait follow one after the other all the same."""
        self.until, self.first, self.in_vain = None, None, 0
        if self.line.is_empty:
            self.pace = None
            self.under_way.clear()
        elif self.pace is not None:
            self.pace.begin()

    def is_worth_waiting(self, now: float, patience: Patience) -> bool:
        """Return whether to wait for the end: it comes soon enough, and the backend has not refused for too long.

        Each wait may take the whole of the limit, as long as somebody is answered in between.
        """
        if patience.limit is None or self.until is None:
            return patience.limit is not None
        if not self.in_vain:
            return self.until - now <= patience.limit
        waiting_since = max(patience.since, self.answered_at)
        return self.in_vain < ROUNDS_IN_VAIN and self.until - waiting_since <= patience.limit

    def join(self, request: int, patience: Patience) -> None:
        """Wait, behind all requests with a lower number."""
        self.line.join(request, patience)
        if self.pace is None and self.until is not None:
            self.pace = Pace(self.refused_at, self.refused_for)

    def leave(self, request: int) -> None:
        """Wait no longer; harmless for who does not wait."""
        self.line.leave(request)

    def call_next(self, now: float) -> int | None:
        """Take the next one out of the line whose turn it is, and keep its place for it until it is settled."""
        if self.line.is_empty or not self._has_place(now):
            return None
        request = self.line.take_first()
        self.admit(request)
        return request

    def next_turn_at(self) -> float | None:
        """Return when the next in line may go first; None where that depends on those under way."""
        return self.until if self.has_line and self.first is None else None

    def losing_patience(self, now: float) -> list[int]:
        """Return those in line who need not wait any longer, since it has become too long."""
        if not self.in_vain and (self.seconds_left(now) or 0.0) <= self.line.least_limit:
            return []
        return [request for request, patience in self.line.waiting.items() if not self.is_worth_waiting(now, patience)]

    def _has_place(self, now: float) -> bool:
        if self.until is not None:
            return not seconds_until(self.until, now) and self.first is None
        return len(self.under_way) < self._at_most(now)

    def _at_most(self, now: float) -> float:
        if self.pace is not None and self.line.is_empty and self.pace.is_over(now):
            self.pace = None
            self.under_way.clear()
        return math.inf if self.pace is None else self.pace.at_most
