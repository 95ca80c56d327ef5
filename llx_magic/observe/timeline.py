"""What has happened lately, folded from events for a view that is drawn again and again; bounded, whatever comes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from llx_magic.core.breaker import CircuitState
from llx_magic.core.events import (
    BackendEvent,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitSetByHand,
    CoolDownEnded,
    CoolDownStarted,
    Event,
    ProbeReturned,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestStarted,
    VisitFailed,
    VisitSucceeded,
)
from llx_magic.core.tokens import TokenWindow
from llx_magic.core.trace import Trace
from llx_magic.locks import ForkSafeLock

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

ENDINGS = (RequestAnswered, RequestFailed, RequestCancelled)
"""How a request ends."""

_SAMPLES_KEPT = int(LONGEST_SPAN / SAMPLE_SECONDS) + 1

CLOSED, HALF_OPEN, OPEN = (str(state) for state in (CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN))


@dataclass(frozen=True, slots=True)
class Stretch:
    """A backend was in ``state`` from ``begin`` to ``end``, in seconds of the profile's clock."""

    state: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One backend in the span: what its lane, its curve and its sparkline are drawn from, each oldest first.

    ``latencies`` are seconds of its latest visits, whenever they were. ``tpm`` pairs times with tokens per minute,
    None where they were unknown.
    """

    name: str
    stretches: tuple[Stretch, ...]
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
    changes: deque[tuple[float, str, str]] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    """When, from which state, to which."""
    failures: deque[float] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    cool_downs: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    tokens: TokenWindow = field(default_factory=TokenWindow)
    samples: deque[float | None] = field(default_factory=lambda: deque(maxlen=_SAMPLES_KEPT))

    def fold(self, event: BackendEvent) -> None:
        match event:
            case VisitSucceeded():
                self.latencies.append(event.seconds)
                if event.completion_tokens is not None:
                    total = event.completion_tokens + (event.prompt_tokens or 0)
                    self.tokens.add(event.at - event.seconds, event.at, total)
            case VisitFailed():
                self.latencies.append(event.seconds)
                self.failures.append(event.at)
            case CoolDownStarted():
                self.cool_downs.append((event.at, event.at + event.seconds))
            case CoolDownEnded() if self.cool_downs:
                begin, end = self.cool_downs.pop()
                self.cool_downs.append((begin, min(end, event.at)))
            case _:
                if change := _change(event):
                    self.changes.append((event.at, *change))

    def stretches(self, since: float, now: float, state: str) -> tuple[Stretch, ...]:
        """Return the states since a moment, ``state`` being the one of now."""
        found: list[Stretch] = []
        end = now
        for at, before, after in reversed(self.changes):
            state = after if found else state
            if at <= since:
                break
            found.append(Stretch(state, at, end))
            end, state = at, before
        found.append(Stretch(state, since, end))
        return tuple(reversed(found))


def _change(event: BackendEvent) -> tuple[str, str] | None:
    """Return from which state to which the circuit went, as far as the event alone can tell."""
    match event:
        case CircuitOpened():
            return (HALF_OPEN if event.failures is None else CLOSED, OPEN)
        case CircuitHalfOpened():
            return (OPEN, HALF_OPEN)
        case ProbeReturned():
            return (HALF_OPEN, OPEN)
        case CircuitClosed():
            return (HALF_OPEN, CLOSED)
        case CircuitSetByHand():
            return (CLOSED, event.state)
        case _:
            return None


class Timeline:
    """The recent past of a profile's backends; events may come from any thread, and it may be read from any other."""

    def __init__(self, basis: Literal["elapsed", "busy"] = "elapsed") -> None:
        self.basis: Literal["elapsed", "busy"] = basis
        self._lock = ForkSafeLock()
        self._forget()

    def _forget(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._requests: OrderedDict[int, list[Event]] = OrderedDict()
        self._known: frozenset[int] = frozenset()
        self._backlog: tuple[Event, ...] = ()
        self._sampled_at: float | None = None

    def catch_up(self, read: Callable[[], Iterable[Event]]) -> None:
        """Begin anew with the events that ``read`` returns; those that are told meanwhile are not counted twice.

        Subscribe ``fold`` before calling it, so that no event falls in between.
        """
        with self._lock:
            self._forget()
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

    def view(self, states: dict[str, str], now: float, span: float) -> View:
        """Return the last ``span`` seconds of the named backends; ``states`` are those of their circuits now."""
        with self._lock:
            self._sample(now)
            since = now - span
            strips = tuple(self._strip(name, state, since, now) for name, state in states.items())
            requests = tuple(Trace(tuple(events)) for events in reversed(self._requests.values()))
        return View(now, span, strips, requests)

    def _strip(self, name: str, state: str, since: float, now: float) -> Strip:
        lane = self._lanes.get(name) or _Lane()
        return Strip(
            name=name,
            stretches=lane.stretches(since, now, state),
            failures=tuple(at for at in lane.failures if at >= since),
            cool_downs=tuple((begin, min(end, now)) for begin, end in lane.cool_downs if end >= since),
            latencies=tuple(lane.latencies),
            tpm=self._curve(lane, since, now),
        )

    def _curve(self, lane: _Lane, since: float, now: float) -> tuple[tuple[float, float | None], ...]:
        """Return the samples in the span, thinned to about 30, and the value of now."""
        if self._sampled_at is None:
            return ()
        stride = max(1, round((now - since) / SAMPLE_SECONDS / 30))
        points: list[tuple[float, float | None]] = [(now, lane.tokens.rate(now, self.basis))]
        last = round(self._sampled_at / SAMPLE_SECONDS)
        for back in range(
            last % stride, len(lane.samples), stride
        ):  # the same moments each time, so it does not wobble
            at = self._sampled_at - back * SAMPLE_SECONDS
            if at < since:
                break
            points.append((at, lane.samples[-1 - back]))
        return tuple(reversed(points))

    def _fold(self, event: Event) -> None:
        self._sample(event.at)
        if isinstance(event, BackendEvent):
            if event.backend not in self._lanes:
                self._lanes[event.backend] = self._new_lane()
            self._lanes[event.backend].fold(event)
        if isinstance(event, RequestStarted):
            self._requests[event.request] = []
            while len(self._requests) > REQUESTS_KEPT:
                self._requests.popitem(last=False)
        events = self._requests.get(event.request)
        if events is not None and (len(events) < EVENTS_PER_REQUEST or isinstance(event, ENDINGS)):
            events.append(event)

    def _new_lane(self) -> _Lane:
        """Return a lane with as many samples as the others."""
        known = max((len(lane.samples) for lane in self._lanes.values()), default=0)
        return _Lane(samples=deque([None] * known, maxlen=_SAMPLES_KEPT))

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
                lane.samples.append(lane.tokens.rate(self._sampled_at, self.basis))
