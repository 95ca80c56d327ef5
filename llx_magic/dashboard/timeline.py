"""What has happened lately, folded from events for a view that is drawn again and again; bounded, whatever comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from llx_magic.core.events import BackendEvent, Event
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard.lane import LONGEST_SPAN, SAMPLE_SECONDS, SAMPLES_KEPT, Lane
from llx_magic.dashboard.latest import Latest
from llx_magic.dashboard.view import Strip, View
from llx_magic.locks import ForkSafeLock
from llx_magic.observe.rates import Basis

BACKLOG_KNOWN = 200
"""How many of the events that were caught up with are recognized where they are told once more."""

_SHORTEST_AXIS = 1 / 30
"""The shortest time that is drawn, as a share of the span that is asked for."""


class Timeline:
    """The recent past of a profile's backends; events may come from any thread, and it may be read from any other.

    ``basis`` is by what time tokens per minute are counted; ``epoch`` is the Unix time at which the clock was zero.
    """

    def __init__(self, basis: Basis = "elapsed", epoch: float = 0.0) -> None:
        self.basis: Basis = basis
        self._epoch = epoch
        self._lock = ForkSafeLock()
        self._forget()

    def _forget(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._latest = Latest()
        self._known: frozenset[int] = frozenset()
        self._backlog: tuple[Event, ...] = ()
        self._sampled_at: float | None = None
        self._known_since: float | None = None
        self._begins: float | None = None

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
            self._backlog = backlog[-BACKLOG_KNOWN:]
            self._known = frozenset(map(id, self._backlog))

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        with self._lock:
            if id(event) not in self._known:
                self._fold(event)

    def reset(self) -> None:
        """Forget visits and prompts; states, cool-downs and tokens per minute stay."""
        with self._lock:
            self._latest = Latest()
            for lane in self._lanes.values():
                lane.forget_visits()

    def view(self, snapshot: Snapshot, span: float, until: float | None = None) -> View:
        """Return at most the last ``span`` seconds of the snapshot's backends.

        The view may end somewhat later than the snapshot, at ``until``, so that it need not be drawn anew for each
        moment; what is drawn there is what is true now.
        """
        until = snapshot.at if until is None else until
        with self._lock:
            self._sample(snapshot.at)
            since = self._axis_begin(span, until)
            return View(
                now=until,
                since=since,
                span=span,
                epoch=self._epoch,
                strips=tuple(self._strip(backend, since, until) for backend in snapshot.backends),
                prompts=self._latest.prompts(),
            )

    def _axis_begin(self, span: float, until: float) -> float:
        begins = until if self._begins is None else self._begins
        return max(until - span, min(begins, until - span * _SHORTEST_AXIS))

    def _strip(self, backend: BackendSnapshot, since: float, until: float) -> Strip:
        lane = self._lanes.get(backend.name) or Lane()
        return Strip(
            name=backend.name,
            periods=lane.periods(since, until, backend.state, self._known_since),
            cool_downs=tuple((begin, min(end, until)) for begin, end in lane.cool_downs if end >= since),
            visits=lane.visits(since),
            tpm=(*self._curve(lane, since, until), (until, backend.tpm)),
        )

    def _curve(self, lane: Lane, since: float, until: float) -> tuple[tuple[float, float | None], ...]:
        """Return the samples in the span, thinned to about 30."""
        if self._sampled_at is None:
            return ()
        stride = max(1, round((until - since) / SAMPLE_SECONDS / 30))
        points: list[tuple[float, float | None]] = []
        last = round(self._sampled_at / SAMPLE_SECONDS)
        newest_first = reversed(lane.samples)  # a deque is slow to index in its middle
        # the same moments each time, so that the curve does not wobble
        for back, rate in islice(enumerate(newest_first), last % stride, None, stride):
            at = self._sampled_at - back * SAMPLE_SECONDS
            if at < since:
                break
            points.append((at, rate))
        return tuple(reversed(points))

    def _fold(self, event: Event) -> None:
        self._sample(event.at)
        if self._known_since is None:
            self._known_since = event.at
        if self._begins is None:
            self._begins = event.at
        if isinstance(event, BackendEvent):
            if event.backend not in self._lanes:  # with as many samples as the others have
                known = max((len(lane.samples) for lane in self._lanes.values()), default=0)
                self._lanes[event.backend] = Lane(samples=deque([None] * known, maxlen=SAMPLES_KEPT))
            self._lanes[event.backend].fold(event, self.basis)
        self._latest.fold(event)

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
