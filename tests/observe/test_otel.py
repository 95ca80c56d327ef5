"""OpenTelemetry against its real SDK: span trees and durations exact on virtual time, sums of metrics, no text."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from llx_magic.core.events import VisitSucceeded
from llx_magic.core.failure import Failure, FailureKind, Limit
from llx_magic.engine.background import BackgroundLoop
from llx_magic.engine.clocks import LoopClock, ManualClock, VirtualClock
from llx_magic.errors import AllBackendsFailed
from llx_magic.observe.otel import instrument
from llx_magic.observe.otel.names import SPAN_EVENTS, about_backend, error_type
from llx_magic.profiles.document import ModelProfile
from llx_magic.providers.table import PROVIDERS
from tests.engine.kit import balancer, settle, simulated

SECRET = "PROMPT-8f3a"
ANSWER = "REPLY-51c7 of several words indeed"


class Watched:
    """A load balancer of simulated members whose spans and metrics stay in memory."""

    def __init__(self, *members: ModelProfile, processor: SpanProcessor | None = None, clock=None, **settings):
        self.clock = clock or VirtualClock()
        self.exporter, self.reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self.reader])
        self.tracers.add_span_processor(processor or SimpleSpanProcessor(self.exporter))
        self.lb = balancer(*members, clock=self.clock, **settings)
        self.handle = instrument(self.lb, self.tracers, self.meters)

    def ask(self, **how):
        return asyncio.run(self.lb.ask(SECRET, **how))

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    @property
    def request(self):
        """The one span without a parent."""
        (span,) = (span for span in self.spans if span.parent is None)
        return span

    def attempts(self, of=None) -> list:
        """The children of a request's span, by start."""
        parent = (of or self.request).context.span_id
        return sorted(
            (span for span in self.spans if span.parent and span.parent.span_id == parent), key=lambda it: it.start_time
        )

    def points(self, name: str) -> list:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


def seconds(span) -> float:
    return (span.end_time - span.start_time) / 1e9


def shape(span) -> tuple[str, float, float]:
    """Name, start and end in seconds of virtual time."""
    zero = round(VirtualClock.epoch * 1e9)
    return span.name, (span.start_time - zero) / 1e9, (span.end_time - zero) / 1e9


def event_names(span) -> list[str]:
    return [event.name for event in span.events]


# --- span trees ------------------------------------------------------------------------------------------------------


def test_a_success_is_a_request_span_with_one_attempt_and_the_conventions_attributes():
    watched = Watched(simulated("a", reply=ANSWER, latency_ms=250, prompt_tokens=7, completion_tokens=5))
    watched.ask()
    assert shape(watched.request) == ("chat a-1", 0.0, 0.25)
    assert [shape(span) for span in watched.attempts()] == [("attempt a", 0.0, 0.25)]
    assert watched.request.kind is SpanKind.CLIENT
    assert watched.request.status.status_code is StatusCode.UNSET
    assert dict(watched.request.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "simulated",
        "gen_ai.request.model": "a-1",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "a-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.25,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
        "llx.profile": "a",
        "llx.policy": "failover",
        "llx.request": 1,
        "llx.order": ("a",),
        "llx.backend": "a",
        "llx.outcome": "answered",
    }


def test_two_attempts_at_once_have_a_span_each_and_the_request_carries_the_one_that_answered():
    watched = Watched(simulated("a", "slow:60000"), simulated("b", latency_ms=500), hedge_after_ms=2000)
    watched.ask()
    outrun, answered = watched.attempts()
    assert [shape(outrun), shape(answered)] == [("attempt a", 0.0, 2.5), ("attempt b", 2.0, 2.5)]
    assert [span.attributes["llx.outcome"] for span in (outrun, answered)] == ["cancelled", "answered"]
    assert [span.attributes["gen_ai.request.model"] for span in (outrun, answered)] == ["a-1", "b-1"]
    assert outrun.status.status_code is StatusCode.UNSET
    assert (watched.request.name, watched.request.attributes["llx.backend"]) == ("chat b-1", "b")
    (hedge,) = (event for event in watched.request.events if event.name == "llx.hedge_started")
    assert dict(hedge.attributes) == {"llx.backend": "b", "llx.beside": "a", "llx.seconds": 2.0}


def test_where_the_first_of_two_answers_the_request_is_named_by_it():
    watched = Watched(simulated("a", "slow:2500"), simulated("b", latency_ms=5000), hedge_after_ms=2000)
    watched.ask()
    assert (watched.request.name, watched.request.attributes["llx.backend"]) == ("chat a-1", "a")
    labels = {
        point.attributes["llx.backend"]: point.attributes["llx.outcome"]
        for point in watched.points("llx.attempt.duration")
    }
    assert labels == {"a": "answered", "b": "cancelled"}


