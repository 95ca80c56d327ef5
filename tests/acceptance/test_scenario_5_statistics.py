"""Scenario 5: ``%llx_stats lb`` shows every figure of every backend, in the plan's layout.

The plan's numbers need a threshold of 2, since its first backend failed twice and is open. Timeline in seconds:
from 0 the first backend answers six prompts; at 180.088 it refuses one, then one times out, then it is passed over
twice; at 300.5 the statistics are read. So 3,200 tokens lie in the full window (640 a minute) and 1,800 in two
minutes (900), and the latencies of each backend have the mean that the plan shows.
"""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import STATISTICS, UNAUTHORIZED, silent_for, taking, write_balancer

ANSWERS = ((1.0, 500), (1.2, 500), (1.4, 550), (1.6, 550), (1.712, 550), (1.824, 550))
REFUSED_AFTER, TIMED_OUT_AFTER = 0.412, 2.5


@pytest.fixture
def used(notebook, members, profiles, clock):
    """Ten prompts have been asked: six answered by the first backend, two that it failed, two that passed it over."""
    write_balancer(profiles, circuit_breaker_failure_threshold=2, timeout_ms=2500)
    members.synthetic.script(
        *(taking(clock, seconds, usage=(tokens - 50, 50)) for seconds, tokens in ANSWERS),
        taking(clock, REFUSED_AFTER, UNAUTHORIZED),
        silent_for(clock, TIMED_OUT_AFTER),
    )
    members.chutes.script(*(taking(clock, seconds, usage=(400, 50)) for seconds in (0.9, 0.96, 1.0, 1.06)))
    notebook.load("testlb489")
    for _ in ANSWERS:
        notebook.ask()
    clock.advance(180.5 - REFUSED_AFTER - clock.now())
    for _ in range(4):
        notebook.ask()
    clock.advance(300.5 - clock.now())
    return members


def test_statistics_have_the_plans_layout_and_figures(notebook, used):
    """The text of ``%llx_stats lb`` is the plan's expected output, character by character."""
    assert notebook.stats() == STATISTICS


def test_token_counts_match_what_the_servers_reported(notebook, used):
    """The tokens shown are the sums of what the servers put into their usage."""
    frame = notebook.session.balancer().stats()
    assert frame.loc["synthetic", "tokens"] == sum(tokens for _, tokens in ANSWERS) == 3200
    assert frame.loc["chutes", "tokens"] == 4 * 450


def test_backends_are_tracked_independently(notebook, used):
    """What one backend did changes no figure of another."""
    frame = notebook.session.balancer().stats()
    assert list(frame.index) == ["synthetic", "chutes", "groqgpt"]
    assert list(frame["requests"]) == [8, 4, 0]
    assert list(frame["failures"]) == [2, 0, 0]
    assert list(frame["timeouts"]) == [1, 0, 0]
    assert used.requests() == {"synthetic": 8, "chutes": 4, "groqgpt": 0}


def test_statistics_are_a_table_as_well(notebook, used):
    """The expression has an HTML table and a DataFrame with the same figures."""
    shown = notebook.run("%llx_stats lb").expect().value
    assert "<td" in shown._repr_html_()
    assert "75.0%" in shown._repr_html_()
    assert list(shown.frame["requests"]) == [8, 4, 0]


def test_statistics_before_the_first_request(notebook, members, profiles):
    """A profile that has been asked nothing shows zeros, N/A, and closed circuits."""
    write_balancer(profiles)
    notebook.load("testlb489")
    unused = "    Requests: 0\n    Success Rate: N/A\n    Avg Latency: N/A\n    Tokens: 0\n    TPM: 0\n"
    assert notebook.stats() == (
        "Load Balancer Statistics\nProfile: testlb489\nTotal Requests: 0\n\nBackend Metrics:\n"
        + "\n".join(f"  {name}\n{unused}" for name in ("synthetic", "chutes", "groqgpt"))
        + "\nCircuit Breaker States:\n  synthetic: closed\n  chutes: closed\n  groqgpt: closed"
    )
