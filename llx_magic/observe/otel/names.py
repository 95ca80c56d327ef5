"""What events are called in OpenTelemetry: metrics, attributes, span events, errors; a fixed list, free of any text.

Names are those of OpenTelemetry's semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/); what they have no name for is under ``llx.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.failure import Failure
from llx_magic.core.sampling import read_sampling
from llx_magic.providers.find import find_provider

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram, Meter
    from opentelemetry.util.types import AttributeValue

    from llx_magic.profiles.document import ModelProfile

    Attributes = dict[str, AttributeValue]

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions whose names these are."""

ERROR_OF_REQUEST = "AllBackendsFailed"
"""The ``error.type`` of a request that nobody answered: the exception that its caller saw."""

SPAN_EVENTS: Mapping[type[facts.Event], tuple[str, tuple[str, ...]]] = {
    facts.BackendSkipped: ("llx.backend_skipped", ("backend", "reason", "seconds_left")),
    facts.BackendPutAside: ("llx.backend_put_aside", ("backend", "tpm", "threshold")),
    facts.SecondPassStarted: ("llx.second_pass_started", ("backends",)),
    facts.HedgeStarted: ("llx.hedge_started", ("backend", "beside", "seconds")),
    facts.RetryScheduled: ("llx.retry_scheduled", ("backend", "attempt", "delay", "asked_by_server")),
    facts.CoolDownStarted: ("llx.cool_down_started", ("backend", "seconds")),
    facts.CoolDownEnded: ("llx.cool_down_ended", ("backend",)),
    facts.CoolDownWaitStarted: ("llx.cool_down_wait_started", ("backend", "seconds", "limit")),
    facts.CoolDownWaitEnded: ("llx.cool_down_wait_ended", ("backend", "seconds", "limit")),
    facts.ReplyMisfit: ("llx.reply_misfit", ("backend", "again")),
    facts.ReplyRestarted: ("llx.reply_restarted", ("failed", "next", "words")),
}

CIRCUIT_EVENTS: Mapping[Cause, str] = {
    Cause.RECOVERY_TIME: "llx.circuit_half_opened",
    Cause.FAILURES: "llx.circuit_opened",
    Cause.PROBE_FAILED: "llx.circuit_opened",
    Cause.PROBE_RETURNED: "llx.probe_returned",
    Cause.RECOVERED: "llx.circuit_closed",
}
"""The span events of a circuit's changes, by cause; a change by hand belongs to no request, so to no span."""

_PORTS = {"http": 80, "https": 443}

_SAMPLING = {
    "temperature": ("gen_ai.request.temperature", float),
    "top_p": ("gen_ai.request.top_p", float),
    "top_k": ("gen_ai.request.top_k", float),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", float),
    "presence_penalty": ("gen_ai.request.presence_penalty", float),
    "max_tokens": ("gen_ai.request.max_tokens", int),
    "max_completion_tokens": ("gen_ai.request.max_tokens", int),
    "max_output_tokens": ("gen_ai.request.max_tokens", int),
    "seed": ("gen_ai.request.seed", int),
    "stop": ("gen_ai.request.stop_sequences", tuple),
}
"""What the parameters of a request are called, and the type that the conventions give them."""

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4.0**power for power in range(14))


class Instruments:
    """The metrics that are kept; names and units are the conventions' where they have them."""

    def __init__(self, meter: Meter) -> None:
        def histogram(name: str, unit: str, description: str, bounds: tuple[float, ...] = _SECONDS) -> Histogram:
            return meter.create_histogram(
                name, unit=unit, description=description, explicit_bucket_boundaries_advisory=bounds
            )

        self.duration = histogram(
            "gen_ai.client.operation.duration", "s", "Requests from start to end, all attempts and waits included"
        )
        self.tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens of each reply, as reported", _TOKENS)
        self.first = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s",
            "From sending to the first piece, in the attempt that answered",
        )  # fmt: skip
        self.per_chunk = histogram(
            "gen_ai.client.operation.time_per_output_chunk", "s", "Mean time of each reply from one piece to the next"
        )
        self.attempt = histogram("llx.attempt.duration", "s", "Attempts from sending to their end")
        self.skips = meter.create_counter("llx.skips", "{skip}", "Backends passed over without a visit")
        self.restarts = meter.create_counter("llx.restarts", "{restart}", "Replies withdrawn half-way")
        self.circuits = meter.create_counter("llx.circuit.changes", "{change}", "Changes of a circuit's state")


def error_type(failure: Failure) -> str:
    """Return the ``error.type`` of a failed attempt: its HTTP status from 300, else its kind in snake case."""
    if failure.status is not None and failure.status >= 300:
        return str(failure.status)
    return failure.kind.lower().replace(" ", "_")


def details_of(failure: Failure) -> Attributes:
    """Return what more is known of a failed attempt, its message left out."""
    details: Attributes = {"llx.failure": str(failure.kind)}
    if failure.status is not None:
        details["http.response.status_code"] = failure.status
    if failure.limit is not None:
        details["llx.limit"] = str(failure.limit)
    return details


def about_backend(member: ModelProfile) -> Attributes:
    """Return provider, model and server of a backend; a provider has the conventions' name where they have one."""
    known = find_provider(member.provider)
    name = member.provider.strip().casefold() if known is None else known.otel_name or known.name
    about: Attributes = {"gen_ai.provider.name": name, "gen_ai.request.model": member.model}
    url = member.connection.base_url or (known.base_url if known else None)
    parts = urlsplit(url or "")
    if parts.hostname:
        about |= {"server.address": parts.hostname, "server.port": parts.port or _PORTS[parts.scheme]}
    return about


def how_asked(event: facts.AttemptStarted) -> Attributes:
    """Return what a request asked of the model besides its prompt: a stream, a form, how to write."""
    asked: Attributes = {"gen_ai.request.stream": event.streaming}
    for name, value in read_sampling(event.sampling).items():
        if name == "n" and value != 1 and isinstance(value, int):
            asked["gen_ai.request.choice.count"] = value
        elif name == "response_format":
            asked["gen_ai.output.type"] = "text" if value == "text" else "json"
        elif name in _SAMPLING:
            attribute, kind = _SAMPLING[name]
            asked[attribute] = kind(value)
    return asked


def span_name(about: Mapping[str, AttributeValue]) -> str:
    """Return the name of a request's span."""
    model = about.get("gen_ai.request.model")
    return f"chat {model}" if model else "chat"


def fields_of(event: facts.Event, names: tuple[str, ...]) -> Attributes:
    """Return the named fields of an event that are not None, each under ``llx.``."""
    values = ((name, getattr(event, name)) for name in names)
    return {
        f"llx.{name}": str(value) if isinstance(value, str) else value for name, value in values if value is not None
    }


def identifier(text: str) -> str | None:
    """Return what a server named, or None where it is no identifier: nobody can put sentences into a trace there."""
    return text if re.fullmatch(r"[\w./:@+-]{1,128}", text) else None
