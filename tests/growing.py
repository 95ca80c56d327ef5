"""How many times as long the large of two works takes: on the processor, and at best, as others may use it."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIES = 5
"""How often the large one is tried before it is said to take too long."""


def seconds(work: Callable[[], object]) -> float:
    """How long this thread works on it."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def growth(small: Callable[[], object], large: Callable[[], object], *, most: float, least: float) -> float:
    """Return how many times as long the large one takes; it is tried again while that is not below ``most``.

    A small one that takes less than ``least`` seconds is taken to have taken these.
    """
    base = max(least, min(seconds(small) for _ in range(3)))
    best = seconds(large)
    for _ in range(TRIES - 1):
        if best < most * base:
            break
        best = min(best, seconds(large))
    return best / base