def test_usage_and_operation_are_on_the_request_only_so_that_nobody_counts_a_reply_twice():
    watched = Watched(simulated("a"))
    watched.ask()
    (attempt,) = watched.attempts()
    assert not [key for key in attempt.attributes if "usage" in key or key == "gen_ai.operation.name"]


def test_a_failover_has_an_attempt_per_backend_and_the_request_carries_the_one_that_answered():
    watched = Watched(simulated("a", "503"), simulated("b", latency_ms=100))
    watched.ask()
    failed, answered = watched.attempts()
    assert (failed.name, answered.name) == ("attempt a", "attempt b")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes["error.type"] == "503"
    assert failed.attributes["http.response.status_code"] == 503
    assert failed.attributes["gen_ai.request.model"] == "a-1"
    assert answered.status.status_code is StatusCode.UNSET
    assert watched.request.name == "chat b-1"
    assert watched.request.attributes["llx.backend"] == "b"
    assert "error.type" not in watched.request.attributes


def test_a_retry_is_a_second_attempt_after_a_wait_that_is_an_event():
    watched = Watched(
        simulated("a", "503,ok", latency_ms=100), simulated("b"), failover_retry_count=2, failover_retry_delay_ms=1000
    )
    watched.ask()
    first, second = watched.attempts()
    assert [first.attributes["llx.attempt"], second.attributes["llx.attempt"]] == [1, 2]
    assert (second.start_time - first.end_time) / 1e9 == 1.0
    (wait,) = (event for event in watched.request.events if event.name == "llx.retry_scheduled")
    assert dict(wait.attributes) == {
        "llx.backend": "a", "llx.attempt": 1, "llx.delay": 1.0, "llx.asked_by_server": False,
    }  # fmt: skip
    assert wait.timestamp == first.end_time


def test_a_time_out_ends_its_attempt_exactly_when_it_ran_out():
    watched = Watched(simulated("a", "stall"), simulated("b"), first_token_timeout_ms=3000)
    watched.ask()
    stalled, _ = watched.attempts()
    assert seconds(stalled) == 3.0
    assert stalled.attributes["error.type"] == "timeout"
    assert stalled.attributes["llx.limit"] == "first_token_timeout_ms"


def test_a_restart_half_way_is_an_event_that_names_both_backends_and_quotes_nothing():
    watched = Watched(simulated("a", "cut:2", reply=ANSWER), simulated("b", reply="other words"))
    watched.ask()
    (restart,) = (event for event in watched.request.events if event.name == "llx.reply_restarted")
    assert dict(restart.attributes) == {"llx.failed": "a", "llx.next": "b", "llx.words": 2}
    (point,) = watched.points("llx.restarts")
    assert (point.value, point.attributes["llx.backend"]) == (1, "a")


def test_skips_and_circuit_changes_are_events_of_the_request_in_their_order():
    watched = Watched(
        simulated("a", "503,ok"), simulated("b"), circuit_breaker_failure_threshold=1,
        circuit_breaker_recovery_timeout_ms=5000,
    )  # fmt: skip
    watched.ask()
    watched.ask()
    watched.clock.advance(5)
    watched.ask()
    first, second, third = (span for span in watched.spans if span.parent is None)
    assert event_names(first) == ["llx.circuit_opened"]
    assert event_names(second) == ["llx.backend_skipped"]
    assert dict(second.events[0].attributes) == {
        "llx.backend": "a", "llx.reason": "circuit open", "llx.seconds_left": 5.0,
    }  # fmt: skip
    assert event_names(third) == ["llx.circuit_half_opened", "llx.circuit_closed"]
    changes = {point.attributes["llx.circuit.state"]: point.value for point in watched.points("llx.circuit.changes")}
    assert changes == {"open": 1, "half-open": 1, "closed": 1}
    (skips,) = watched.points("llx.skips")
    assert (skips.value, skips.attributes["llx.reason"]) == (1, "circuit open")


def test_a_cool_down_is_an_event_with_its_seconds():
    watched = Watched(simulated("a", "429:30"), simulated("b"))
    watched.ask()
    (started,) = (event for event in watched.request.events if event.name == "llx.cool_down_started")
    assert dict(started.attributes) == {"llx.backend": "a", "llx.seconds": 30.0}


def test_a_circuit_set_by_hand_is_counted_and_makes_no_span():
    watched = Watched(simulated("a"), simulated("b"))
    watched.lb.open_circuit("a")
    (point,) = watched.points("llx.circuit.changes")
    assert dict(point.attributes) == {"llx.profile": "lb", "llx.backend": "a", "llx.circuit.state": "open"}
    assert watched.spans == ()


