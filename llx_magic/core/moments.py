"""When a time is over: alike whatever was added up to come to it, and from whatever moment on it was counted."""

from __future__ import annotations

from typing import Final

TICK: Final = 1e-4
"""Two times that are less than so many seconds apart are one. Settings are whole milliseconds, and Unix seconds are
exact to a quarter of a microsecond; so who comes just at the end of a wait comes after it, today and in a replay.
"""


def seconds_until(end: float, now: float) -> float:
    """Return how many seconds are left until then: 0 when none are."""
    left = end - now
    return left if left > TICK else 0.0
