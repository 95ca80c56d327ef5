"""Every event in words: its debug lines, and the phrase that traces, remarks, errors and tables share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import NamedTuple

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.circuits import cause_in_words
from llx_magic.core.events import Event, SkipReason
from llx_magic.core.failure import Failure, Limit
from llx_magic.units import below, countdown, duration, exact, plural, whole

LB = "lb"
CIRCUIT_BREAKER = "circuit-breaker"


class Form(NamedTuple):
    """How one kind of event is written as a debug line, and when; placeholders are the event's fields."""

    event: type[Event]
    pattern: str
    when: Callable[[Event], bool] = lambda _event: True
    meaning: str = ""

    @property
    def channel(self) -> str:
        """The channel on which the line is written, which its beginning names."""
        return CIRCUIT_BREAKER if self.pattern.startswith(f"[{CIRCUIT_BREAKER}]") else LB


def _where(path: str, *values: object) -> Callable[[Event], bool]:
    """Return a condition: the field of the event at ``path`` has one of these values."""
    read = attrgetter(path)
    return lambda event: read(event) in values


FORMS: tuple[Form, ...] = (
    Form(facts.RequestStarted, "[LB:request] Request {request}: policy {policy}, order {order}"),
    Form(facts.SubProfileSelected, "[LB:{policy}] Selected sub-profile: {backend}"),
    Form(
        facts.BackendSkipped,
        "[LB:failover] Skipping unhealthy backend: {backend}",
        _where("reason", SkipReason.CIRCUIT_OPEN),
        "its circuit is open, or half-open with another request as the probe",
    ),
    Form(
        facts.BackendSkipped,
        "[LB:failover] Skipping backend: {backend} (cooling down, {seconds_left} s left)",
        _where("reason", SkipReason.COOLING_DOWN),
        "it answered 429; 0 s left means that the first request after the cool-down is still out",
    ),
    Form(
        facts.BackendSkipped,
        "[LB:rows] No room at backend: {backend} ({message})",
        _where("reason", SkipReason.AT_LEVEL, SkipReason.USED_UP),
        "of a run over rows, it has as many as it has been seen to bear, nothing is left of what its service allows, "
        "or somebody else goes first",
    ),
    Form(
        facts.BackendSkipped,
        "[LB:failover] Skipping backend: {backend} ({message})",
        _where("reason", SkipReason.AT_CEILING),
        "one of `rpm_limit`, `tpm_limit` and `concurrency_limit` leaves no place",
    ),
    Form(
        facts.BackendSkipped,
        "[LB:failover] Skipping backend: {backend} ({message})",
        _where("reason", SkipReason.NOT_READY),
        "nothing can be sent, mostly for want of a key, or it takes no image, no file or no prompt so long",
    ),
    Form(
        facts.BackendSkipped,
        "[LB:budget] Skipping backend: {backend} ({message})",
        _where("reason", SkipReason.OVER_BUDGET),
        "what the request would probably cost is more than budget_usd leaves",
    ),
    Form(facts.TpmMeasured, "[LB:tpm] {backend}: Current TPM = {tpm}"),
    Form(
        facts.BackendPutAside,
        "[LB:failover] {backend}: TPM ({tpm}) below threshold ({threshold}), failing over",
    ),
    Form(facts.SecondPassStarted, "[LB:failover] Nothing answered, trying those below the TPM threshold: {backends}"),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: Testing recovery (half-open)",
        _where("cause", Cause.RECOVERY_TIME),
        "the recovery time had passed and this request became the probe",
    ),
    Form(facts.AttemptStarted, "[LB:failover] Trying backend: {backend} (attempt {attempt}/{attempts})"),
    Form(facts.FirstTokenReceived, "[LB:stream] {backend}: First token after {milliseconds}ms"),
    Form(
        facts.AttemptFailed,
        "[LB:timeout] {backend}: Request exceeded {limit_ms}ms",
        _where("failure.limit", Limit.TOTAL),
    ),
    Form(
        facts.AttemptFailed,
        "[LB:timeout] {backend}: No connection within {limit_ms}ms",
        _where("failure.limit", Limit.CONNECT),
    ),
    Form(
        facts.AttemptFailed,
        "[LB:timeout] {backend}: No text within {limit_ms}ms",
        _where("failure.limit", Limit.FIRST_TOKEN),
    ),
    Form(facts.AttemptFailed, "[LB:timeout] {backend}: Silent for {limit_ms}ms", _where("failure.limit", Limit.STALL)),
    Form(
        facts.AttemptFailed,
        "[LB:failover] {backend}: Backend timeout ({elapsed_ms}ms > {limit_ms}ms), failing over",
        _where("failure.limit", *Limit),
    ),
    Form(facts.AttemptFailed, "[LB:failover] {backend} failed: {message}"),
    Form(facts.CoolDownStarted, "[LB:cooldown] {backend}: Cooling down for {seconds} s"),
    Form(facts.RetryScheduled, "[LB:failover] {backend}: Retrying in {milliseconds}ms"),
    Form(
        facts.VisitFailed,
        "[LB:failover] {backend} failed after {attempts} attempts: {message}",
        lambda event: isinstance(event, facts.VisitFailed) and event.attempts > 1,
        "after two or more attempts",
    ),
    Form(facts.VisitSucceeded, "[LB:failover] Success on backend: {backend}"),
    Form(facts.HedgeStarted, "[LB:hedge] {beside}: Nothing within {milliseconds}ms, trying {backend} as well"),
    Form(
        facts.VisitCancelled,
        "[LB:hedge] {outrun_by} was first, cancelled on backend: {backend}",
        lambda event: isinstance(event, facts.VisitCancelled) and event.outrun_by is not None,
        "both were asked at once",
    ),
    Form(facts.VisitCancelled, "[LB:failover] Cancelled on backend: {backend}", _where("outrun_by", None)),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: Marked unhealthy ({failures} failures in window)",
        _where("cause", Cause.FAILURES),
        "the failures in the window reached the threshold",
    ),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: Probe failed",
        _where("cause", Cause.PROBE_FAILED),
        "a failed probe opened the circuit again",
    ),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: State = open",
        _where("cause", Cause.FAILURES, Cause.PROBE_FAILED),
        "after either of these two",
    ),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: Recovered (state = closed)",
        _where("cause", Cause.RECOVERED),
        "the backend has recovered",
    ),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: State = {after} (set by hand)",
        _where("cause", Cause.BY_HAND),
        "the user opened or closed the circuit",
    ),
    Form(
        facts.CircuitChanged,
        "[circuit-breaker] {backend}: Probe settled nothing, the next request probes again",
        _where("cause", Cause.PROBE_RETURNED),
        "the probe was cancelled, or met a rate limit or trouble of this machine",
    ),
    Form(
        facts.SharingChanged,
        "[LB:profile] Facts are shared with other processes",
        lambda event: isinstance(event, facts.SharingChanged) and event.is_sharing,
        "again, after their server was away",
    ),
    Form(
        facts.SharingChanged,
        "[LB:profile] Facts are no longer shared with other processes",
        lambda event: isinstance(event, facts.SharingChanged) and not event.is_sharing,
        "their server does not answer; this process goes on alone",
    ),
    Form(facts.BackendAdded, "[LB:profile] Backend added: {backend}"),
    Form(facts.BackendRemoved, "[LB:profile] Backend removed: {backend}"),
    Form(facts.CoolDownEnded, "[LB:cooldown] {backend}: Cool-down over"),
    Form(facts.CoolDownLifted, "[LB:cooldown] {backend}: Cool-down lifted (by hand)"),
    Form(
        facts.CoolDownWaitStarted,
        "[LB:cooldown] Request {request}: Waiting for the {limit} of {backend} ({milliseconds}ms left)",
        lambda event: isinstance(event, facts.CoolDownWaitStarted) and event.seconds is not None,
    ),
    Form(
        facts.CoolDownWaitStarted,
        "[LB:cooldown] Request {request}: Waiting for the {limit} of {backend} (until a request has ended)",
        lambda event: isinstance(event, facts.CoolDownWaitStarted) and event.seconds is None,
        "the limit is of requests at once",
    ),
    Form(
        facts.CoolDownWaitEnded,
        "[LB:cooldown] Request {request}: Waited {milliseconds}ms for a rate limit",
        _where("limit", facts.RATE_LIMIT),
    ),
    Form(
        facts.CoolDownWaitEnded,
        "[LB:cooldown] Request {request}: Waited {milliseconds}ms for the {limit}",
        lambda event: isinstance(event, facts.CoolDownWaitEnded) and event.limit != facts.RATE_LIMIT,
        "a limit of the user's own",
    ),
    Form(
        facts.ReplyRestarted,
        "[LB:failover] {failed} broke off after {words} words, restarting on {next}",
    ),
    Form(
        facts.ReplyMisfit,
        "[LB:reply] {backend}: Not what was asked for, asking again: {problem}",
        lambda event: isinstance(event, facts.ReplyMisfit) and event.again,
        "with what is wrong, at most schema_retries times",
    ),
    Form(
        facts.ReplyMisfit,
        "[LB:reply] {backend}: Not what was asked for, failing over: {problem}",
        lambda event: isinstance(event, facts.ReplyMisfit) and not event.again,
        "after the last of these times",
    ),
    Form(facts.RequestAnswered, "[LB:request] Request {request}: answered by {backend} in {milliseconds}ms"),
    Form(facts.RequestFailed, "[LB:request] Request {request}: failed: {message}"),
    Form(facts.RequestCancelled, "[LB:request] Request {request}: cancelled after {milliseconds}ms"),
    Form(facts.RequestPutBack, "[LB:rows] Request {request}: put back after {milliseconds}ms"),
)
"""Every debug line there is, in the order in which those of one event are written."""

