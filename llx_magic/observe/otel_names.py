"""What events are called in OpenTelemetry: attributes, span events, kinds of error; a fixed list, free of any text.

Names are those of OpenTelemetry's semantic conventions for generative AI; what they have no name for is under ``llx.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from llx_magic.core import events as facts
from llx_magic.core.failure import Failure
from llx_magic.providers.table import find_provider

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]

ERROR_OF_REQUEST = "AllBackendsFailed"
"""The ``error.type`` of a request that nobody answered: the exception that its caller saw."""

SPAN_EVENTS: Mapping[type[facts.Event], tuple[str, tuple[str, ...]]] = {
    facts.BackendSkipped: ("llx.backend_skipped", ("backend", "reason", "seconds_left")),
    facts.BackendPutAside: ("llx.backend_put_aside", ("backend", "tpm", "threshold")),
    facts.SecondPassStarted: ("llx.second_pass_started", ("backends",)),
    facts.RetryScheduled: ("llx.retry_scheduled", ("backend", "attempt", "delay", "asked_by_server")),
    facts.CoolDownStarted: ("llx.cool_down_started", ("backend", "seconds")),
    facts.CoolDownEnded: ("llx.cool_down_ended", ("backend",)),
    facts.CoolDownWaitStarted: ("llx.cool_down_wait_started", ("backend", "seconds")),
    facts.CoolDownWaitEnded: ("llx.cool_down_wait_ended", ("backend", "seconds")),
    facts.CircuitHalfOpened: ("llx.circuit_half_opened", ("backend",)),
    facts.CircuitOpened: ("llx.circuit_opened", ("backend", "failures")),
    facts.CircuitClosed: ("llx.circuit_closed", ("backend",)),
    facts.ProbeReturned: ("llx.probe_returned", ("backend",)),
    facts.ReplyRestarted: ("llx.reply_restarted", ("failed", "next", "words")),
}

OUTCOMES: Mapping[type[facts.Event], str] = {
    facts.RequestAnswered: "answered",
    facts.RequestFailed: "failed",
    facts.RequestCancelled: "cancelled",
}


class Member(Protocol):
    """What is read of a backend's profile."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def provider(self) -> str: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102


class Members(Protocol):
    """What is read of a load balancer's profile."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def members(self) -> tuple[Member, ...]: ...  # noqa: D102


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


def about_backend(member: Member) -> Attributes:
    """Return provider and model of a backend; a provider that the conventions know has their name for it."""
    known = find_provider(member.provider)
    name = member.provider.strip().casefold() if known is None else known.otel_name or known.name
    return {
        "gen_ai.provider.name": name,
        "gen_ai.request.model": member.model,
    }


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
