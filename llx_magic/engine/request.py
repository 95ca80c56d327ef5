"""One request from prompt to reply: which backend is asked, how often, and what happens when it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypedDict

from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendSkipped,
    CoolDownWaitEnded,
    CoolDownWaitStarted,
    Event,
    FirstTokenReceived,
    ReplyMisfit,
    ReplyRestarted,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestStarted,
    RetryScheduled,
    SecondPassStarted,
    SkipReason,
    SubProfileSelected,
)
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady, may_fail_over, retry_delay
from llx_magic.core.gate import Admission, Applicant, Gate
from llx_magic.core.machine import trouble_of
from llx_magic.core.message import Message
from llx_magic.core.ports import Ready
from llx_magic.core.reply import Answer, Delta, Reply, Restart, Thought
from llx_magic.core.sampling import sampling_of
from llx_magic.core.statistics import Ledger
from llx_magic.core.trace import Trace
from llx_magic.engine.attempt import Attempt, unexpected
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.misfits import Misfits
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Candidate, Plan, names_of
from llx_magic.engine.reasons import Reasons
from llx_magic.engine.visit import Visit
from llx_magic.engine.waiting import Waiter
from llx_magic.errors import AllBackendsFailed
from llx_magic.text.shape import Read


class _Stamp(TypedDict):
    at: float
    request: int


class RequestRun:
    """Carries out one plan against the live state of its profile.

    ``jitter`` draws random numbers in [0, 1). ``watch`` sees everything as it happens.
    """

    def __init__(self, live: LiveProfile, plan: Plan, jitter: Callable[[], float], watch: Watch) -> None:
        self._live = live
        self._plan = plan
        self._jitter = jitter
        self._clock = live.clock
        self._watch = watch
        self._began = self._clock.now()
        self._reasons = Reasons()
        self._number = live.open(self._take)
        self._partial = ""
        self._waiter: Waiter | None = None
        self._given_up: list[Candidate] = []
        self._misfits = Misfits(plan.shape)

    async def run(self) -> Reply:
        """Return the reply of the first backend that gives a whole one.

        Raises:
            AllBackendsFailed: with every backend's reason and the longest partial text.
        """
        try:
            order = self._plan.order(self._live)
            policy, conversation = self._plan.routing.name, self._plan.conversation
            self._live.publish(
                RequestStarted(**self._stamp(), policy=policy, order=names_of(order), conversation=conversation)
            )
            if self._plan.routing.order is not None:
                self._live.publish(SubProfileSelected(**self._stamp(), backend=order[0].backend.name, policy=policy))
            return await self._ended(order)
        finally:
            if self._waiter is not None:
                self._live.leave_line(self._waiter)
            self._live.close(self._number)

    async def _ended(self, order: tuple[Candidate, ...]) -> Reply:
        """Decide, and publish what the request came to."""
        events = self._live.with_ledger(Ledger.events_of, self._number)
        try:
            reply = await self._decide(order)
        except AllBackendsFailed as failed:
            self._live.publish(RequestFailed(**self._stamp(), message=str(failed), seconds=self._age()))
            failed.partial, failed.trace = self._partial, tuple(events)
            raise
        except BaseException:
            self._live.publish(RequestCancelled(**self._stamp(), seconds=self._age()))
            raise
        self._live.publish(
            RequestAnswered(**self._stamp(), backend=reply.backend, attempts=reply.attempts, seconds=reply.seconds)
        )
        return replace(reply, trace=Trace(tuple(events)))

    async def _decide(self, order: tuple[Candidate, ...]) -> Reply:
        """Return the first reply that is what was asked for; where only others came, the last of those."""
        try:
            return await self._search(order)
        except AllBackendsFailed:
            if self._misfits.last is None:
                raise
        visit, answer = self._misfits.last
        if restart := self._misfits.restored():
            self._watch(restart)
            self._watch(Delta(answer.text))
        return self._reply(visit, answer)

    async def _search(self, order: tuple[Candidate, ...]) -> Reply:
        """Ask each backend in order; again after a rate limit, where nothing else keeps one from answering."""
        candidates = order
        while candidates:
            reply, limited = await self._ask_each(candidates)
            if reply is not None:
                return reply
            if not await self._wait_for_a_rate_limit(limited):
                break
            candidates = tuple(each for each in candidates if each not in self._given_up)
        now = self._clock.now()
        holds = {each.backend.name: self._live.ask(each.gate, Gate.held_back, now, each.settings) for each in order}
        raise self._reasons.nobody_answered(holds, self._live.with_ledger(Ledger.last_errors))

    async def _ask_each(self, order: tuple[Candidate, ...]) -> tuple[Reply | None, list[Candidate]]:
        """Ask each backend in order; then those put aside for their tokens per minute, since slow beats none.

        Returns the reply, or None and the backends that only a rate limit kept from answering.
        """
        limited: list[Candidate] = []
        put_aside: list[Candidate] = []
        for candidates, second_pass in ((order, False), (put_aside, True)):
            if second_pass and put_aside:
                self._live.publish(SecondPassStarted(**self._stamp(), backends=names_of(put_aside)))
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
        self._waiter = self._waiter or Waiter(self._number, self._clock.now())
        wanted = [(each.gate, each.settings) for each in limited]
        found = self._live.join_line(self._waiter, wanted, only_candidate=self._plan.has_one_candidate)
        if found is None:
            return False
        first, left = found
        began = self._clock.now()
        if not self._waiter.is_called:
            self._live.publish(CoolDownWaitStarted(**self._stamp(), backend=first.name, seconds=left))
            await self._live.wait_in_line(self._waiter)
            name = (self._waiter.turn or first).name
            self._live.publish(CoolDownWaitEnded(**self._stamp(), backend=name, seconds=self._clock.now() - began))
        return True

    async def _until_it_fits(
        self, candidate: Candidate, ready: Ready, admission: Admission
    ) -> tuple[Visit, Reply | None]:
        """Visit a backend, and again with what is wrong while its reply is not what was asked for, some times.

        Returns the last visit, and the reply where there is one that will do.
        """
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
            correction = self._misfits.take(visit, visit.answer, problem, self._reasons.attempts)
            self._live.publish(ReplyMisfit(**self._stamp(), backend=visit.backend, problem=problem, again=left > 0))
            if left == 0:
                return visit, None
            left -= 1
            admission = self._admit(candidate, second_pass=True)
            if admission.permit is None:
                return visit, None

    async def _visit(
        self, candidate: Candidate, ready: Ready, admission: Admission, correction: tuple[Message, ...]
    ) -> Visit:
        """Make as many attempts as the settings allow; a visit without an answer sends the request on."""
        assert admission.permit is not None
        visit = Visit(admission.permit, candidate.gate, candidate.settings, self._plan.has_one_candidate)
        try:
            while visit.answer is None and visit.failure is None:
                visit.attempts += 1
                try:
                    visit.answer = await self._attempt(candidate, ready, visit, correction)
                except BackendFailed as failed:
                    visit.failure = await self._wait_or_give_up(visit, failed.failure)
        finally:
            self._live.settle(visit)
        if visit.failure is not None and not may_fail_over(visit.failure, candidate.settings):
            raise self._reasons.refused_for_good(names_of(self._plan.candidates), visit.failure)
        return visit

    async def _wait_or_give_up(self, visit: Visit, failure: Failure) -> Failure | None:
        """Wait before the next attempt and return None, or return the failure that ends the visit."""
        delay = None
        if not visit.permit.is_probe:
            delay = retry_delay(failure, visit.attempts, visit.settings, self._jitter())
        if failure.kind is FailureKind.RATE_LIMIT:
            goes_first = self._live.limited(visit, failure, will_retry=delay is not None)
            delay = delay if goes_first else None
        if delay is None:
            return failure
        asked = failure.retry_after is not None
        self._live.publish(
            RetryScheduled(
                **self._stamp(), backend=visit.backend, attempt=visit.attempts, delay=delay, asked_by_server=asked
            )
        )
        await self._clock.sleep(delay)
        may_continue = self._live.ask(visit.gate, Gate.may_continue, visit.permit, only_candidate=visit.only_candidate)
        return None if may_continue else failure

    async def _attempt(
        self, candidate: Candidate, ready: Ready, visit: Visit, correction: tuple[Message, ...]
    ) -> Answer:
        """Send once; the failure, if any, is published and raised."""
        name, settings = visit.backend, visit.settings
        self._withdraw(name)
        self._live.publish(
            AttemptStarted(
                **self._stamp(),
                backend=name,
                attempt=visit.attempts,
                attempts=settings.failover_retry_count,
                streaming=settings.streaming,
                sampling=sampling_of(candidate.params, json=self._plan.shape is not None),
            )
        )
        attempt = Attempt(
            self._clock,
            settings,
            on_first=lambda seconds: self._live.publish(
                FirstTokenReceived(**self._stamp(), backend=name, seconds=seconds)
            ),
            on_piece=lambda piece: self._watch(Delta(piece)),
            on_thought=lambda piece: self._watch(Thought(piece)),
        )
        try:
            answer = await attempt.run(ready, self._plan.request(candidate, correction))
        except BackendFailed as failed:
            self._partial = max(self._partial, attempt.text, key=len)
            number, failure, seconds = visit.attempts, failed.failure, attempt.seconds
            self._live.publish(
                AttemptFailed(**self._stamp(), backend=name, attempt=number, failure=failure, seconds=seconds)
            )
            raise
        finally:
            visit.sent_at = attempt.sent_at if visit.sent_at is None else visit.sent_at
        visit.ttft, visit.generating_seconds, visit.pieces = attempt.ttft, attempt.generating_seconds, attempt.pieces
        return answer

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
        name = candidate.backend.name
        self._live.publish(BackendSkipped(**self._stamp(), backend=name, reason=SkipReason.NOT_READY, message=why))
        return None

    def _admit(self, candidate: Candidate, *, second_pass: bool) -> Admission:
        applicant = Applicant(
            request=self._number,
            only_candidate=self._plan.has_one_candidate,
            second_pass=second_pass,
            waiting_since=self._waiter.since if self._waiter else None,
        )
        return self._live.admit(candidate.gate, applicant, candidate.settings)

    def _withdraw(self, next_backend: str) -> None:
        """Take back what is shown of a reply that is broken off or unfit, now that another comes from the start."""
        if restart := self._misfits.withdrawn(next_backend):
            self._watch(restart)
        if (withdrawn := self._reasons.withdrawn) is None:
            return
        failed, reason, words = withdrawn.backend, withdrawn.failure.message, withdrawn.failure.words or 0
        self._live.publish(
            ReplyRestarted(**self._stamp(), failed=failed, reason=reason, next=next_backend, words=words)
        )
        self._watch(Restart(failed, reason, next_backend))

    def _reply(self, visit: Visit, answer: Answer) -> Reply:
        shape = self._plan.shape
        return Reply(
            text=answer.text,
            backend=visit.backend,
            model=answer.model,
            usage=answer.usage,
            attempts=self._reasons.attempts,
            seconds=self._age(),
            ttft=visit.ttft,
            finish_reason=answer.finish_reason,
            reasoning=answer.reasoning,
            request=self._number,
            notes=(*self._reasons.notes(visit.backend, answer), *self._misfits.notes(answer, self._reasons.attempts)),
            misfits=self._misfits.before(answer),
            read=None if shape is None else Read.of(answer.text, shape),
        )

    def _take(self, event: Event) -> None:
        """Take one event of this request into account and show it, once it was recorded and told to others."""
        self._reasons.fold(event)
        self._watch(event)

    def _stamp(self) -> _Stamp:
        return {"at": self._clock.now(), "request": self._number}

    def _age(self) -> float:
        return self._clock.now() - self._began