_FORMS_OF: dict[type[Event], tuple[Form, ...]] = {
    kind: tuple(form for form in FORMS if form.event is kind) for kind in {form.event for form in FORMS}
}


def lines(event: Event) -> Iterator[tuple[str, str]]:
    """Yield the debug lines of one event as (channel, text)."""
    values: dict[str, object] | None = None
    for form in _FORMS_OF.get(type(event), ()):
        if form.when(event):
            values = values or _values(event)
            yield form.channel, form.pattern.format_map(values)


def words(event: Event) -> str | None:
    """Return what happened, such as ``skipped: circuit open, 12 s left``; None for what a reader need not be told.

    The backend that it happened to is not named, so that the phrase can follow its name.
    """
    phrase = _PHRASES.get(type(event))
    return phrase(event) if phrase else None


def limit_in_words(limit: str) -> str:
    """Return what is waited for: the limit of a service, or one of the user's own."""
    return f"a {limit}" if limit == facts.RATE_LIMIT else f"the {limit}"


def why(event: facts.BackendSkipped | facts.BackendPutAside | facts.AttemptFailed | facts.VisitFailed) -> str:
    """Return the reason alone for which a backend gave no answer, such as ``circuit open``."""
    match event:
        case facts.BackendSkipped():
            return event.message
        case facts.BackendPutAside():
            return f"TPM {below(event.tpm, event.threshold, ',')} below {exact(event.threshold, ',')}"
        case _:
            return event.failure.message


