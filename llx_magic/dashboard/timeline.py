"""What has happened lately, folded from events for a view that is drawn again and again; bounded, whatever comes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from llx_magic.core.circuits import COOL_DOWN_MOMENTS, MOMENTS, Period, cool_down, periods
from llx_magic.core.events import (
    BackendEvent,
    BackendRemoved,
    Event,
    RequestEnded,
    RequestStarted,
    VisitFailed,
    VisitSucceeded,
)
from llx_magic.core.failure import FailureKind
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.trace import Trace
from llx_magic.locks import ForkSafeLock
from llx_magic.observe.rates import Basis, MeasuredRate

CHANGES_KEPT = 400
"""How many changes of state, and how many failures, are remembered of each backend."""

LATENCIES_KEPT = 24
"""How many of a backend's latest visits its sparkline shows."""

REQUESTS_KEPT = 5
"""How many of the latest requests are shown step by step."""

EVENTS_PER_REQUEST = 200
"""After how many events of one request its further steps are left out."""

SAMPLE_SECONDS = 2.0
"""How far apart the tokens per minute are sampled."""

LONGEST_SPAN = 3600.0
"""How far back, in seconds, a view can look."""

_SAMPLES_KEPT = int(LONGEST_SPAN / SAMPLE_SECONDS) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One backend in the span: what its lane, its curve and its sparkline are drawn from, each oldest first.

    There is no period where nothing is known of the circuit. ``latencies`` are seconds of its latest visits, whenever
    they were. ``tpm`` pairs times with tokens per minute, None where they were unknown.
    """

    name: str
    periods: tuple[Period, ...]
    failures: tuple[float, ...]
    cool_downs: tuple[tuple[float, float], ...]
    latencies: tuple[float, ...]
    tpm: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class View:
    """A profile's last ``span`` seconds until ``now``; a strip for each backend, the latest requests newest first."""

    now: float
    span: float
    strips: tuple[Strip, ...]
    requests: tuple[Trace, ...]

    @property
    def since(self) -> float:
        """Where the view begins, on the profile's clock."""
        return self.now - self.span


@dataclass(slots=True)
class _Lane:
    moments: deque[BackendEvent] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    """What began or ended a state of the circuit."""
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    cool_downs: list[tuple[float, float]] = field(default_factory=list)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    rates: MeasuredRate = field(default_factory=MeasuredRate)
    samples: deque[float | None] = field(default_factory=lambda: deque(maxlen=_SAMPLES_KEPT))

    def fold(self, event: BackendEvent, basis: Basis) -> None:
        match event:
            case VisitSucceeded():
                self.latencies.append(event.seconds)
                if event.completion_tokens is not None:
                    self.rates.take(event, basis)
            case VisitFailed() if event.failure.kind is not FailureKind.LOCAL:
                self.latencies.append(event.seconds)
                self.failures.append(event.at)
            case BackendRemoved():
                self.rates = MeasuredRate()
                self.latencies.clear()
        if isinstance(event, COOL_DOWN_MOMENTS):
            cool_down(self.cool_downs, event)
            del self.cool_downs[:-CHANGES_KEPT]
        if isinstance(event, MOMENTS):
            self.moments.append(event)

    def periods(self, begin: float, now: float, state: str, known: float | None) -> tuple[Period, ...]:
        """Return the circuit's states from ``begin`` on, as far back as every change is ``known``."""
        if known is not None and len(self.moments) == CHANGES_KEPT:
            known = max(known, self.moments[0].at)
        found = periods(self.moments, known, now, state)
        return tuple(replace(each, begin=max(each.begin, begin)) for each in found if each.end > begin or each.lasts)

    def rate(self, now: float, basis: Basis) -> float | None:
        """Return the tokens per minute; where they are not known between replies, what was measured just before."""
        if 0 <= now - self.rates.measured_at <= SAMPLE_SECONDS:
            return self.rates.at(now, basis) or self.rates.measured
        return self.rates.at(now, basis)


