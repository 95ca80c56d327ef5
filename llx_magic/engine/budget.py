"""What may be spent: what has been spent, and what is held for the requests under way."""

from __future__ import annotations

from dataclasses import dataclass

from llx_magic.core.money import Cost, Spent
from llx_magic.locks import ForkSafeLock, set_right_in_copies
from llx_magic.units import CURRENCY, exact, number


class Purse:
    """The money of everybody who shares it; any thread may spend."""

    def __init__(self) -> None:
        self._lock = ForkSafeLock()
        self._spent = Spent()
        _ALL.add(self)

    @property
    def spent(self) -> Spent:
        """What has been spent so far, and what is held."""
        return self._spent

    def hold(self, amount: float) -> None:
        """Set aside what a request will probably cost, until it is settled."""
        if not amount:
            return
        with self._lock:
            self._spent = self._spent._replace(held=self._spent.held + amount)

    def settle(self, held: float, cost: Cost | None) -> None:
        """Spend what a request did cost, and give back what was held for it."""
        if not held and cost is None:
            return
        with self._lock:
            own, estimated, still_held = self._spent
            if cost is not None and cost.is_estimate:
                estimated += cost.amount
            elif cost is not None:
                own += cost.amount
            self._spent = Spent(own, estimated, max(0.0, still_held - held))

    def let_go(self) -> None:
        """Hold nothing: in a forked copy of the process, what is under way is the parent's."""
        self._spent = self._spent._replace(held=0.0)


@dataclass(frozen=True, slots=True)
class Budget:
    """A purse, and how much may be spent from it in US dollars; None is no limit.

    ``raised_by`` is what to type to raise it, with ``{}`` for the new limit. ``whose`` says what spends from it.
    """

    purse: Purse
    limit: float | None = None
    raised_by: str = ""
    whose: str = ""

    def lack(self, amount: float) -> str | None:
        """Return why a request of about this cost is not sent, and how to change that, or None where it may be."""
        own, estimated, held = self.purse.spent
        spent = own + estimated
        if self.limit is None or not amount or spent + held + amount <= self.limit:
            return None
        told, budget = number(spent, 4), f"the budget of {number(self.limit, 4)} {CURRENCY}"
        if spent >= self.limit:
            why = f"{budget} is spent ({told} {CURRENCY})"
        else:
            under_way = f", {number(held, 4)} held for what is under way" if held else ""
            why = f"about {number(amount, 2)} {CURRENCY} more would go beyond {budget} ({told} spent{under_way})"
        enough = exact(float(f"{2 * max(self.limit, spent + amount):.2g}"))
        return f"{why}; raise it with {self.raised_by.format(enough)}"


_ALL = set_right_in_copies(Purse.let_go)
