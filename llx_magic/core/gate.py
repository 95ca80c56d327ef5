"""The one place where a backend lets a request in or not: circuit, cool-down and tokens per minute together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from llx_magic.core.admission import WAITED_FOR, Admission, Applicant, Hold, Permit, Wait, patience_of
from llx_magic.core.breaker import Cause, CircuitBreaker, CircuitState, Outcome
from llx_magic.core.cooldown import LONGEST_SECONDS, CoolDown, cool_down_seconds
from llx_magic.core.events import (
    BackendEvent,
    BackendPutAside,
    BackendSkipped,
    CircuitChanged,
    CoolDownEnded,
    CoolDownLifted,
    CoolDownStarted,
    SkipReason,
    TpmMeasured,
    VisitStarted,
)
from llx_magic.core.failure import Failure
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.sharing import Allowed, Limited, Sharing
from llx_magic.core.tokens import TokenWindow
from llx_magic.core.traffic import Room, Traffic

if TYPE_CHECKING:
    from llx_magic.settings.declaration import Settings


PROBE_ELSEWHERE = "circuit half-open, a request of another process is the probe"


class GateKey(msgspec.Struct, frozen=True, weakref=True):
    """Names the gate of one backend; one that takes the place of another of the same name has a later generation."""

    name: str
    generation: int = 0


class Gate(msgspec.Struct):
    """The state of one backend, as plain data: it can be written as JSON and read back, here or in another process.

    A method takes the gate over and changes it in place, since copying a window of tens of thousands of replies for
    each decision would cost more than the decision. So a ``StateStore`` hands a gate to one caller at a time.
    """

    name: str
    breaker: CircuitBreaker = msgspec.field(default_factory=CircuitBreaker)
    cool_down: CoolDown = msgspec.field(default_factory=CoolDown)
    tokens: TokenWindow = msgspec.field(default_factory=TokenWindow)
    traffic: Traffic = msgspec.field(default_factory=Traffic)
    sharing: Sharing | None = None

    def admit(self, applicant: Applicant, now: float, settings: Settings) -> Admission:
        """Decide on one request.

        A request without another candidate is refused only for a rate limit whose end it can wait for. The permit is
        taken last, when there is no other reason to pass the backend over.
        """
        request, only_candidate = applicant.request, applicant.only_candidate
        if refusal := self.refusal(applicant, now, settings):
            return Admission(permit=None, may_wait=refusal.reason in WAITED_FOR, events=(refusal,))
        measured: tuple[BackendEvent, ...] = ()
        if settings.tpm_threshold is not None and not applicant.second_pass and not self.probe_due(now, settings):
            measured = self.measure_tpm(request, now, settings)
            if len(measured) > 1 and not only_candidate:
                return Admission(permit=None, put_aside=True, events=measured)
        may_probe, ticket = self.may_probe(now), None
        if settings.circuit_breaker_enabled:
            ticket = self.breaker.admit(now, settings, may_probe=may_probe)
        sent = self.traffic.admit(applicant, now)
        permit = Permit(request, now, ticket, applicant.is_row, sent, applicant.tokens, applicant.run)
        if not applicant.is_row:
            self.cool_down.admit(request)
        if permit.is_probe and self.sharing is not None:
            self.sharing.begin_probe()
        half_opened = (self.changed(CircuitState.OPEN, Cause.RECOVERY_TIME, request, now),) if permit.is_probe else ()
        started = VisitStarted(at=now, request=request, backend=self.name, is_probe=permit.is_probe)
        return Admission(permit=permit, events=(*measured[:1], *half_opened, started))

    def admits_at_once(self, applicant: Applicant, now: float, settings: Settings) -> bool:
        """Return whether ``admit`` would let the request in, and not as a probe; nothing is taken or recorded."""
        if self.refusal(applicant, now, settings) or self.probe_due(now, settings):
            return False
        return applicant.second_pass or len(self.measure_tpm(applicant.request, now, settings)) < 2

    def room(self, now: float, settings: Settings, tokens: float = 0.0, run: int = 0) -> Room:
        """Return how many rows may be sent now, whose prompts have about so many tokens (0: as many as others had).

        A circuit's probe is one alone, and who waits in line goes first. To a ``run`` that takes part, its part.
        """
        room = self.traffic.room(now, settings, tokens, run)
        if settings.circuit_breaker_enabled and self.breaker.state is not CircuitState.CLOSED:
            left = self.breaker.seconds_until_probe(now, settings)
            if left > 0:
                return Room(0, now + left, SkipReason.CIRCUIT_OPEN, "circuit open")
            if self.breaker.state is CircuitState.HALF_OPEN:
                return self.traffic.until_one_ends(now, "circuit half-open, another request is the probe")
            if self.sharing is not None and now < self.sharing.held_until:
                return Room(0, self.sharing.held_until, SkipReason.CIRCUIT_OPEN, PROBE_ELSEWHERE)
            return room._replace(places=min(room.places, 1))
        if self.cool_down.has_line and not self.cool_down.seconds_left(now):
            return self.traffic.until_one_ends(now, "a request that is no row goes first")
        return room

    def held_back(self, now: float, settings: Settings) -> Hold | None:
        """Return what keeps requests away now, the longer one of circuit and cool-down; None when nothing does."""
        cooling = self.cool_down.seconds_left(now)
        circuit = None
        if free := self.traffic.at_ceiling(Applicant(request=0), now, settings):
            return Hold(0.0 if free.at is None else free.at - now, SkipReason.AT_CEILING)
        if settings.circuit_breaker_enabled and self.breaker.state is not CircuitState.CLOSED:
            circuit = self.breaker.seconds_until_probe(now, settings)
        if circuit is not None and circuit >= (cooling or 0.0):
            return Hold(circuit, SkipReason.CIRCUIT_OPEN)
        return None if cooling is None else Hold(cooling, SkipReason.COOLING_DOWN)

    def may_continue(self, permit: Permit, *, only_candidate: bool) -> bool:
        """Return whether a visit may make a further attempt: no other request has opened the circuit meanwhile."""
        return only_candidate or permit.ticket is None or self.breaker.state is CircuitState.CLOSED

    def may_send_again(self, permit: Permit, now: float, settings: Settings) -> bool:
        """Return whether the user's own limits leave a place for a further attempt of a visit; it is counted."""
        return self.traffic.may_send_again(permit, now, settings)

    def limited(
        self, permit: Permit, failure: Failure, now: float, *, will_retry: bool
    ) -> tuple[tuple[CoolDownStarted, ...], bool]:
        """Start the cool-down that a 429 asks for; also says whether the visit may wait for its end.

        Only one that will try again itself may, and of several only the first: it goes first at the end. A row that
        was refused for a time which nobody names may just have been one too many: no cool-down follows from it.
        """
        seconds = cool_down_seconds(failure.retry_after, quota_exhausted=failure.quota_exhausted)
        is_known = failure.retry_after is not None or failure.quota_exhausted
        self.traffic.refused(permit.admitted_at, now, seconds if is_known else None)
        if permit.is_row and not is_known:
            return (), False
        if self.sharing is not None:
            self.sharing.tell(Limited(seconds))
        goes_first = self.cool_down.start(permit.request, now, seconds, will_retry=will_retry)
        return (CoolDownStarted(at=now, request=permit.request, backend=self.name, seconds=seconds),), goes_first

    def overloaded(self, permit: Permit, failure: Failure, now: float) -> None:
        """Learn from a failure that tells of too much at once; the circuit has its own opinion of the visit."""
        wait = failure.retry_after
        self.traffic.refused(permit.admitted_at, now, None if wait is None else min(wait, LONGEST_SECONDS))

    def learn_rates(self, permit: Permit, facts: RateFacts, as_of: float, now: float) -> None:
        """Take what the service tells of its limits with the reply to what was sent at ``as_of``."""
        self.traffic.learn_rates(facts, permit.sent, as_of, now)

    def wait(self, applicant: Applicant, now: float, settings: Settings) -> Wait | None:
        """Let the request wait in line for this backend, if that is worth while: for its rate limit, or the user's own.

        Returns what it waits for and how long, or None where it does not wait.
        """
        patience = patience_of(applicant, now, settings)
        free = None if self.cool_down.seconds_left(now) else self.traffic.at_ceiling(applicant, now, settings)
        ceilings = self.traffic.ceilings
        if free is not None and ceilings is not None:
            if not ceilings.is_worth_waiting(free, patience):
                return None
            ceilings.join(applicant.request, patience, self.traffic.expected.load(applicant.tokens))
            return Wait(None if free.at is None else free.at - now, free.setting)
        if not self.is_worth_waiting(applicant, now, settings):
            return None
        self.cool_down.join(applicant.request, patience)
        return Wait(self.cool_down.seconds_left(now) or 0.0)

    @property
    def has_line(self) -> bool:
        """Whether somebody waits."""
        return self.cool_down.has_line or self.traffic.has_line

    def leave(self, request: int) -> None:
        """Let a request wait no longer; harmless for who does not wait."""
        self.cool_down.leave(request)
        self.traffic.leave(request)

    def call_next(self, now: float) -> int | None:
        """Take the next one out of the line whose turn it is, and keep its place for it until it is settled."""
        called = self.cool_down.call_next(now)
        return self.traffic.call_next(now) if called is None else called

    def next_turn_at(self, now: float) -> float | None:
        """Return when the next in line may go first; None where that depends on those under way."""
        turns = (self.cool_down.next_turn_at(), self.traffic.next_turn_at(now))
        return min((at for at in turns if at is not None), default=None)

    def losing_patience(self, now: float) -> list[int]:
        """Return those in line who need not wait any longer, since it has become too long."""
        return self.cool_down.losing_patience(now) + self.traffic.losing_patience(now)

    def give_back_turn(self, request: int, now: float) -> None:
        """Take that one who was called does not go; its place is the next one's."""
        self.cool_down.settle(request, now, conclusive=False)
        self.traffic.leave(request)

    def is_worth_waiting(self, applicant: Applicant, now: float, settings: Settings) -> bool:
        """Return whether the request should wait for this backend's rate limit.

        Not where its circuit would still refuse when the cool-down is over.
        """
        left = self.cool_down.seconds_left(now) or 0.0
        if (
            not applicant.only_candidate
            and settings.circuit_breaker_enabled
            and self.breaker.refuses(now + left, settings)
        ):
            return False
        return self.cool_down.is_worth_waiting(now, patience_of(applicant, now, settings))

    def settle(self, permit: Permit, outcome: Outcome, now: float, settings: Settings) -> tuple[BackendEvent, ...]:
        """Take the outcome of a visit and give back what its permit held."""
        events: list[BackendEvent] = []
        if permit.is_row and outcome is Outcome.SUCCESS:
            self.traffic.answered(now, settings)
        elif permit.is_row and outcome is Outcome.COUNTED_FAILURE and not permit.is_probe:
            outcome = Outcome.UNCOUNTED_FAILURE if self.traffic.excuses(permit.admitted_at, now) else outcome
        self.traffic.settle(now, is_row=permit.is_row, run=permit.run)
        if permit.ticket is not None:
            before, is_current = self.breaker.state, permit.ticket.generation == self.breaker.generation
            cause = self.breaker.settle(permit.ticket, outcome, now, settings)
            if cause is not None:
                failures = self.breaker.failures_in_window(now, settings) if cause is Cause.FAILURES else None
                events.append(self.changed(before, cause, permit.request, now, failures))
                self.traffic.start_anew()
            if self.sharing is not None:
                self.sharing.tell_of_visit(outcome if is_current else None, cause, now, was_probe=permit.is_probe)
        # Before its time only an answer ends a cool-down.
        is_over = outcome is Outcome.SUCCESS or not self.cool_down.seconds_left(now)
        if permit.is_row:
            ended = outcome is Outcome.SUCCESS and self.cool_down.disprove(permit.admitted_at)
        else:
            ended = self.cool_down.settle(permit.request, now, conclusive=is_over and outcome is not Outcome.GIVEN_BACK)
        if ended:
            if self.sharing is not None:
                self.sharing.tell(Allowed(now - permit.admitted_at))
            events.append(CoolDownEnded(at=now, request=permit.request, backend=self.name))
        return tuple(events)

    def open(self, now: float) -> tuple[BackendEvent, ...]:
        """Open the circuit because the user says so."""
        before = self.breaker.state
        self.breaker.open_by_hand(now)
        return (self.changed(before, Cause.BY_HAND, 0, now),)

    def close(self, now: float) -> tuple[BackendEvent, ...]:
        """Close the circuit because the user says so."""
        before = self.breaker.state
        self.breaker.close_by_hand()
        return (self.changed(before, Cause.BY_HAND, 0, now),)

    def reset(self, now: float) -> tuple[BackendEvent, ...]:
        """Close the circuit and end the cool-down because the user says so."""
        closed = self.close(now)
        self.traffic.lift()
        if self.cool_down.seconds_left(now) is None:
            return closed
        self.cool_down.lift()
        return (*closed, CoolDownLifted(at=now, request=0, backend=self.name))

    def refusal(self, applicant: Applicant, now: float, settings: Settings) -> BackendSkipped | None:
        """Return why a request is not let in now; None where only its tokens per minute may speak against it."""
        request, only_candidate = applicant.request, applicant.only_candidate
        left: float | None
        room = self.room(now, settings, applicant.tokens, applicant.run) if applicant.is_row else None
        if room is not None and room.reason is not None:
            reason, message, left = room.reason, room.message, None if room.at is None else room.at - now
        elif (applicant.is_row or not only_candidate) and not self.may_probe(now) and self.probe_due(now, settings):
            left = max(0.0, self.sharing.held_until - now) if self.sharing else None
            reason, message = SkipReason.CIRCUIT_OPEN, PROBE_ELSEWHERE
        elif applicant.is_row:
            return None
        elif not only_candidate and settings.circuit_breaker_enabled and self.breaker.refuses(now, settings):
            left = self.breaker.seconds_until_probe(now, settings) or None
            reason = SkipReason.CIRCUIT_OPEN
            message = "circuit open" if left else "circuit half-open, another request is the probe"
        elif self.cool_down.refuses(request, now) and (
            not only_candidate or self.is_worth_waiting(applicant, now, settings)
        ):
            left = self.cool_down.seconds_left(now) or 0.0
            reason, message = SkipReason.COOLING_DOWN, "cooling down after a rate limit"
        elif free := self.traffic.at_ceiling(applicant, now, settings):
            left = None if free.at is None else free.at - now
            reason, message = SkipReason.AT_CEILING, free.message
        else:
            return None
        return BackendSkipped(
            at=now, request=request, backend=self.name, reason=reason, message=message, seconds_left=left
        )

    def measure_tpm(self, request: int, now: float, settings: Settings) -> tuple[BackendEvent, ...]:
        """Return what the tokens per minute are, where that is known, and that they put the backend aside if so."""
        if settings.tpm_threshold is None:
            return ()
        self.tokens.forget(now)
        tpm = self.tokens.rate(now, settings.tpm_basis)
        if tpm is None:
            return ()
        measured = TpmMeasured(at=now, request=request, backend=self.name, tpm=tpm)
        if tpm >= settings.tpm_threshold:
            return (measured,)
        aside = BackendPutAside(at=now, request=request, backend=self.name, tpm=tpm, threshold=settings.tpm_threshold)
        return (measured, aside)

    def may_probe(self, now: float) -> bool:
        """Return whether a probe that is due may be a request of this process."""
        return self.sharing is None or self.sharing.may_probe(now)

    def probe_due(self, now: float, settings: Settings) -> bool:
        """Return whether the next request is the probe of a circuit that is open."""
        return settings.circuit_breaker_enabled and self.breaker.probe_due(now, settings)

    def changed(
        self, before: CircuitState, cause: Cause, request: int, now: float, failures: int | None = None
    ) -> CircuitChanged:
        """Return the event of a change of the circuit that was ``before``."""
        return CircuitChanged(
            at=now,
            request=request,
            backend=self.name,
            before=before,
            after=self.breaker.state,
            cause=cause,
            failures=failures,
        )
