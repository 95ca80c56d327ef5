"""Scenario 2: a backend that keeps refusing its key is left alone."""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import TEXTS, assert_block, assert_in_order, needs_key, write_balancer, write_members

WRONG, RIGHT = "sk-a-key-that-was-revoked", "sk-a-key-that-is-valid"

OPENING = """
    [LB:failover] Trying backend: synthetic (attempt 1/2)
    [LB:failover] synthetic failed: 401 Unauthorized
    [LB:failover] Trying backend: synthetic (attempt 1/2)
    [LB:failover] synthetic failed: 401 Unauthorized
    [circuit-breaker] synthetic: Marked unhealthy (2 failures in window)
    [circuit-breaker] synthetic: State = open
    [LB:failover] Skipping unhealthy backend: synthetic
    [LB:failover] Trying backend: chutes (attempt 1/2)
"""


@pytest.fixture
def refused(notebook, servers, profiles, monkeypatch):
    """The plan's set-up: the primary backend has a key that its server refuses."""
    monkeypatch.setenv("SYNTHETIC_KEY_OF_TEST", WRONG)
    servers.synthetic.set_default(needs_key(RIGHT))
    write_members(profiles, servers, synthetic={"auth-key-env": "SYNTHETIC_KEY_OF_TEST"})
    write_balancer(profiles, circuit_breaker_failure_threshold=2, circuit_breaker_failure_window_ms=60000)
    notebook.load("testlb489")
    return servers


def test_log_lines_of_a_circuit_that_opens(notebook, refused):
    """Two refused requests open the circuit and the third passes the backend over, in the plan's words."""
    replies = [notebook.ask() for _ in range(3)]

    assert_in_order(notebook.log(), OPENING)
    assert [reply.backend for reply in replies] == ["chutes"] * 3


def test_circuit_opens_at_the_second_failure_and_not_at_the_first(notebook, refused):
    """The state is closed after one failure and open after two."""
    notebook.ask()
    assert "  synthetic: closed" in notebook.stats().splitlines()
    notebook.ask()
    assert "  synthetic: open" in notebook.stats().splitlines()


def test_open_circuit_sends_nothing(notebook, refused):
    """Requests after the second do not reach the backend, and all of them are answered by the next one."""
    replies = [notebook.ask() for _ in range(5)]

    assert refused.requests() == {"synthetic": 2, "chutes": 5, "groqgpt": 0}
    assert {reply.text for reply in replies} == {TEXTS["chutes"]}


def test_failures_outside_the_window_do_not_add_up(notebook, refused, clock):
    """Two failures 60 s apart leave the circuit closed; a third within 60 s of the second opens it."""
    notebook.ask()
    clock.advance(60)
    notebook.ask()
    assert "  synthetic: closed" in notebook.stats().splitlines()
    clock.advance(59.9)
    notebook.ask()
    assert "  synthetic: open" in notebook.stats().splitlines()


def test_statistics_while_the_circuit_is_open(notebook, refused):
    """The refused requests are failures of their backend alone; the one passed over is not counted."""
    for _ in range(3):
        notebook.ask()

    stats = notebook.stats()
    assert "Total Requests: 5" in stats.splitlines()
    assert_block(stats, "  synthetic\n    Requests: 2\n    Success Rate: 0.0%")
    assert_block(stats, "  chutes\n    Requests: 3\n    Success Rate: 100.0%")
    assert_block(stats, "Circuit Breaker States:\n  synthetic: open\n  chutes: closed\n  groqgpt: closed")


def test_the_refused_key_is_shown_nowhere(notebook, refused):
    """The server was sent the key, and no output, line, statistic or file holds it."""
    shown = notebook.run("%%llx\nwrite me a haiku about testing").expect().printed
    assert refused.synthetic.requests[0].headers["authorization"] == f"Bearer {WRONG}"

    outputs = [shown, *notebook.log(), notebook.stats(), notebook.run("%llx_profile show synthetic").printed]
    assert not [text for text in outputs if WRONG in text]
