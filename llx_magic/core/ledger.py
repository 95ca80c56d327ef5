"""What is remembered of a profile's requests: counts, records and events, bounded."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Container, Iterable, Sequence
from itertools import chain, pairwise

from llx_magic.core.events import BackendEvent, Event, RequestAnswered, RequestEnded, RequestPutBack, RequestStarted
from llx_magic.core.statistics import DURATIONS_KEPT, Prompts, RequestRecord, Tally, percentile

EVENTS_PER_REQUEST = 400
"""How many events of one request are kept; of more, those in its middle are left out."""

EVENTS_OF_NO_REQUEST = 1000
"""How many of the latest events that no request caused are kept: what was done by hand, backends that came and went."""


class _Kept:
    """A request that is remembered: its record, and its events with their places among all events."""

    __slots__ = ("events", "places", "record")

    def __init__(self, record: RequestRecord) -> None:
        self.record = record
        self.events: list[Event] = []
        self.places = array("Q")

    def add(self, event: Event, place: int) -> None:
        self.events.append(event)
        self.places.append(place)
        if len(self.events) > EVENTS_PER_REQUEST:
            del self.events[EVENTS_PER_REQUEST // 2], self.places[EVENTS_PER_REQUEST // 2]


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
        self._running: dict[int, _Kept] = {}
        self._ended: deque[_Kept] = deque(maxlen=limit)
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
            record = RequestRecord(request=event.request, started=event.at, policy=event.policy)
            self._running[event.request] = _Kept(record)
        if kept := self._running.get(event.request):
            kept.add(event, self._place)
            kept.record.fold(event)
            if kept.record.outcome != "running":
                self._count(event)
                if len(self._ended) == self._ended.maxlen:
                    self._forget(self._ended[0].events[-1].at)
                self._ended.append(self._running.pop(event.request))
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
        if limit != self._ended.maxlen:
            for kept in list(self._ended)[:-limit]:
                self._forget(kept.events[-1].at)
            self._ended = deque(self._ended, maxlen=limit)

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

    def events(self) -> tuple[Event, ...]:
        """Return the events of the requests kept, and what no request caused, oldest first."""
        every = [*self._ended, *self._running.values()]
        events = list(chain.from_iterable(kept.events for kept in every))
        if not self._apart and all(one.places[-1] < next_.places[0] for one, next_ in pairwise(every)):
            return tuple(events)  # one after the other, which is the rule and takes no sorting
        places = list(chain.from_iterable(kept.places for kept in every))
        places += [place for place, _ in self._apart]
        events += [event for _, event in self._apart]
        return tuple(events[index] for index in sorted(range(len(places)), key=places.__getitem__))

    def last_errors(self) -> dict[str, str | None]:
        """Return each backend's latest failure, in one line."""
        return {name: tally.last_error for name, tally in self.tallies.items()}

    def mean_completion(self, backend: str) -> float | None:
        """Return the mean of the tokens of a backend's replies; None where none was reported."""
        tally = self.tallies.get(backend)
        return tally.completion_tokens / tally.successes if tally and tally.completion_tokens else None

    def records(self) -> tuple[RequestRecord, ...]:
        """Return the requests that have ended, oldest first."""
        return tuple(kept.record for kept in self._ended)

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
        self._ended.clear()
        self._apart.clear()
        self.since = None
        self.times_reset += 1
