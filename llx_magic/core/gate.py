"""The one place where a backend lets a request in or not: circuit, cool-down and tokens per minute together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llx_magic.core.breaker import Change, CircuitBreaker, CircuitState, Outcome, Ticket
from llx_magic.core.cooldown import CoolDown, cool_down_seconds
from llx_magic.core.events import (
    BackendEvent,
    BackendPutAside,
    BackendSkipped,
    CircuitClosed,
    CircuitHalfOpened,
    CircuitOpened,
    CoolDownEnded,
    CoolDownStarted,
    ProbeReturned,
    SkipReason,
    TpmMeasured,
    VisitStarted,
)
from llx_magic.core.failure import REFUSALS, Failure, FailureKind
from llx_magic.core.tokens import TokenWindow

if TYPE_CHECKING:
    from llx_magic.core.policy import Policy


@dataclass(frozen=True, slots=True, eq=False)
class Permit:
    """Leave to visit a backend; settled exactly once. ``ticket`` is None where the breaker is switched off."""

    request: int
    admitted_at: float
    ticket: Ticket | None

    @property
    def is_probe(self) -> bool:
        """Whether this visit tests a recovering backend; it makes one attempt."""
        return self.ticket is not None and self.ticket.is_probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The verdict on one request: a permit, or None and the reason among the events."""

    permit: Permit | None
    put_aside: bool = False
    events: tuple[BackendEvent, ...]


def outcome_of(failure: Failure) -> Outcome:
    """Return what a failed visit says about the backend."""
    if failure.counts:
        return Outcome.COUNTED_FAILURE
    if failure.kind in REFUSALS:
        return Outcome.REFUSAL
    if failure.kind is FailureKind.RATE_LIMIT:
        return Outcome.GIVEN_BACK
    return Outcome.UNCOUNTED_FAILURE


