"""What rows cost that workers ask: held before they go, and spent when they are back, from the purses of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from llx_magic.core.events import BackendSkipped, SkipReason
from llx_magic.core.money import Cost, likely_completion, total
from llx_magic.errors import AllBackendsFailed

if TYPE_CHECKING:
    from llx_magic.core.reply import Reply
    from llx_magic.engine.plan import Plan


class Till:
    """Keeps a run to its budgets while others ask its rows; replies get their cost here, where the prices are."""

    def __init__(self) -> None:
        self._replies = self._tokens = 0

    def hold(self, plan: Plan) -> float:
        """Set aside what a row will probably cost at the dearest of its candidates, and return that.

        Raises:
            AllBackendsFailed: where that is more than is left of a budget.
        """
        if not plan.has_limit:
            return 0.0
        mean = self._tokens / self._replies if self._replies else None
        amount = max(plan.likely_cost(each, likely_completion(each.params, mean)) for each in plan.candidates)
        for budget in plan.budgets:
            if lack := budget.lack(amount):
                raise _over_budget(plan, lack)
        for budget in plan.budgets:
            budget.purse.hold(amount)
        return amount

    def priced(self, plan: Plan, reply: Reply) -> Reply:
        """Return the reply with what it cost, those that did not fit with it."""
        cost = _cost(plan, reply)
        return replace(
            reply, cost=cost.amount if cost else None, cost_is_estimate=cost is not None and cost.is_estimate
        )

    def settle(self, plan: Plan, held: float, reply: Reply | None) -> None:
        """Spend what a row did cost, and give back what was held for it."""
        if reply is not None and reply.usage is not None:
            self._replies += 1
            self._tokens += reply.usage.completion_tokens
        cost = None if reply is None or reply.cost is None else Cost(reply.cost, reply.cost_is_estimate)
        for budget in plan.budgets:
            budget.purse.settle(held, cost)


def _cost(plan: Plan, reply: Reply) -> Cost | None:
    tariffs = {each.backend.name: each.tariff for each in plan.candidates}
    paid = [tariffs[misfit.backend].of(misfit.usage) for misfit in reply.misfits]
    return total([*paid, tariffs[reply.backend].of(reply.usage, reply.model)])


def _over_budget(plan: Plan, lack: str) -> AllBackendsFailed:
    failed = AllBackendsFailed(lack, ())
    failed.trace = tuple(
        BackendSkipped(at=0.0, request=0, backend=each.backend.name, reason=SkipReason.OVER_BUDGET, message=lack)
        for each in plan.candidates
    )
    return failed
