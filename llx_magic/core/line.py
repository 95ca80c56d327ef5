"""The requests that wait for a place at one backend, in their order."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import msgspec


class Patience(NamedTuple):
    """How long a request waits at most: ``limit`` seconds (None: not at all), having begun to wait at ``since``."""

    since: float
    limit: float | None


class Line(msgspec.Struct):
    """Who waits, by number. ``numbers`` is a heap of those that ``waiting`` has, and of some that have left it."""

    waiting: dict[int, Patience] = {}
    numbers: list[int] = []
    least_limit: float = 0.0
    """No longer than the shortest patience; in seconds."""

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self.waiting

    def join(self, request: int, patience: Patience) -> None:
        """Wait, behind all requests with a lower number."""
        limit = patience.limit or 0.0
        self.least_limit = min(self.least_limit, limit) if self.waiting else limit
        if not self.waiting:
            self.numbers.clear()
        if request not in self.waiting:
            heapq.heappush(self.numbers, request)
        self.waiting[request] = patience

    def leave(self, request: int) -> None:
        """Wait no longer; harmless for who does not wait."""
        self.waiting.pop(request, None)

    @property
    def first(self) -> int:
        """Who is next; somebody must be waiting."""
        while self.numbers[0] not in self.waiting:
            heapq.heappop(self.numbers)
        return self.numbers[0]

    def take_first(self) -> int:
        """Take the next one out."""
        request = self.first
        heapq.heappop(self.numbers)
        del self.waiting[request]
        return request
