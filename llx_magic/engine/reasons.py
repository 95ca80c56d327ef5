"""Why each backend gave no answer to one request, and what the reader of the reply should know."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping

from llx_magic.core.admission import Hold
from llx_magic.core.describe import limit_in_words, why, words
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendPutAside,
    BackendSkipped,
    CoolDownWaitEnded,
    Event,
    HedgeStarted,
    ReplyRestarted,
    SkipReason,
)
from llx_magic.core.failure import REFUSALS, Failure, FailureKind
from llx_magic.core.reply import Answer
from llx_magic.errors import AllBackendsFailed, BudgetSpent, Reason, clauses
from llx_magic.hosts import command
from llx_magic.units import duration


class Fate(enum.StrEnum):
    """What a request came to at one backend, in the words of the error that counts them."""

    NOT_ASKED = "not asked"
    NOT_USABLE = "not usable"
    CIRCUIT_OPEN = "with an open circuit"
    LIMITED = "limiting the rate"
    BUSY = "with enough under way"
    OVER_BUDGET = "over budget"
    FAILED = "failed"
    OUT_OF_REACH = "out of reach"


_CONCERNING = frozenset(
    {AttemptStarted, BackendSkipped, BackendPutAside, AttemptFailed, ReplyRestarted, CoolDownWaitEnded, HedgeStarted}
)
"""The kinds of events that ``Reasons`` looks at; most are others, so these are told apart by one look."""

_FATES: dict[SkipReason | FailureKind, Fate] = {
    SkipReason.NOT_READY: Fate.NOT_USABLE,
    SkipReason.CIRCUIT_OPEN: Fate.CIRCUIT_OPEN,
    SkipReason.COOLING_DOWN: Fate.LIMITED,
    SkipReason.AT_LEVEL: Fate.BUSY,
    SkipReason.AT_CEILING: Fate.BUSY,
    SkipReason.USED_UP: Fate.LIMITED,
    SkipReason.OVER_BUDGET: Fate.OVER_BUDGET,
    FailureKind.RATE_LIMIT: Fate.LIMITED,
    FailureKind.LOCAL: Fate.OUT_OF_REACH,
}

CUT = "cut at max_tokens"
"""The note on a reply that ended at its limit."""


class Reasons:
    """Why a request went on from each backend, folded from its events."""

    def __init__(self) -> None:
        self.attempts = 0
        self.withdrawn: AttemptFailed | None = None
        """The failure that broke off a text which is still shown, though it no longer counts."""
        self._last: dict[str, BackendSkipped | BackendPutAside | AttemptFailed] = {}
        self._failures: dict[str, Failure] = {}
        self._waited: dict[str, float] = {}
        self._hedge: HedgeStarted | None = None

    def fold(self, event: Event) -> None:
        """Take one event of the request into account."""
        if type(event) not in _CONCERNING:
            return
        match event:
            case AttemptStarted():
                self.attempts += 1
            case BackendSkipped() | BackendPutAside():
                self._last[event.backend] = event
            case AttemptFailed():
                self._last[event.backend] = event
                self._failures[event.backend] = event.failure
                if event.failure.words is not None:
                    self.withdrawn = event
            case ReplyRestarted():
                self.withdrawn = None
            case HedgeStarted():
                self._hedge = event
            case CoolDownWaitEnded():
                self._waited[event.limit] = self._waited.get(event.limit, 0.0) + event.seconds

    def notes(self, backend: str, answer: Answer) -> tuple[str, ...]:
        """Return the remarks that belong under the reply of ``backend``: why others did not answer, how it ended."""
        notes = [f"{name} {words(event)}" for name, event in self._last.items() if name != backend]
        if self._hedge is not None:
            notes.append(f"{self._hedge.backend} {words(self._hedge)}")
        notes += [f"waited {duration(seconds)} for {limit_in_words(limit)}" for limit, seconds in self._waited.items()]
        if answer.finish_reason == "length":
            notes.append(CUT)
        elif answer.finish_reason is None:
            notes.append("the backend did not say why it finished")
        return (*notes, *answer.notes)

    def nobody_answered(self, holds: Mapping[str, Hold | None], errors: Mapping[str, str | None]) -> AllBackendsFailed:
        """Return the error that names every backend, in order, with what holds it back from now on.

        ``errors`` are the latest ones of all requests: they tell why a circuit is open.
        """
        reasons = tuple(self._reason(name, hold, errors.get(name)) for name, hold in holds.items())
        if refused := self._refusal():
            return AllBackendsFailed(refused, reasons)
        if beyond := self._beyond_budget(holds):
            return BudgetSpent(beyond, reasons)
        headline = summary = self._headline(holds)
        if len(holds) > 1:
            fates = Counter(self._fate(name) for name in holds)
            summary = f"{headline}: {', '.join(f'{number} {fate}' for fate, number in fates.items())}"
        return AllBackendsFailed(headline, reasons, summary=summary)

    def refused_for_good(self, order: tuple[str, ...], failure: Failure) -> AllBackendsFailed:
        """Return the error of a request that no further backend is asked to answer."""
        headline = clauses(failure.message, "no further backend was asked (failover_on_content_filter is false)")
        return AllBackendsFailed(headline, tuple(self._reason(name, None, None) for name in order))

    def _reason(self, name: str, hold: Hold | None, error: str | None) -> Reason:
        last = self._last.get(name)
        message = "not asked" if last is None else why(last)
        if error and isinstance(last, BackendSkipped) and last.reason is not SkipReason.NOT_READY:
            message = f"{message}; its last error: {error}"
        if hold is None:
            return Reason(name, message)
        if hold.reason is SkipReason.AT_CEILING:
            return Reason(name, message, hold.seconds)
        action = "close" if hold.reason is SkipReason.CIRCUIT_OPEN else "reset"
        return Reason(name, message, hold.seconds, command(f"circuit {action} {name}"))

    @property
    def is_refused(self) -> bool:
        """Whether the request itself was refused, and nothing else went wrong."""
        return bool(self._refusal())

    def _refusal(self) -> str:
        """Return that the request was refused, where nothing else went wrong."""
        refused = [(name, failure) for name, failure in self._failures.items() if failure.kind in REFUSALS]
        if not refused or len(self._failures) > len(refused):
            return ""
        name, failure = refused[0]
        return f"{name} refused the request: {failure.message}"

    def _beyond_budget(self, order: Iterable[str]) -> str:
        """Return what is said of the budget, where nothing else keeps the request from whoever can be asked."""
        if not {self._fate(name) for name in order} <= {Fate.OVER_BUDGET, Fate.NOT_USABLE}:
            return ""
        beyond = (event for name in order if isinstance(event := self._last.get(name), BackendSkipped))
        return next((why(event) for event in beyond if event.reason is SkipReason.OVER_BUDGET), "")

    def _headline(self, order: Iterable[str]) -> str:
        if all(self._fate(name) is Fate.NOT_USABLE for name in order):
            return "no backend can be used, nothing was sent"
        if not self._failures:
            return "no backend may be asked just now"
        return "no backend could answer"

    def _fate(self, name: str) -> Fate:
        match self._last.get(name):
            case BackendSkipped(reason=reason):
                return _FATES[reason]
            case AttemptFailed(failure=failure):
                return _FATES.get(failure.kind, Fate.FAILED)
            case _:
                return Fate.NOT_ASKED
