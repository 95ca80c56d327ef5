"""OpenTelemetry traces and metrics of a load balancer, made from its events; nothing is imported until asked for.

Attributes are taken from a fixed list of fields: prompts, replies and servers' error texts (which may quote a prompt)
are never among them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from llx_magic import __version__
from llx_magic.core import events as facts
from llx_magic.core.failure import Failure
from llx_magic.errors import UsageProblem
from llx_magic.install import install_line
from llx_magic.observe.otel.names import (
    CIRCUIT_EVENTS,
    ERROR_OF_REQUEST,
    SCHEMA_URL,
    SPAN_EVENTS,
    Instruments,
    about_backend,
    details_of,
    error_type,
    fields_of,
    how_asked,
    identifier,
    span_name,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from llx_magic.observe.otel.names import Attributes
    from llx_magic.profiles.document import Profile

_log = logging.getLogger(__name__)

SCOPE = "llx_magic"
"""The name of the instrumentation scope under which spans and metrics are reported."""

CREATED_WITH = frozenset({"gen_ai.provider.name", "gen_ai.request.model"})
"""What of a backend the request's span says while it is not known yet who answers."""


class Observed(Protocol):
    """What is asked of a load balancer; ``llx_magic.load`` returns one."""

    @property
    def profile(self) -> Profile: ...  # noqa: D102
    @property
    def epoch(self) -> float: ...  # noqa: D102
    def now(self) -> float: ...  # noqa: D102
    def subscribe(self, subscriber: Callable[[facts.Event], None]) -> None: ...  # noqa: D102
    def unsubscribe(self, subscriber: Callable[[facts.Event], None]) -> None: ...  # noqa: D102


def instrument(
    lb: Observed, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
) -> Instrumentation:
    """Report every later request of a load balancer to OpenTelemetry until ``stop`` is called on what is returned.

    Without providers those that the process has set globally are used. A request's span is a child of the span that
    is current where the request is made. Spans are ended on the thread of the request, so give the tracer provider
    a ``BatchSpanProcessor``, which hands them to another one.

    Raises:
        UsageProblem: where opentelemetry is not installed; the text says how to install it.
    """
    try:
        from opentelemetry import metrics, trace
    except ImportError:
        raise UsageProblem(f"opentelemetry is not installed: type {install_line('otel')}") from None

    tracer = trace.get_tracer(SCOPE, __version__, tracer_provider, SCHEMA_URL)
    meter = metrics.get_meter(SCOPE, __version__, meter_provider, SCHEMA_URL)
    return Instrumentation(lb, tracer, Instruments(meter))


@dataclass(slots=True)
class _Attempt:
    """An attempt under way."""

    span: Span
    started: float
    about: Attributes
    asked: Attributes
    """How it asked."""


@dataclass(slots=True)
class _Open:
    """A request under way."""

    span: Span
    context: Context
    about: Attributes = field(default_factory=dict)
    """Provider, model, server and name of the backend that answered, or was visited last."""
    asked: Attributes = field(default_factory=dict)
    """How its attempt asked."""
    attempts: dict[str, _Attempt] = field(default_factory=dict)
    """Those under way, by backend: two where one stays silent."""


