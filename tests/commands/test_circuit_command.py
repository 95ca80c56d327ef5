"""``%llx_circuit``: what is shown of circuits and cool-downs, and what changes them by hand."""

from __future__ import annotations

import asyncio

import pytest

from llx_magic.core.events import CoolDownLifted
from llx_magic.engine.clocks import ManualClock
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session
from tests.typed import Typed

circuit, profiles = Typed("circuit"), Typed("profile")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def session(tmp_path, monkeypatch, clock) -> Session:
    """A profile whose first backend has spent its quota, whose second answers, whose third fails for good."""
    monkeypatch.delenv("LLX_PROFILE", raising=False)
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "config"))
    session = Session(ProfileStore(), clock=clock)
    for name, script in (("spent", "quota,ok"), ("fine", "ok"), ("dead", "401")):
        profiles.run(session, f"save model {name} --provider simulated --model m --param script={script}")
    profiles.run(session, "save loadbalancer three failover spent fine dead")
    session.load("three")
    return session


def rows(session: Session, line: str = "") -> dict[str, list[str]]:
    """The cells of the table by backend, as they stand between wide gaps."""
    table = circuit.run(session, line).text.splitlines()[4:]
    return {row.split("  ")[0]: [cell.strip() for cell in row.split("  ") if cell.strip()][1:] for row in table}


def ask(balancer: LoadBalancer, **how) -> str:
    return asyncio.run(balancer.ask("why", **how)).backend


def test_without_an_action_every_backend_has_a_row(session, clock):
    balancer = session.balancer()
    assert ask(balancer) == "fine"
    clock.advance(60.0)
    for _ in range(3):
        with pytest.raises(AllBackendsFailed):
            ask(balancer, backend="dead")
    shown = rows(session)
    assert shown["spent"] == ["closed", "0", "59 min", "passes it over, or waits; it is asked again in 59 min"]
    assert shown["fine"] == ["closed", "0", "asks it"]
    assert shown["dead"] == ["open", "3", "passes it over; a probe in 30 s"]
    assert "<table" in circuit.run(session, "").html


def test_a_circuit_that_is_due_for_its_probe_says_so(session, clock):
    circuit.run(session, "open fine")
    clock.advance(30.0)
    assert rows(session)["fine"] == ["open", "0", "asks it, as the probe"]


def test_opening_passes_a_backend_over_and_closing_asks_it_again(session):
    balancer = session.balancer()
    assert circuit.run(session, "open fine").text == "fine: circuit open; a probe in 30 s"
    with pytest.raises(AllBackendsFailed, match="fine: circuit open"):
        ask(balancer)
    assert circuit.run(session, "close fine").text == "fine: circuit closed, failures forgotten"
    assert ask(balancer) == "fine"


def test_a_spent_quota_is_lifted_by_a_reset_and_a_close_says_what_would_lift_it(session):
    balancer = session.balancer()
    assert ask(balancer) == "fine"
    said = circuit.run(session, "close spent").text
    assert said.endswith("it still cools down (1 h left): %llx_circuit reset spent ends that")
    assert ask(balancer) == "fine"
    assert circuit.run(session, "reset spent").text == "spent: circuit closed, failures forgotten, no cool-down"
    assert ask(balancer) == "spent"
    assert [event.backend for event in balancer.decisions() if isinstance(event, CoolDownLifted)] == ["spent"]


@pytest.mark.parametrize("how", ["reset --all", "the function"])
def test_all_backends_are_reset_at_once(session, how):
    balancer = session.balancer()
    ask(balancer)
    balancer.open_circuit("fine")
    if how == "the function":
        balancer.reset()
    else:
        assert circuit.run(session, how).text.startswith("every backend of three: circuit closed")
    assert [backend.state for backend in balancer.snapshot().backends] == ["closed"] * 3
    assert all(backend.cooling_down is None for backend in balancer.snapshot().backends)


def test_what_was_done_stands_as_by_hand_in_the_circuits_history(session):
    balancer = session.balancer()
    ask(balancer)
    circuit.run(session, "open fine")
    circuit.run(session, "reset fine")
    history = balancer.circuit()
    of_fine = history[history["backend"] == "fine"]
    assert [*of_fine["state"]][-2:] == ["open", "closed"]
    assert [*of_fine["cause"]][-2:] == ["by hand", "by hand"]


def test_where_the_breaker_is_off_opening_says_that_it_changes_nothing(session):
    session.set("circuit_breaker_enabled", "false")
    assert "is asked all the same" in circuit.run(session, "open fine").text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("open", ["missing: BACKEND"]),
        ("open fien", ["no backend 'fien'", "did you mean fine?"]),
        ("reset", ["takes one backend or --all", "spent, fine, dead"]),
        ("reset fine --all", ["takes one backend or --all"]),
        ("shut fine", ["shut"]),
        ("-p nowhere", ["nowhere"]),
    ],
)
def test_what_makes_no_sense_is_one_line(session, line, words):
    with pytest.raises(UsageProblem) as caught:
        circuit.run(session, line)
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("line", ["-p three open fine", "open fine -p three", "open -p three fine"])
def test_another_profile_is_named_before_or_after_the_action(session, line):
    session.load("spent")
    assert circuit.run(session, line).text.startswith("fine: circuit open")
    assert rows(session, "-p three")["fine"][0] == "open"
