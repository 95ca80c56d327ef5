"""How each backend of a profile is at one moment, in words: its state, what comes next and when, and why."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median_high

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.routing import FAILOVER, ROUTINGS
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.text.screen import one_line
from llx_magic.units import below, countdown, duration, exact, in_time, number

LONGEST_NAME = 60
_LONGEST_OTHER = 24
"""How long the name of a backend is at most in the words about another."""
_LONGEST_REASON = 120

_FIRST, _ALL_THE_SAME = "first", "all the same"
"""When a prompt asks the first backend that takes it, and the only one there is."""


SLOW = 3.0
"""What takes so many times as long as is usual is slow."""

SLOW_SECONDS, _ENOUGH = 1.0, 3
"""A backend is never called slow below so many seconds, nor is it or another compared before so many answers."""


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
    """One backend: its state, what comes next (``asked first``, ``next try in 12 s``), and why it is so.

    Each of the last two is empty where there is nothing to say. ``is_slow`` is whether it is well and takes much longer
    than the others.
    """

    name: str
    state: State
    then: str
    why: str
    backend: BackendSnapshot = field(repr=False)
    is_slow: bool = False

    @property
    def now(self) -> str:
        """The state and what comes next: ``out, next try in 12 s``, ``spare, asked when fast fails``."""
        if self.state is State.TRIED:
            return f"{State.OUT}, {self.state}"
        return f"{self.state}, {self.then}" if self.then else str(self.state)

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
    states: list[State] = []
    for backend in snapshot.backends:
        state = _state(backend)
        is_behind = is_in_order(snapshot) and not _WELL.isdisjoint(states)
        states.append(State.SPARE if is_behind and state in _WELL else state)
    turns = _turns(snapshot, states)
    return tuple(
        _standing(backend, state, turn, _usual(backend, snapshot.backends) if state in _WELL else None)
        for backend, state, turn in zip(snapshot.backends, states, turns, strict=True)
    )


def _standing(backend: BackendSnapshot, state: State, turn: str, usual: float | None) -> Standing:
    is_slow = usual is not None
    slow = f"slow (half within {duration(backend.p50_latency)}, {duration(usual)} is usual)" if is_slow else ""
    name, then = one_line(backend.name, LONGEST_NAME), _then(state, backend, turn)
    return Standing(name, state, then, slow or _why(state, backend), backend, is_slow)


def _usual(backend: BackendSnapshot, backends: Sequence[BackendSnapshot]) -> float | None:
    """Return within what half of the visits of most others are answered, where this one takes much longer."""
    others = [each for each in backends if each is not backend]
    known = [each.p50_latency for each in others if each.successes >= _ENOUGH and each.p50_latency is not None]
    half = backend.p50_latency
    if half is None or half < SLOW_SECONDS or backend.successes < _ENOUGH or not known:
        return None
    usual = median_high(known)
    return usual if half >= SLOW * usual else None


def is_in_order(snapshot: Snapshot) -> bool:
    """Return whether the first backend that is well answers, and the others only in its place."""
    return snapshot.policy == FAILOVER.name


def seconds_left(backend: BackendSnapshot) -> float:
    """Return in how many seconds a prompt may go to a backend again; 0 where that is now, or nobody knows."""
    return max(backend.seconds_until_probe, backend.cooling_down or 0.0, backend.ceiling_seconds or 0.0)


def _turns(snapshot: Snapshot, states: Sequence[State]) -> list[str]:
    """Return for each backend when a prompt that comes now asks it, to follow on "asked"; empty where none does."""
    turns = [""] * len(states)
    asked = [at for at, state in enumerate(states) if _takes_prompts(state, snapshot.backends[at])]
    asked.sort(key=lambda at: states[at] is State.BELOW)  # they are put aside; all others keep their order
    if len(states) == 1:
        return [_ALL_THE_SAME]
    if not is_in_order(snapshot):
        routing = ROUTINGS.get(snapshot.policy)
        for at in asked:
            turns[at] = "after the others" if states[at] is State.BELOW else routing.turn if routing else ""
        return turns
    for before, at in zip([None, *asked], asked, strict=False):
        turns[at] = (
            _FIRST if before is None else f"when {one_line(snapshot.backends[before].name, _LONGEST_OTHER)} fails"
        )
    return turns


def _takes_prompts(state: State, backend: BackendSnapshot) -> bool:
    """Return whether a prompt is let in now; after a circuit's pause or a cool-down, one is."""
    if state in (State.OUT, State.COOLING):
        return not seconds_left(backend)
    return state not in (State.UNUSABLE, State.TRIED, State.FULL)


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


def _then(state: State, backend: BackendSnapshot, turn: str) -> str:
    """Return what comes next, and when; ``turn`` is when a prompt asks the backend."""
    left, is_only = seconds_left(backend), turn == _ALL_THE_SAME
    match state:
        case State.OUT if is_only:
            then = f"but asked {turn}"
        case State.OUT if left:
            then = f"next try {in_time(left)}"
        case State.COOLING | State.FULL if left:
            then = countdown(left)
        case State.OUT if turn == _FIRST:
            then = "the next prompt tries it"
        case State.COOLING if turn == _FIRST or is_only:
            then = "one prompt goes first"
        case State.NEW if turn == _FIRST:
            then = f"but {turn}"
        case State.OUT | State.COOLING:
            then = f"tried again {turn}"
        case _:
            then = f"asked {turn}" if turn and not is_only else ""
    return then


def _why(state: State, backend: BackendSnapshot) -> str:
    """Return what is behind a state; empty where all is well or nothing is known."""
    tpm, floor, why = backend.tpm, backend.tpm_threshold, ""
    match state:
        case State.UNUSABLE:
            why = one_line(backend.passed_over, _LONGEST_REASON).rstrip(". ")
        case State.OUT if backend.opened_by is Cause.BY_HAND:
            why = f"opened {Cause.BY_HAND}"
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
