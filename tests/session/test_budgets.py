"""``budget_usd``: whose money it limits, where it is set, and where what was spent is shown."""

from __future__ import annotations

import asyncio

import pytest

import llx_magic
from llx_magic.backends.local.modelfile import MODEL
from llx_magic.errors import BudgetSpent, SettingError
from llx_magic.observe import report
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session

DOLLAR = Connection(price_input=0.0, price_output=2_000.0)
"""With 500 tokens a reply costs one dollar."""


def member(name: str = "a", connection: Connection = DOLLAR, **settings) -> ModelProfile:
    params = {"virtual_time": True, "completion_tokens": 500}
    return ModelProfile(name, "simulated", "m", params=params, connection=connection, settings=settings)


@pytest.fixture
def session(tmp_path, monkeypatch) -> Session:
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path))
    return Session()


def ask(lb: LoadBalancer, **options):
    return asyncio.run(lb.ask("why", **options))


def spent(lb: LoadBalancer) -> float:
    return lb.snapshot().spent.amount


def test_a_profile_spends_no_more_than_its_budget():
    lb = LoadBalancer(Profile.single(member(budget_usd=2.5)))
    ask(lb)
    ask(lb)
    with pytest.raises(BudgetSpent, match=r"go beyond the budget of 2\.5 USD"):
        ask(lb)
    assert spent(lb) == 2.0


def test_a_member_has_no_budget_of_its_own():
    profile = Profile.failover("lb", [member("a", budget_usd=0.5), member("b")])
    assert "a: budget_usd in a member is ignored" in profile.notes
    assert ask(LoadBalancer(profile)).backend == "a"


def test_one_prompt_cannot_set_it():
    lb = LoadBalancer(Profile.single(member()))
    with pytest.raises(SettingError, match="budget_usd cannot be set for one request"):
        ask(lb, settings={"budget_usd": 9})


def test_the_session_limits_what_all_its_profiles_spend_together(session):
    session.store.save(member("a"))
    session.store.save(member("b"))
    session.set("budget_usd", "1.5")
    ask(session.balancer("a"))
    with pytest.raises(BudgetSpent, match=r"\(1 spent\)"):
        ask(session.balancer("b"))
    session.set("budget_usd", "2.5")
    ask(session.balancer("b"))


def test_the_sessions_budget_outweighs_the_profiles_and_none_lifts_it(session):
    session.store.save(member("a", budget_usd=0.5))
    lb = session.balancer("a")
    with pytest.raises(BudgetSpent, match=r"budget of 0\.5 USD"):
        ask(lb)
    session.set("budget_usd", "none")
    ask(lb)
    session.unset("budget_usd")
    with pytest.raises(BudgetSpent, match=r"the budget of 0.5 USD is spent \(1 USD\)"):
        ask(lb)


def test_everybody_who_loads_a_file_spends_from_its_budget_isolated_or_not(session):
    session.store.save(member("a", budget_usd=1.5))
    ask(llx_magic.load("a"))
    for lb in (llx_magic.load("a", isolated=True), llx_magic.load("a")):
        with pytest.raises(BudgetSpent):
            ask(lb)
        assert spent(lb) == 1.0


def test_a_reset_of_the_statistics_gives_no_money_back():
    lb = LoadBalancer(Profile.single(member(budget_usd=1.5)))
    ask(lb)
    lb.reset_statistics()
    with pytest.raises(BudgetSpent):
        ask(lb)


def test_a_member_without_a_price_is_named_with_what_to_do(session):
    for each in (member("a"), member("b", Connection())):
        session.store.save(each)
    session.store.save(LoadBalancerProfile("lb", "failover", ("b", "a"), {"budget_usd": 5}))
    lb = session.balancer("lb")
    reply = ask(lb)
    assert reply.backend == "a"
    said = "b skipped: its price is not known, which a budget needs; a profile says it with --price-input"
    assert reply.notes[0].startswith(said)
    assert dict(asyncio.run(lb.explain(lb.prepare("why"))))["b"].startswith("skipped: its price is not known")


def test_the_embedded_model_is_free():
    lb = LoadBalancer(Profile.single(ModelProfile("own", "local", MODEL, settings={"budget_usd": 0.1})))
    plan = lb.prepare("why")
    assert plan.refusal(plan.candidates[0]) is None


@pytest.mark.parametrize(
    ("settings", "line"),
    [({}, "Spent: 1"), ({"budget_usd": 5}, "Spent: 1 of 5 USD"), ({"budget_usd": 1.25}, "1.25 USD")],
)
def test_the_statistics_say_what_was_spent_and_of_how_much(settings, line):
    lb = LoadBalancer(Profile.single(member(**settings)))
    ask(lb)
    assert line in report.plain(lb.snapshot()).splitlines()[-1]
    assert "spent 1" in report.as_html(lb.snapshot())
    assert lb.stats().loc["a"].cost == 1.0
    assert lb.history().iloc[0].cost == 1.0


def test_nothing_is_said_of_money_where_none_is_known():
    lb = LoadBalancer(Profile.single(member(connection=Connection())))
    ask(lb)
    assert "pent" not in report.plain(lb.snapshot())
    assert "cost" not in report.as_html(lb.snapshot())


def rows_of(lb: LoadBalancer, tmp_path, count: int):
    return asyncio.run(lb.map([f"row {place}" for place in range(count)], "{{ row }}", store=tmp_path / "store.sqlite"))


def test_rows_and_cells_spend_from_the_same_budget(tmp_path):
    lb = LoadBalancer(Profile.single(member(budget_usd=5.5)))
    ask(lb)
    result = rows_of(lb, tmp_path, 20)
    assert result.frame.llx_status.value_counts()["answered"] == 4
    assert "budget of 5.5 USD (5 spent)" in result.summary.stopped
    with pytest.raises(BudgetSpent):
        ask(lb)


def test_raising_the_budget_lets_the_same_run_go_on_and_pays_for_no_row_twice(tmp_path, session):
    session.store.save(member("a"))
    lb = session.balancer("a")
    session.set("budget_usd", "3.5")
    assert rows_of(lb, tmp_path, 6).frame.llx_status.value_counts()["answered"] == 3
    session.set("budget_usd", "6.5")
    counts = rows_of(lb, tmp_path, 6).frame.llx_status.value_counts()
    assert (counts["stored"], counts["answered"], spent(lb)) == (3, 3, 6.0)
