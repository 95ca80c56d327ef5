"""Counters and records, folded from events; every view reads the same snapshot, so no two views can disagree."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.describe import why, words
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendEvent,
    BackendPutAside,
    BackendSkipped,
    CircuitChanged,
    Event,
    HedgeStarted,
    ReplyMisfit,
    ReplyRestarted,
    RequestEnded,
    RequestFailed,
    RequestStarted,
    SkipReason,
    VisitCancelled,
    VisitFailed,
    VisitStarted,
    VisitSucceeded,
    VisitWithoutReply,
)
from llx_magic.core.failure import FailureKind
from llx_magic.core.tokens import generated_tokens, tokens_per_second

SAMPLES_KEPT = 1000
"""How many of the latest latencies and first-token times the percentiles are taken from."""

DURATIONS_KEPT = 500
"""How many of the latest answered prompts their percentiles are taken from."""

LATEST_SHARE = 0.3
"""How much the latest first text counts in the mean of those of late."""

UNUSABLE = frozenset({SkipReason.NOT_READY, SkipReason.OVER_BUDGET})
"""The reasons of a skip that time alone does not mend."""

REASONS_KEPT = 100
"""Of how many of the latest failures that count the reasons are kept, for when they open the circuit."""

PUT_ASIDE = "tokens per minute"
"""The reason of a skip for too few tokens per minute."""


@dataclass(slots=True)
class Tally:
    """What one backend has done. A request of a backend is one visit, however many attempts it took.

    ``requests == successes + failures + cancelled + in_flight`` holds at all times; a visit
    that trouble of this machine ended counts among the cancelled. Latencies are in seconds, from
    first sending to the end of the visit, waits included, of the visits that were answered: their mean is over all of
    these, percentiles and first-token times over the latest. How long a failure took says something about the failure.
    ``skips`` counts by reason how often the backend was passed over without a visit. ``cost`` is that of
    all replies whose cost is known; None before the first. ``first_text`` is how many seconds the first text took of
    late, with less weight the longer ago; None before the first. ``hedges`` counts how often it was asked beside one
    that was silent, ``outrun`` how often it was cancelled since another was first; such visits are among the cancelled.
    ``in_vain`` counts by reason the failures since the last answer, as far as they count against the backend, and where
    more opened its circuit, with answers between them, those; ``reasons`` are those of the latest that count.
    ``opened_by`` is what opened the circuit last. ``passed_over`` is why the backend could not be used when it was last
    considered; empty where it could.
    """

    in_flight: int = 0
    successes: int = 0
    failures: int = 0
    cancelled: int = 0
    attempts: int = 0
    timeouts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_written_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None
    first_text: float | None = None
    hedges: int = 0
    outrun: int = 0
    latency_sum: float = 0.0
    generating_seconds: float = 0.0
    generated_tokens: float = 0.0
    skips: Counter[str] = field(default_factory=Counter)
    last_error: str | None = None
    in_vain: Counter[str] = field(default_factory=Counter)
    reasons: deque[str] = field(default_factory=lambda: deque(maxlen=REASONS_KEPT))
    opened_by: Cause | None = None
    passed_over: str = ""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))
    first_tokens: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES_KEPT))

    @property
    def requests(self) -> int:
        """Visits, the ones under way included."""
        return self.successes + self.failures + self.cancelled + self.in_flight

    @property
    def ended(self) -> int:
        """Visits that ended in success or failure."""
        return self.successes + self.failures

    @property
    def success_rate(self) -> float | None:
        """Successes per visit that ended in success or failure, from 0 to 1; None before the first."""
        return self.successes / self.ended if self.ended else None

    @property
    def mean_latency(self) -> float | None:
        """Seconds; None before the first answer."""
        return self.latency_sum / self.successes if self.successes else None

    @property
    def tokens_per_second(self) -> float | None:
        """Completion tokens per second of all replies that tell their speed, as ``tokens_per_second`` of each does."""
        return self.generated_tokens / self.generating_seconds if self.generating_seconds > 0 else None

    def fold(self, event: BackendEvent) -> None:
        """Take one event of this backend into account."""
        match event:
            case VisitStarted():
                self.in_flight += 1
                self.passed_over = ""
            case AttemptStarted():
                self.attempts += 1
            case VisitSucceeded():
                self._succeed(event)
            case BackendSkipped() | BackendPutAside():
                self._skip(event)
            case AttemptFailed() if event.failure.kind is not FailureKind.LOCAL:
                self.timeouts += event.failure.kind is FailureKind.TIMEOUT
                if event.failure.kind is FailureKind.TIMEOUT and event.failure.words is None:
                    self._wait_in_vain(event.seconds)
                self.last_error = event.failure.message
            case HedgeStarted():
                self.hedges += 1
            case VisitWithoutReply():
                self._end_without_reply(event)
            case CircuitChanged():
                self._see_circuit(event)
            case _:
                pass

    def _succeed(self, event: VisitSucceeded) -> None:
        self.successes += 1
        self.latency_sum += event.seconds
        self.latencies.append(event.seconds)
        if self.in_vain:
            self.in_vain.clear()
        self._take_usage(event)
        self.cached_tokens += event.cached_tokens or 0
        self.cache_written_tokens += event.cache_written_tokens or 0
        self.reasoning_tokens += event.reasoning_tokens or 0
        self._see_first_text(event.seconds if event.ttft is None else event.ttft)
        if event.ttft is not None:
            self.first_tokens.append(event.ttft)
        generated = generated_tokens(event.completion_tokens, event.pieces, event.generating_seconds)
        if generated is not None:
            self.generated_tokens += generated
            self.generating_seconds += event.generating_seconds

    def _end_without_reply(self, event: VisitWithoutReply) -> None:
        self._take_usage(event)
        if isinstance(event, VisitFailed) and event.failure.kind is not FailureKind.LOCAL:
            self.failures += 1
            if event.failure.counts:
                self.in_vain[event.failure.in_short] += 1
                self.reasons.append(event.failure.in_short)
            return
        self.cancelled += 1
        if isinstance(event, VisitCancelled) and event.outrun_by is not None:
            self.outrun += 1
            self._wait_in_vain(event.seconds)

    def _take_usage(self, event: VisitSucceeded | VisitWithoutReply) -> None:
        """Take what a visit that has ended took."""
        self.in_flight -= 1
        self.prompt_tokens += event.prompt_tokens or 0
        self.completion_tokens += event.completion_tokens or 0
        if event.cost is not None:
            self.cost = (self.cost or 0.0) + event.cost

    def _see_first_text(self, seconds: float) -> None:
        known = self.first_text
        self.first_text = seconds if known is None else known + LATEST_SHARE * (seconds - known)

    def _wait_in_vain(self, seconds: float) -> None:
        """Take that there was no text for so long: it would have taken longer still."""
        if self.first_text is not None and seconds > self.first_text:
            self._see_first_text(seconds)

    def _skip(self, event: BackendSkipped | BackendPutAside) -> None:
        reason = event.reason if isinstance(event, BackendSkipped) else None
        self.skips[PUT_ASIDE if reason is None else str(reason)] += 1
        self.passed_over = event.message if isinstance(event, BackendSkipped) and reason in UNUSABLE else ""

    def _see_circuit(self, event: CircuitChanged) -> None:
        if event.after is CircuitState.CLOSED:
            self.in_vain.clear()
        elif event.after is CircuitState.OPEN and event.cause is not Cause.PROBE_RETURNED:
            self.opened_by = event.cause
            if (event.failures or 0) > self.in_vain.total():
                self.in_vain = Counter(list(self.reasons)[-(event.failures or 0) :])

    def start_anew(self) -> Tally:
        """Return the tally after a reset of the counts: visits under way and what is so now stay."""
        return Tally(
            in_flight=self.in_flight,
            last_error=self.last_error,
            first_text=self.first_text,
            in_vain=self.in_vain,
            reasons=self.reasons,
            opened_by=self.opened_by,
            passed_over=self.passed_over,
        )


def percentile(samples: Iterable[float], share: float) -> float | None:
    """Return the nearest-rank percentile of the samples, or None of none."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else other + (one or 0)


