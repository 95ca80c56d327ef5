"""The state and the counts of every backend at one moment: what all views are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field

from llx_magic.core.admission import Applicant, patience_of
from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.ceilings import Free
from llx_magic.core.circuits import DISABLED
from llx_magic.core.gate import Gate
from llx_magic.core.money import Spent
from llx_magic.core.routing import FAILOVER
from llx_magic.core.statistics import Prompts, Tally, percentile
from llx_magic.settings.declaration import Settings

_ANYBODY = Applicant(request=0)
"""A prompt that might come now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSnapshot:
    """One backend at one moment. Times are in seconds, rates from 0 to 1; None means that nothing is known yet."""

    name: str
    state: str
    """closed, open, half-open, or disabled where the circuit breaker is switched off."""
    seconds_until_probe: float
    cooling_down: float | None
    requests: int
    successes: int
    failures: int
    cancelled: int
    in_flight: int
    attempts: int
    timeouts: int
    prompt_tokens: int
    completion_tokens: int
    tpm: float | None
    tpm_threshold: float | None
    success_rate: float | None
    mean_latency: float | None
    """Of all answered visits; the percentiles are of the latest."""
    p50_latency: float | None
    p95_latency: float | None
    ttft: float | None
    """The median time from a visit's first sending to its first token, of the answered visits that were streamed."""
    tokens_per_second: float | None
    last_error: str | None
    tpm_seconds: float | None = None
    """How long a time ``tpm`` is about: less than a minute after few replies, and then it says little."""
    has_counted: bool = False
    """Whether a reply of late told its tokens; ``tpm`` is None all the same where it took no time."""
    skips: tuple[tuple[str, int], ...] = ()
    """How often the backend was passed over without a visit, by reason."""
    failures_in_window: int = 0
    """Failures that the circuit breaker counts at this moment."""
    cached_tokens: int = 0
    cache_written_tokens: int = 0
    reasoning_tokens: int = 0
    cost: float | None = None
    """What all replies cost whose cost is known."""
    hedges: int = 0
    """How often it was asked beside a backend that was silent."""
    outrun: int = 0
    """How often it was cancelled since one that was asked beside it was first."""
    rows_in_flight: int = 0
    level: int | None = None
    """How many requests it has been seen to bear at once; None before the first row."""
    in_vain: tuple[tuple[str, int], ...] = ()
    """How often it failed since it last answered, or to open its circuit, by reason in short, such as ``503``."""
    opened_by: Cause | None = None
    """What opened the circuit last."""
    passed_over: str = ""
    """Why it could not be used when it was last considered, such as a key that is missing; empty where it could."""
    at_ceiling: str = ""
    """Which of the user's own limits keeps a prompt away, in words; empty where none does."""
    ceiling_seconds: float | None = None
    """In how many seconds that limit leaves a place; None where that depends on those under way."""
    is_waited_for: bool = False
    """Whether a prompt that nobody else can answer waits for its cool-down, or for a place within that limit."""

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def shown_tpm(self) -> float | None:
        """Tokens per minute as people read them: 0 where no reply counts, None where the replies tell no rate."""
        tells_none = self.has_counted or (self.successes and not self.tokens)
        return 0.0 if self.tpm is None and not tells_none else self.tpm

    @property
    def below_threshold(self) -> bool:
        """Whether the backend would be put aside now for its tokens per minute."""
        return self.tpm is not None and self.tpm_threshold is not None and self.tpm < self.tpm_threshold

    @classmethod
    def of(cls, gate: Gate, tally: Tally, settings: Settings, now: float) -> BackendSnapshot:
        """Read one backend's gate and tally."""
        enabled = settings.circuit_breaker_enabled
        level = gate.traffic.level
        full = gate.traffic.at_ceiling(_ANYBODY, now, settings)
        return cls(
            name=gate.name,
            state=str(gate.breaker.state) if enabled else DISABLED,
            seconds_until_probe=gate.breaker.seconds_until_probe(now, settings) if enabled else 0.0,
            cooling_down=gate.cool_down.seconds_left(now),
            requests=tally.requests,
            successes=tally.successes,
            failures=tally.failures,
            cancelled=tally.cancelled,
            in_flight=tally.in_flight,
            attempts=tally.attempts,
            timeouts=tally.timeouts,
            prompt_tokens=tally.prompt_tokens,
            completion_tokens=tally.completion_tokens,
            cached_tokens=tally.cached_tokens,
            cache_written_tokens=tally.cache_written_tokens,
            reasoning_tokens=tally.reasoning_tokens,
            cost=tally.cost,
            hedges=tally.hedges,
            outrun=tally.outrun,
            tpm=gate.tokens.rate(now, settings.tpm_basis),
            tpm_seconds=gate.tokens.seconds(now, settings.tpm_basis),
            has_counted=gate.tokens.counts(now),
            tpm_threshold=settings.tpm_threshold,
            success_rate=tally.success_rate,
            mean_latency=tally.mean_latency,
            p50_latency=percentile(tally.latencies, 0.5),
            p95_latency=percentile(tally.latencies, 0.95),
            ttft=percentile(tally.first_tokens, 0.5),
            tokens_per_second=tally.tokens_per_second,
            last_error=tally.last_error,
            skips=tuple(sorted(tally.skips.items())),
            failures_in_window=gate.breaker.failures_in_window(now, settings),
            rows_in_flight=gate.traffic.rows,
            level=None if level is None else int(min(level.at_most, settings.concurrency)),
            in_vain=tuple(tally.in_vain.items()),
            opened_by=tally.opened_by,
            passed_over=tally.passed_over,
            at_ceiling=full.message if full else "",
            ceiling_seconds=full.at - now if full and full.at is not None else None,
            is_waited_for=_is_waited_for(gate, full, now, settings),
        )

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open."""
        return self.state == CircuitState.OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Every backend of a profile at one moment, in priority order."""

    profile: str
    at: float
    backends: tuple[BackendSnapshot, ...]
    prompts: Prompts = field(default_factory=Prompts)
    """What became of the prompts that were asked of the profile; one counts once, however many backends it met."""
    spent: Spent = field(default_factory=Spent)
    """What counts against the budget, since this process began."""
    budget: float | None = None
    """How much of it there may be, in US dollars; None is no limit."""
    policy: str = FAILOVER.name
    """The routing, by which the order of ``backends`` is that in which they are asked, or is not."""

    @property
    def total_requests(self) -> int:
        """The sum of the backends' requests (visits), so a prompt that failed over counts once for each."""
        return sum(backend.requests for backend in self.backends)


def _is_waited_for(gate: Gate, full: Free | None, now: float, settings: Settings) -> bool:
    ceilings = gate.traffic.ceilings
    if full is None or ceilings is None or gate.cool_down.seconds_left(now):
        return gate.is_worth_waiting(_ANYBODY, now, settings)
    return ceilings.is_worth_waiting(full, patience_of(_ANYBODY, now, settings))
