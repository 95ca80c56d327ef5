"""Debug lines: one table says which event is written how."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.events import Event, SkipReason
from llx_magic.core.failure import Failure, Limit
from llx_magic.units import below, exact, whole

LB = "lb"
CIRCUIT_BREAKER = "circuit-breaker"


@dataclass(frozen=True, slots=True)
class Form:
    """How one kind of event is written, on which channel, and when; placeholders are the event's fields."""

    event: type[Event]
    channel: str
    pattern: str
    when: Callable[[Event], bool] = lambda _event: True
    meaning: str = ""


def _limit_is(limit: Limit) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, facts.AttemptFailed) and event.failure.limit is limit


def _timed_out(event: Event) -> bool:
    return isinstance(event, facts.AttemptFailed) and event.failure.limit is not None


def _skipped_for(*reasons: SkipReason) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, facts.BackendSkipped) and event.reason in reasons


def _changed_by(*causes: Cause) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, facts.CircuitChanged) and event.cause in causes


def _several_attempts(event: Event) -> bool:
    return isinstance(event, facts.VisitFailed) and event.attempts > 1


FORMS: tuple[Form, ...] = (
    Form(facts.RequestStarted, LB, "[LB:request] Request {request}: policy {policy}, order {order}"),
    Form(facts.SubProfileSelected, LB, "[LB:{policy}] Selected sub-profile: {backend}"),
    Form(
        facts.BackendSkipped,
        LB,
        "[LB:failover] Skipping unhealthy backend: {backend}",
        _skipped_for(SkipReason.CIRCUIT_OPEN),
        "its circuit is open, or half-open with another request as the probe",
    ),
    Form(
        facts.BackendSkipped,
        LB,
        "[LB:failover] Skipping backend: {backend} (cooling down, {seconds_left} s left)",
        _skipped_for(SkipReason.COOLING_DOWN),
        "it answered 429; 0 s left means that the first request after the cool-down is still out",
    ),
    Form(
        facts.BackendSkipped,
        LB,
        "[LB:failover] Skipping backend: {backend} ({message})",
        _skipped_for(SkipReason.NOT_READY),
        "nothing can be sent, mostly for want of a key",
    ),
    Form(facts.TpmMeasured, LB, "[LB:tpm] {backend}: Current TPM = {tpm}"),
    Form(
        facts.BackendPutAside,
        LB,
        "[LB:failover] {backend}: TPM ({tpm}) below threshold ({threshold}), failing over",
    ),
    Form(
        facts.SecondPassStarted, LB, "[LB:failover] Nothing answered, trying those below the TPM threshold: {backends}"
    ),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: Testing recovery (half-open)",
        _changed_by(Cause.RECOVERY_TIME),
        "the recovery time had passed and this request became the probe",
    ),
    Form(facts.AttemptStarted, LB, "[LB:failover] Trying backend: {backend} (attempt {attempt}/{attempts})"),
    Form(facts.FirstTokenReceived, LB, "[LB:stream] {backend}: First token after {milliseconds}ms"),
    Form(facts.AttemptFailed, LB, "[LB:timeout] {backend}: Request exceeded {limit_ms}ms", _limit_is(Limit.TOTAL)),
    Form(
        facts.AttemptFailed, LB, "[LB:timeout] {backend}: No connection within {limit_ms}ms", _limit_is(Limit.CONNECT)
    ),
    Form(facts.AttemptFailed, LB, "[LB:timeout] {backend}: No text within {limit_ms}ms", _limit_is(Limit.FIRST_TOKEN)),
    Form(facts.AttemptFailed, LB, "[LB:timeout] {backend}: Silent for {limit_ms}ms", _limit_is(Limit.STALL)),
    Form(
        facts.AttemptFailed,
        LB,
        "[LB:failover] {backend}: Backend timeout ({elapsed_ms}ms > {limit_ms}ms), failing over",
        _timed_out,
    ),
    Form(facts.AttemptFailed, LB, "[LB:failover] {backend} failed: {message}"),
    Form(facts.CoolDownStarted, LB, "[LB:cooldown] {backend}: Cooling down for {seconds} s"),
    Form(facts.RetryScheduled, LB, "[LB:failover] {backend}: Retrying in {milliseconds}ms"),
    Form(
        facts.VisitFailed,
        LB,
        "[LB:failover] {backend} failed after {attempts} attempts: {message}",
        _several_attempts,
        "after two or more attempts",
    ),
    Form(facts.VisitSucceeded, LB, "[LB:failover] Success on backend: {backend}"),
    Form(facts.VisitCancelled, LB, "[LB:failover] Cancelled on backend: {backend}"),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: Marked unhealthy ({failures} failures in window)",
        _changed_by(Cause.FAILURES),
        "the failures in the window reached the threshold",
    ),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: Probe failed",
        _changed_by(Cause.PROBE_FAILED),
        "a failed probe opened the circuit again",
    ),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: State = open",
        _changed_by(Cause.FAILURES, Cause.PROBE_FAILED),
        "after either of these two",
    ),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: Recovered (state = closed)",
        _changed_by(Cause.RECOVERED),
        "the backend has recovered",
    ),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: State = {after} (set by hand)",
        _changed_by(Cause.BY_HAND),
        "the user opened or closed the circuit",
    ),
    Form(
        facts.CircuitChanged,
        CIRCUIT_BREAKER,
        "[circuit-breaker] {backend}: Probe settled nothing, the next request probes again",
        _changed_by(Cause.PROBE_RETURNED),
        "the probe was cancelled, or met a rate limit or trouble of this machine",
    ),
    Form(facts.BackendAdded, LB, "[LB:profile] Backend added: {backend}"),
    Form(facts.BackendRemoved, LB, "[LB:profile] Backend removed: {backend}"),
    Form(facts.CoolDownEnded, LB, "[LB:cooldown] {backend}: Cool-down over"),
    Form(facts.CoolDownLifted, LB, "[LB:cooldown] {backend}: Cool-down lifted (by hand)"),
    Form(
        facts.CoolDownWaitStarted,
        LB,
        "[LB:cooldown] Request {request}: Waiting for the rate limit of {backend} ({milliseconds}ms left)",
    ),
    Form(facts.CoolDownWaitEnded, LB, "[LB:cooldown] Request {request}: Waited {milliseconds}ms for a rate limit"),
    Form(
        facts.ReplyRestarted,
        LB,
        "[LB:failover] {failed} broke off after {words} words, restarting on {next}",
    ),
    Form(facts.RequestAnswered, LB, "[LB:request] Request {request}: answered by {backend} in {milliseconds}ms"),
    Form(facts.RequestFailed, LB, "[LB:request] Request {request}: failed: {message}"),
    Form(facts.RequestCancelled, LB, "[LB:request] Request {request}: cancelled after {milliseconds}ms"),
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