class Gate:
    """The live state of one backend. Not thread-safe: the owner holds its profile's lock around each call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.breaker = CircuitBreaker()
        self.cool_down = CoolDown()
        self.tokens = TokenWindow()

    def admit(self, request: int, now: float, policy: Policy, *, sole: bool, second_pass: bool) -> Admission:
        """Decide on one request.

        ``sole`` marks a request with no other candidate: it is never refused. ``second_pass`` ignores tokens per
        minute. The permit is taken last, after every other reason to pass the backend over.
        """
        if not sole and (refusal := self._refusal(request, now, policy)):
            return Admission(permit=None, events=(refusal,))
        probe_due = policy.circuit_breaker_enabled and self.breaker.probe_due(now, policy)
        measured: tuple[BackendEvent, ...] = ()
        if not probe_due and not second_pass:
            measured = self._measure_tpm(request, now, policy)
            if len(measured) > 1 and not sole:
                return Admission(permit=None, put_aside=True, events=measured)
        permit = self._take_permit(request, now, policy)
        half_opened = (CircuitHalfOpened(at=now, request=request, backend=self.name),) if permit.is_probe else ()
        started = VisitStarted(at=now, request=request, backend=self.name, is_probe=permit.is_probe)
        return Admission(permit=permit, events=(*measured[:1], *half_opened, started))

    def preview(self, now: float, policy: Policy, *, sole: bool) -> str:
        """Say what ``admit`` would decide now; nothing is taken or recorded."""
        refusal = None if sole else self._refusal(0, now, policy)
        if refusal is not None:
            left = "" if refusal.seconds_left is None else f", {refusal.seconds_left:.0f} s left"
            return f"skipped: {refusal.message}{left}"
        if policy.circuit_breaker_enabled and self.breaker.probe_due(now, policy):
            return "asked once, as the probe of its half-open circuit"
        measured = self._measure_tpm(0, now, policy)
        if len(measured) > 1 and not sole:
            return "put aside for its tokens per minute, asked only if no other answers"
        return f"asked, up to {policy.failover_retry_count} times"

    def may_continue(self, permit: Permit, *, sole: bool) -> bool:
        """Return whether a visit may make a further attempt: no other request has opened the circuit meanwhile."""
        return sole or permit.ticket is None or self.breaker.state is CircuitState.CLOSED

    def limited(self, permit: Permit, failure: Failure, now: float, *, will_retry: bool) -> CoolDownStarted:
        """Start the cool-down that a 429 asks for; a visit that will try again itself goes first at its end."""
        seconds = cool_down_seconds(failure.retry_after, quota_exhausted=failure.quota_exhausted)
        self.cool_down.start(now + seconds, permit if will_retry else None)
        return CoolDownStarted(at=now, request=permit.request, backend=self.name, seconds=seconds)

    def settle(self, permit: Permit, outcome: Outcome, now: float, policy: Policy) -> tuple[BackendEvent, ...]:
        """Take the outcome of a visit and give back what its permit held."""
        events: list[BackendEvent] = []
        if permit.ticket is not None:
            change = self.breaker.settle(permit.ticket, outcome, now, policy)
            if change is not None:
                events.append(self._circuit_event(change, permit.request, now, policy))
        if self.cool_down.settle(permit, learnt=self._rate_limit_is_over(outcome, now)):
            events.append(CoolDownEnded(at=now, request=permit.request, backend=self.name))
        return tuple(events)

    def _rate_limit_is_over(self, outcome: Outcome, now: float) -> bool:
        """Return whether a visit's outcome ends the cool-down; before its time only an answer does."""
        if outcome is Outcome.GIVEN_BACK:
            return False
        return outcome is Outcome.SUCCESS or not self.cool_down.seconds_left(now)

    def _refusal(self, request: int, now: float, policy: Policy) -> BackendSkipped | None:
        if policy.circuit_breaker_enabled and self.breaker.refuses(now, policy):
            left = self.breaker.seconds_until_probe(now, policy)
            return BackendSkipped(
                at=now,
                request=request,
                backend=self.name,
                reason=SkipReason.CIRCUIT_OPEN,
                message="circuit open" if left else "circuit half-open, another request is the probe",
                seconds_left=left or None,
            )
        if self.cool_down.refuses(now):
            return BackendSkipped(
                at=now,
                request=request,
                backend=self.name,
                reason=SkipReason.COOLING_DOWN,
                message="cooling down after a rate limit",
                seconds_left=self.cool_down.seconds_left(now),
            )
        return None

    def _measure_tpm(self, request: int, now: float, policy: Policy) -> tuple[BackendEvent, ...]:
        if policy.tpm_threshold is None:
            return ()
        tpm = self.tokens.rate(now, policy.tpm_basis)
        if tpm is None:
            return ()
        measured = TpmMeasured(at=now, request=request, backend=self.name, tpm=tpm)
        if tpm >= policy.tpm_threshold:
            return (measured,)
        aside = BackendPutAside(at=now, request=request, backend=self.name, tpm=tpm, threshold=policy.tpm_threshold)
        return (measured, aside)

    def _take_permit(self, request: int, now: float, policy: Policy) -> Permit:
        ticket = self.breaker.admit(now, policy) if policy.circuit_breaker_enabled else None
        permit = Permit(request, now, ticket)
        self.cool_down.admit(permit)
        return permit

    def _circuit_event(self, change: Change, request: int, now: float, policy: Policy) -> BackendEvent:
        match change:
            case Change.OPENED:
                failures = self.breaker.failures_in_window(now, policy)
                return CircuitOpened(at=now, request=request, backend=self.name, failures=failures)
            case Change.REOPENED:
                return CircuitOpened(at=now, request=request, backend=self.name, failures=None)
            case Change.CLOSED:
                return CircuitClosed(at=now, request=request, backend=self.name)
            case Change.PROBE_RETURNED:
                return ProbeReturned(at=now, request=request, backend=self.name)
