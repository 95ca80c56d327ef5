"""The cool-down of one backend after it answered 429 (too many requests).

While it lasts the backend is skipped. When it ends one request goes first; the others go on skipping until that one
is settled, so the end of a cool-down is not a stampede.
"""

from __future__ import annotations

DEFAULT_SECONDS = 10.0
"""How long to stay away when the server names no time."""

LONGEST_SECONDS = 3600.0
"""The cap on what a server asks for, and what an exhausted quota costs."""


def cool_down_seconds(retry_after: float | None, *, quota_exhausted: bool) -> float:
    """Return how long, in seconds, a 429 keeps the backend out."""
    if quota_exhausted:
        return LONGEST_SECONDS
    return min(DEFAULT_SECONDS if retry_after is None else retry_after, LONGEST_SECONDS)


class CoolDown:
    """Whether a backend is cooling down, and which visit goes first at the end.

    A holder is any hashable token that stands for a visit. Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._until: float | None = None
        self._first: object | None = None

    def seconds_left(self, now: float) -> float | None:
        """Return the seconds left (0 while the first request after it is out), or None when not cooling down."""
        return None if self._until is None else max(0.0, self._until - now)

    def refuses(self, now: float) -> bool:
        """Return whether a visit must be skipped now."""
        return self._until is not None and (now < self._until or self._first is not None)

    def admit(self, holder: object) -> None:
        """Let a visit through; where a cool-down has just ended, it goes first and holds the others back."""
        if self._until is not None and self._first is None:
            self._first = holder

    def start(self, until: float, holder: object | None) -> None:
        """Begin, or lengthen, a cool-down; ``holder`` is the visit that will try again itself, if any."""
        self._until = until if self._until is None else max(until, self._until)
        if holder is not None:
            self._first = holder

    def settle(self, holder: object, *, learnt: bool) -> bool:
        """Release the visit's hold; True if that ended the cool-down.

        ``learnt`` is False for a visit that was cancelled or limited again: then the next request goes first.
        """
        if self._first is not holder:
            return False
        self._first = None
        if learnt:
            self._until = None
        return learnt
