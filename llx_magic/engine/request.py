"""One request from prompt to reply: which backend is asked, how often, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from llx_magic.core.events import (
    BackendSkipped,
    CoolDownWaitEnded,
    CoolDownWaitStarted,
    ReplyMisfit,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestPutBack,
    RequestStarted,
    SecondPassStarted,
    SkipReason,
    SubProfileSelected,
)
from llx_magic.core.failure import NotReady, may_fail_over
from llx_magic.core.gate import Admission, Applicant, Gate
from llx_magic.core.ledger import Ledger
from llx_magic.core.machine import trouble_of
from llx_magic.core.message import Message
from llx_magic.core.money import total
from llx_magic.core.ports import Ready
from llx_magic.core.reply import Answer, Delta, Reply
from llx_magic.core.trace import Trace
from llx_magic.engine.attempt import unexpected
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Candidate, Plan, names_of
from llx_magic.engine.scope import RequestScope
from llx_magic.engine.visit import Visit
from llx_magic.engine.visiting import Visiting
from llx_magic.engine.waiting import Waiter
from llx_magic.errors import AllBackendsFailed
from llx_magic.text.shape import Read


class RequestRun:
    """Carries out one plan against the live state of its profile.

    ``jitter`` draws random numbers in [0, 1). ``watch`` sees everything as it happens.
    """

    def __init__(self, live: LiveProfile, plan: Plan, jitter: Callable[[], float], watch: Watch) -> None:
        self._live = live
        self._plan = plan
        self._scope = RequestScope(live, plan, jitter, watch)
        self._waiter: Waiter | None = None
        self._given_up: list[Candidate] = []

    async def run(self) -> Reply:
        """Return the reply of the first backend that gives a whole one.

        Raises:
            AllBackendsFailed: with every backend's reason and the longest partial text.
        """
        stamp = self._scope.stamp
        try:
            order = self._plan.order(self._live, self._scope.number, self._scope.jitter)
            policy, conversation = self._plan.routing.name, self._plan.conversation
            self._live.publish(
                RequestStarted(**stamp(), policy=policy, order=names_of(order), conversation=conversation)
            )
            if self._plan.routing.order is not None:
                self._live.publish(SubProfileSelected(**stamp(), backend=order[0].backend.name, policy=policy))
            return await self._ended(order)
        finally:
            if self._waiter is not None:
                self._live.leave_line(self._waiter)
            self._live.close(self._scope.number)

    async def _ended(self, order: tuple[Candidate, ...]) -> Reply:
        """Decide, and publish what the request came to."""
        scope = self._scope
        events = self._live.with_ledger(Ledger.events_of, scope.number)
        try:
            reply = await self._decide(order)
        except AllBackendsFailed as failed:
            if self._plan.is_row and not scope.reasons.is_refused:
                self._live.publish(RequestPutBack(**scope.stamp(), seconds=scope.age()))
            else:
                self._live.publish(RequestFailed(**scope.stamp(), message=str(failed), seconds=scope.age()))
            failed.partial, failed.trace = scope.partial, tuple(events)
            raise
        except BaseException:
            self._live.publish(RequestCancelled(**scope.stamp(), seconds=scope.age()))
            raise
        self._live.publish(
            RequestAnswered(**scope.stamp(), backend=reply.backend, attempts=reply.attempts, seconds=reply.seconds)
        )
        return replace(reply, trace=Trace(tuple(events)))

    async def _decide(self, order: tuple[Candidate, ...]) -> Reply:
        """Return the first reply that is what was asked for; where only others came, the last of those."""
        misfits = self._scope.misfits
        try:
            return await self._search(order)
        except AllBackendsFailed:
            if misfits.last is None:
                raise
        visit, answer = misfits.last
        if restart := misfits.restored():
            self._scope.watch(restart)
            self._scope.watch(Delta(answer.text))
        return self._reply(visit, answer)

    async def _search(self, order: tuple[Candidate, ...]) -> Reply:
        """Ask each backend in order; again after a rate limit, where nothing else keeps one from answering."""
        candidates = order
        while candidates:
            reply, limited = await self._ask_each(candidates)
            if reply is not None:
                return reply
            if self._plan.is_row or not await self._wait_for_a_rate_limit(limited):
                break
            candidates = tuple(each for each in candidates if each not in self._given_up)
        now = self._scope.clock.now()
        holds = {each.backend.name: self._live.ask(each.gate, Gate.held_back, now, each.settings) for each in order}
        raise self._scope.reasons.nobody_answered(holds, self._live.with_ledger(Ledger.last_errors))

    async def _ask_each(self, order: tuple[Candidate, ...]) -> tuple[Reply | None, list[Candidate]]:
        """Ask each backend in order; then those put aside for their tokens per minute, since slow beats none.

        Returns the reply, or None and the backends that only a rate limit kept from answering.
        """
        limited: list[Candidate] = []
        put_aside: list[Candidate] = []
        for candidates, second_pass in ((order, False), (put_aside, True)):
            if second_pass and put_aside:
                self._live.publish(SecondPassStarted(**self._scope.stamp(), backends=names_of(put_aside)))
            for candidate in candidates:
                ready = await self._prepared(candidate)
                if ready is None:
                    continue
                admission = self._admit(candidate, second_pass=second_pass)
                if admission.put_aside:
                    put_aside.append(candidate)
                if admission.cooling_down:
                    limited.append(candidate)
                if admission.permit is None:
                    continue
                visit, reply = await self._until_it_fits(candidate, ready, admission)
                if reply is not None:
                    return reply, []
                (limited if visit.was_limited else self._given_up).append(candidate)
        return None, limited

    async def _wait_for_a_rate_limit(self, limited: list[Candidate]) -> bool:
        """Wait until one of these backends has a place; False at once where none has one soon enough."""
        scope = self._scope
        self._waiter = self._waiter or Waiter(scope.number, scope.clock.now())
        wanted = [(each.gate, each.settings) for each in limited]
        found = self._live.join_line(self._waiter, wanted, only_candidate=self._plan.has_one_candidate)
        if found is None:
            return False
        first, left = found
        began = scope.clock.now()
        if not self._waiter.is_called:
            self._live.publish(CoolDownWaitStarted(**scope.stamp(), backend=first.name, seconds=left))
            await self._live.wait_in_line(self._waiter)
            name = (self._waiter.turn or first).name
            self._live.publish(CoolDownWaitEnded(**scope.stamp(), backend=name, seconds=scope.clock.now() - began))
        return True

    async def _until_it_fits(
        self, candidate: Candidate, ready: Ready, admission: Admission
    ) -> tuple[Visit, Reply | None]:
        """Visit a backend, and again with what is wrong while its reply is not what was asked for, some times.

        Returns the last visit, and the reply where there is one that will do.
        """
        scope = self._scope
        correction: tuple[Message, ...] = ()
        left = candidate.settings.schema_retries
        while True:
            visit = await self._visit(candidate, ready, admission, correction)
            if visit.answer is None:
                return visit, None
            reply = self._reply(visit, visit.answer)
            # One that was cut would be cut again.
            if reply.read is None or reply.read.problem is None or reply.finish_reason == "length":
                return visit, reply
            problem = str(reply.read.problem)
            correction = scope.misfits.take(visit, visit.answer, problem, scope.reasons.attempts)
            self._live.publish(ReplyMisfit(**scope.stamp(), backend=visit.backend, problem=problem, again=left > 0))
            if left == 0:
                return visit, None
            left -= 1
            admission = self._admit(candidate, second_pass=True)
            if admission.permit is None:
                return visit, None

    async def _visit(
        self, candidate: Candidate, ready: Ready, admission: Admission, correction: tuple[Message, ...]
    ) -> Visit:
        """Visit a backend; a visit without an answer sends the request on, unless nobody else is to be asked."""
        assert admission.permit is not None
        visit = await Visiting(self._scope, candidate, ready, admission.permit, correction).run()
        if visit.failure is not None and not may_fail_over(visit.failure, candidate.settings):
            raise self._scope.reasons.refused_for_good(names_of(self._plan.candidates), visit.failure)
        return visit

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
        applicant = Applicant(
            request=self._scope.number,
            only_candidate=self._plan.has_one_candidate,
            second_pass=second_pass,
            waiting_since=self._waiter.since if self._waiter else None,
            is_row=self._plan.is_row,
            tokens=self._plan.prompt_tokens if self._plan.is_row else 0.0,
        )
        return self._live.admit(candidate.gate, applicant, candidate.settings)

    def _reply(self, visit: Visit, answer: Answer) -> Reply:
        scope, shape = self._scope, self._plan.shape
        attempts, cost = scope.reasons.attempts, total(scope.paid)
        return Reply(
            text=answer.text,
            backend=visit.backend,
            model=answer.model,
            usage=answer.usage,
            attempts=attempts,
            seconds=scope.age(),
            ttft=visit.ttft,
            finish_reason=answer.finish_reason,
            reasoning=answer.reasoning,
            request=scope.number,
            cost=cost.amount if cost else None,
            cost_is_estimate=cost is not None and cost.is_estimate,
            notes=(*scope.reasons.notes(visit.backend, answer), *scope.misfits.notes(answer, attempts)),
            misfits=scope.misfits.before(answer),
            read=None if shape is None else Read.of(answer.text, shape),
        )
