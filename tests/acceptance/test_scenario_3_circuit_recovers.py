"""Scenario 3: a backend that was repaired is tested once and taken back."""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import UNAUTHORIZED, assert_in_order, needs_key, write_balancer, write_members

WRONG, RIGHT = "sk-a-key-that-was-revoked", "sk-a-key-that-is-valid"


@pytest.fixture
def opened(notebook, servers, profiles, monkeypatch):
    """The plan's set-up: two refused requests have opened the circuit, which recovers after 10 s."""
    monkeypatch.setenv("SYNTHETIC_KEY_OF_TEST", WRONG)
    servers.synthetic.set_default(needs_key(RIGHT))
    write_members(profiles, servers, synthetic={"auth-key-env": "SYNTHETIC_KEY_OF_TEST"})
    write_balancer(
        profiles, circuit_breaker_failure_threshold=2, circuit_breaker_recovery_timeout_ms=10000, tpm_threshold=None
    )
    notebook.load("testlb489")
    notebook.ask()
    notebook.ask()
    assert "  synthetic: open" in notebook.stats().splitlines()
    return servers


def test_log_lines_of_a_recovery(notebook, opened, clock, monkeypatch):
    """10 s later, the key repaired, the next request tests the backend and closes the circuit, in the plan's words."""
    monkeypatch.setenv("SYNTHETIC_KEY_OF_TEST", RIGHT)
    clock.advance(10)

    reply = notebook.ask()

    assert_in_order(
        notebook.log(),
        """
        [circuit-breaker] synthetic: State = open
        [circuit-breaker] synthetic: Testing recovery (half-open)
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:failover] Success on backend: synthetic
        [circuit-breaker] synthetic: Recovered (state = closed)
        """,
    )
    assert reply.backend == "synthetic"
    assert "  synthetic: closed" in notebook.stats().splitlines()


def test_circuit_stays_closed_and_the_backend_is_used_again(notebook, opened, clock, monkeypatch):
    """Requests after the recovery go to the backend, and its old failures are forgotten."""
    monkeypatch.setenv("SYNTHETIC_KEY_OF_TEST", RIGHT)
    clock.advance(10)
    assert [notebook.ask().backend for _ in range(3)] == ["synthetic"] * 3

    monkeypatch.setenv("SYNTHETIC_KEY_OF_TEST", WRONG)
    notebook.ask()
    assert "  synthetic: closed" in notebook.stats().splitlines()


def test_no_request_before_the_recovery_time(notebook, opened, clock, monkeypatch):
    """A moment before the 10 s are over the backend is still passed over, repaired or not."""
    monkeypatch.setenv("SYNTHETIC_KEY_OF_TEST", RIGHT)
    clock.advance(9.999)

    assert notebook.ask().backend == "chutes"
    assert opened.requests()["synthetic"] == 2
    assert notebook.log()[-5:][0] == "[LB:failover] Skipping unhealthy backend: synthetic"


def test_circuit_is_half_open_while_it_is_tested(notebook, opened, clock):
    """While the one testing request is under way the state reads half-open."""
    seen: list[str] = []

    def look(exchange):
        seen.extend(str(state) for state in notebook.session.balancer().stats()["state"])
        UNAUTHORIZED(exchange)

    opened.synthetic.set_default(look)
    clock.advance(10)
    notebook.ask()

    assert seen == ["half-open", "closed", "closed"]


def test_failed_test_opens_the_circuit_for_the_full_time_again(notebook, opened, clock):
    """A backend that still refuses is asked once, and then left alone for another 10 s."""
    clock.advance(10)
    assert notebook.ask().backend == "chutes"
    assert opened.requests()["synthetic"] == 3
    clock.advance(9.999)
    assert notebook.ask().backend == "chutes"
    assert opened.requests()["synthetic"] == 3

    assert_in_order(
        notebook.log(),
        """
        [circuit-breaker] synthetic: Testing recovery (half-open)
        [LB:failover] synthetic failed: 401 Unauthorized
        [circuit-breaker] synthetic: State = open
        [LB:failover] Skipping unhealthy backend: synthetic
        """,
    )
