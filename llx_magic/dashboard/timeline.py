"""What has happened lately, folded from events for a view that is drawn again and again; bounded, whatever comes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

from llx_magic.core.events import (
    BackendEvent,
    Event,
    ReplyRestarted,
    RequestAnswered,
    RequestEnded,
    RequestFailed,
    RequestStarted,
)
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import percentile
from llx_magic.core.trace import Trace
from llx_magic.dashboard.lane import LONGEST_SPAN, SAMPLE_SECONDS, SAMPLES_KEPT, Lane
from llx_magic.dashboard.view import Prompt, Strip, View
from llx_magic.locks import ForkSafeLock
from llx_magic.observe.rates import Basis

LATEST_KEPT = 4
"""How many of the latest prompts are shown, whatever became of them."""

STRIKING_KEPT = 2
"""How many older ones are shown: the latest of those that failed, were restarted, or were slow."""

EVENTS_PER_REQUEST = 200
"""After how many events of one request its further steps are left out."""

SECONDS_KEPT = 1000
"""Of how many of the latest prompts that were answered it is known how long they took."""

SLOW = 3.0
"""A prompt is slow that took so many times as long as half of them."""

_FEWEST = 5
"""Of fewer prompts nobody knows which are slow."""

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
        self._requests: OrderedDict[int, list[Event]] = OrderedDict()
        self._striking: deque[Prompt] = deque(maxlen=STRIKING_KEPT)
        self._seconds: deque[float] = deque(maxlen=SECONDS_KEPT)
        self._median: float | None = None
        self._counted = self._ranked = 0
        """How many prompts were answered, now and when the median was last looked for."""
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
            self._backlog = backlog[-EVENTS_PER_REQUEST:]
            self._known = frozenset(map(id, self._backlog))

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        with self._lock:
            if id(event) not in self._known:
                self._fold(event)

    def reset(self) -> None:
        """Forget visits and prompts; states, cool-downs and tokens per minute stay."""
        with self._lock:
            self._requests.clear()
            self._striking.clear()
            self._seconds.clear()
            self._rank()
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
            if self._counted > self._ranked:
                self._rank()
            return View(
                now=until,
                since=since,
                span=span,
                epoch=self._epoch,
                strips=tuple(self._strip(backend, since, until) for backend in snapshot.backends),
                prompts=tuple(self._prompts()),
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

    def _prompts(self) -> Iterable[Prompt]:
        """Yield the latest prompts, and those that are worth a look for longer; newest first."""
        latest = [self._prompt(events) for events in reversed(self._requests.values())]
        yield from latest
        yield from reversed(self._striking)

    def _prompt(self, events: list[Event]) -> Prompt:
        last, median = events[-1], self._median
        is_slow = False
        if isinstance(last, RequestAnswered) and median is not None and len(self._seconds) >= _FEWEST:
            is_slow = last.seconds > SLOW * median
        return Prompt(trace=Trace(tuple(events)), is_slow=is_slow)

    def _rank(self) -> None:
        self._median = percentile(self._seconds, 0.5)
        self._ranked = self._counted

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
        if isinstance(event, RequestStarted):
            self._requests[event.request] = self._requests.pop(event.request, [])  # a row that was put back
            while len(self._requests) > LATEST_KEPT:
                self._leave(self._requests.popitem(last=False)[1])
        if isinstance(event, RequestAnswered):
            self._seconds.append(event.seconds)
            self._counted += 1
        events = self._requests.get(event.request)
        if events is not None and (len(events) < EVENTS_PER_REQUEST or isinstance(event, RequestEnded)):
            events.append(event)

    def _leave(self, events: list[Event]) -> None:
        """Let a prompt go, or keep it for longer where it is worth a look."""
        if not isinstance(events[-1], RequestEnded):
            return
        if self._counted > 1.1 * self._ranked:  # seldom, since it is done while prompts are answered
            self._rank()
        prompt = self._prompt(events)
        if (
            prompt.is_slow
            or isinstance(events[-1], RequestFailed)
            or any(isinstance(e, ReplyRestarted) for e in events)
        ):
            self._striking.append(prompt)

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
