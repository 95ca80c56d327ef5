"""What a backend's circuit and its cool-downs were over time, read from events: for all views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.events import (
    BackendAdded,
    BackendEvent,
    BackendRemoved,
    CircuitChanged,
    CoolDownEnded,
    CoolDownLifted,
    CoolDownStarted,
    Event,
)
from llx_magic.units import plural

DISABLED = "disabled"
"""The state of a circuit whose breaker is switched off."""

STATES = (*map(str, CircuitState), DISABLED)
"""Every state in which a circuit can be shown."""

FIRST_REMEMBERED = "first remembered"
ADDED = "the backend was added"

MOMENTS = (CircuitChanged, BackendAdded, BackendRemoved)
"""The events that begin or end a period."""

COOL_DOWN_MOMENTS = (CoolDownStarted, CoolDownEnded, CoolDownLifted, BackendRemoved)
"""The events that begin, lengthen or end a cool-down."""


@dataclass(frozen=True, slots=True)
class Period:
    """A circuit was in ``state`` from ``begin`` to ``end``, in seconds of the profile's clock.

    ``cause`` is why it began. ``lasts`` says that it had not ended by ``end``.
    """

    state: str
    begin: float
    end: float
    cause: str = FIRST_REMEMBERED
    lasts: bool = False


def periods(moments: Iterable[BackendEvent], since: float | None, now: float, state: str | None) -> Iterator[Period]:
    """Yield one backend's periods, oldest first, without a gap while the profile had the backend.

    ``moments`` are its events of the kinds in ``MOMENTS``, oldest first; nothing is known of the time before ``since``,
    and nothing at all where that is None. ``state`` is the circuit's at ``now``: it tells what no event does, a breaker
    that is switched off, and it is None for a backend that the profile no longer has.
    """
    present: tuple[str, float, str] | None = None
    untold = since is not None
    for event in moments:
        if since is None or event.at < since:
            continue
        if isinstance(event, CircuitChanged | BackendRemoved) and untold and event.at > since:
            present = (event.before, since, FIRST_REMEMBERED)
        untold = False
        if present:
            yield Period(present[0], present[1], event.at, present[2])
        if isinstance(event, BackendRemoved):
            present = None
        elif isinstance(event, CircuitChanged):
            present = (event.after, event.at, cause_in_words(event))
        else:
            present = (CircuitState.CLOSED, event.at, ADDED)
    if untold and since is not None and state is not None:
        present = (state, since, FIRST_REMEMBERED)
    if present and state is not None:
        yield Period(DISABLED if state == DISABLED else present[0], present[1], now, present[2], lasts=True)


def cool_downs(events: Iterable[Event]) -> dict[str, list[tuple[float, float]]]:
    """Return when each backend was cooling down, from when to when; the last may lie ahead."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in events:
        if isinstance(event, COOL_DOWN_MOMENTS):
            cool_down(found.setdefault(event.backend, []), event)
    return found


def cool_down(spans: list[tuple[float, float]], event: BackendEvent) -> None:
    """Take one of ``COOL_DOWN_MOMENTS`` into a backend's cool-downs: one begins, is lengthened, or ends early."""
    begin, end = spans[-1] if spans else (event.at, event.at)
    if isinstance(event, CoolDownStarted):
        until = event.at + event.seconds
        if spans and event.at <= end:
            spans[-1] = (begin, max(end, until))
        else:
            spans.append((event.at, until))
    elif spans:
        spans[-1] = (begin, min(end, event.at))


def cause_in_words(change: CircuitChanged) -> str:
    """Return why the circuit changed."""
    if change.cause is Cause.FAILURES and change.failures is not None:
        return f"{plural(change.failures, 'failure')} in the window"
    return str(change.cause)
