"""Scenario 1: a backend that takes too long is given up, and the next one answers."""

from __future__ import annotations

from tests.acceptance.scenario import (
    TEXTS,
    assert_block,
    assert_in_order,
    breaking_off,
    silent_for,
    taking,
    write_balancer,
)


def test_log_lines_of_a_timeout_and_its_failover(notebook, members, profiles, clock):
    """A backend that is silent for 5.5 s with a limit of 5 s writes the plan's lines, and the next one is tried."""
    write_balancer(profiles, timeout_ms=5000)
    members.synthetic.set_default(silent_for(clock, 5.5))
    notebook.load("testlb489")

    reply = notebook.ask()

    assert_in_order(
        notebook.log(),
        """
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:timeout] synthetic: Request exceeded 5000ms
        [LB:failover] synthetic: Backend timeout (5500ms > 5000ms), failing over
        [LB:failover] Trying backend: chutes (attempt 1/2)
        [LB:failover] Success on backend: chutes
        """,
    )
    assert reply.backend == "chutes"
    assert reply.text == TEXTS["chutes"]


def test_timeout_is_not_tried_again_on_the_same_backend(notebook, members, profiles, clock):
    """A time-out ends the visit: one request reached the slow server, and its connection was closed."""
    write_balancer(profiles, timeout_ms=5000)
    members.synthetic.set_default(silent_for(clock, 5.5))
    notebook.load("testlb489")

    notebook.ask()

    assert members.requests() == {"synthetic": 1, "chutes": 1, "groqgpt": 0}
    assert members.synthetic.requests[0].disconnected.wait(5)


def test_answer_just_below_the_limit_is_taken(notebook, members, profiles, clock):
    """The time-out begins at 5 s, not before: an answer after 4.999 s is a success."""
    write_balancer(profiles, timeout_ms=5000)
    members.synthetic.set_default(taking(clock, 4.999))
    notebook.load("testlb489")

    assert notebook.ask().backend == "synthetic"
    assert not [line for line in notebook.log() if "timeout" in line]


def test_no_partial_response_of_the_backend_that_timed_out(notebook, members, profiles, clock, debug_log):
    """Words that were shown before the time-out are withdrawn, and the reply is the next backend's alone."""
    write_balancer(profiles, timeout_ms=5000)
    members.synthetic.set_default(breaking_off(clock, 5.5, debug_log))
    notebook.load("testlb489")

    shown = notebook.run("%%llx -o answer\nwrite me a haiku about testing").expect().printed
    reply = notebook.shell.user_ns["answer"]

    assert reply.text == TEXTS["chutes"]
    above, _rule, below = shown.partition("synthetic broke off (no whole reply within 5000 ms (timeout_ms)): ")
    assert above.startswith("Green")
    assert below.startswith("the text above is withdrawn, asking chutes ----\n" + TEXTS["chutes"])
    assert_in_order(
        notebook.log(),
        """
        [LB:failover] synthetic: Backend timeout (5500ms > 5000ms), failing over
        [LB:failover] synthetic broke off after 2 words, restarting on chutes
        [LB:failover] Success on backend: chutes
        """,
    )


def test_timeout_is_counted_in_the_statistics(notebook, members, profiles, clock):
    """A time-out is a failed request of its backend; how long it lasted is in no latency, which is that of answers."""
    write_balancer(profiles, timeout_ms=5000)
    members.synthetic.set_default(silent_for(clock, 5.5))
    notebook.load("testlb489")
    notebook.ask()

    assert_block(
        notebook.stats(),
        """
  synthetic
    Requests: 1
    Success Rate: 0.0%
    Avg Latency: N/A
    Tokens: 0
    TPM: 0
""",
    )
    assert notebook.session.balancer().stats().loc["synthetic", "timeouts"] == 1


def test_no_timer_is_left_after_requests(notebook, members, profiles, clock):
    """A request that ended, in a reply or in a time-out, leaves no timer behind."""
    write_balancer(profiles, timeout_ms=5000)
    members.synthetic.script(silent_for(clock, 5.5), "ok", "500", "ok")
    notebook.load("testlb489")

    for _ in range(3):
        notebook.ask()

    assert clock.waiting() == 0
