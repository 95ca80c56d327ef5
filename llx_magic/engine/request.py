"""One request from prompt to reply: which backend is asked, how often, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llx_magic.core.admission import Admission, Applicant
from llx_magic.core.events import (
    BackendSkipped,
    CoolDownWaitEnded,
    CoolDownWaitStarted,
    Event,
    ReplyMisfit,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestPutBack,
    SecondPassStarted,
    SkipReason,
    SubProfileSelected,
)
from llx_magic.core.failure import NotReady, may_fail_over
from llx_magic.core.gate import Gate
from llx_magic.core.ledger import Ledger
from llx_magic.core.machine import trouble_of
from llx_magic.core.money import total
from llx_magic.core.ports import Ready
from llx_magic.core.reply import Answer, Delta, Reply, ToFrame
from llx_magic.core.trace import NO_TRACE, Trace
from llx_magic.engine.attempt import unexpected
from llx_magic.engine.hedge import Race
from llx_magic.engine.lap import Found, Lap
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Candidate, Plan, names_of
from llx_magic.engine.scope import RequestScope
from llx_magic.engine.sharing import SharedGates
from llx_magic.engine.visit import Visit
from llx_magic.engine.visiting import Visiting
from llx_magic.engine.waiting import Waiter
from llx_magic.errors import AllBackendsFailed
from llx_magic.text.shape import Read


class RequestRun:
    """Carries out one plan against the live state of its profile.

    ``jitter`` draws random numbers in [0, 1). ``watch`` sees everything as it happens. ``to_frame`` is what the reply
    makes its DataFrame with.
    """

    def __init__(
        self, live: LiveProfile, plan: Plan, jitter: Callable[[], float], watch: Watch, to_frame: ToFrame | None = None
    ) -> None:
        self._live = live
        self._plan = plan
        self._to_frame = to_frame
        self._scope = RequestScope(live, plan, jitter, watch)
        self._waiter: Waiter | None = None
        self._given_up: tuple[Candidate, ...] = ()
        self._has_hedged = False

    @property
    def number(self) -> int:
        """The number of the request, among those of its profile."""
        return self._scope.number

    async def run(self) -> Reply:
        """Return the reply of the first backend that gives a whole one.

        Raises:
            AllBackendsFailed: with every backend's reason and the longest partial text.
        """
        scope = self._scope
        try:
            order = self._begun()
            events = self._live.with_ledger(Ledger.events_of, scope.number)
            try:
                found = await self._search(order)
            except AllBackendsFailed as failed:
                self._fail(failed)
                failed.partial, failed.trace, failed.request = scope.partial, tuple(events), scope.number
                raise
            except BaseException:
                self._live.publish(RequestCancelled(**scope.stamp(), seconds=scope.age()))
                raise
            return self._answered(found, events)
        finally:
            if self._waiter is not None:
                self._live.leave_line(self._waiter)
            self._live.close(scope.number)

    def _begun(self) -> tuple[Candidate, ...]:
        """Publish that the request has begun; return its candidates in their order."""
        scope, policy = self._scope, self._plan.routing
        order = self._plan.order(self._live, scope.number, scope.jitter)
        self._live.publish(scope.started(order))
        if policy.order is not None:
            first = order[0].backend.name
            self._live.publish(SubProfileSelected(**scope.stamp(), backend=first, policy=policy.name))
        return order

    def _fail(self, failed: AllBackendsFailed) -> None:
        scope = self._scope
        if self._plan.is_row and not scope.reasons.is_refused:
            self._live.publish(RequestPutBack(**scope.stamp(), seconds=scope.age()))
        else:
            self._live.publish(RequestFailed(**scope.stamp(), message=str(failed), seconds=scope.age()))

    async def _search(self, order: tuple[Candidate, ...]) -> Found:
        """Ask each backend in order; again after a rate limit, where nothing else keeps one from answering.

        Where only replies came that are not what was asked for, the last of those is what was found.
        """
        candidates = order
        try:
            while candidates:
                found, limited = await self._ask_each(candidates)
                if found is not None:
                    return found
                if self._plan.is_row or not await self._wait_for_a_rate_limit(limited):
                    break
                candidates = self._without_given_up(candidates)
            raise self._scope.nobody_answered(order)
        except AllBackendsFailed:
            misfits = self._scope.misfits
            if misfits.last is None:
                raise
        visit, answer = misfits.last
        if restart := misfits.restored():
            self._scope.watch(restart)
            self._scope.watch(Delta(answer.text))
        return self._found(visit, answer)

    def _without_given_up(self, candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        return tuple(each for each in candidates if each not in self._given_up)

    async def _ask_each(self, order: tuple[Candidate, ...]) -> tuple[Found | None, tuple[Candidate, ...]]:
        """Ask each backend in order; then those put aside for their tokens per minute, since slow beats none.

        Returns the answer, or None and the backends that only a rate limit kept from answering.
        """
        lap = Lap(order)
        while True:
            while lap.queue:
                visiting = await self._enter(lap.next(), lap)
                if visiting is not None and (found := await self._until_it_fits(visiting, lap)):
                    return found, ()
            if lap.is_second or not lap.put_aside:
                return None, lap.limited
            self._live.publish(SecondPassStarted(**self._scope.stamp(), backends=names_of(lap.put_aside)))
            lap.queue, lap.is_second = lap.put_aside, True

    async def _enter(self, candidate: Candidate, lap: Lap) -> Visiting | None:
        """Return what visits a candidate, or None where it is passed over; what that means for later is noted."""
        ready = await self._prepared(candidate)
        if ready is None:
            return None
        if self._live.sharing is not None:
            await self._ask_others(self._live.sharing, candidate, ready)
        return self._admitted(candidate, ready, lap)

    async def _ask_others(self, sharing: SharedGates, candidate: Candidate, ready: Ready) -> None:
        """Ask the processes that share a backend for what admission needs."""
        await sharing.get_ready(candidate, ready, self._applicant(candidate, second_pass=False))

    def _admitted(self, candidate: Candidate, ready: Ready, lap: Lap) -> Visiting | None:
        admission = self._admit(candidate, second_pass=lap.is_second)
        if admission.put_aside:
            lap.put_aside += (candidate,)
        if admission.may_wait:
            lap.limited += (candidate,)
        if admission.permit is not None:
            return Visiting(self._scope, candidate, ready, admission.permit)
        if not admission.put_aside:
            lap.passed += (candidate,)
        return None

    async def _another(self, lap: Lap, first: Candidate, race: Race) -> Visiting | None:
        """Return what visits the next backend that lets the request in at once, beside one that is silent."""
        for candidate in (*lap.queue, *lap.passed):
            if candidate.gate == first.gate or not self._may_be_asked_beside(candidate, lap):
                continue
            ready = await self._prepared(candidate)
            if ready is None:
                lap.drop(candidate)
            elif not race.is_open:
                return None
            elif self._may_be_asked_beside(candidate, lap):  # the key may have taken a while
                lap.drop(candidate)
                return self._admitted(candidate, ready, lap)
        return None

    def _may_be_asked_beside(self, candidate: Candidate, lap: Lap) -> bool:
        applicant, now = self._applicant(candidate, second_pass=lap.is_second), self._scope.clock.now()
        admits = self._live.ask(candidate.gate, Gate.admits_at_once, applicant, now, candidate.settings)
        return admits and self._plan.refusal(candidate) is None and self._scope.lack(candidate) is None

    async def _wait_for_a_rate_limit(self, limited: tuple[Candidate, ...]) -> bool:
        """Wait until one of these backends has a place; False at once where none has one soon enough."""
        scope = self._scope
        wanted = [(each.gate, each.settings) for each in limited]
        if self._waiter is None:
            tokens = max((self._tokens(each) for each in limited), default=0.0)
            self._waiter = Waiter(scope.number, scope.clock.now(), tokens)
        found = self._live.join_line(self._waiter, wanted, only_candidate=self._plan.has_one_candidate)
        if found is None:
            return False
        first, wait = found
        began = scope.clock.now()
        if not self._waiter.is_called:
            self._live.publish(
                CoolDownWaitStarted(**scope.stamp(), backend=first.name, seconds=wait.seconds, limit=wait.limit)
            )
            await self._live.wait_in_line(self._waiter)
            name = (self._waiter.turn or first).name
            seconds = scope.clock.now() - began
            self._live.publish(CoolDownWaitEnded(**scope.stamp(), backend=name, seconds=seconds, limit=wait.limit))
        return True

    async def _until_it_fits(self, visiting: Visiting, lap: Lap) -> Found | None:
        """Visit a backend, and again with what is wrong while its reply is not what was asked for, some times."""
        scope = self._scope
        silence = self._silence_borne(visiting.visit, lap)
        if silence is None:
            await visiting.run()
        else:
            visiting = await self._beside_another(visiting, lap, silence)
        candidate, left = visiting.candidate, visiting.visit.settings.schema_retries
        while (answer := visiting.visit.answer) is not None:
            found = self._found(visiting.visit, answer)
            # One that was cut would be cut again.
            if found.read is None or found.read.problem is None or answer.finish_reason == "length":
                return found
            problem = str(found.read.problem)
            correction = scope.misfits.take(visiting.visit, answer, problem, scope.reasons.attempts)
            backend = visiting.visit.backend
            self._live.publish(ReplyMisfit(**scope.stamp(), backend=backend, problem=problem, again=left > 0))
            if left == 0:
                break
            left -= 1
            if self._live.sharing is not None:
                await self._ask_others(self._live.sharing, candidate, visiting.ready)
            permit = self._admit(candidate, second_pass=True).permit
            if permit is None:
                break
            visiting = Visiting(scope, candidate, visiting.ready, permit, correction)
            await visiting.run()
        self._leave(visiting, lap)
        return None

    def _silence_borne(self, visit: Visit, lap: Lap) -> float | None:
        """Return after how many silent seconds another backend is asked beside a visit; None where none is."""
        hedge_after_ms, has_others = visit.settings.hedge_after_ms, bool(lap.queue or lap.passed)
        if hedge_after_ms is None or self._has_hedged or not has_others or visit.permit.is_probe:
            return None
        return hedge_after_ms / 1000

    async def _beside_another(self, visiting: Visiting, lap: Lap, silence: float) -> Visiting:
        """Carry a visit out, with another beside it where it stays silent so long; return the one that counts.

        Whoever was cancelled since the other was first can be asked again, before all others.
        """
        race, candidate = Race(self._scope, visiting), visiting.candidate
        visiting = await race.run(silence, lambda: self._another(lap, candidate, race))
        self._has_hedged = race.has_hedged
        for failed in race.failed:
            if failed is not visiting:
                self._leave(failed, lap)
        if race.loser is not None:
            lap.queue = (race.loser.candidate, *lap.queue)
        return visiting

    def _leave(self, visiting: Visiting, lap: Lap) -> None:
        """Go on from a visit that brought nothing, unless nobody else is to be asked."""
        visit = visiting.visit
        if visit.failure is not None and not may_fail_over(visit.failure, visit.settings):
            raise self._scope.reasons.refused_for_good(names_of(self._plan.candidates), visit.failure)
        if visit.was_limited:
            lap.limited += (visiting.candidate,)
        else:
            self._given_up += (visiting.candidate,)

    async def _prepared(self, candidate: Candidate) -> Ready | None:
        """Return the backend ready to send, or None where something stands in the way, which is noted."""
        why = self._plan.refusal(candidate)
        try:
            if why is None:
                return await candidate.backend.prepare()
        except NotReady as problem:
            why = str(problem)
        except Exception as fault:  # noqa: BLE001 - a fault in one backend must not keep the next from answering
            why = trouble_of(fault) or unexpected(fault)
        self._skip(candidate, SkipReason.NOT_READY, why)
        return None

    def _skip(self, candidate: Candidate, reason: SkipReason, why: str) -> None:
        name = candidate.backend.name
        self._live.publish(BackendSkipped(**self._scope.stamp(), backend=name, reason=reason, message=why))

    def _admit(self, candidate: Candidate, *, second_pass: bool) -> Admission:
        if lack := self._scope.lack(candidate):
            self._skip(candidate, SkipReason.OVER_BUDGET, lack)
            return Admission(permit=None, events=())
        return self._live.admit(candidate.gate, self._applicant(candidate, second_pass=second_pass), candidate.settings)

    def _applicant(self, candidate: Candidate, *, second_pass: bool) -> Applicant:
        return Applicant(
            request=self._scope.number,
            only_candidate=self._plan.has_one_candidate,
            second_pass=second_pass,
            waiting_since=self._waiter.since if self._waiter else None,
            is_row=self._plan.is_row,
            tokens=self._tokens(candidate),
            run=self._plan.run,
        )

    def _tokens(self, candidate: Candidate) -> float:
        """Return about how many tokens the prompt takes, where anybody needs to know."""
        is_counted = self._plan.is_row or candidate.settings.tpm_limit is not None
        return self._plan.prompt_tokens if is_counted else 0.0

    def _found(self, visit: Visit, answer: Answer) -> Found:
        shape = self._plan.shape
        return Found(visit, answer, None if shape is None else Read.of(answer.text, shape))

    def _answered(self, found: Found, events: Sequence[Event]) -> Reply:
        """Publish that the request is answered; return what came, with the trace of the events unless it is a row."""
        scope, visit, answer = self._scope, found.visit, found.answer
        attempts, seconds, cost = scope.reasons.attempts, scope.age(), total(scope.paid)
        self._live.publish(RequestAnswered(**scope.stamp(), backend=visit.backend, attempts=attempts, seconds=seconds))
        return Reply(
            text=answer.text,
            backend=visit.backend,
            model=answer.model,
            usage=answer.usage,
            attempts=attempts,
            seconds=seconds,
            ttft=None if visit.first_at is None else visit.first_at - scope.began,
            finish_reason=answer.finish_reason,
            reasoning=answer.reasoning,
            request=scope.number,
            cost=cost.amount if cost else None,
            cost_is_estimate=cost is not None and cost.is_estimate,
            notes=(*scope.reasons.notes(visit.backend, answer), *scope.misfits.notes(answer, attempts)),
            misfits=scope.misfits.before(answer),
            read=found.read,
            trace=NO_TRACE if self._plan.is_row else Trace(tuple(events)),
            to_frame=self._to_frame,
        )
