"""Scenario 4: a backend that gives too few tokens a minute is put aside.

The plan's figures: 5 requests of 210 tokens and 1.234 s each, so that the rate is 10,211 while they follow one
another; a pause then takes it to 1,050 tokens in 15 s, which is 4,200.
"""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import assert_block, assert_in_order, taking, write_balancer


@pytest.fixture
def asked(notebook, members, profiles, clock):
    """Five short prompts have been answered by the first backend."""
    write_balancer(profiles, tpm_threshold=10000)
    members.synthetic.set_default(taking(clock, 1.234, usage=(200, 10)))
    members.chutes.set_default(taking(clock, 0.890, usage=(200, 50)))
    notebook.load("testlb489")
    assert [notebook.ask("Short?").backend for _ in range(5)] == ["synthetic"] * 5
    return members


def wait_until(clock, seconds: float) -> None:
    clock.advance(seconds - clock.now())


def test_log_lines_of_a_rate_below_the_threshold(notebook, asked, clock):
    """1,050 tokens in 15 s are logged as 4200, and the request goes to the next backend, in the plan's words."""
    wait_until(clock, 15)

    reply = notebook.ask("Short?")

    assert_in_order(
        notebook.log(),
        """
        [LB:tpm] synthetic: Current TPM = 4200
        [LB:failover] synthetic: TPM (4200) below threshold (10000), failing over
        [LB:failover] Trying backend: chutes (attempt 1/2)
        """,
    )
    assert reply.backend == "chutes"
    assert asked.requests() == {"synthetic": 5, "chutes": 1, "groqgpt": 0}


def test_statistics_show_the_rates(notebook, asked, clock):
    """``%llx_stats lb`` shows the plan's figures: 1,050 tokens in 15 s, and 250 in 1.2 s."""
    wait_until(clock, 13.8)
    notebook.ask("Short?")
    wait_until(clock, 15)

    assert_block(
        notebook.stats(),
        """
Backend Metrics:
  synthetic
    Requests: 5
    Success Rate: 100.0%
    Avg Latency: 1234ms
    Tokens: 1050
    TPM: 4200

  chutes
    Requests: 1
    Success Rate: 100.0%
    Avg Latency: 890ms
    Tokens: 250
    TPM: 12500
""",
    )


def test_rate_at_the_threshold_is_enough(notebook, asked, clock):
    """Only a rate below the threshold goes on to the next backend; an equal one does not."""
    notebook.set(tpm_threshold=4200)
    wait_until(clock, 15)
    assert notebook.ask("Short?").backend == "synthetic"


def test_window_is_five_minutes(notebook, asked, clock):
    """Five minutes after the last reply its tokens are forgotten: the rate is unknown, never below, and shown as 0."""
    wait_until(clock, 5 * 1.234 + 299.9)
    assert_block(notebook.stats(), "  synthetic\n    Requests: 5\n    Success Rate: 100.0%\n    Avg Latency: 1234ms")
    assert "    TPM: 0" not in notebook.stats().split("chutes", maxsplit=1)[0].splitlines()

    wait_until(clock, 5 * 1.234 + 300)
    assert "    TPM: 0" in notebook.stats().split("chutes", maxsplit=1)[0].splitlines()
    assert notebook.ask("Short?").backend == "synthetic"


def test_full_window_divides_by_five_minutes(notebook, members, profiles, clock):
    """3,200 tokens over the whole window read 640 a minute."""
    write_balancer(profiles, tpm_threshold=None)
    members.synthetic.set_default(taking(clock, 10, usage=(1000, 600)))
    notebook.load("testlb489")
    notebook.ask()
    notebook.ask()
    wait_until(clock, 305)

    assert "    TPM: 640" in notebook.stats().splitlines()


def test_slow_backend_answers_where_no_other_does(notebook, asked, clock):
    """A backend put aside for its rate is asked after all when the others fail: a slow answer beats none."""
    asked.chutes.set_default("401")
    asked.groqgpt.set_default("401")
    wait_until(clock, 15)

    assert notebook.ask("Short?").backend == "synthetic"
    assert_in_order(
        notebook.log(),
        """
        [LB:failover] synthetic: TPM (4200) below threshold (10000), failing over
        [LB:failover] Trying backend: chutes (attempt 1/2)
        [LB:failover] Nothing answered, trying those below the TPM threshold: synthetic
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:failover] Success on backend: synthetic
        """,
    )
