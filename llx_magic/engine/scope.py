"""What every part of one request works with: its plan, its number, what has come of it, and who watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

from llx_magic.core.events import Event, ReplyRestarted, RequestStarted
from llx_magic.core.gate import Gate
from llx_magic.core.ledger import Ledger
from llx_magic.core.money import Cost, likely_completion
from llx_magic.core.reply import Restart
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.misfits import NO_MISFITS, Misfits
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Candidate, Plan, names_of
from llx_magic.engine.reasons import Reasons
from llx_magic.errors import AllBackendsFailed


class Stamp(TypedDict):
    """What every event of a request says."""

    at: float
    request: int


class RequestScope:
    """One request under way against the live state of its profile, from its number on until it is closed.

    ``jitter`` draws random numbers in [0, 1). ``watch`` sees everything as it happens.
    """

    def __init__(self, live: LiveProfile, plan: Plan, jitter: Callable[[], float], watch: Watch) -> None:
        self.live = live
        self.plan = plan
        self.jitter = jitter
        self.clock = live.clock
        self.watch = watch
        self.reasons = Reasons()
        self.misfits = NO_MISFITS if plan.shape is None else Misfits(plan.shape)
        self.partial = ""
        """The longest text that any attempt had when it failed."""
        self._has_limit = plan.has_limit
        self.paid: tuple[Cost | None, ...] = ()
        """What each answer cost, those among them that were not what was asked for; None where it is not known."""
        self.began = self.clock.now() if plan.began is None else plan.began
        """When the call came; of a row that was put back, when it was first sent."""
        self.number = live.open(self._take, plan.number)

    def stamp(self) -> Stamp:
        """Return the moment and the request's number, for an event."""
        return {"at": self.clock.now(), "request": self.number}

    def started(self, order: tuple[Candidate, ...]) -> RequestStarted:
        """Return the first event of the request, which considers the candidates in this order."""
        return RequestStarted(
            **self.stamp(),
            policy=self.plan.routing.name,
            order=names_of(order),
            conversation=self.plan.conversation,
            waited=0.0 if self.plan.began is None else self.age(),
        )

    def age(self) -> float:
        """Return the seconds since it began."""
        return self.clock.now() - self.began

    def likely_cost(self, candidate: Candidate) -> float:
        """Return about what a visit will cost; 0 where no limit of spending asks for it."""
        if not self._has_limit:
            return 0.0
        mean = self.live.with_ledger(Ledger.mean_completion, candidate.backend.name)
        return self.plan.likely_cost(candidate, likely_completion(candidate.params, mean))

    def lack(self, candidate: Candidate) -> str | None:
        """Return why what is left of a budget is too little for a visit, or None."""
        if not self._has_limit:
            return None
        cost = self.likely_cost(candidate)
        return next((lack for budget in self.plan.budgets if (lack := budget.lack(cost))), None)

    def nobody_answered(self, candidates: tuple[Candidate, ...]) -> AllBackendsFailed:
        """Return the error that says why none of these answered, and what keeps each from being asked now."""
        now, ask = self.clock.now(), self.live.ask
        holds = {each.backend.name: ask(each.gate, Gate.held_back, now, each.settings) for each in candidates}
        return self.reasons.nobody_answered(holds, self.live.with_ledger(Ledger.last_errors))

    def withdraw(self, next_backend: str) -> None:
        """Take back what is shown of a reply that is broken off or unfit, now that another comes from the start."""
        if restart := self.misfits.withdrawn(next_backend):
            self.watch(restart)
        if (withdrawn := self.reasons.withdrawn) is None:
            return
        failed, reason, words = withdrawn.backend, withdrawn.failure.message, withdrawn.failure.words or 0
        self.live.publish(ReplyRestarted(**self.stamp(), failed=failed, reason=reason, next=next_backend, words=words))
        self.watch(Restart(failed, reason, next_backend))

    def _take(self, event: Event) -> None:
        """Take one event of this request into account and show it, once it was recorded and told to others."""
        self.reasons.fold(event)
        self.watch(event)
