"""What has happened lately at one backend, folded from its events; bounded, whatever comes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from llx_magic.core.circuits import COOL_DOWN_MOMENTS, MOMENTS, Period, cool_down, periods
from llx_magic.core.events import BackendEvent, BackendRemoved, VisitCancelled, VisitFailed, VisitSucceeded
from llx_magic.core.failure import FailureKind
from llx_magic.dashboard.view import Visits
from llx_magic.observe.rates import Basis, MeasuredRate

CHANGES_KEPT = 400
"""How many changes of state are remembered of each backend."""

VISITS_KEPT = 200
"""How many of a backend's latest visits are remembered one by one; older ones are put together."""

TOGETHER_SECONDS = 30.0
"""How long a while the visits that are put together have ended in."""

CONDENSED_KEPT = 240

SAMPLE_SECONDS = 2.0
"""How far apart the tokens per minute are sampled."""

LONGEST_SPAN = 3600.0
"""How far back, in seconds, a view can look."""

SAMPLES_KEPT = int(LONGEST_SPAN / SAMPLE_SECONDS) + 1


@dataclass(slots=True)
class Lane:
    """One backend's recent past; ``samples`` are its tokens per minute at the times that all lanes share."""

    moments: deque[BackendEvent] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    """What began or ended a state of the circuit."""
    cool_downs: list[tuple[float, float]] = field(default_factory=list)
    latest: deque[Visits] = field(default_factory=deque)
    condensed: deque[Visits] = field(default_factory=lambda: deque(maxlen=CONDENSED_KEPT))
    rates: MeasuredRate = field(default_factory=MeasuredRate)
    samples: deque[float | None] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))

    def fold(self, event: BackendEvent, basis: Basis) -> None:
        """Take one event into account; ``basis`` is by what time the tokens per minute are counted."""
        match event:
            case VisitSucceeded():
                self._take(Visits("answered", event.at, event.at, event.seconds, event.seconds))
                if event.completion_tokens is not None:
                    self.rates.take(event, basis)
            case VisitFailed() if event.failure.kind is not FailureKind.LOCAL:
                reason = event.failure.in_short
                self._take(Visits("failed", event.at, event.at, event.seconds, event.seconds, 1, reason))
            case VisitFailed() | VisitCancelled():
                self._take(Visits("cancelled", event.at, event.at, event.seconds, event.seconds))
            case BackendRemoved():
                self.rates = MeasuredRate()
        if isinstance(event, COOL_DOWN_MOMENTS):
            cool_down(self.cool_downs, event)
            del self.cool_downs[:-CHANGES_KEPT]
        if isinstance(event, MOMENTS):
            self.moments.append(event)

    def forget_visits(self) -> None:
        """Forget the visits; states, cool-downs and tokens per minute stay."""
        self.latest.clear()
        self.condensed.clear()

    def visits(self, since: float) -> tuple[Visits, ...]:
        """Return the visits that ended after a moment."""
        return tuple(each for kept in (self.condensed, self.latest) for each in kept if each.end >= since)

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

    def _take(self, visit: Visits) -> None:
        if len(self.latest) >= VISITS_KEPT:
            self._condense(self.latest.popleft())
        self.latest.append(visit)

    def _condense(self, visit: Visits) -> None:
        """Put a visit together with those of its while that ended in the same way."""
        for place in range(len(self.condensed) - 1, max(-1, len(self.condensed) - 4), -1):
            old = self.condensed[place]
            if (old.kind, old.reason) == (visit.kind, visit.reason) and visit.end - old.begin < TOGETHER_SECONDS:
                low, high = min(old.low, visit.low), max(old.high, visit.high)
                self.condensed[place] = old._replace(end=visit.end, low=low, high=high, visits=old.visits + 1)
                return
        self.condensed.append(visit)