def reference() -> str:
    """Return the Markdown reference of every debug line, as ``docs/reference/debug-lines.md`` holds it."""
    out = [
        "# Debug lines",
        "",
        "Written through `logging` (`llx_magic.lb`, `llx_magic.circuit_breaker`) at level DEBUG, and to stderr when",
        "`LLXPRT_DEBUG` holds a matching pattern (`llxprt:*`, `llxprt:lb`, `llxprt:circuit-breaker`). `%llx_log` shows",
        "them with the time of day. This page is made from the table in `llx_magic/observe/lines.py`.",
        "",
        "| line | event | when |",
        "|---|---|---|",
    ]
    for form in FORMS:
        pattern = form.pattern.replace("{", "<").replace("}", ">")
        said = (form.event.__doc__ or "").strip().splitlines()[0]
        out.append(f"| `{pattern}` | `{form.event.__name__}` | {form.meaning or said} |")
    return "\n".join(out) + "\n"


def as_dict(event: Event) -> dict[str, object]:
    """Return an event's fields with its kind, a failure spread out; for tables and exports."""
    values = msgspec.structs.asdict(event)
    failure = values.pop("failure", None)
    if isinstance(failure, Failure):
        values |= {"message": failure.message, "kind": str(failure.kind), "status": failure.status}
    return {"event": type(event).__name__, **values}
