"""Tokens per minute of one backend over the last five minutes."""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import NamedTuple

import msgspec

from llx_magic.core.moments import TICK
from llx_magic.settings.declaration import TpmBasis

WINDOW_SECONDS = 300.0
"""How far back the rate looks."""

SHORTEST_GENERATING = 1.0
"""From how many seconds of generating on a speed is told."""

FEWEST_PIECES = 10
"""From how many pieces on a speed is told: fewer are a burst that some buffer held back."""

GRAIN_SECONDS = 0.01
"""Replies that finish within the same grain share an entry, so five minutes hold at most 30,000 entries."""


def generated_tokens(completion_tokens: int | None, pieces: int, generating_seconds: float) -> float | None:
    """Return the completion tokens that came while generating was timed, or None where that tells no speed.

    The time runs from the first piece to the last, so the first piece's share of the tokens came before it.
    """
    if not completion_tokens or pieces < FEWEST_PIECES or generating_seconds < SHORTEST_GENERATING:
        return None
    return completion_tokens * (pieces - 1) / pieces


def tokens_per_second(completion_tokens: int | None, pieces: int, generating_seconds: float) -> float | None:
    """Return a reply's completion tokens per second after its first piece, or None where it cannot be told."""
    generated = generated_tokens(completion_tokens, pieces, generating_seconds)
    return None if generated is None else generated / generating_seconds


class Entry(NamedTuple):
    """The tokens of the replies that finished within one grain."""

    finished: float
    tokens: int


class Interval(NamedTuple):
    """A time in which the backend was answering. Replies closer than a grain share one; ``busy`` leaves out gaps."""

    begin: float
    end: float
    busy: float


_FINISHED, _END = itemgetter(0), itemgetter(1)


def _horizon(now: float) -> float:
    """Return the latest moment that the window does not reach back to."""
    return now - WINDOW_SECONDS + TICK


class TokenWindow(msgspec.Struct):
    """The tokens (prompt and completion) of the replies that finished in the window.

    There are running sums, and a queue whose head is always the earliest start among the entries in the window:
    ``starts`` holds (started, finished), both ascending. ``intervals`` are disjoint and ascending. Times are seconds of
    a monotonic clock.
    """

    entries: list[Entry] = []
    total: int = 0
    starts: list[tuple[float, float]] = []
    intervals: list[Interval] = []
    busy: float = 0.0

    def add(self, started: float, finished: float, tokens: int) -> None:
        """Record a reply; replies without usage are not recorded at all."""
        self.forget(finished)
        self._add_busy(started, max(started, finished))
        self.total += tokens
        if self.entries and finished - self.entries[-1].finished < GRAIN_SECONDS:
            last = self.entries.pop()
            self.entries.append(Entry(last.finished, last.tokens + tokens))
            finished = last.finished
        else:
            self.entries.append(Entry(finished, tokens))
        while self.starts and self.starts[-1][0] >= started:
            self.starts.pop()
        if not self.starts or self.starts[-1][1] != finished:  # the same grain already has an earlier start
            self.starts.append((started, finished))

    def rate(self, now: float, basis: TpmBasis) -> float | None:
        """Return tokens per minute, or None when no reply with usage finished in the window.

        Reading forgets nothing, so a later look at an earlier moment, as far as ``add`` and ``forget`` left it, reads
        the same.
        """
        seconds = self.seconds(now, basis)
        if not seconds:
            return None
        horizon = _horizon(now)
        if self.entries[0].finished > horizon:
            return self.total / (seconds / 60)
        old = bisect_right(self.entries, horizon, key=_FINISHED)
        return (self.total - sum(entry.tokens for entry in self.entries[:old])) / (seconds / 60)

    def seconds(self, now: float, basis: TpmBasis) -> float | None:
        """Return how long a time the rate is about, or None where it is unknown; after one reply it may be very short.

        ``elapsed`` takes the time from the start of the oldest of those requests until now, at most five minutes;
        ``busy`` the time in which the backend was answering.
        """
        if not self.counts(now):
            return None
        horizon = _horizon(now)
        if basis == "elapsed":
            first = 0 if self.starts[0][1] > horizon else bisect_right(self.starts, horizon, key=_END)
            seconds = now - self.starts[first][0]
        else:
            seconds = self._busy_seconds(now - WINDOW_SECONDS)
        return min(seconds, WINDOW_SECONDS) if seconds > 0 else None

    def counts(self, now: float) -> bool:
        """Return whether a reply with usage finished in the window."""
        return bool(self.entries) and self.entries[-1].finished > _horizon(now)

    def forget(self, now: float) -> None:
        """Let go of what no reading at ``now`` or later needs."""
        horizon = _horizon(now)
        entries, starts, intervals = self.entries, self.starts, self.intervals
        if entries and starts and intervals and min(entries[0].finished, starts[0][1], intervals[0].end) > horizon:
            return  # as a rule
        if old := bisect_right(self.entries, horizon, key=_FINISHED):
            self.total -= sum(entry.tokens for entry in self.entries[:old])
            del self.entries[:old]
        del self.starts[: bisect_right(self.starts, horizon, key=_END)]
        if old := bisect_right(self.intervals, horizon, key=_END):
            self.busy -= sum(interval.busy for interval in self.intervals[:old])
            del self.intervals[:old]

    def _add_busy(self, started: float, finished: float) -> None:
        new, known = Interval(started, finished, finished - started), self.intervals
        while known and (known[-1].end >= new.begin or finished - known[-1].begin < GRAIN_SECONDS):
            last = known.pop()
            self.busy -= last.busy
            before = min(last.busy, max(0.0, new.begin - last.begin))
            new = Interval(min(last.begin, new.begin), max(last.end, finished), before + new.busy)
        known.append(new)
        self.busy += new.busy

    def _busy_seconds(self, horizon: float) -> float:
        seconds = self.busy
        for interval in self.intervals:
            if interval.end > horizon:
                return seconds - max(0.0, horizon - interval.begin)
            seconds -= interval.busy
        return seconds
