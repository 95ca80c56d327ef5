"""What may be spent: held before sending, spent after, and refused at the limit."""

from __future__ import annotations

import asyncio

import pytest

from llx_magic.core.events import BackendSkipped, SkipReason, VisitSucceeded
from llx_magic.core.money import Cost, Price, Spent, likely_completion, total
from llx_magic.core.reply import Usage
from llx_magic.engine.budget import Budget, Purse
from llx_magic.errors import AllBackendsFailed, BudgetSpent
from tests.engine.kit import DOWN, Bench, Scripted, settle


class Flat:
    """A backend that takes as much for each reply, whatever it is thought to take."""

    def __init__(self, cost: float, price: Price | None = None) -> None:
        self.cost = cost
        self.price = price or Price(0.0, cost * 1e6 / 500)

    def of(self, usage: Usage | None, model: str = "") -> Cost | None:
        return None if usage is None else Cost(self.cost)


class Nobody:
    price = None

    def of(self, usage: Usage | None, model: str = "") -> Cost | None:
        return None


def limited(limit: float | None, purse: Purse | None = None) -> Budget:
    return Budget(purse or Purse(), limit, "budget {}")


async def test_what_a_reply_costs_is_spent_and_told():
    budget = limited(None)
    bench = Bench(Scripted("a", tokens=500), tariffs={"a": Flat(0.25)}, budgets=(budget,))
    reply = await bench.ask()
    assert budget.purse.spent == Spent(own=0.25)
    assert (reply.cost, reply.cost_is_estimate) == (0.25, False)
    assert [event.cost for event in bench.events(VisitSucceeded)] == [0.25]
    assert bench.snapshot("a").cost == 0.25


async def test_at_the_limit_nothing_is_sent_and_one_line_says_how_to_raise_it():
    budget = limited(1.0)
    bench = Bench(
        Scripted("a", tokens=500),
        Scripted("b", tokens=500),
        tariffs={"a": Flat(0.6), "b": Flat(0.6)},
        budgets=(budget,),
    )
    await bench.ask()
    with pytest.raises(BudgetSpent) as refused:
        await bench.ask()
    said = "about 0.6 USD more would go beyond the budget of 1 USD (0.6 spent); raise it with budget 2.4"
    assert str(refused.value) == said
    assert refused.value.lines() == [said]
    assert len(bench.backends[0].asked) == 1


async def test_a_budget_that_is_spent_says_so():
    budget = limited(0.5)
    budget.purse.settle(0.0, Cost(0.5))
    bench = Bench(Scripted("a", tokens=500), tariffs={"a": Flat(0.1)}, budgets=(budget,))
    with pytest.raises(BudgetSpent, match=r"^the budget of 0.5 USD is spent \(0.5 USD\); raise it with budget 1.2$"):
        await bench.ask()


async def test_a_cheaper_backend_is_asked_where_the_first_would_go_beyond_the_budget():
    bench = Bench(
        Scripted("dear"),
        Scripted("cheap", tokens=500),
        tariffs={"dear": Flat(2.0), "cheap": Flat(0.1)},
        budgets=(limited(1.0),),
    )
    reply = await bench.ask()
    assert reply.backend == "cheap"
    (skipped,) = bench.events(BackendSkipped)
    assert (skipped.backend, skipped.reason) == ("dear", SkipReason.OVER_BUDGET)


async def test_under_a_budget_a_backend_without_a_price_is_passed_over_with_the_reason():
    bench = Bench(
        Scripted("a", tokens=500),
        Scripted("b", tokens=500),
        tariffs={"a": Nobody(), "b": Flat(0.1)},
        budgets=(limited(1.0),),
    )
    reply = await bench.ask()
    assert reply.backend == "b"
    assert "a skipped: its price is not known, which a budget needs" in reply.notes[0]
    assert "price-input" in reply.notes[0]


async def test_without_a_budget_nobody_needs_a_price():
    bench = Bench(Scripted("a", tokens=500), tariffs={"a": Nobody()}, budgets=(limited(None),))
    assert (await bench.ask()).backend == "a"


