"""A trace says how a request was decided: every skip, attempt, wait and change, with its time."""

from __future__ import annotations

import re

from llx_magic.core.trace import BAR_WIDTH, NOTHING_ASKED, Trace, trace_of
from tests.notebook.kit import write_balancer, write_simulated


def traced(user, home, policy: str = "failover", settings=None, **scripts) -> Trace:
    """Ask once a balancer whose simulated members follow these scripts, and return how it was decided."""
    for name, script in scripts.items():
        write_simulated(home, name, **script)
    write_balancer(home, "traced", list(scripts), policy, **(settings or {}))
    user("%llx_profile load traced").fine()
    user("%%llx\nhello there")
    return user.last.trace


def kinds(trace: Trace) -> list[tuple[str, str]]:
    return [(step.kind, step.backend) for step in trace.steps]


def test_an_answer_at_the_first_attempt_is_one_step(user, home):
    trace = traced(user, home, a={"latency_ms": 500}, b={})
    (step,) = trace.steps
    assert (step.kind, step.backend, step.ok) == ("attempt", "a", True)
    assert (step.begin, step.first_token, step.end) == (0.0, 0.5, 0.5)
    assert "attempt 1/2 answered in 500 ms, first token after 500 ms" in step.text
    assert trace.headline == f"Request {trace.request}: answered by a in 500 ms (failover: a, b)"


def test_each_attempt_and_each_wait_is_a_step_of_its_own(user, home):
    trace = traced(user, home, a={"script": "503"}, b={})
    assert kinds(trace) == [("attempt", "a"), ("wait", "a"), ("attempt", "a"), ("attempt", "b")]
    assert [step.ok for step in trace.steps] == [False, False, False, True]
    assert "before the next attempt" in trace.steps[1].text


def test_a_wait_that_the_server_asked_for_says_so(user, home):
    trace = traced(user, home, a={"script": "429:3,ok"}, b={})
    wait = next(step for step in trace.steps if step.kind == "wait")
    assert wait.text == "waits 3 s, as the server asked"
    assert wait.end - wait.begin == 3.0


def test_a_reply_that_broke_off_is_told(user, home):
    trace = traced(user, home, a={"script": "cut:2"}, b={})
    assert any("a broke off after 2 words: withdrawn, b is asked from the start" in step.text for step in trace.steps)


def test_an_open_circuit_and_a_cool_down_are_told(user, home):
    settings = {"circuit_breaker_failure_threshold": 1, "failover_retry_count": 1}
    traced(user, home, settings=settings, a={"script": "500"}, b={"script": "429:60,ok"}, c={})
    user("%%llx\nagain").fine()
    skips = [(step.backend, step.text) for step in user.last.trace.steps if step.kind == "skip"]
    assert [name for name, _text in skips] == ["a", "b"]
    assert "circuit" in skips[0][1]
    assert re.search(r"1 min left", skips[1][1])


def test_a_request_that_nobody_answered_says_so(user, home):
    trace = traced(user, home, a={"script": "refused"}, b={"script": "401"})
    assert "failed after" in trace.headline
    assert not any(step.ok for step in trace.steps)


def test_the_text_is_a_line_for_each_step_with_a_bar_of_one_width(user, home):
    trace = traced(user, home, a={"script": "503", "latency_ms": 200}, b={"latency_ms": 300})
    headline, *lines = str(trace).splitlines()
    assert headline == trace.headline
    assert len(lines) == len(trace.steps)
    assert {len(re.search(r"\|(.*?)\|", line)[1]) for line in lines} == {BAR_WIDTH}


def test_a_trace_of_nothing_can_be_shown():
    empty = Trace(())
    assert str(empty) == NOTHING_ASKED
    assert (empty.request, empty.seconds, empty.steps, len(empty)) == (0, 0.0, (), 0)


def test_a_trace_is_of_one_request(user, home):
    trace = traced(user, home, a={}, b={})
    both = [*trace.events]
    user("%%llx\nagain").fine()
    both += user.last.trace.events
    assert trace_of(both, trace.request) == trace
    assert {event.request for event in trace} == {trace.request}


def test_a_request_by_its_number_and_one_that_is_not_remembered(user, home):
    number = traced(user, home, a={}, b={}).request
    user("%%llx\nagain").fine()
    assert f"Request {number}:" in repr(user(f"%llx_trace {number}").fine().value)
    assert "there are" in user("%llx_trace 999").failure
    assert "no request x" in user("%llx_trace x").failure
