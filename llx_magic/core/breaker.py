"""The circuit breaker of one backend (https://martinfowler.com/bliki/CircuitBreaker.html).

Closed it counts failures and opens at the threshold; open it refuses until the recovery time has passed; then it
admits exactly one probe (half-open), whose outcome closes it or opens it again. A ticket is settled on every way
out, so the breaker cannot wedge: a probe that is cancelled gives its place back.
"""

from __future__ import annotations

import enum
from bisect import bisect_right, insort
from typing import TYPE_CHECKING

import msgspec

from llx_magic.core.moments import TICK, seconds_until

if TYPE_CHECKING:
    from llx_magic.settings.declaration import Settings


class CircuitState(enum.StrEnum):
    """The three states of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Outcome(enum.Enum):
    """What a settled visit says about the backend."""

    SUCCESS = "success"
    COUNTED_FAILURE = "counted failure"
    UNCOUNTED_FAILURE = "uncounted failure"
    """Not held against a closed circuit, yet no sign of health: a probe that ends so opens the circuit again."""
    REFUSAL = "refusal"
    """The backend refused this request but is up."""
    GIVEN_BACK = "given back"
    """It says nothing about the backend: the user cancelled, or a rate limit or this machine stood in the way."""


class Cause(enum.StrEnum):
    """Why a circuit changed its state, in the words in which every view says it."""

    FAILURES = "failures in the window"
    """So many failures as the threshold allows opened it."""
    RECOVERY_TIME = "the recovery time had passed"
    """The circuit is half-open, and this request is the probe."""
    PROBE_FAILED = "the probe failed"
    PROBE_RETURNED = "the probe taught nothing"
    """It was cancelled, or met a rate limit or trouble of this machine; the next request probes again."""
    RECOVERED = "the backend has recovered"
    BY_HAND = "by hand"


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """One admitted visit: the generation of the circuit that admitted it, and whether it is the probe."""

    generation: int
    is_probe: bool = False


class CircuitBreaker(msgspec.Struct):
    """Decides whether a backend may be visited, from the outcomes of earlier visits.

    Times are seconds of any monotonic clock; the caller passes ``now``. ``failures`` are the times of those that count,
    oldest first. ``generation`` grows with each change of state; a ticket from an older generation is ignored.
    """

    state: CircuitState = CircuitState.CLOSED
    failures: list[float] = []
    opened_at: float = 0.0
    generation: int = 0

    def failures_in_window(self, now: float, settings: Settings) -> int:
        """Count the failures younger than the window."""
        return len(self.failures) - self._count_old(now, settings)

    def seconds_until_probe(self, now: float, settings: Settings) -> float:
        """Return the seconds until a probe is due: 0 when due, closed or half-open."""
        if self.state is not CircuitState.OPEN:
            return 0.0
        return seconds_until(self.opened_at + settings.circuit_breaker_recovery_timeout_ms / 1000, now)

    def refuses(self, now: float, settings: Settings) -> bool:
        """Return whether a visit must be skipped now: open and not yet due, or a probe is under way."""
        return self.state is CircuitState.HALF_OPEN or self.seconds_until_probe(now, settings) > 0

    def probe_due(self, now: float, settings: Settings) -> bool:
        """Return whether the next ticket would be the probe."""
        return self.state is CircuitState.OPEN and self.seconds_until_probe(now, settings) <= 0

    def admit(self, now: float, settings: Settings, *, may_probe: bool = True) -> Ticket:
        """Hand out a ticket; the caller has asked ``refuses`` first, or visits against its advice.

        ``may_probe`` is False where the probe is to be another process's.
        """
        if may_probe and self.probe_due(now, settings):
            self._move(CircuitState.HALF_OPEN)
            return Ticket(self.generation, is_probe=True)
        return Ticket(self.generation)

    def settle(self, ticket: Ticket, outcome: Outcome, now: float, settings: Settings) -> Cause | None:
        """Take the outcome of a visit and return why that changed the state, if it did.

        A ticket from an older generation changes nothing.
        """
        if ticket.generation != self.generation:
            return None
        if outcome in (Outcome.SUCCESS, Outcome.REFUSAL) and self.state is not CircuitState.CLOSED:
            return self._close()
        if ticket.is_probe:
            if outcome is not Outcome.GIVEN_BACK:
                self.opened_at = now
            self._move(CircuitState.OPEN)
            return Cause.PROBE_RETURNED if outcome is Outcome.GIVEN_BACK else Cause.PROBE_FAILED
        if outcome is Outcome.COUNTED_FAILURE and self.state is CircuitState.CLOSED:
            return self._count(now, settings)
        return None

    def open_by_hand(self, now: float) -> None:
        """Open the circuit because the user says so; it recovers as any other."""
        self.opened_at = now
        self._move(CircuitState.OPEN)

    def close_by_hand(self) -> None:
        """Close the circuit and forget its failures because the user says so."""
        self._close()

    def hear_of_failure(self, at: float, settings: Settings) -> Cause | None:
        """Count a failure that another process met at that time; return why that opened the circuit, if it did."""
        return self._count(at, settings) if self.state is CircuitState.CLOSED else None

    def forget(self, at: float) -> None:
        """Let failures from before that time count no more."""
        del self.failures[: bisect_right(self.failures, at)]

    def hear_of_probe(self, at: float) -> None:
        """Take that another process's probe failed at that time: an open circuit is open from then on."""
        if self.state is CircuitState.OPEN:
            self.opened_at = max(self.opened_at, at)

    def hear_of_recovery(self, at: float) -> Cause | None:
        """Take that another process was answered at that time; return why that closed the circuit, if it did."""
        return None if self.state is CircuitState.CLOSED or at < self.opened_at else self._close()

    def _count(self, at: float, settings: Settings) -> Cause | None:
        insort(self.failures, at)  # one that is heard of later may be older
        latest = self.failures[-1]
        del self.failures[: self._count_old(latest, settings)]
        if len(self.failures) < settings.circuit_breaker_failure_threshold:
            return None
        self.opened_at = latest
        self._move(CircuitState.OPEN)
        return Cause.FAILURES

    def _close(self) -> Cause:
        self.failures.clear()
        self._move(CircuitState.CLOSED)
        return Cause.RECOVERED

    def _move(self, state: CircuitState) -> None:
        self.state = state
        self.generation += 1

    def _count_old(self, now: float, settings: Settings) -> int:
        return bisect_right(self.failures, now - settings.circuit_breaker_failure_window_ms / 1000 + TICK)
