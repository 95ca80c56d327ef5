"""Tokens per minute of one backend over the last five minutes."""

from __future__ import annotations

from collections import deque
from itertools import takewhile
from typing import Literal, NamedTuple

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


class _Entry(NamedTuple):
    finished: float
    tokens: int


class _Stretch(NamedTuple):
    """A time in which the backend was answering; one shorter than a grain may have pauses, ``busy`` leaves them out."""

    begin: float
    end: float
    busy: float


class TokenWindow:
    """The tokens (prompt and completion) of the replies that finished in the window.

    Adding and reading take constant time on average: a running sum, and a queue whose head is always the earliest
    start among the entries in the window. Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._sum = 0
        self._starts: deque[tuple[float, float]] = deque()  # (started, finished), starts ascending
        self._busy: deque[_Stretch] = deque()  # disjoint, ascending
        self._busy_sum = 0.0

    def add(self, started: float, finished: float, tokens: int) -> None:
        """Record a reply; replies without usage are not recorded at all."""
        self.forget(finished)
        self._add_busy(started, max(started, finished))
        self._sum += tokens
        if self._entries and finished - self._entries[-1].finished < GRAIN_SECONDS:
            last = self._entries.pop()
            self._entries.append(_Entry(last.finished, last.tokens + tokens))
            finished = last.finished
        else:
            self._entries.append(_Entry(finished, tokens))
        while self._starts and self._starts[-1][0] >= started:
            self._starts.pop()
        if not self._starts or self._starts[-1][1] != finished:  # the same grain already has an earlier start
            self._starts.append((started, finished))

    def rate(self, now: float, basis: Literal["elapsed", "busy"]) -> float | None:
        """Return tokens per minute, or None when no reply with usage finished in the window.

        ``elapsed`` divides by the minutes from the start of the oldest of those requests until now, at most five;
        ``busy`` by the minutes in which the backend was answering. Reading forgets nothing, so a later look at an
        earlier moment, as far as ``add`` and ``forget`` left it, reads the same.
        """
        horizon = now - WINDOW_SECONDS
        if not self._entries or self._entries[-1].finished <= horizon:
            return None
        past = sum(entry.tokens for entry in takewhile(lambda entry: entry.finished <= horizon, self._entries))
        if basis == "elapsed":
            seconds = now - next(started for started, finished in self._starts if finished > horizon)
        else:
            seconds = self._busy_seconds(horizon)
        return (self._sum - past) / (min(seconds, WINDOW_SECONDS) / 60) if seconds > 0 else None

    def forget(self, now: float) -> None:
        """Let go of what no reading at ``now`` or later needs."""
        horizon = now - WINDOW_SECONDS
        while self._entries and self._entries[0].finished <= horizon:
            self._sum -= self._entries.popleft().tokens
        while self._starts and self._starts[0][1] <= horizon:
            self._starts.popleft()
        while self._busy and self._busy[0].end <= horizon:
            self._busy_sum -= self._busy.popleft().busy

    def _add_busy(self, started: float, finished: float) -> None:
        stretch = _Stretch(started, finished, finished - started)
        while self._busy and (self._busy[-1].end >= stretch.begin or finished - self._busy[-1].begin < GRAIN_SECONDS):
            last = self._busy.pop()
            self._busy_sum -= last.busy
            before = min(last.busy, max(0.0, stretch.begin - last.begin))
            stretch = _Stretch(min(last.begin, stretch.begin), max(last.end, finished), before + stretch.busy)
        self._busy.append(stretch)
        self._busy_sum += stretch.busy

    def _busy_seconds(self, horizon: float) -> float:
        seconds = self._busy_sum
        for stretch in self._busy:
            if stretch.end > horizon:
                return seconds - max(0.0, horizon - stretch.begin)
            seconds -= stretch.busy
        return seconds
