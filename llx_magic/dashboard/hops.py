"""A prompt's way from backend to backend, in words: who was passed over and why, who failed and how, who answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llx_magic.core.events import (
    AttemptFailed,
    BackendEvent,
    BackendPutAside,
    BackendSkipped,
    CoolDownWaitEnded,
    CoolDownWaitStarted,
    Event,
    FirstTokenReceived,
    HedgeStarted,
    ReplyMisfit,
    RequestCancelled,
    RequestEnded,
    RequestFailed,
    RequestPutBack,
    RetryScheduled,
    SkipReason,
    VisitCancelled,
    VisitFailed,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.failure import Failure
from llx_magic.core.trace import Trace
from llx_magic.observe.status.standing import times
from llx_magic.text.screen import one_line
from llx_magic.units import duration, number, plural

MOST_HOPS = 8
"""So many hops are told at most; those between the first and the last are counted."""

_LONGEST_NAME = 40
_NAMED = 2


@dataclass(slots=True)
class _Visit:
    """One backend's visit while it is read; ``met`` are its failures and what lies between them, in short."""

    name: str
    is_probe: bool = False
    is_hedge: bool = False
    met: list[str] = field(default_factory=list)
    ended: str = ""
    has_text: bool = False

    def __str__(self) -> str:
        met = _counted(self.met)
        ended = self.ended or ("answering" if self.has_text else "asked")
        said = [f"{met}, then {ended}" if met and ended != "failed" else met or ended]
        if self.is_hedge:
            said.insert(0, "as well")
        if self.is_probe and not self.ended.startswith("answered"):
            said.append("as the probe")
        return f"{self.name} {' '.join(said)}"


def hops_of(trace: Trace) -> list[str]:
    """Return the hops in their order, such as ``fast skipped: circuit open``, ``beta 429``, ``deep answered``."""
    hops: list[str | _Visit | tuple[str, str]] = []
    visits: dict[str, _Visit] = {}
    for event in trace.events:
        match event:
            case BackendSkipped() | BackendPutAside():
                hops.append((_name(event), _passed_over(event)))
            case VisitStarted():
                visit = visits[event.backend] = _Visit(_name(event), event.is_probe)
                hops.append(visit)
            case CoolDownWaitEnded():
                hops.append(f"waited {duration(event.seconds)} for {_name(event)}")
            case ReplyMisfit():
                hops.append(f"{_name(event)} did not fit" + (", asked again" if event.again else ""))
            case BackendEvent() if event.backend in visits:
                _follow(visits[event.backend], event)
    if isinstance(trace.events[-1], CoolDownWaitStarted):
        hops.append("waiting")
    return _cut([str(hop) for hop in _together(hops)])


def tag_of(trace: Trace, *, is_slow: bool) -> str:
    """Return what sets a prompt apart, in a word or two; empty for one that was answered as most are."""
    last = trace.events[-1] if trace.events else None
    match last:
        case RequestFailed():
            was_sent = any(isinstance(event, VisitStarted) for event in trace.events)
            return "✗ failed" if was_sent else "✗ failed, not sent"
        case RequestCancelled():
            return "cancelled"
        case RequestPutBack():
            return "put back"
        case RequestEnded():
            restarted = any(
                isinstance(event, VisitFailed) and event.failure.words is not None for event in trace.events
            )
            return "↻ restarted" if restarted else "slow" if is_slow else ""
        case _:
            return "… running"


def _name(event: BackendEvent) -> str:
    return one_line(event.backend, _LONGEST_NAME)


def _follow(visit: _Visit, event: Event) -> None:
    match event:
        case FirstTokenReceived():
            visit.has_text = True
        case HedgeStarted():
            visit.is_hedge = True
        case AttemptFailed():
            visit.met.append(_reason(event.failure))
        case RetryScheduled():
            visit.met.append(f"waited {duration(event.delay)}")
        case VisitSucceeded():
            visit.ended = "answered"
        case VisitFailed():
            visit.ended = "failed"
            visit.met = visit.met or [_reason(event.failure)]
        case VisitCancelled():
            visit.ended = f"outrun by {one_line(event.outrun_by, _LONGEST_NAME)}" if event.outrun_by else "cancelled"


def _reason(failure: Failure) -> str:
    if failure.words is not None:
        return f"broke off after {plural(failure.words, 'word')} ({failure.in_short})"
    return failure.in_short


def _counted(met: Sequence[str]) -> str:
    """Join what a visit met; the same reason again and again is counted."""
    counts = Counter(met)
    return ", ".join(reason if count == 1 else f"{reason} {times(count)}" for reason, count in counts.items())


def _passed_over(event: BackendSkipped | BackendPutAside) -> str:
    if isinstance(event, BackendPutAside):
        return "put aside: below its floor"
    why = one_line(event.message, 60) if event.reason is SkipReason.NOT_READY else str(event.reason)
    return f"skipped: {why}"


def _together(hops: Iterable[str | _Visit | tuple[str, str]]) -> list[str | _Visit]:
    """Tell those together that were passed over for one reason one after another."""
    told: list[str | _Visit] = []
    names: list[str] = []
    why = ""
    for hop in [*hops, ""]:
        if names and not (isinstance(hop, tuple) and hop[1] == why):
            more = len(names) - _NAMED
            shown = names if more <= 1 else [*names[:_NAMED], f"{number(more)} more"]
            told.append(f"{' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))} {why}")
            names = []
        if isinstance(hop, tuple):
            names.append(hop[0])
            why = hop[1]
        elif hop:
            told.append(hop)
    return told


def _cut(hops: list[str]) -> list[str]:
    if len(hops) <= MOST_HOPS:
        return hops
    return [*hops[: MOST_HOPS - 2], f"{len(hops) - MOST_HOPS + 1} further hops", hops[-1]]
