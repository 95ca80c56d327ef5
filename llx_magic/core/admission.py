"""Who asks to visit a backend, and what the gate says to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llx_magic.core.breaker import Outcome, Ticket
from llx_magic.core.events import RATE_LIMIT, BackendEvent, SkipReason
from llx_magic.core.failure import REFUSALS, Failure, FailureKind
from llx_magic.core.line import Patience
from llx_magic.core.load import Load

if TYPE_CHECKING:
    from llx_magic.settings.declaration import Settings


class Applicant(msgspec.Struct, frozen=True, gc=False):
    """A request that asks to visit a backend.

    ``only_candidate`` says that there is nobody to fail over to: it waits at most, and is never refused.
    ``second_pass`` says that tokens per minute do not matter any more. ``waiting_since`` is when it began to wait for
    a rate limit; None before that. ``is_row`` says that it is one of many and comes again when there is room: it never
    waits in line, and a refusal of the circuit holds for it even where there is nobody else. ``tokens`` are those of
    its prompt by its length, 0 where nobody needs to know. ``run`` is the run that a row is of, 0 for none that shares
    places with others.
    """

    request: int
    only_candidate: bool = False
    second_pass: bool = False
    waiting_since: float | None = None
    is_row: bool = False
    tokens: float = 0.0
    run: int = 0


class Hold(NamedTuple):
    """What keeps requests from a backend, and for how many seconds."""

    seconds: float
    reason: SkipReason


class Wait(NamedTuple):
    """A wait in line: how many seconds, None where that depends on those under way, and for which limit."""

    seconds: float | None
    limit: str = RATE_LIMIT


class Permit(msgspec.Struct, frozen=True, gc=False):
    """Allows one visit to a backend; settled exactly once. ``ticket`` is None where the breaker is switched off."""

    request: int
    admitted_at: float
    ticket: Ticket | None
    is_row: bool = False
    sent: Load | None = None
    tokens: float = 0.0
    run: int = 0

    @property
    def is_probe(self) -> bool:
        """Whether this visit tests a recovering backend; it makes one attempt."""
        return self.ticket is not None and self.ticket.is_probe


class Admission(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one request: a permit, or None and the reason among the events.

    ``may_wait`` says that a place may come free so soon that the request can wait for it.
    """

    permit: Permit | None
    events: tuple[BackendEvent, ...]
    put_aside: bool = False
    may_wait: bool = False


WAITED_FOR = frozenset({SkipReason.COOLING_DOWN, SkipReason.AT_CEILING})
"""Why a request that is passed over may wait for a place."""


def outcome_of(failure: Failure) -> Outcome:
    """Return what a failed visit says about the backend."""
    if failure.counts:
        return Outcome.COUNTED_FAILURE
    if failure.kind in REFUSALS:
        return Outcome.REFUSAL
    if failure.kind in (FailureKind.RATE_LIMIT, FailureKind.LOCAL):
        return Outcome.GIVEN_BACK
    return Outcome.UNCOUNTED_FAILURE


def patience_of(applicant: Applicant, now: float, settings: Settings) -> Patience:
    """Return how long a request waits at most, which may have waited already."""
    limit = settings.cooldown_wait_ms
    since = now if applicant.waiting_since is None else applicant.waiting_since
    return Patience(since, limit / 1000 if limit else None)
