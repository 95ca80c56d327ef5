"""One visit as it is carried out: attempts, the waits between them, and the outcome."""

from __future__ import annotations

from collections.abc import Callable

from llx_magic.core.admission import Applicant, Permit
from llx_magic.core.events import AttemptFailed, AttemptStarted, FirstTokenReceived, RetryScheduled
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, retry_delay
from llx_magic.core.gate import Gate
from llx_magic.core.message import Message
from llx_magic.core.money import Cost
from llx_magic.core.ports import Ready
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import Answer, Delta, Thought
from llx_magic.core.sampling import sampling_of
from llx_magic.engine.attempt import Attempt
from llx_magic.engine.plan import Candidate
from llx_magic.engine.scope import RequestScope
from llx_magic.engine.visit import Visit


class Visiting:
    """Carries out the visit of one candidate that was admitted; ``correction`` is sent after the prompt."""

    def __init__(
        self,
        scope: RequestScope,
        candidate: Candidate,
        ready: Ready,
        permit: Permit,
        correction: tuple[Message, ...] = (),
    ) -> None:
        self._scope = scope
        self.candidate = candidate
        self.ready = ready
        self.show: Callable[[Delta | Thought], None] = scope.watch
        """Takes the pieces of the reply."""
        self._correction = correction
        self.visit = Visit(permit, candidate.gate, candidate.settings, scope.plan.has_one_candidate)
        self._held = scope.likely_cost(candidate)
        for budget in scope.plan.budgets:
            budget.purse.hold(self._held)

    def on_first(self, seconds: float) -> None:
        """Publish that the first piece came."""
        scope = self._scope
        scope.live.publish(FirstTokenReceived(**scope.stamp(), backend=self.visit.backend, seconds=seconds))

    def on_piece(self, piece: str) -> None:
        """Show a piece of the text."""
        self.show(Delta(piece))

    def on_thought(self, piece: str) -> None:
        """Show a piece of the reasoning."""
        self.show(Thought(piece))

    def on_rates(self, facts: RateFacts, sent_at: float | None) -> None:
        """Learn what the service tells of its limits."""
        self._scope.live.learn_rates(self.visit, facts, sent_at)

    async def run(self) -> Visit:
        """Make as many attempts as the settings allow; the visit that is returned has an answer or a failure."""
        visit = self.visit
        try:
            while visit.answer is None and visit.failure is None:
                visit.attempts += 1
                try:
                    visit.answer = await self._attempt()
                except BackendFailed as failed:
                    visit.failure = await self._wait_or_give_up(failed.failure)
        finally:
            self._pay()
            self._scope.live.settle(visit)
        return visit

    def _pay(self) -> None:
        """Spend what the visit cost; an answer whose tokens were not reported costs what was held for it."""
        visit, answer = self.visit, self.visit.answer
        spent = visit.cost = self.candidate.tariff.of(visit.usage, answer.model if answer else "")
        if answer is not None or spent is not None:
            self._scope.paid += (spent,)
        if answer is not None and spent is None and self._held:
            spent = Cost(self._held, is_estimate=True)
        for budget in self._scope.plan.budgets:
            budget.purse.settle(self._held, spent)

    async def _wait_or_give_up(self, failure: Failure) -> Failure | None:
        """Wait before the next attempt and return None, or return the failure that ends the visit."""
        visit, scope, delay = self.visit, self._scope, None
        if not visit.permit.is_probe and not visit.permit.is_row:
            delay = retry_delay(failure, visit.attempts, visit.settings, scope.jitter())
        if failure.kind is FailureKind.RATE_LIMIT:
            goes_first = scope.live.limited(visit, failure, will_retry=delay is not None)
            delay = delay if goes_first else None
        elif visit.permit.is_row and failure.tells_of_load:
            scope.live.overloaded(visit, failure)
        if delay is None:
            return failure
        asked = failure.retry_after is not None
        scope.live.publish(
            RetryScheduled(
                **scope.stamp(), backend=visit.backend, attempt=visit.attempts, delay=delay, asked_by_server=asked
            )
        )
        await scope.clock.sleep(delay)
        if not scope.live.ask(visit.gate, Gate.may_continue, visit.permit, only_candidate=visit.only_candidate):
            return failure
        if scope.live.sharing is not None:
            again = Applicant(visit.permit.request, tokens=visit.permit.tokens)
            await scope.live.sharing.get_ready(self.candidate, self.ready, again)
        return None if scope.live.may_send_again(visit) else failure

    async def _attempt(self) -> Answer:
        """Send once; the failure, if any, is published and raised."""
        visit, scope = self.visit, self._scope
        name, settings = visit.backend, visit.settings
        scope.withdraw(name)
        scope.live.publish(
            AttemptStarted(
                **scope.stamp(),
                backend=name,
                attempt=visit.attempts,
                attempts=settings.failover_retry_count,
                streaming=settings.streaming,
                sampling=sampling_of(self.candidate.params, json=scope.plan.shape is not None),
            )
        )
        attempt = Attempt(scope.clock, settings, self)
        try:
            answer = await attempt.run(self.ready, scope.plan.request(self.candidate, self._correction))
        except BackendFailed as failed:
            scope.partial = max(scope.partial, attempt.text, key=len)
            number, failure, seconds = visit.attempts, failed.failure, attempt.seconds
            scope.live.publish(
                AttemptFailed(**scope.stamp(), backend=name, attempt=number, failure=failure, seconds=seconds)
            )
            raise
        finally:
            visit.sent_at = attempt.sent_at if visit.sent_at is None else visit.sent_at
            visit.reported = attempt.usage or visit.reported
        visit.first_at, visit.pieces = attempt.first_at, attempt.pieces
        visit.generating_seconds = attempt.generating_seconds
        return answer
