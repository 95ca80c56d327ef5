"""A circuit reads the same in the frame, on the dashboard, in OpenTelemetry and in Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from llx_magic.core.events import Event, VisitStarted
from llx_magic.dashboard.timeline import Timeline
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe.otel import instrument
from llx_magic.observe.prometheus import exposition
from tests.engine.kit import balancer, clock_of, simulated


class Shown:
    """A load balancer and all that shows its circuits, each from its beginning on."""

    def __init__(self, **settings) -> None:
        members = (simulated("a", "503", cycle=True), simulated("b"), simulated("c", "503,ok,ok,401", cycle=True))
        self.lb = balancer(
            *members, circuit_breaker_failure_threshold=1, circuit_breaker_recovery_timeout_ms=10_000, **settings
        )
        self.reader, self.live = InMemoryMetricReader(), Timeline()
        instrument(self.lb, TracerProvider(), MeterProvider([self.reader]))
        self.lb.subscribe(self.live.fold)

    def ask(self, **how) -> None:
        with contextlib.suppress(AllBackendsFailed):
            asyncio.run(self.lb.ask("why", **how))

    def wait(self, seconds: float) -> None:
        clock_of(self.lb).advance(seconds)

    def in_the_frame(self, backend: str) -> list[tuple[Any, Any, float]]:
        rows = self.lb.circuit()
        return [
            (row.state, row.cause, row.began.timestamp() - self.lb.epoch)
            for row in rows[rows.backend == backend].itertuples()
        ]

    def on_a_dashboard(self, backend: str, timeline: Timeline) -> list[tuple[str, str, float]]:
        view = timeline.view(self.lb.snapshot(), 3600.0)
        (strip,) = (each for each in view.strips if each.name == backend)
        return [(each.state, each.cause, each.begin) for each in strip.periods]

    def opened_now(self) -> Timeline:
        """A dashboard that is opened only now."""
        timeline = Timeline()
        timeline.catch_up(self.lb.decisions, self.lb.remembered_since)
        return timeline

    def reported(self, backend: str) -> dict[Any, Any]:
        """How many changes to each state OpenTelemetry was told."""
        data = self.reader.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "llx.circuit.changes"
            for point in metric.data.data_points
        ]
        return {
            point.attributes["llx.circuit.state"]: point.value
            for point in points
            if point.attributes["llx.backend"] == backend
        }

    def scraped(self, backend: str) -> str:
        """The state that Prometheus reads."""
        (line,) = (
            line
            for line in exposition(self.lb).splitlines()
            if line.startswith("llx_circuit_state") and f'backend="{backend}"' in line and line.endswith(" 1")
        )
        return line.partition('state="')[2].partition('"')[0]

    def agree(self, backend: str, *, all_remembered: bool) -> None:
        frame = self.in_the_frame(backend)
        for timeline in (self.opened_now(),) + ((self.live,) if all_remembered else ()):
            seen = self.on_a_dashboard(backend, timeline)
            assert [each[:2] for each in seen] == [each[:2] for each in frame]
            assert [each[2] for each in seen] == pytest.approx([each[2] for each in frame], abs=1e-5)
        assert self.scraped(backend) == frame[-1][0] == self.lb.stats().loc[backend, "state"]
        if all_remembered:
            states = [state for state, cause, _ in frame if cause != "first remembered"]
            assert {state: states.count(state) for state in states} == self.reported(backend)


def test_a_close_by_hand_that_is_the_oldest_change_remembered_reads_the_same_everywhere():
    shown = Shown(history_limit=1)
    shown.ask()  # the circuit of a opens
    shown.wait(3)
    shown.ask()  # the request that opened it is forgotten
    shown.wait(3)
    shown.lb.close_circuit("a")
    shown.wait(3)
    assert [each[:2] for each in shown.in_the_frame("a")] == [("open", "first remembered"), ("closed", "by hand")]
    shown.agree("a", all_remembered=False)


def test_a_close_by_hand_before_anything_was_asked_reads_the_same_everywhere():
    shown = Shown()
    shown.lb.close_circuit("a")
    shown.wait(3)
    assert [each[:2] for each in shown.in_the_frame("a")] == [("closed", "by hand")]
    shown.agree("a", all_remembered=True)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("history_limit", [1, 3, 1000])
def test_every_history_of_a_circuit_reads_the_same_everywhere(seed, history_limit):
    dice, shown = random.Random(seed), Shown(history_limit=history_limit)
    for _ in range(25):
        shown.wait(dice.choice([0.5, 4.0, 11.0]))
        match dice.randrange(6):
            case 0:
                shown.lb.open_circuit(dice.choice("abc"))
            case 1:
                shown.lb.close_circuit(dice.choice("abc"))
            case 2:
                shown.ask(backend=dice.choice("abc"))
            case _:
                shown.ask()
    for backend in "abc":
        shown.agree(backend, all_remembered=history_limit == 1000)


def test_a_probe_that_an_interrupt_takes_back_reads_the_same_everywhere():
    """The interrupt comes while the observers are told of the probe, before any visit could have settled it."""

    def interrupted(event: Event) -> None:
        if isinstance(event, VisitStarted) and event.is_probe:
            raise KeyboardInterrupt

    shown = Shown()
    shown.ask()
    shown.wait(11)
    shown.lb.subscribe(interrupted)
    with pytest.raises(KeyboardInterrupt):
        shown.ask()
    shown.wait(3)
    assert [each[0] for each in shown.in_the_frame("a")] == ["open", "half-open", "open"]
    shown.agree("a", all_remembered=True)
