"""What becomes of a row that nobody answered: whether somebody may later, or whether that is its own fault.

Waiting is not failing: a backend that limits its rate, rests or has enough to do may answer later, and one that fails
for everybody fails for no row in particular. So a row has failed only where every backend that could be asked says
that the row itself cannot be answered, or where it fails again and again while others are answered.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llx_magic.core.events import AttemptFailed, BackendSkipped, SkipReason, VisitStarted
from llx_magic.core.failure import REFUSALS, Failure, FailureKind
from llx_magic.settings.declaration import Settings

ROUNDS = 3
"""After how many whole rounds a row has failed, where others were answered since the first of them."""

ROUNDS_IN_VAIN = 10
"""After how many rounds it has failed where nobody else was answered either: five minutes of a circuit's probes."""

CONFIRMED = 3
"""How often a backend that has answered must refuse everybody, one time after the other, to count as closed, and how
often one must be out of reach to count as such.
"""

LONGEST_PAUSE = 30.0
"""The longest pause in seconds after a round that failed; it is doubled up to this."""


class Verdict(enum.Enum):
    """What is to become of a row that came back without a reply."""

    LATER = "somebody may answer it later"
    FAILED = "it cannot be answered"
    OWN_FAULT = "it cannot be answered, whoever is asked"


@dataclass(slots=True)
class Tries:
    """What was tried for one row.

    ``rounds`` are those in which all who could be asked have failed, ``answered_before`` is how many rows had been
    answered at the end of the first of them. ``request`` is its number as a request, 0 where it has none yet. ``began``
    is when the call came in which it was first sent, on the clock; one that was only passed over has not begun.
    """

    refused_by: set[str] = field(default_factory=set)
    attempts: int = 0
    rounds: int = 0
    answered_before: int = 0
    request: int = 0
    began: float | None = None
    not_before: float = 0.0
    """When it may be sent again, on the clock."""
    has_failed_again: bool = False
    """Whether its latest round failed, and was not its first."""
    error: str = ""
    """Why nobody answered it the last time that it was sent."""


class Prospects:
    """What a run has seen of its backends: how many rows were answered, and who refuses whatever it is sent."""

    def __init__(self, backends: Iterable[str], settings: Settings) -> None:
        self._backends = tuple(backends)
        self._pause = settings.failover_retry_delay_ms / 1000
        self._answered: dict[str, int] = {}
        self._refusals: dict[str, list[str]] = {}
        self._out_of_reach: dict[str, int] = {}
        self.troubles: dict[str, str] = {}
        """The latest failure of each backend that has not answered since."""

    @property
    def closed(self) -> dict[str, str]:
        """Which backends will answer nobody, and why: keys, money, the quota of the day."""
        return {
            name: refusals[-1]
            for name, refusals in self._refusals.items()
            if len(refusals) >= (CONFIRMED if name in self._answered else 1)
        }

    @property
    def all_closed(self) -> bool:
        """Whether that is so of all of them."""
        return len(self.closed) == len(self._backends)

    @property
    def out_of_reach(self) -> dict[str, str]:
        """Why nobody is reached: of each backend, where there is no way to any, and no row was ever answered.

        Once one was, such a backend is taken for one that comes back, and is waited for.
        """
        beyond = {name for name, count in self._out_of_reach.items() if count >= CONFIRMED}
        if self._answered or not beyond or beyond | self.closed.keys() != set(self._backends):
            return {}
        return {name: self.troubles[name] if name in beyond else self.closed[name] for name in self._backends}

    def answered(self, backend: str) -> None:
        """Take that a backend has answered a row."""
        self.troubles.pop(backend, None)
        self._answered[backend] = self._answered.get(backend, 0) + 1
        self._refusals.pop(backend, None)

    def judge(self, tries: Tries, events: Sequence[object], unfit: Iterable[str], now: float) -> Verdict:
        """Say what is to become of a row, by the events of the request that came back; ``tries`` is brought up to date.

        ``unfit`` are the backends that do not take what the row holds.
        """
        ends = {event.backend: event for event in events if isinstance(event, BackendSkipped | AttemptFailed)}
        tries.attempts += sum(isinstance(event, AttemptFailed) for event in events)
        tries.refused_by.update(unfit)
        tries.has_failed_again = False
        self._learn_who_is_out_of_reach(events)
        waits, is_whole, has_failed = False, True, False
        for name, end in ends.items():
            match end:
                case AttemptFailed(failure=failure) if failure.kind in REFUSALS:
                    tries.refused_by.add(name)
                case BackendSkipped(reason=SkipReason.NOT_READY, message=message) if name not in tries.refused_by:
                    self._refuses(name, message)
                case AttemptFailed(failure=failure) if _is_for_all(failure):
                    self._refuses(name, failure.message)
                case AttemptFailed(failure=failure):
                    has_failed, waits = True, waits or failure.kind is FailureKind.RATE_LIMIT
                case BackendSkipped(reason=SkipReason.CIRCUIT_OPEN):  # it has failed others
                    is_whole = False
                case _:
                    waits = True
        others = [name for name in self._backends if name not in tries.refused_by]
        if tries.refused_by and all(name not in ends or name in self._refusals for name in others):
            return Verdict.OWN_FAULT
        if waits or not (is_whole or has_failed):
            return Verdict.LATER
        return self._after_a_round(tries, now, is_whole=is_whole)

    def _after_a_round(self, tries: Tries, now: float, *, is_whole: bool) -> Verdict:
        """Say whether a row whose round failed is tried again; it is whole where nobody was left out for its circuit.

        While others are answered it has a few rounds. Where nobody is, that tells nothing about the row, and it waits.
        """
        answered = sum(self._answered.values())
        if not tries.rounds:
            tries.answered_before = answered
        tries.has_failed_again = tries.rounds > 0
        tries.rounds += 1
        tries.not_before = now + min(self._pause * 2 ** min(tries.rounds - 1, 16), max(LONGEST_PAUSE, self._pause))
        most = ROUNDS if is_whole and answered > tries.answered_before else ROUNDS_IN_VAIN
        return Verdict.FAILED if tries.rounds >= most else Verdict.LATER

    def _learn_who_is_out_of_reach(self, events: Sequence[object]) -> None:
        """Count the attempts that reached nobody; a probe tells as much as all those that opened the circuit."""
        probed = {event.backend for event in events if isinstance(event, VisitStarted) and event.is_probe}
        for event in events:
            if not isinstance(event, AttemptFailed):
                continue
            name, failure = event.backend, event.failure
            self.troubles[name] = failure.message
            before = self._out_of_reach.pop(name, 0)
            if failure.is_out_of_reach:
                self._out_of_reach[name] = before + (CONFIRMED if name in probed else 1)

    def _refuses(self, backend: str, why: str) -> None:
        self._refusals.setdefault(backend, []).append(why)
        del self._refusals[backend][:-CONFIRMED]


def meets_all(event: BackendSkipped | AttemptFailed) -> bool:
    """Return whether an event tells that a backend cannot be asked from where it was, whatever the row."""
    if isinstance(event, BackendSkipped):
        return event.reason is SkipReason.NOT_READY
    return event.failure.kind not in REFUSALS and _is_for_all(event.failure)


def _is_for_all(failure: Failure) -> bool:
    """Return whether a failure would meet every row alike, and for long."""
    return failure.kind is FailureKind.ACCESS or failure.quota_exhausted