class RequestRecord(msgspec.Struct, kw_only=True, gc=False):
    """One request from start to end; times in seconds, ``started`` on the profile's monotonic clock.

    ``seconds`` and ``ttft``, to the first piece of the answer, are from the call, other backends' visits and all waits
    included. ``outcome`` is "answered", "failed", "cancelled" or, while it runs, "running". ``decisions`` are the
    reasons, in order, for which backends were passed over or given up, as "backend: reason".
    """

    request: int
    started: float
    policy: str
    outcome: str = "running"
    seconds: float | None = None
    backend: str | None = None
    model: str | None = None
    attempts: int = 0
    ttft: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_written_tokens: int | None = None
    reasoning_tokens: int | None = None
    tokens_per_second: float | None = None
    cost: float | None = None
    finish_reason: str | None = None
    restarts: int = 0
    error: str | None = None
    decisions: tuple[str, ...] = ()

    def _note(self, event: BackendEvent) -> None:
        """Note why the request went on from a backend, or asked it."""
        match event:
            case BackendSkipped() | BackendPutAside() | VisitFailed():
                reason = why(event)
            case HedgeStarted():
                reason = words(event) or ""
            case ReplyMisfit():
                reason = event.problem
            case VisitCancelled() if event.outrun_by is not None:
                reason = f"{event.outrun_by} was first"
            case _:
                return
        self.decisions += (f"{event.backend}: {reason}",)

    def _pay(self, event: VisitSucceeded | VisitWithoutReply) -> None:
        if event.cost is not None:
            self.cost = (self.cost or 0.0) + event.cost

    def _count(self, event: VisitSucceeded) -> None:
        self.prompt_tokens = _sum(self.prompt_tokens, event.prompt_tokens)
        self.completion_tokens = _sum(self.completion_tokens, event.completion_tokens)
        if event.cached_tokens or event.cache_written_tokens or event.reasoning_tokens or self.cached_tokens is None:
            self.cached_tokens = _sum(self.cached_tokens, event.cached_tokens)
            self.cache_written_tokens = _sum(self.cache_written_tokens, event.cache_written_tokens)
            self.reasoning_tokens = _sum(self.reasoning_tokens, event.reasoning_tokens)

    def fold(self, event: Event) -> None:
        """Take one event of this request into account."""
        match event:
            case RequestStarted() | VisitStarted():
                pass
            case AttemptStarted():
                self.attempts += 1
            case VisitSucceeded():
                self.backend, self.model = event.backend, event.model
                began = event.at - event.seconds - self.started
                self.ttft = None if event.ttft is None else began + event.ttft
                if event.prompt_tokens is not None:
                    self._count(event)
                self.tokens_per_second = tokens_per_second(
                    event.completion_tokens, event.pieces, event.generating_seconds
                )
                self.finish_reason = event.finish_reason
                self._pay(event)
            case RequestEnded():
                self.seconds, self.outcome = event.seconds, event.outcome
                self.error = event.message if isinstance(event, RequestFailed) else None
            case VisitWithoutReply():
                self._pay(event)
                self._note(event)
            case BackendSkipped() | BackendPutAside() | HedgeStarted() | ReplyMisfit(again=False):
                self._note(event)
            case ReplyRestarted():
                self.restarts += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    """How many prompts were asked, and what became of them; a prompt counts once, however many backends it met.

    What was put back is not counted before it comes again.

    ``asked == answered + failed + cancelled + running`` holds at all times. Half of the latest ``DURATIONS_KEPT``
    answered prompts took at most ``median_seconds``, 19 of 20 at most ``p95_seconds``, from the call to the last byte
    with every hop and wait; None where none was answered.
    """

    answered: int = 0
    failed: int = 0
    cancelled: int = 0
    running: int = 0
    median_seconds: float | None = None
    p95_seconds: float | None = None

    @property
    def asked(self) -> int:
        """All prompts, those under way included."""
        return self.answered + self.failed + self.cancelled + self.running
