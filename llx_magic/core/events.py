"""What happened, as frozen facts in the past tense.

``at`` is in seconds of the profile's monotonic clock; ``request`` numbers the requests of a profile from 1. The engine
publishes events and knows no consumer; counters, debug lines, traces and tables are made from them.
"""

from __future__ import annotations

import enum
from typing import ClassVar

import msgspec

from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.failure import Failure


class SkipReason(enum.StrEnum):
    """Why a backend was passed over without a visit."""

    CIRCUIT_OPEN = "circuit open"
    COOLING_DOWN = "cooling down"
    AT_LEVEL = "enough under way"
    """Said of rows alone: it has as many as it has been seen to bear, or somebody else goes first."""
    AT_CEILING = "at its own limit"
    """One of the settings ``rpm_limit``, ``tpm_limit`` and ``concurrency_limit`` leaves no place at the moment."""
    USED_UP = "limit used up"
    """Said of rows alone: by what its service tells of its limits, nothing is left at the moment."""
    NOT_READY = "not ready"
    OVER_BUDGET = "over budget"


RATE_LIMIT = "rate limit"
"""What is waited for after a service has refused a request; else it is one of the user's own limits, by its name."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A fact about one request."""

    at: float
    request: int


class BackendEvent(Event, frozen=True, kw_only=True):
    """A fact about one request at one backend."""

    backend: str


class RequestStarted(Event, frozen=True, kw_only=True):
    """A prompt came in; ``order`` is the order in which backends will be considered.

    ``conversation`` names the conversation that it continues, where it continues one. ``waited`` is how many seconds
    ago a row was first sent that was put back, and now comes again.
    """

    policy: str
    order: tuple[str, ...]
    conversation: str | None = None
    waited: float = 0.0


class SubProfileSelected(BackendEvent, frozen=True, kw_only=True):
    """A routing other than failover chose where this request begins."""

    policy: str


class BackendSkipped(BackendEvent, frozen=True, kw_only=True):
    """A backend was passed over; ``message`` says what to do about it where something can be done."""

    reason: SkipReason
    message: str
    seconds_left: float | None = None


class TpmMeasured(BackendEvent, frozen=True, kw_only=True):
    """The backend's tokens per minute were known and a threshold is set."""

    tpm: float


class BackendPutAside(BackendEvent, frozen=True, kw_only=True):
    """The backend's tokens per minute are below the threshold; it is tried only if no other answers."""

    tpm: float
    threshold: float


class SecondPassStarted(Event, frozen=True, kw_only=True):
    """Nothing had answered, so the backends put aside for their tokens per minute are tried after all."""

    backends: tuple[str, ...]


class VisitStarted(BackendEvent, frozen=True, kw_only=True):
    """The request was admitted to the backend."""

    is_probe: bool


class HedgeStarted(BackendEvent, frozen=True, kw_only=True):
    """The backend is asked as well, since ``beside`` has shown nothing for ``seconds``; the first text decides."""

    beside: str
    seconds: float


class AttemptStarted(BackendEvent, frozen=True, kw_only=True):
    """The prompt is being sent: attempt ``attempt`` of at most ``attempts``.

    ``streaming`` is whether a stream is asked for, ``sampling`` how the model is to write, as ``sampling_of`` tells it.
    """

    attempt: int
    attempts: int
    streaming: bool = True
    sampling: str | None = None


class FirstTokenReceived(BackendEvent, frozen=True, kw_only=True):
    """The first piece of text or reasoning arrived, ``seconds`` after sending."""

    seconds: float


class AttemptFailed(BackendEvent, frozen=True, kw_only=True):
    """An attempt ended without a usable reply, ``seconds`` after sending."""

    attempt: int
    failure: Failure
    seconds: float


class RetryScheduled(BackendEvent, frozen=True, kw_only=True):
    """The same backend will be tried again after ``delay`` seconds; ``asked_by_server`` if it named the delay."""

    attempt: int
    delay: float
    asked_by_server: bool


class VisitSucceeded(BackendEvent, frozen=True, kw_only=True):
    """The backend answered whole; token counts are None where it reported no usage.

    ``seconds`` and ``ttft``, to the first piece of text or reasoning, are from the visit's first sending; ``ttft`` is
    None where the reply was not streamed. ``tpm`` are the backend's tokens per minute right after this reply, None
    where unknown. ``generating_seconds`` are from the first of the ``pieces`` that arrived to the last. ``response_id``
    is the server's own name of the reply.
    ``cached_tokens`` and ``cache_written_tokens`` are among the prompt's, ``reasoning_tokens`` among the completion's.
    ``cost`` is None where it is not known; with ``cost_is_estimate`` it is in US dollars, by published prices.
    """

    attempts: int
    seconds: float
    ttft: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    finish_reason: str | None
    model: str
    generating_seconds: float
    pieces: int = 0
    tpm: float | None = None
    response_id: str | None = None
    cached_tokens: int | None = None
    cache_written_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    cost_is_estimate: bool = False