class Timeline:
    """The recent past of a profile's backends; events may come from any thread, and it may be read from any other."""

    def __init__(self, basis: Basis = "elapsed") -> None:
        self.basis: Basis = basis
        self._lock = ForkSafeLock()
        self._forget()

    def _forget(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._requests: OrderedDict[int, list[Event]] = OrderedDict()
        self._known: frozenset[int] = frozenset()
        self._backlog: tuple[Event, ...] = ()
        self._sampled_at: float | None = None
        self._known_since: float | None = None

    def catch_up(self, read: Callable[[], Iterable[Event]], since: float | None) -> None:
        """Begin anew with the events that ``read`` returns; those that are told meanwhile are not counted twice.

        ``since`` is from when on every event is among them. Subscribe ``fold`` before calling it, so that no event
        falls in between.
        """
        with self._lock:
            self._forget()
            self._known_since = since
            backlog = tuple(read())
            for event in backlog:
                self._fold(event)
            # An event is told after it is recorded, so what was recorded last may still be told; identities stay
            # valid as long as the events themselves are kept.
            self._backlog = backlog[-EVENTS_PER_REQUEST:]
            self._known = frozenset(map(id, self._backlog))

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        with self._lock:
            if id(event) not in self._known:
                self._fold(event)

    def reset(self) -> None:
        """Forget failures, latencies and requests; states, cool-downs and tokens per minute stay."""
        with self._lock:
            self._requests.clear()
            for lane in self._lanes.values():
                lane.failures.clear()
                lane.latencies.clear()

    def view(self, snapshot: Snapshot, span: float, until: float | None = None) -> View:
        """Return the last ``span`` seconds of the snapshot's backends.

        The view may end somewhat later than the snapshot, at ``until``, so that it need not be drawn anew for each
        moment; what is drawn there is what is true now.
        """
        until = snapshot.at if until is None else until
        with self._lock:
            self._sample(snapshot.at)
            strips = tuple(self._strip(backend, until - span, until) for backend in snapshot.backends)
            requests = tuple(Trace(tuple(events)) for events in reversed(self._requests.values()))
        return View(until, span, strips, requests)

    def _strip(self, backend: BackendSnapshot, since: float, until: float) -> Strip:
        lane = self._lanes.get(backend.name) or _Lane()
        return Strip(
            name=backend.name,
            periods=lane.periods(since, until, backend.state, self._known_since),
            failures=tuple(at for at in lane.failures if at >= since),
            cool_downs=tuple((begin, min(end, until)) for begin, end in lane.cool_downs if end >= since),
            latencies=tuple(lane.latencies),
            tpm=(*self._curve(lane, since, until), (until, backend.tpm)),
        )

    def _curve(self, lane: _Lane, since: float, until: float) -> tuple[tuple[float, float | None], ...]:
        """Return the samples in the span, thinned to about 30."""
        if self._sampled_at is None:
            return ()
        stride = max(1, round((until - since) / SAMPLE_SECONDS / 30))
        points: list[tuple[float, float | None]] = []
        last = round(self._sampled_at / SAMPLE_SECONDS)
        # the same moments each time, so that the curve does not wobble
        for back in range(last % stride, len(lane.samples), stride):
            at = self._sampled_at - back * SAMPLE_SECONDS
            if at < since:
                break
            points.append((at, lane.samples[-1 - back]))
        return tuple(reversed(points))

    def _fold(self, event: Event) -> None:
        self._sample(event.at)
        if self._known_since is None:
            self._known_since = event.at
        if isinstance(event, BackendEvent):
            if event.backend not in self._lanes:  # with as many samples as the others have
                known = max((len(lane.samples) for lane in self._lanes.values()), default=0)
                self._lanes[event.backend] = _Lane(samples=deque([None] * known, maxlen=_SAMPLES_KEPT))
            self._lanes[event.backend].fold(event, self.basis)
        if isinstance(event, RequestStarted):
            self._requests[event.request] = []
            while len(self._requests) > REQUESTS_KEPT:
                self._requests.popitem(last=False)
        events = self._requests.get(event.request)
        if events is not None and (len(events) < EVENTS_PER_REQUEST or isinstance(event, RequestEnded)):
            events.append(event)

    def _sample(self, now: float) -> None:
        """Sample the tokens per minute at each whole step until ``now``."""
        newest = now // SAMPLE_SECONDS * SAMPLE_SECONDS
        if self._sampled_at is None or newest - self._sampled_at > LONGEST_SPAN:
            self._sampled_at = newest - SAMPLE_SECONDS
            for lane in self._lanes.values():
                lane.samples.clear()
        while self._sampled_at < newest:
            self._sampled_at += SAMPLE_SECONDS
            for lane in self._lanes.values():
                lane.samples.append(lane.rate(self._sampled_at, self.basis))
