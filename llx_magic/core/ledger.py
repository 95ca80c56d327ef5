"""What is remembered of a profile's requests: counts, records and events, bounded."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Container, Iterable, Sequence

from llx_magic.core.archive import Archive, Kept, Remembered, Told
from llx_magic.core.events import BackendEvent, Event, RequestAnswered, RequestEnded, RequestPutBack, RequestStarted
from llx_magic.core.statistics import DURATIONS_KEPT, Prompts, RequestRecord, Tally, percentile

EVENTS_OF_NO_REQUEST = 1000
"""How many of the latest events that no request caused are kept: what was done by hand, backends that came and went."""


class Ledger:
    """All that is remembered of a profile's requests, folded from its events and bounded.

    A request is remembered whole or not at all, so records, traces and events reach back equally far. Not thread-safe:
    the owner holds its profile's lock around each call.
    """

    def __init__(self, backends: Iterable[str], limit: int) -> None:
        self.tallies = defaultdict(Tally, {name: Tally() for name in backends})
        self._outcomes: Counter[str] = Counter()
        self._durations: deque[float] = deque(maxlen=DURATIONS_KEPT)
        """Seconds of the latest prompts that were answered."""
        self._running: dict[int, Kept] = {}
        self._ended = Archive()
        self._limit = limit
        self._apart: deque[tuple[int, Event]] = deque(maxlen=EVENTS_OF_NO_REQUEST)
        self._place = 0
        self.since: float | None = None
        """From when on every event is kept; None before the first."""
        self.times_reset = 0

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        self._place += 1
        if self.since is None:
            self.since = event.at
        if isinstance(event, BackendEvent):
            self.tallies[event.backend].fold(event)
        if isinstance(event, RequestStarted):
            record = RequestRecord(request=event.request, started=event.at - event.waited, policy=event.policy)
            self._running[event.request] = Kept(record=record)
        if kept := self._running.get(event.request):
            kept.add(event, self._place)
            if kept.record.outcome != "running":
                self._count(event)
                self._ended.add(self._running.pop(event.request))
                self.resize(self._limit)
        elif not event.request:
            if len(self._apart) == self._apart.maxlen:
                self._forget(self._apart[0][1].at)
            self._apart.append((self._place, event))

    def _count(self, ended: Event) -> None:
        if isinstance(ended, RequestEnded) and not isinstance(ended, RequestPutBack):
            self._outcomes[ended.outcome] += 1
            if isinstance(ended, RequestAnswered):
                self._durations.append(ended.seconds)

    def resize(self, limit: int) -> None:
        """Keep at most ``limit`` requests from now on."""
        self._limit = limit
        while len(self._ended) > limit:
            self._forget(self._ended.forget_oldest())

    def _forget(self, until: float) -> None:
        self.since = until if self.since is None else max(self.since, until)

    @property
    def prompts(self) -> Prompts:
        """What became of all prompts since the last reset."""
        return Prompts(
            running=len(self._running),
            answered=self._outcomes["answered"],
            failed=self._outcomes["failed"],
            cancelled=self._outcomes["cancelled"],
            median_seconds=percentile(self._durations, 0.5),
            p95_seconds=percentile(self._durations, 0.95),
        )

    def events_of(self, request: int) -> Sequence[Event]:
        """Return the events of a request under way, oldest first; the list grows with it."""
        kept = self._running.get(request)
        return kept.events if kept else ()

    def remembered(self) -> Remembered:
        """Return the requests that are kept with their events, and what no request caused."""
        running = [Told(kept.events[:], kept.places[:]) for kept in self._running.values()]
        apart = Told([event for _, event in self._apart], array("Q", (place for place, _ in self._apart)))
        return self._ended.remembered([*running, apart])

    def last_errors(self) -> dict[str, str | None]:
        """Return each backend's latest failure, in one line."""
        return {name: tally.last_error for name, tally in self.tallies.items()}

    def mean_completion(self, backend: str) -> float | None:
        """Return the mean of the tokens of a backend's replies; None where none was reported."""
        tally = self.tallies.get(backend)
        return tally.completion_tokens / tally.successes if tally and tally.completion_tokens else None

    def start_anew(self, kept: Container[str]) -> None:
        """Forget the counts of all backends but those kept; visits under way stay counted until they end."""
        for name, tally in list(self.tallies.items()):
            if name not in kept:
                del self.tallies[name]
                if tally.in_flight:
                    self.tallies[name] = Tally(in_flight=tally.in_flight)

    def forget_running(self) -> None:
        """Leave the requests and visits under way to another process, which goes on with them."""
        self._running.clear()
        for tally in self.tallies.values():
            tally.in_flight = 0

    def reset(self) -> None:
        """Forget all counts and records; requests and visits under way stay counted."""
        for name, tally in self.tallies.items():
            self.tallies[name] = tally.start_anew()
        self._outcomes.clear()
        self._durations.clear()
        self._ended = Archive()
        self._apart.clear()
        self.since = None
        self.times_reset += 1