def test_a_request_that_nobody_answers_is_an_error_with_each_attempts_own_beneath():
    watched = Watched(simulated("a", "503"), simulated("b", "dns"))
    with pytest.raises(AllBackendsFailed):
        watched.ask()
    assert watched.request.status.status_code is StatusCode.ERROR
    assert watched.request.status.description is None
    assert watched.request.attributes["error.type"] == "AllBackendsFailed"
    assert watched.request.attributes["llx.outcome"] == "failed"
    assert [span.attributes["error.type"] for span in watched.attempts()] == ["503", "network"]


def test_a_cancelled_request_ends_its_spans_then_and_is_no_error():
    watched = Watched(simulated("a", latency_ms=60_000), clock=ManualClock())

    async def stop_after_two_seconds():
        task = asyncio.ensure_future(watched.lb.ask(SECRET))
        await settle()
        watched.clock.advance(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stop_after_two_seconds())
    (attempt,) = watched.attempts()
    for span in (watched.request, attempt):
        assert seconds(span) == 2.0
        assert span.status.status_code is StatusCode.UNSET
        assert span.attributes["llx.outcome"] == "cancelled"
    (point,) = watched.points("gen_ai.client.operation.duration")
    assert point.attributes["llx.outcome"] == "cancelled"
    assert "error.type" not in point.attributes


def test_the_second_pass_over_slow_backends_is_an_event():
    watched = Watched(
        simulated("a", prompt_tokens=1, completion_tokens=1, latency_ms=1000), simulated("b", "ok,503"),
        tpm_threshold=1_000_000,
    )  # fmt: skip
    watched.ask()  # a answers, slowly
    watched.ask()  # a is put aside, b answers
    watched.ask()  # b has failed: a after all
    last = [span for span in watched.spans if span.parent is None][-1]
    assert "llx.backend_put_aside" in event_names(last)
    assert "llx.second_pass_started" in event_names(last)
    assert last.attributes["llx.backend"] == "a"


# --- several at once, parents, threads -------------------------------------------------------------------------------


def test_concurrent_requests_keep_apart():
    watched = Watched(simulated("a", "503,ok,503,ok", latency_ms=10, cycle=True), simulated("b", latency_ms=20))

    async def many():
        return await asyncio.gather(*(watched.lb.ask(SECRET) for _ in range(20)))

    replies = asyncio.run(many())
    requests = {span.attributes["llx.request"]: span for span in watched.spans if span.parent is None}
    assert len(requests) == 20
    for reply in replies:
        span = requests[reply.request]
        assert span.attributes["llx.backend"] == reply.backend
        assert seconds(span) == pytest.approx(reply.seconds, abs=1e-8)
        attempts = watched.attempts(span)
        assert len(attempts) == reply.attempts
        assert {child.context.trace_id for child in attempts} == {span.context.trace_id}
    assert watched.handle.under_way == 0