def _skipped(event: facts.BackendSkipped) -> str:
    left = f", {countdown(event.seconds_left)} left" if event.seconds_left else ""
    return f"skipped: {why(event)}{left}"


def _failed(event: facts.AttemptFailed | facts.VisitFailed) -> str:
    if event.failure.words is None:
        return f"failed: {why(event)}"
    return f"broke off after {plural(event.failure.words, 'word')} ({why(event)}), restarted"


def _waits(event: facts.RetryScheduled) -> str:
    reason = "as the server asked" if event.asked_by_server else "before the next attempt"
    return f"waits {duration(event.delay)}, {reason}"


def _restarted(event: facts.ReplyRestarted) -> str:
    words = plural(event.words, "word")
    return f"{event.failed} broke off after {words}: withdrawn, {event.next} is asked from the start"


_PHRASES: dict[type[Event], Callable[..., str]] = {
    facts.BackendSkipped: _skipped,
    facts.BackendPutAside: lambda event: f"put aside: {why(event)}",
    facts.SecondPassStarted: lambda event: f"nothing answered, trying {', '.join(event.backends)} after all",
    facts.AttemptFailed: _failed,
    facts.VisitFailed: _failed,
    facts.RetryScheduled: _waits,
    facts.HedgeStarted: lambda event: f"asked as well, since {event.beside} was silent for {duration(event.seconds)}",
    facts.CircuitChanged: lambda event: f"circuit {event.after}: {cause_in_words(event)}",
    facts.CoolDownStarted: lambda event: f"cooling down for {duration(event.seconds)}",
    facts.CoolDownWaitEnded: lambda event: f"waited {duration(event.seconds)} for {limit_in_words(event.limit)}",
    facts.ReplyRestarted: _restarted,
    facts.ReplyMisfit: lambda event: event.problem + (", asked again" if event.again else ""),
    facts.RequestAnswered: lambda event: f"answered by {event.backend} in {duration(event.seconds)}",
    facts.RequestFailed: lambda event: f"failed after {duration(event.seconds)}",
    facts.RequestCancelled: lambda event: f"cancelled after {duration(event.seconds)}",
    facts.RequestPutBack: lambda event: f"put back after {duration(event.seconds)}, asked again later",
}


def _values(event: Event) -> dict[str, object]:
    values: dict[str, object] = {name: getattr(event, name) for name in event.__struct_fields__}
    for name in ("order", "backends"):
        if isinstance(names := values.get(name), tuple):
            values[name] = ", ".join(map(str, names))
    seconds = values.get("seconds", values.get("delay"))
    if isinstance(seconds, float | int):
        values |= {"milliseconds": whole(seconds * 1000), "seconds": whole(seconds)}
    values |= _figures(event)
    if isinstance(failure := values.get("failure"), Failure):
        values |= {"message": failure.message, "limit_ms": failure.limit_ms, "elapsed_ms": failure.elapsed_ms}
    return values


def _figures(event: Event) -> dict[str, object]:
    """Return an event's figures as debug lines have them: whole, without separators, and true beside a limit."""
    match event:
        case facts.TpmMeasured():
            return {"tpm": whole(event.tpm)}
        case facts.BackendPutAside():
            return {"tpm": below(event.tpm, event.threshold), "threshold": exact(event.threshold)}
        case facts.BackendSkipped() if event.seconds_left is not None:
            return {"seconds_left": math.ceil(event.seconds_left)}
        case _:
            return {}