class VisitWithoutReply(BackendEvent, frozen=True, kw_only=True):
    """The visit ended without a reply; what it cost all the same is there where the backend told it before."""

    attempts: int
    seconds: float
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    cost_is_estimate: bool = False


class VisitFailed(VisitWithoutReply, frozen=True, kw_only=True):
    """The visit ended without a reply; ``failure`` is that of its last attempt."""

    failure: Failure


class VisitCancelled(VisitWithoutReply, frozen=True, kw_only=True):
    """The visit was ended from here, and nothing is held against the backend.

    ``outrun_by`` is the backend that was asked beside it and showed text first; None where the user stopped it.
    """

    outrun_by: str | None = None


class CircuitChanged(BackendEvent, frozen=True, kw_only=True):
    """The circuit went from one state to another; ``failures`` says how many were in the window where they opened it.

    ``request`` is 0 where no request of this process did it: it was done by hand, or other processes met it.
    """

    before: CircuitState
    after: CircuitState
    cause: Cause
    failures: int | None = None


class SharingChanged(Event, frozen=True, kw_only=True):
    """Facts are shared with other processes again, or no longer, since their server is away; ``request`` is 0."""

    is_sharing: bool


class BackendAdded(BackendEvent, frozen=True, kw_only=True):
    """The profile was loaded again with this backend, new or changed; ``request`` is 0. Its circuit begins closed."""


class BackendRemoved(BackendEvent, frozen=True, kw_only=True):
    """The profile was loaded again without this backend as it was; ``request`` is 0. Its circuit ended ``before``."""

    before: CircuitState


class CoolDownStarted(BackendEvent, frozen=True, kw_only=True):
    """The backend asked to be left alone for ``seconds``."""

    seconds: float


class CoolDownEnded(BackendEvent, frozen=True, kw_only=True):
    """The first request after the cool-down got through."""


class CoolDownLifted(BackendEvent, frozen=True, kw_only=True):
    """The user ended the cool-down; ``request`` is 0, since no request did it."""


class CoolDownWaitStarted(BackendEvent, frozen=True, kw_only=True):
    """Only limits keep the request from its backends: it waits; that of ``backend`` ends first, in ``seconds``.

    ``limit`` is the service's rate limit or the name of the user's own. ``seconds`` is None where the wait is for a
    request under way to end.
    """

    seconds: float | None
    limit: str = RATE_LIMIT


class CoolDownWaitEnded(BackendEvent, frozen=True, kw_only=True):
    """The request goes on, mostly to ``backend``, after ``seconds`` of waiting for a ``limit``."""

    seconds: float
    limit: str = RATE_LIMIT


class ReplyRestarted(Event, frozen=True, kw_only=True):
    """Text of ``failed`` that was already shown is withdrawn; ``next`` is asked from the start."""

    failed: str
    reason: str
    next: str
    words: int


class ReplyMisfit(BackendEvent, frozen=True, kw_only=True):
    """A whole reply is not what was asked for; ``again`` says that the same backend is asked again with what is wrong.

    ``problem`` says what is wrong in one line, which may quote the reply.
    """

    problem: str
    again: bool


class RequestEnded(Event, frozen=True, kw_only=True):
    """The last event of a request; ``outcome`` says what became of it.

    ``seconds`` are those since the call; of a row that was put back, since it was first sent.
    """

    outcome: ClassVar[str]
    seconds: float


class RequestAnswered(RequestEnded, frozen=True, kw_only=True):
    """The request ended with a whole reply."""

    outcome: ClassVar[str] = "answered"
    backend: str
    attempts: int


class RequestFailed(RequestEnded, frozen=True, kw_only=True):
    """The request ended in an error that names every backend."""

    outcome: ClassVar[str] = "failed"
    message: str


class RequestCancelled(RequestEnded, frozen=True, kw_only=True):
    """The user stopped the request."""

    outcome: ClassVar[str] = "cancelled"


class RequestPutBack(RequestEnded, frozen=True, kw_only=True):
    """Nobody answered this row of a map, through no fault of its own: the map keeps it, and asks again later."""

    outcome: ClassVar[str] = "put back"