def test_threads_with_loops_of_their_own_report_every_request_once():
    watched = Watched(simulated("a"), simulated("b"), clock=LoopClock())
    threads = [threading.Thread(target=lambda: [watched.ask() for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({span.attributes["llx.request"] for span in watched.spans if span.parent is None}) == 100
    assert len(watched.spans) == 200
    assert watched.handle.under_way == 0


def test_a_request_made_within_a_span_is_its_child():
    watched = Watched(simulated("a"))
    with watched.tracers.get_tracer("mine").start_as_current_span("analysis") as mine:
        watched.ask()
    (request,) = (span for span in watched.spans if span.name == "chat a-1")
    assert request.parent.span_id == mine.get_span_context().span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_request_through_the_background_loop_is_a_child_of_the_callers_span_too():
    watched, loop = Watched(simulated("a")), BackgroundLoop()
    with watched.tracers.get_tracer("mine").start_as_current_span("cell") as mine:
        loop.run(watched.lb.ask(SECRET))
    loop.stop()
    (request,) = (span for span in watched.spans if span.name == "chat a-1")
    assert request.parent.span_id == mine.get_span_context().span_id


def test_two_load_balancers_may_share_the_providers():
    one, two = Watched(simulated("a")), balancer(simulated("b"))
    handle = instrument(two, one.tracers, one.meters)
    one.ask()
    asyncio.run(two.ask("why"))
    assert sorted(span.name for span in one.spans if span.parent is None) == ["chat a-1", "chat b-1"]
    counts = {p.attributes["llx.profile"]: p.count for p in one.points("gen_ai.client.operation.duration")}
    assert counts == {"a": 1, "b": 1}
    handle.stop()


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_durations_tokens_and_first_chunks_sum_to_what_the_statistics_say():
    watched = Watched(
        simulated("a", "ok,503", latency_ms=500, prompt_tokens=11, completion_tokens=3, cycle=True),
        simulated("b", latency_ms=250, prompt_tokens=11, completion_tokens=4),
    )
    for _ in range(4):
        watched.ask()
    snapshot = {backend.name: backend for backend in watched.lb.snapshot().backends}
    durations = {p.attributes["llx.backend"]: p for p in watched.points("gen_ai.client.operation.duration")}
    assert {name: point.count for name, point in durations.items()} == {"a": 2, "b": 2}
    assert durations["a"].sum == pytest.approx(1.0)
    tokens = {
        (p.attributes["llx.backend"], p.attributes["gen_ai.token.type"]): p.sum
        for p in watched.points("gen_ai.client.token.usage")
    }
    assert tokens == {
        (name, kind): count
        for name, backend in snapshot.items()
        for kind, count in (("input", backend.prompt_tokens), ("output", backend.completion_tokens))
    }
    first = {p.attributes["llx.backend"]: p for p in watched.points("gen_ai.client.operation.time_to_first_chunk")}
    assert first["b"].sum == pytest.approx(0.5)
    assert sum(p.count for p in watched.points("llx.attempt.duration")) == sum(b.attempts for b in snapshot.values())


def test_histograms_have_the_conventions_buckets():
    watched = Watched(simulated("a"))
    watched.ask()
    (duration,) = watched.points("gen_ai.client.operation.duration")
    assert (duration.explicit_bounds[0], duration.explicit_bounds[-1]) == (0.01, 81.92)
    tokens = watched.points("gen_ai.client.token.usage")[0]
    assert (tokens.explicit_bounds[0], tokens.explicit_bounds[-1]) == (1, 67_108_864)


def test_a_reply_without_usage_or_stream_reports_no_tokens_and_no_first_chunk():
    watched = Watched(simulated("a"), streaming=False)
    watched.ask(settings={"streaming": False})
    assert watched.points("gen_ai.client.operation.time_to_first_chunk") == []
    assert "gen_ai.response.time_to_first_chunk" not in watched.request.attributes


# --- what never gets in ----------------------------------------------------------------------------------------------


def test_neither_prompt_nor_reply_is_anywhere_in_spans_or_metrics():
    watched = Watched(
        simulated("a", "cut:2,503", reply=ANSWER),
        simulated("b", reply=ANSWER),
    )
    watched.ask(system=f"system {SECRET}")
    with pytest.raises(AllBackendsFailed):
        watched.ask(backend="a")
    everything = "".join(span.to_json() for span in watched.spans) + watched.reader.get_metrics_data().to_json()
    assert "attempt a" in everything
    assert "PROMPT" not in everything
    assert "REPLY" not in everything


def test_a_servers_finish_reason_or_model_that_is_no_identifier_is_left_out():
    watched = Watched(simulated("a"))
    reported = []
    watched.lb.subscribe(reported.append)
    watched.ask()
    (real,) = (event for event in reported if isinstance(event, VisitSucceeded))
    started = next(event for event in reported if type(event).__name__ == "RequestStarted")
    watched.lb._live.publish(type(started)(at=9.0, request=77, policy="failover", order=("a",)))
    watched.lb._live.publish(
        VisitSucceeded(
            at=9.0, request=77, backend="a", attempts=1, seconds=0.0, ttft=None, prompt_tokens=None,
            completion_tokens=None, finish_reason="the reply itself, quoted", model="a model\nwith text",
            generating_seconds=0.0,
        )
    )  # fmt: skip
    watched.handle.stop()
    last = watched.spans[-1]
    assert real.finish_reason == "stop"
    assert last.attributes["llx.request"] == 77
    assert not [key for key in last.attributes if key.startswith("gen_ai.response")]


# --- faults, stopping, memory ----------------------------------------------------------------------------------------


class BrokenExporter(SpanExporter):
    def export(self, spans) -> SpanExportResult:
        raise OSError("collector is gone")


class BrokenProcessor(SpanProcessor):
    def on_start(self, span, parent_context=None) -> None:
        pass

    def on_end(self, span) -> None:
        raise RuntimeError("no room")


@pytest.mark.parametrize("processor", [SimpleSpanProcessor(BrokenExporter()), BrokenProcessor()])
def test_a_fault_of_exporter_or_processor_reaches_no_request_and_leaves_nothing_behind(processor, caplog):
    watched = Watched(simulated("a", "503,ok"), simulated("b"), processor=processor)
    with caplog.at_level(logging.WARNING, "llx_magic"):
        replies = [watched.ask().backend for _ in range(3)]
    assert replies == ["b", "a", "a"]
    assert watched.handle.under_way == 0
    assert len([record for record in caplog.records if record.name.startswith("llx_magic")]) <= 1


def test_nothing_is_reported_after_stop_and_stopping_twice_is_harmless():
    watched = Watched(simulated("a"))
    watched.ask()
    watched.handle.stop()
    watched.handle.stop()
    watched.ask()
    assert len(watched.spans) == 2
    (point,) = watched.points("gen_ai.client.operation.duration")
    assert point.count == 1


def test_stop_ends_the_spans_of_requests_under_way_and_the_requests_go_on():
    watched = Watched(simulated("a", latency_ms=5000), clock=ManualClock())

    async def stop_half_way() -> str:
        task = asyncio.ensure_future(watched.lb.ask(SECRET))
        await settle()
        watched.clock.advance(2)
        watched.handle.stop()
        watched.clock.advance(3)
        await settle()
        return (await task).backend

    assert asyncio.run(stop_half_way()) == "a"
    assert [(seconds(span), span.attributes["llx.outcome"]) for span in watched.spans] == [(2.0, "unobserved")] * 2
    assert watched.handle.under_way == 0


def test_a_request_that_began_before_it_was_observed_is_left_out():
    watched = Watched(simulated("a", latency_ms=1000), clock=ManualClock())
    watched.handle.stop()

    async def begin_then_observe():
        task = asyncio.ensure_future(watched.lb.ask(SECRET))
        await settle()
        handle = instrument(watched.lb, watched.tracers, watched.meters)
        watched.clock.advance(1)
        await settle()
        await task
        return handle

    handle = asyncio.run(begin_then_observe())
    assert watched.spans == ()
    assert handle.under_way == 0


def test_ended_requests_are_forgotten_however_they_ended():
    watched = Watched(simulated("a", "ok,503", cycle=True), simulated("b", "503"))
    for _ in range(50):
        try:
            watched.ask()
        except AllBackendsFailed:
            continue
    assert watched.handle.under_way == 0


# --- names and installation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "name"),
    [
        (Failure(kind=FailureKind.SERVER, message="", status=503), "503"),
        (Failure(kind=FailureKind.BAD_REPLY, message="", status=200), "unusable_reply"),
        (Failure(kind=FailureKind.TIMEOUT, message="", limit=Limit.STALL), "timeout"),
        (Failure(kind=FailureKind.TLS, message=""), "tls"),
    ],
)
def test_the_error_type_is_the_status_else_the_kind(failure, name):
    assert error_type(failure) == name


@pytest.mark.parametrize(
    ("provider", "known_as"),
    [("gemini", "gcp.gemini"), ("Google", "gcp.gemini"), ("mistral", "mistral_ai"), ("groq", "groq")],
)
def test_a_provider_goes_by_the_conventions_name(provider, known_as):
    assert about_backend(ModelProfile("a", provider, "m"))["gen_ai.provider.name"] == known_as


@pytest.mark.parametrize(
    ("alias", "name"), [(alias, each.name) for each in PROVIDERS.values() for alias in each.aliases]
)
def test_an_alias_is_reported_as_the_provider_that_it_means(alias, name):
    assert about_backend(ModelProfile("a", alias, "m")) == about_backend(ModelProfile("a", name, "m"))


def test_every_attribute_event_and_metric_is_documented():
    watched = Watched(simulated("a", "503"), simulated("b", "cut:1"), simulated("c"), clock=VirtualClock())
    watched.ask()
    names = {name for name, _ in SPAN_EVENTS.values()} | {key for span in watched.spans for key in span.attributes}
    names |= {
        metric.name
        for resource in watched.reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text("utf-8")
    assert {name for name in names if f"`{name}`" not in page} == set()


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nothing_of_opentelemetry_is_imported_before_it_is_asked_for():
    assert python("import sys, llx_magic.observe.otel; print('opentelemetry' in sys.modules)") == "False"


def test_without_opentelemetry_one_line_says_how_to_install_it():
    said = python(
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from llx_magic.errors import UsageProblem\n"
        "from llx_magic.observe.otel import instrument\n"
        "try: instrument(None)\n"
        "except UsageProblem as problem: print(problem)"
    )
    assert said.startswith("opentelemetry is not installed: type ")
    assert "-m pip install 'opentelemetry-api" in said
    assert "'opentelemetry-sdk" in said
