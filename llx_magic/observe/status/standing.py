"""How each backend of a profile is at one moment, in words: its state, what comes next and when, and why."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.routing import FAILOVER
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.text.screen import one_line
from llx_magic.units import below, countdown, exact, in_time, number

LONGEST_NAME = 60
_LONGEST_REASON = 120


class State(enum.StrEnum):
    """How a backend is. Of those that are not well, the first that holds counts."""

    UNUSABLE = "cannot be asked"
    """A key is missing, the budget is spent, or it does not take what was to be sent."""
    TRIED = "being tried again"
    OUT = "out"
    COOLING = "cooling down"
    FULL = "at its own limit"
    FAILING = "failing"
    """It has failed since it last answered, and its circuit lets prompts in all the same."""
    BELOW = "below its floor"
    NEW = "not asked yet"
    UNPROVEN = "not answered yet"
    ANSWERING = "answering"
    SPARE = "spare"


_WELL = frozenset({State.NEW, State.UNPROVEN, State.ANSWERING, State.SPARE})


@dataclass(frozen=True, slots=True)
class Standing:
    """One backend: its state, what is so now in words (``out, next try in 12 s``), and why; empty where all is well."""

    name: str
    state: State
    now: str
    why: str
    backend: BackendSnapshot = field(repr=False)

    @property
    def is_well(self) -> bool:
        """Whether nothing keeps it from answering."""
        return self.state in _WELL

    @property
    def has_answered(self) -> bool:
        """Whether it has answered since the last reset of the statistics."""
        return self.backend.successes > 0

    @property
    def seconds_left(self) -> float:
        """In how many seconds a prompt may go to it again; 0 where that is now, or nobody knows."""
        return seconds_left(self.backend)


def standings_of(snapshot: Snapshot) -> tuple[Standing, ...]:
    """Return each backend of a snapshot, in priority order."""
    is_only = len(snapshot.backends) == 1
    found: list[Standing] = []
    for backend in snapshot.backends:
        state = _state(backend)
        if state in _WELL and is_in_order(snapshot) and any(standing.is_well for standing in found):
            state = State.SPARE
        now = _now(state, backend, is_only=is_only)
        found.append(Standing(one_line(backend.name, LONGEST_NAME), state, now, _why(state, backend), backend))
    return tuple(found)


def is_in_order(snapshot: Snapshot) -> bool:
    """Return whether the first backend that is well answers, and the others only in its place."""
    return snapshot.policy == FAILOVER.name


def seconds_left(backend: BackendSnapshot) -> float:
    """Return in how many seconds a prompt may go to a backend again; 0 where that is now, or nobody knows."""
    return max(backend.seconds_until_probe, backend.cooling_down or 0.0, backend.ceiling_seconds or 0.0)


def next_try(backend: BackendSnapshot) -> str:
    """Return when a backend whose circuit is open is asked again."""
    left = seconds_left(backend)
    return f"next try {in_time(left)}" if left else "the next prompt tries it"


def _state(backend: BackendSnapshot) -> State:
    """Return the state of a backend by itself; whether it is spare depends on the others."""
    holds = {
        State.UNUSABLE: bool(backend.passed_over),
        State.TRIED: backend.state == CircuitState.HALF_OPEN,
        State.OUT: backend.is_open,
        State.COOLING: backend.cooling_down is not None,
        State.FULL: bool(backend.at_ceiling),
        State.FAILING: bool(backend.in_vain),
        State.BELOW: backend.below_threshold,
        State.NEW: not backend.requests,
        State.UNPROVEN: not backend.successes,
    }
    return next((state for state, is_so in holds.items() if is_so), State.ANSWERING)


def _now(state: State, backend: BackendSnapshot, *, is_only: bool) -> str:
    """Return the state with what comes next, and when."""
    left = seconds_left(backend)
    match state:
        case State.OUT:
            more = "but asked all the same" if is_only else next_try(backend)
        case State.COOLING if not backend.cooling_down:
            more = "one prompt goes first"
        case State.COOLING | State.FULL if left:
            more = countdown(left)
        case State.SPARE if not backend.requests:
            more = str(State.NEW)
        case State.TRIED:
            return f"{State.OUT}, {state}"
        case _:
            return str(state)
    return f"{state}, {more}"


def _why(state: State, backend: BackendSnapshot) -> str:
    """Return what is behind a state; empty where all is well or nothing is known."""
    tpm, floor, why = backend.tpm, backend.tpm_threshold, ""
    match state:
        case State.UNUSABLE:
            why = one_line(backend.passed_over, _LONGEST_REASON).rstrip(". ")
        case State.OUT if backend.opened_by is Cause.BY_HAND:
            why = "opened by hand"
        case State.OUT | State.TRIED | State.FAILING:
            why = " and ".join(f"{reason} {times(count)}" for reason, count in backend.in_vain)
        case State.COOLING:
            why = "after a rate limit"
        case State.FULL:
            why = backend.at_ceiling
        case State.BELOW if tpm is not None and floor is not None:
            why = f"{below(tpm, floor, ',')} of {exact(floor, ',')} tokens per minute"
    return why


_TIMES = ("never", "once", "twice", *(f"{word} times" for word in ("three", "four", "five", "six", "seven", "eight")))


def times(count: int) -> str:
    """Return how often something happened: ``once``, ``three times``, ``12 times``."""
    return _TIMES[count] if count < len(_TIMES) else f"{number(count)} times"