async def test_what_is_free_is_asked_when_the_budget_is_spent():
    budget = limited(1.0)
    budget.purse.settle(0.0, Cost(2.0))
    bench = Bench(
        Scripted("a", tokens=500), Scripted("free"), tariffs={"a": Flat(0.1), "free": Flat(0.0)}, budgets=(budget,)
    )
    assert (await bench.ask()).backend == "free"


async def test_of_many_at_once_no_more_are_sent_than_the_budget_pays_for():
    budget = limited(1.0)
    backend = Scripted("a", tokens=500)
    bench = Bench(backend, tariffs={"a": Flat(0.3)}, budgets=(budget,))
    ended = await asyncio.gather(*(bench.ask() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(each, BudgetSpent) for each in ended) == 7
    assert len(backend.asked) == 3
    assert budget.purse.spent == Spent(own=pytest.approx(0.9))


async def test_what_is_held_for_others_is_said():
    budget = limited(1.0)

    async def never(_request, _progress):
        await asyncio.Event().wait()

    endless = {"first_token_timeout_ms": "none", "timeout_ms": "none"}
    bench = Bench(Scripted("a", never, tokens=500), tariffs={"a": Flat(0.7)}, budgets=(budget,), **endless)
    first = asyncio.create_task(bench.ask())
    await settle()
    with pytest.raises(BudgetSpent, match=r"\(0 spent, 0.7 held for what is under way\)"):
        await bench.ask()
    first.cancel()
    await asyncio.wait([first])
    assert budget.purse.spent == Spent()


async def test_a_failed_visit_gives_back_what_was_held():
    budget = limited(1.0)
    bench = Bench(Scripted("a", DOWN), tariffs={"a": Flat(0.7)}, budgets=(budget,))
    for _ in range(2):
        with pytest.raises(AllBackendsFailed, match="503"):
            await bench.ask()
    assert budget.purse.spent == Spent()


async def test_a_reply_without_usage_costs_what_was_held_for_it():
    class Silent(Flat):
        def of(self, usage: Usage | None, model: str = "") -> Cost | None:
            return None

    budget = limited(1.0)
    bench = Bench(Scripted("a", tokens=None), tariffs={"a": Silent(0.4)}, budgets=(budget,))
    await bench.ask()
    assert budget.purse.spent.amount == pytest.approx(0.4, rel=0.01)


async def test_every_budget_pays_and_the_tightest_refuses():
    wide, tight = limited(10.0), limited(0.5)
    bench = Bench(Scripted("a", tokens=500), tariffs={"a": Flat(0.3)}, budgets=(wide, tight))
    await bench.ask()
    with pytest.raises(BudgetSpent, match=r"the budget of 0.5 USD"):
        await bench.ask()
    assert wide.purse.spent == tight.purse.spent == Spent(own=0.3)


@pytest.mark.parametrize(
    ("params", "mean", "tokens"),
    [
        ({}, None, 500),
        ({}, 80.0, 80),
        ({"max_tokens": 20}, 80.0, 20),
        ({"max_completion_tokens": 20}, None, 20),
        ({"num_predict": -1}, None, 500),
        ({"max_tokens": "many"}, None, 500),
    ],
)
def test_a_reply_is_thought_to_take_what_others_took_but_no_more_than_it_may(params, mean, tokens):
    assert likely_completion(params, mean) == tokens


@pytest.mark.parametrize(
    ("costs", "sum_"),
    [
        ([Cost(1.0), Cost(2.0)], Cost(3.0)),
        ([Cost(1.0, is_estimate=True)], Cost(1.0, is_estimate=True)),
        ([Cost(1.0), None], None),
        ([Cost(1.0), Cost(1.0, is_estimate=True)], None),
        ([], None),
    ],
)
def test_costs_add_up_only_where_all_are_known_and_of_one_kind(costs, sum_):
    assert total(costs) == sum_
