"""Scenario 8: all of it together, with the plan's own profile as the project ships it."""

from __future__ import annotations

import gc
import os
import subprocess
import time
import tracemalloc
from collections.abc import Callable

import pytest

from llx_magic.engine.background import BACKGROUND
from tests.acceptance.scenario import (
    LLX,
    NAMES,
    ROOT,
    TEXTS,
    UNAUTHORIZED,
    assert_block,
    assert_in_order,
    breaking_off,
    taking,
    write_balancer,
)

FIRST = "analyze this codebase and tell me what it does. do not use a subagent."
SECOND = "now list its three weakest points, with the reason for each."

STORY = """
    [LB:request] Request 1: policy failover, order synthetic, chutes, groqgpt
    [LB:failover] Trying backend: synthetic (attempt 1/2)
    [LB:timeout] synthetic: Request exceeded 30000ms
    [LB:failover] synthetic: Backend timeout (30500ms > 30000ms), failing over
    [LB:failover] synthetic broke off after 2 words, restarting on chutes
    [LB:failover] Trying backend: chutes (attempt 1/2)
    [LB:failover] chutes failed: 503 Service Unavailable: scripted: Service Unavailable
    [LB:failover] Trying backend: chutes (attempt 2/2)
    [LB:failover] chutes failed: 503 Service Unavailable: scripted: Service Unavailable
    [LB:failover] chutes failed after 2 attempts: 503 Service Unavailable: scripted: Service Unavailable
    [LB:failover] Trying backend: groqgpt (attempt 1/2)
    [LB:failover] Success on backend: groqgpt
    [LB:request] Request 2: policy failover, order synthetic, chutes, groqgpt
    [LB:failover] Trying backend: synthetic (attempt 1/2)
    [LB:failover] synthetic failed: 401 Unauthorized
    [LB:failover] Trying backend: chutes (attempt 1/2)
    [LB:failover] Success on backend: chutes
    [LB:request] Request 3: policy failover, order synthetic, chutes, groqgpt
    [LB:failover] Trying backend: synthetic (attempt 1/2)
    [LB:failover] synthetic failed: 401 Unauthorized
    [circuit-breaker] synthetic: Marked unhealthy (3 failures in window)
    [circuit-breaker] synthetic: State = open
    [LB:tpm] chutes: Current TPM = 60000
    [LB:failover] Trying backend: chutes (attempt 1/2)
    [LB:failover] Success on backend: chutes
    [LB:request] Request 4: policy failover, order synthetic, chutes, groqgpt
    [LB:failover] Skipping unhealthy backend: synthetic
    [LB:tpm] chutes: Current TPM = 60000
    [LB:failover] Trying backend: chutes (attempt 1/2)
    [LB:failover] Success on backend: chutes
    [LB:request] Request 5: policy failover, order synthetic, chutes, groqgpt
    [circuit-breaker] synthetic: Testing recovery (half-open)
    [LB:failover] Trying backend: synthetic (attempt 1/2)
    [LB:failover] Success on backend: synthetic
    [circuit-breaker] synthetic: Recovered (state = closed)
    [LB:request] Request 6: policy failover, order synthetic, chutes, groqgpt
    [LB:tpm] synthetic: Current TPM = 400
    [LB:failover] synthetic: TPM (400) below threshold (500), failing over
    [LB:tpm] chutes: Current TPM = 984
    [LB:failover] Trying backend: chutes (attempt 1/2)
    [LB:failover] Success on backend: chutes
"""

AFTER_FIRST = """
Backend Metrics:
  synthetic
    Requests: 1
    Success Rate: 0.0%
    Avg Latency: N/A
    Tokens: 0
    TPM: 0

  chutes
    Requests: 1
    Success Rate: 0.0%
"""


@pytest.fixture
def shipped(notebook, members, profiles, clock, debug_log):
    """The profile that the project ships, and servers that break off, refuse, recover and answer in turn."""
    (profiles / "testlb489.json").write_text((ROOT / "profiles" / "testlb489.json").read_text())
    members.synthetic.script(
        breaking_off(clock, 30.5, debug_log), UNAUTHORIZED, UNAUTHORIZED, taking(clock, 1, usage=(900, 100))
    )
    members.chutes.script("503", "503", *(taking(clock, 1, usage=(900, 100)) for _ in range(4)))
    notebook.load("testlb489")
    return members


def tell(notebook, clock) -> list[str]:
    """Ask the six prompts of the story and return the texts of the replies."""
    texts = [notebook.ask(FIRST).text, *(notebook.ask(SECOND).text for _ in range(3))]
    clock.advance(30)
    texts.append(notebook.ask(SECOND).text)
    clock.advance(149)
    texts.append(notebook.ask(SECOND).text)
    return texts


def test_every_trigger_works_in_one_story(notebook, shipped, clock):
    """Time-out, retry, refusal, open circuit, recovery and low rate follow one another as the lines say."""
    texts = tell(notebook, clock)

    assert_in_order(notebook.log(), STORY)
    order = ("groqgpt", "chutes", "chutes", "chutes", "synthetic", "chutes")
    assert texts == [TEXTS[name] for name in order]


def test_debug_lines_show_every_decision_on_stderr(notebook, shipped, clock, capfd, monkeypatch):
    """Under ``LLXPRT_DEBUG=llxprt:*`` stderr has the same lines as ``%llx_log``, all of them and nothing else."""
    monkeypatch.setenv("LLXPRT_DEBUG", "llxprt:*")
    tell(notebook, clock)

    written = capfd.readouterr().err.splitlines()
    assert_in_order(written, STORY)
    assert written == notebook.log()


