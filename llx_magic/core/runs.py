"""Several runs over rows at one backend: which of its places are whose.

They are divided by max-min fairness (https://en.wikipedia.org/wiki/Max-min_fairness): each free place is for the run
with the fewest rows under way, of those that lack one. So a run gets its part as soon as places come free, what it
cannot use is lent to others, and no place stays free while somebody lacks one.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS


class Wish(NamedTuple):
    """So many rows of a run are ready to be sent; ``under_way`` are so many at all backends together."""

    run: int
    rows: int
    under_way: int


class Run(msgspec.Struct):
    """One run at one backend, where ``most`` of its rows may be under way.

    ``here`` are under way here, and ``elsewhere`` were when it last said so; ``lacks`` are ready to be sent. ``latest``
    tells when it last sent one, in the order of the rows of all runs. ``called_at`` is since when it is asked to look
    for a place, None once it has.
    """

    most: int
    here: int = 0
    elsewhere: int = 0
    lacks: int = 0
    latest: int = 0
    called_at: float | None = None

    @property
    def left(self) -> int:
        """How many more of its rows may be under way here."""
        return max(0, self.most - self.here)

    def wanted(self, now: float) -> int:
        """Return how many places it would take; none where it does not hear that it is called: its loop is busy."""
        is_deaf = self.called_at is not None and now - self.called_at > LOOK_AGAIN_SECONDS
        return 0 if is_deaf else min(self.lacks, self.left)


class Runs(msgspec.Struct):
    """The runs at one backend, by number. ``most`` of their rows may be under way, as the widest of them says."""

    known: dict[int, Run] = {}
    most: int = 0
    sent: int = 0

    def begin(self, run: int, most: int) -> None:
        """Take part from now on."""
        self.known[run] = Run(most)
        self.most = max(self.most, most)

    def end(self, run: int) -> None:
        """Take part no more; harmless for who does not."""
        self.known.pop(run, None)
        self.most = max((each.most for each in self.known.values()), default=0)

    def want(self, wish: Wish) -> None:
        """Take what a run has to send."""
        if run := self.known.get(wish.run):
            run.lacks, run.called_at, run.elsewhere = wish.rows, None, max(0, wish.under_way - run.here)

    def admit(self, run: int) -> None:
        """Count a row that is sent; one of a run that does not take part is not counted."""
        if known := self.known.get(run):
            self.sent += 1
            known.here, known.lacks, known.latest = known.here + 1, max(0, known.lacks - 1), self.sent

    def settle(self, run: int) -> None:
        """Count a row that has ended."""
        if known := self.known.get(run):
            known.here -= 1

    def places(self, run: int, free: int, now: float) -> int:
        """Return how many of the free places are those of a run that takes part; it asks, so it lacks one at least."""
        if len(self.known) < 2:
            return free
        known = self.known[run]
        known.lacks, known.called_at = max(1, known.lacks), None
        parts = self._divided(free, now)
        return min(known.left, free - sum(parts.values()) + parts.get(run, 0))

    def call(self, free: int, but: int, now: float) -> Sequence[int]:
        """Return which runs are to look for free places, but for the one that does so by itself; each is told once."""
        called = [run for run in self._divided(free, now) if run != but and self.known[run].called_at is None]
        for run in called:
            self.known[run].called_at = now
        return called

    def _divided(self, free: int, now: float) -> dict[int, int]:
        """Return how many of the free places are for each run that gets some."""
        wanted = {number: run.wanted(now) for number, run in self.known.items()}
        line = [(run.here + run.elsewhere, run.latest, number) for number, run in self.known.items() if wanted[number]]
        heapq.heapify(line)
        parts: dict[int, int] = {}
        while free > 0 and line:
            under_way, _, number = line[0]
            parts[number] = parts.get(number, 0) + 1
            free -= 1
            if parts[number] < wanted[number]:
                heapq.heapreplace(line, (under_way + 1, self.sent + 1, number))
            else:
                heapq.heappop(line)
        return parts
