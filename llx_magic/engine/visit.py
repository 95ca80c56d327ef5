"""One request at one backend, from its admission to its outcome."""

from __future__ import annotations

from typing import TypedDict

import msgspec

from llx_magic.core.admission import Permit, outcome_of
from llx_magic.core.breaker import Outcome
from llx_magic.core.events import Event, VisitCancelled, VisitFailed, VisitSucceeded
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.money import Cost
from llx_magic.core.reply import Answer, Usage
from llx_magic.settings.declaration import Settings


class _Ended(TypedDict):
    """What the end of a visit says, whatever came of it: also what it took, as far as the backend told."""

    at: float
    request: int
    backend: str
    attempts: int
    seconds: float
    prompt_tokens: int | None
    completion_tokens: int | None
    cost: float | None
    cost_is_estimate: bool


class Visit(msgspec.Struct, gc=False):
    """One request at one backend; set ``answer`` or ``failure`` before leaving, else it counts as cancelled."""

    permit: Permit
    gate: GateKey
    settings: Settings
    only_candidate: bool
    attempts: int = 0
    sent_at: float | None = None
    answer: Answer | None = None
    first_at: float | None = None
    """When the first piece of the answer came; None where it was not streamed."""
    generating_seconds: float = 0.0
    pieces: int = 0
    failure: Failure | None = None
    reported: Usage | None = None
    """What an attempt without an answer had told of its tokens."""
    cost: Cost | None = None
    """What it cost; None where that is not known."""
    outrun_by: str | None = None
    """The backend that was asked beside it and showed text first; then this visit was cancelled."""

    @property
    def backend(self) -> str:
        """The name of the backend that is visited."""
        return self.gate.name

    @property
    def began(self) -> float:
        """When its first attempt was sent; where none was, when it was admitted."""
        return self.permit.admitted_at if self.sent_at is None else self.sent_at

    @property
    def ttft(self) -> float | None:
        """Seconds until the first piece of the answer, from where the visit's own seconds begin."""
        return None if self.first_at is None else self.first_at - self.began

    @property
    def was_limited(self) -> bool:
        """Whether it ended with a rate limit."""
        return self.failure is not None and self.failure.kind is FailureKind.RATE_LIMIT

    @property
    def usage(self) -> Usage | None:
        """What it took, as far as the backend told."""
        return self.reported if self.answer is None else self.answer.usage

    def settle(self, gate: Gate, now: float) -> tuple[Event, ...]:
        """Tell the gate what came of the visit; returns the events of that."""
        tpm, usage = None, self.answer.usage if self.answer else None
        if usage is not None:
            gate.tokens.add(self.began, now, usage.total_tokens)
            if gate.sharing is not None:
                gate.sharing.use(usage.total_tokens, now - self.began, now)
            tpm = gate.tokens.rate(now, self.settings.tpm_basis)
        if self.permit.sent is not None and self.answer is not None:
            gate.traffic.learn(self.permit, usage, self.ttft, now)
        outcome, ended = self._ending(now, tpm)
        return (ended, *gate.settle(self.permit, outcome, now, self.settings))

    def _ending(self, now: float, tpm: float | None) -> tuple[Outcome, Event]:
        usage = self.usage
        ended: _Ended = {
            "at": now,
            "request": self.permit.request,
            "backend": self.backend,
            "attempts": self.attempts,
            "seconds": now - self.began,
            "prompt_tokens": usage.prompt_tokens if usage else None,
            "completion_tokens": usage.completion_tokens if usage else None,
            "cost": self.cost.amount if self.cost else None,
            "cost_is_estimate": self.cost is not None and self.cost.is_estimate,
        }
        if self.answer is not None and self.outrun_by is None:
            return Outcome.SUCCESS, VisitSucceeded(
                **ended,
                ttft=self.ttft,
                cached_tokens=usage.cached if usage else None,
                cache_written_tokens=usage.cache_written if usage else None,
                reasoning_tokens=usage.reasoning if usage else None,
                finish_reason=self.answer.finish_reason,
                model=self.answer.model,
                generating_seconds=self.generating_seconds,
                pieces=self.pieces,
                tpm=tpm,
                response_id=self.answer.response_id,
            )
        if self.failure is not None:
            return outcome_of(self.failure), VisitFailed(**ended, failure=self.failure)
        return Outcome.GIVEN_BACK, VisitCancelled(**ended, outrun_by=self.outrun_by)