class Instrumentation:
    """The reporting of one load balancer, as ``instrument`` began it.

    What is kept is the requests under way. A fault of OpenTelemetry, its processors or its exporters is logged once
    and reaches no request.
    """

    def __init__(self, lb: Observed, tracer: Tracer, instruments: Instruments) -> None:
        self._lb = lb
        self._tracer = tracer
        self._instruments = instruments
        self._epoch_ns = round(lb.epoch * 1e9)
        self._profile = lb.profile.name
        self._about = {member.name: about_backend(member) for member in lb.profile.members}
        self._open: dict[int, _Open] = {}
        self._stopped = False
        self._has_warned = False
        lb.subscribe(self._take)

    @property
    def under_way(self) -> int:
        """The number of requests whose spans are open."""
        return len(self._open)

    def stop(self) -> None:
        """Report nothing from now on; spans still open end now, with the outcome "unobserved". Harmless when repeated.

        The providers stay as they are: whoever made them shuts them down.
        """
        self._stopped = True
        self._lb.unsubscribe(self._take)
        for number in tuple(self._open):
            self._guarded(partial(self._abandon, number))

    def _take(self, event: facts.Event) -> None:
        if not self._stopped:
            self._guarded(partial(self._report, event))

    def _guarded(self, report: Callable[[], None]) -> None:
        try:
            report()
        except Exception as error:  # noqa: BLE001 - no fault of an observer may reach a request
            if not self._has_warned:
                self._has_warned = True
                _log.warning(
                    "reporting to OpenTelemetry failed (%s); further faults are not logged", type(error).__name__
                )

    def _report(self, event: facts.Event) -> None:
        self._count(event)
        if isinstance(event, facts.RequestStarted):
            self._start(event)
        elif isinstance(event, facts.RequestEnded):
            self._end(event)
        elif request := self._open.get(event.request):
            self._follow(request, event)

    def _follow(self, request: _Open, event: facts.Event) -> None:
        match event:
            case facts.VisitStarted():
                self._name(request, event.backend, self._backend(event.backend))
            case facts.AttemptStarted():
                self._start_attempt(request, event)
            case facts.FirstTokenReceived() if event.backend in request.attempts:
                span = request.attempts[event.backend].span
                span.add_event("llx.first_token_received", timestamp=self._ns(event.at))
            case facts.AttemptFailed():
                self._end_attempt(request, event, "failed", event.failure)
            case facts.VisitSucceeded():
                self._answered(request, event)
            case facts.VisitCancelled():
                self._end_attempt(request, event, "cancelled")
            case facts.CircuitChanged() if event.cause in CIRCUIT_EVENTS:
                about = fields_of(event, ("backend", "failures"))
                request.span.add_event(CIRCUIT_EVENTS[event.cause], about, self._ns(event.at))
            case _ if type(event) in SPAN_EVENTS:
                name, fields = SPAN_EVENTS[type(event)]
                request.span.add_event(name, fields_of(event, fields), self._ns(event.at))

    def _start(self, event: facts.RequestStarted) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context

        first = self._about.get(event.order[0], {}) if event.order else {}
        attributes: Attributes = {
            **(
                first
                if all("server.address" in self._backend(name) for name in event.order)
                else _known_from_the_start(first)
            ),
            "gen_ai.operation.name": "chat",
            "llx.profile": self._profile,
            "llx.policy": event.policy,
            "llx.request": event.request,
            "llx.order": event.order,
        }
        if event.conversation is not None:
            attributes["gen_ai.conversation.id"] = event.conversation
        span = self._tracer.start_span(
            span_name(first), kind=SpanKind.CLIENT, attributes=attributes, start_time=self._ns(event.at)
        )
        self._open[event.request] = _Open(span, set_span_in_context(span))

    def _start_attempt(self, request: _Open, event: facts.AttemptStarted) -> None:
        request.asked = how_asked(event)
        places: Attributes = {"llx.attempt": event.attempt, "llx.attempts": event.attempts}
        attributes: Attributes = {**request.about, **request.asked, **places}
        span = self._tracer.start_span(
            f"attempt {event.backend}", request.context, attributes=attributes, start_time=self._ns(event.at)
        )
        request.attempts[event.backend] = _Attempt(span, event.at, request.about, request.asked)

    def _end_attempt(
        self, request: _Open, event: facts.BackendEvent, outcome: str, failure: Failure | None = None
    ) -> None:
        attempt = request.attempts.pop(event.backend, None)
        if attempt is None:
            return
        labels: Attributes = {**attempt.about, "llx.profile": self._profile, "llx.outcome": outcome}
        if failure is not None:
            labels["error.type"] = error_type(failure)
            _mark_failed(attempt.span, error_type(failure))
            attempt.span.set_attributes(details_of(failure))
        self._instruments.attempt.record(event.at - attempt.started, labels)
        attempt.span.set_attribute("llx.outcome", outcome)
        attempt.span.end(self._ns(event.at))

    def _name(self, request: _Open, backend: str, about: Attributes) -> None:
        """Let the request's span be named by this backend."""
        request.about = about
        request.span.update_name(span_name(about))
        request.span.set_attributes({**_known_from_the_start(about), "llx.backend": backend})

    def _answered(self, request: _Open, event: facts.VisitSucceeded) -> None:
        if len(request.attempts) > 1:  # the backend that was visited last need not be the one that answers
            answered = request.attempts[event.backend]
            request.asked = answered.asked
            self._name(request, event.backend, answered.about)
        self._tell_reply(request, event)
        self._end_attempt(request, event, "answered")

    def _tell_reply(self, request: _Open, event: facts.VisitSucceeded) -> None:
        labels = self._labels(request, {"gen_ai.operation.name": "chat"})
        used = {"input": event.prompt_tokens, "output": event.completion_tokens}
        for kind, count in used.items():
            if count is not None:
                request.span.set_attribute(f"gen_ai.usage.{kind}_tokens", count)
                self._instruments.tokens.record(count, {**labels, "gen_ai.token.type": kind})
        cache = {"cache_read": event.cached_tokens, "cache_creation": event.cache_written_tokens}
        for kind, count in cache.items():
            if count:
                request.span.set_attribute(f"gen_ai.usage.{kind}.input_tokens", count)
        if event.ttft is not None:
            request.span.set_attribute("gen_ai.response.time_to_first_chunk", event.ttft)
            self._instruments.first.record(event.ttft, labels)
            if event.pieces > 1:
                self._instruments.per_chunk.record(event.generating_seconds / (event.pieces - 1), labels)
        if model := identifier(event.model):
            request.span.set_attribute("gen_ai.response.model", model)
        if response := identifier(event.response_id or ""):
            request.span.set_attribute("gen_ai.response.id", response)
        if reason := identifier(event.finish_reason or ""):
            request.span.set_attribute("gen_ai.response.finish_reasons", (reason,))

    def _end(self, event: facts.RequestEnded) -> None:
        request = self._open.pop(event.request, None)
        if request is None:
            return  # it began before anybody observed
        labels: Attributes = {"gen_ai.operation.name": "chat", "llx.outcome": event.outcome}
        if isinstance(event, facts.RequestFailed):
            labels["error.type"] = ERROR_OF_REQUEST
            _mark_failed(request.span, ERROR_OF_REQUEST)
        self._instruments.duration.record(event.seconds, self._labels(request, labels))
        self._close(request, event.outcome, self._ns(event.at))

    def _abandon(self, number: int) -> None:
        if request := self._open.pop(number, None):
            now = self._ns(self._lb.now())
            for attempt in request.attempts.values():
                attempt.span.set_attribute("llx.outcome", "unobserved")
                attempt.span.end(now)
            self._close(request, "unobserved", now)

    def _close(self, request: _Open, outcome: str, at: int) -> None:
        """End the request's span with what holds for the backend that was visited last."""
        request.span.set_attributes({**request.about, **request.asked, "llx.outcome": outcome})
        request.span.end(at)

    def _count(self, event: facts.Event) -> None:
        profile: Attributes = {"llx.profile": self._profile}
        match event:
            case facts.BackendSkipped():
                self._instruments.skips.add(1, {**profile, **fields_of(event, ("backend", "reason"))})
            case facts.BackendPutAside():
                labels = {**profile, "llx.backend": event.backend, "llx.reason": "tokens per minute"}
                self._instruments.skips.add(1, labels)
            case facts.ReplyRestarted():
                self._instruments.restarts.add(1, {**profile, "llx.backend": event.failed})
            case facts.CircuitChanged():
                labels = {**profile, "llx.backend": event.backend, "llx.circuit.state": str(event.after)}
                self._instruments.circuits.add(1, labels)

    def _labels(self, request: _Open, more: Mapping[str, AttributeValue]) -> Attributes:
        """Return a metric's attributes; only values of the profile or of a short list, so their number is bounded."""
        return {**request.about, "llx.profile": self._profile, **more}

    def _backend(self, name: str) -> Attributes:
        return {**self._about.get(name, {}), "llx.backend": name}

    def _ns(self, at: float) -> int:
        return self._epoch_ns + round(at * 1e9)


def _known_from_the_start(about: Attributes) -> Attributes:
    """Return what every backend has: what only some have cannot be taken back when another one answers."""
    return {name: value for name, value in about.items() if name in CREATED_WITH}


def _mark_failed(span: Span, error: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", error)
    span.set_status(Status(StatusCode.ERROR))