def test_no_partial_response_reaches_the_reply(notebook, shipped):
    """The text of the backend that broke off is withdrawn on the screen and is in no reply."""
    shown = notebook.run(f"%%llx -o answer\n{FIRST}").expect().printed
    reply = notebook.shell.user_ns["answer"]

    assert reply.text == TEXTS["groqgpt"]
    withdrawn, _, rest = shown.partition("the text above is withdrawn, asking chutes ----\n")
    assert withdrawn.startswith("Green")
    assert rest.startswith(TEXTS["groqgpt"])
    assert "Green" not in rest
    assert "restarted" in rest  # the line under the reply says so


def test_statistics_after_the_first_and_after_a_second_prompt(notebook, shipped):
    """``%llx_stats lb`` shows what the first prompt did, and after the second one the updated figures."""
    notebook.ask(FIRST)
    first = notebook.stats()
    assert "Total Requests: 3" in first.splitlines()
    assert_block(first, AFTER_FIRST)

    notebook.ask(SECOND)
    second = notebook.stats()
    assert "Total Requests: 5" in second.splitlines()
    assert_block(second, "  synthetic\n    Requests: 2\n    Success Rate: 0.0%")
    assert_block(second, "  chutes\n    Requests: 2\n    Success Rate: 50.0%")
    assert_block(second, "  groqgpt\n    Requests: 1\n    Success Rate: 100.0%")
    assert_block(second, "Circuit Breaker States:\n  synthetic: closed\n  chutes: closed\n  groqgpt: closed")


def test_circuit_state_persists_across_requests_and_loading(notebook, shipped):
    """The circuit that earlier prompts opened is open for later ones, also after the profile is loaded again."""
    for _ in range(3):
        notebook.ask(SECOND)
    notebook.load("testlb489")

    assert "  synthetic: open" in notebook.stats().splitlines()
    notebook.ask(SECOND)
    assert len(shipped.synthetic.requests) == 3


def test_every_view_shows_the_same_figures(notebook, shipped, clock):
    """Text, DataFrame and the servers' own counts agree after the story."""
    tell(notebook, clock)
    frame = notebook.session.balancer().stats()

    assert dict(frame["attempts"]) == shipped.requests()
    assert list(frame["requests"]) == [4, 5, 1]
    assert "Total Requests: 10" in notebook.stats().splitlines()
    history = notebook.session.balancer().history()
    assert list(history["backend"]) == ["groqgpt", "chutes", "chutes", "chutes", "synthetic", "chutes"]


def test_command_line_end_to_end(servers, members, profiles):
    """The real command, the shipped profile, a backend that breaks off: stdout holds one whole reply."""
    (profiles / "testlb489.json").write_text((ROOT / "profiles" / "testlb489.json").read_text())
    servers.synthetic.set_default("text-then-error")

    done = subprocess.run(
        [str(LLX), "--profile-load", "testlb489", "--prompt", FIRST, "--stats"],
        env={**os.environ, "LLXPRT_DEBUG": "llxprt:*"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, TEXTS["chutes"] + "\n")
    assert_in_order(
        done.stderr.splitlines(),
        """
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:failover] Trying backend: chutes (attempt 1/2)
        [LB:failover] Success on backend: chutes
        Load Balancer Statistics
        Profile: testlb489
        Total Requests: 2
        """,
    )
    assert servers.synthetic.requests[0].json["messages"] == [{"role": "user", "content": FIRST}]


@pytest.fixture
def busy(notebook, members, profiles, clock):
    """A profile that keeps 20 requests, servers that take a second and fail now and then; returns a way to ask."""
    write_balancer(profiles, history_limit=20, tpm_threshold=None)
    members.synthetic.set_default(taking(clock, 1))
    members.chutes.set_default(taking(clock, 1))
    notebook.load("testlb489")

    balancer = notebook.session.balancer()

    def ask(count: int) -> int:
        received = 0
        for number in range(count):
            if number % 10 == 0:
                members.synthetic.script(UNAUTHORIZED)
            BACKGROUND.run(balancer.ask(SECOND))  # not in a cell: IPython keeps the output of every cell
            for name in NAMES:
                received += len(members[name].requests)
                members[name].requests.clear()
        return received

    return ask


def test_what_is_remembered_is_bounded(notebook, busy):
    """History, events and debug lines stay at the same limit, however many requests there were."""
    received = busy(60)
    balancer = notebook.session.balancer()

    assert len(balancer.history()) == 20
    assert balancer.history()["request"].iloc[-1] == 60
    assert set(balancer.events()["request"]) == set(range(41, 61))
    assert balancer.stats()["requests"].sum() == received > 60


def test_memory_does_not_grow_with_requests(busy, clock):
    """Once the limits are reached, further requests leave no memory behind in any part of the package."""
    ours = [tracemalloc.Filter(inclusive=True, filename_pattern="*/llx_magic/*")]
    tracemalloc.start()
    try:
        busy(1100)  # more than the samples kept for percentiles, and longer than the token window
        before = _allocated(ours)
        busy(300)
        after = _allocated(ours)
    finally:
        tracemalloc.stop()

    changes = after.compare_to(before, "lineno")
    grown = sum(each.size_diff for each in changes) / 300
    assert grown < 20, "bytes a request:\n" + "\n".join(map(str, changes[:20]))
    assert clock.waiting() == 0


def _allocated(filters: list[tracemalloc.Filter]) -> tracemalloc.Snapshot:
    gc.collect()
    return tracemalloc.take_snapshot().filter_traces(filters)


def test_decisions_do_not_slow_down_with_requests(busy):
    """A request after a thousand others costs about what an early one does."""
    busy(50)
    early = _processor_seconds(lambda: busy(100))
    busy(900)
    # Whatever else the machine does may slow one of them down, so it has five chances.
    assert any(_processor_seconds(lambda: busy(100)) < 2 * early for _ in range(5))


def _processor_seconds(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before
