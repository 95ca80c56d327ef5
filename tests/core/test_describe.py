"""Debug lines: the exact wording of each decision, where they are written, and who asks for them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.describe import CIRCUIT_BREAKER, FORMS, LB, lines
from llx_magic.core.events import Event
from llx_magic.core.failure import FailureKind, Limit
from llx_magic.core.ledger import Ledger
from llx_magic.observe.debug import log_debug_lines, shown, write_debug_lines
from tests.engine.kit import DOWN, LIMITED, Bench, Scripted, balancer, circuit_changed, failure, simulated


def written(lb) -> list[str]:
    return [line for event in lb.decisions() for _channel, line in lines(event)]


def in_order(wanted: list[str], got: list[str]) -> bool:
    rest = iter(got)
    return all(line in rest for line in wanted)


def ask(lb, times: int = 1, pause: float = 0.0, **how) -> list[str]:
    async def main() -> None:
        for _ in range(times):
            await lb.ask("why", **how)
            lb._live.clock.advance(pause)

    asyncio.run(main())
    return written(lb)


def test_a_time_out_reads_as_the_plan_has_it():
    got = ask(
        balancer(simulated("synthetic", "slow:9000"), simulated("chutes"), timeout_ms=5000, failover_retry_count=2)
    )
    assert in_order(
        [
            "[LB:failover] Trying backend: synthetic (attempt 1/2)",
            "[LB:timeout] synthetic: Request exceeded 5000ms",
            "[LB:failover] synthetic: Backend timeout (5000ms > 5000ms), failing over",
            "[LB:failover] Trying backend: chutes (attempt 1/2)",
            "[LB:failover] Success on backend: chutes",
        ],
        got,
    )


def test_an_opening_circuit_and_the_skip_after_it_read_as_the_plan_has_them():
    lb = balancer(
        simulated("synthetic", "401"),
        simulated("chutes"),
        failover_retry_count=2,
        circuit_breaker_failure_threshold=2,
    )
    assert in_order(
        [
            "[LB:failover] Trying backend: synthetic (attempt 1/2)",
            "[LB:failover] synthetic failed: 401 Unauthorized",
            "[LB:failover] Trying backend: synthetic (attempt 1/2)",
            "[LB:failover] synthetic failed: 401 Unauthorized",
            "[circuit-breaker] synthetic: Marked unhealthy (2 failures in window)",
            "[circuit-breaker] synthetic: State = open",
            "[LB:failover] Skipping unhealthy backend: synthetic",
            "[LB:failover] Trying backend: chutes (attempt 1/2)",
        ],
        ask(lb, 3),
    )


def test_a_recovery_reads_as_the_plan_has_it():
    lb = balancer(
        simulated("synthetic", "401,ok"),
        simulated("chutes"),
        circuit_breaker_failure_threshold=1,
        circuit_breaker_recovery_timeout_ms=10_000,
    )
    assert in_order(
        [
            "[circuit-breaker] synthetic: Testing recovery (half-open)",
            "[LB:failover] Trying backend: synthetic (attempt 1/1)",
            "[LB:failover] Success on backend: synthetic",
            "[circuit-breaker] synthetic: Recovered (state = closed)",
        ],
        ask(lb, 2, pause=10.0),
    )


def test_tokens_per_minute_read_as_the_plan_has_them():
    lb = balancer(
        simulated("synthetic", latency_ms=3000, prompt_tokens=100, completion_tokens=110),
        simulated("chutes"),
    )
    ask(lb, 5)
    got = ask(lb, settings={"tpm_threshold": 10_000})
    assert in_order(
        [
            "[LB:tpm] synthetic: Current TPM = 4200",
            "[LB:failover] synthetic: TPM (4200) below threshold (10000), failing over",
            "[LB:failover] Trying backend: chutes (attempt 1/1)",
        ],
        got,
    )


def test_a_visit_of_several_attempts_ends_with_their_number_and_one_of_a_single_attempt_does_not():
    several = ask(balancer(simulated("a", "503"), simulated("b"), failover_retry_count=2))
    assert in_order(
        [
            "[LB:failover] a failed: 503 Service Unavailable",
            "[LB:failover] a: Retrying in 1000ms",
            "[LB:failover] Trying backend: a (attempt 2/2)",
            "[LB:failover] a failed after 2 attempts: 503 Service Unavailable",
        ],
        several,
    )
    assert not any("attempts" in line for line in ask(balancer(simulated("a", "503"), simulated("b"))))


def test_cool_down_round_robin_and_restart_have_their_lines():
    lb = balancer(simulated("a", "429"), simulated("b", "cut:3,ok"), simulated("c"), order="roundrobin")
    got = ask(lb, 3)
    assert in_order(
        [
            "[LB:roundrobin] Selected sub-profile: a",
            "[LB:cooldown] a: Cooling down for 10 s",
            "[LB:failover] b broke off after 3 words, restarting on c",
            "[LB:roundrobin] Selected sub-profile: b",
            "[LB:roundrobin] Selected sub-profile: c",
        ],
        got,
    )
    lb._live.clock.advance(3.0)
    assert "[LB:failover] Skipping backend: a (cooling down, 7 s left)" in ask(lb)


def test_every_kind_of_event_has_a_line_on_a_known_channel():
    def kinds(of: type[Event]) -> set[type[Event]]:
        return {kind for sub in of.__subclasses__() for kind in (kinds(sub) or {sub})}

    without = kinds(Event) - {form.event for form in FORMS}
    assert without == {facts.VisitStarted}  # the attempt that follows at once says it
    assert {form.channel for form in FORMS} == {LB, CIRCUIT_BREAKER}


def test_braces_and_percent_signs_in_a_message_are_text():
    odd = failure(FailureKind.SERVER, "500: {backend} %s {0}")
    event = facts.AttemptFailed(at=0.0, request=1, backend="a", attempt=1, failure=odd, seconds=0.0)
    assert [line for _channel, line in lines(event)] == ["[LB:failover] a failed: 500: {backend} %s {0}"]


@pytest.mark.parametrize("limit", list(Limit))
def test_every_limit_has_its_own_line_and_then_the_common_one(limit):
    out = failure(FailureKind.TIMEOUT, "late", limit=limit, limit_ms=5000, elapsed_ms=5500)
    event = facts.AttemptFailed(at=0.0, request=1, backend="a", attempt=1, failure=out, seconds=5.5)
    first, second, third = [line for _channel, line in lines(event)]
    assert first.startswith("[LB:timeout] a: ")
    assert "5000ms" in first
    assert second == "[LB:failover] a: Backend timeout (5500ms > 5000ms), failing over"
    assert third == "[LB:failover] a failed: late"


@pytest.mark.parametrize(
    ("patterns", "lb", "circuit"),
    [
        ("llxprt:*", True, True),
        ("*", True, True),
        ("llxprt:lb", True, False),
        ("llxprt:circuit-breaker", False, True),
        ("llxprt:*,-llxprt:lb", False, True),
        ("other:*", False, False),
        ("", False, False),
        ("foo llxprt:l*", True, False),
    ],
)
def test_the_variable_chooses_channels_by_patterns(patterns, lb, circuit):
    assert (shown(LB, patterns), shown(CIRCUIT_BREAKER, patterns)) == (lb, circuit)


OPENED = circuit_changed(0.0, Cause.FAILURES, failures=3)


def test_lines_go_to_stderr_only_where_the_variable_asks_and_without_a_time(monkeypatch, capsys):
    monkeypatch.delenv("LLXPRT_DEBUG", raising=False)
    write_debug_lines(OPENED)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("LLXPRT_DEBUG", "llxprt:*")
    write_debug_lines(OPENED)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "[circuit-breaker] a: Marked unhealthy (3 failures in window)",
        "[circuit-breaker] a: State = open",
    ]


def test_lines_go_to_logging_under_the_names_of_their_channels(monkeypatch, caplog):
    monkeypatch.delenv("LLXPRT_DEBUG", raising=False)
    with caplog.at_level(logging.DEBUG, logger="llx_magic"):
        log_debug_lines(OPENED)
        log_debug_lines(facts.VisitFailed(at=0.0, request=1, backend="a", attempts=2, failure=DOWN, seconds=1.0))
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("llx_magic.circuit_breaker", "DEBUG"),
        ("llx_magic.circuit_breaker", "DEBUG"),
        ("llx_magic.lb", "DEBUG"),
    ]


def test_the_reference_lists_every_form():
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "debug-lines.md"
    assert page.read_text(encoding="utf-8").count("\n| `[") == len(FORMS)


async def test_every_line_of_a_busy_profile_is_one_line():
    bench = Bench(Scripted("a", LIMITED, DOWN), Scripted("b"), failover_retry_count=2)
    for _ in range(5):
        await bench.ask()
    got = [line for event in bench.live.with_ledger(Ledger.remembered).events() for _channel, line in lines(event)]
    assert got
    assert all("\n" not in line for line in got)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (facts.BackendPutAside(at=0.0, request=1, backend="a", tpm=499.7, threshold=500.0),
         "[LB:failover] a: TPM (499.7) below threshold (500), failing over"),
        (facts.BackendPutAside(at=0.0, request=1, backend="a", tpm=4200.4, threshold=1e6),
         "[LB:failover] a: TPM (4200) below threshold (1000000), failing over"),
        (facts.TpmMeasured(at=0.0, request=1, backend="a", tpm=2_500_000.4), "[LB:tpm] a: Current TPM = 2500000"),
        (facts.TpmMeasured(at=0.0, request=1, backend="a", tpm=0.042), "[LB:tpm] a: Current TPM = 0.042"),
        (facts.BackendSkipped(at=0.0, request=1, backend="a", reason=facts.SkipReason.COOLING_DOWN, message="",
                              seconds_left=0.2), "[LB:failover] Skipping backend: a (cooling down, 1 s left)"),
        (facts.CoolDownStarted(at=0.0, request=1, backend="a", seconds=0.3), "[LB:cooldown] a: Cooling down for 0.3 s"),
        (facts.FirstTokenReceived(at=0.0, request=1, backend="a", seconds=0.0002),
         "[LB:stream] a: First token after 0.2ms"),
        (facts.RequestCancelled(at=0.0, request=1, seconds=10_800.0),
         "[LB:request] Request 1: cancelled after 10800000ms"),
    ],
)  # fmt: skip
def test_figures_of_debug_lines_are_whole_plain_and_true_beside_a_limit(event, line):
    assert [text for _channel, text in lines(event)] == [line]
