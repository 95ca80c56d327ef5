"""The failures of backends, and what follows from each kind.

The kind decides whether the same backend is tried again, whether the next backend may be asked, and whether the
failure counts against the circuit breaker.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llx_magic.errors import LlxError

if TYPE_CHECKING:
    from llx_magic.settings.declaration import Settings

RETRY_AFTER_AT_MOST = 5.0
"""The longest ``Retry-After``, in seconds, that is waited for on the same backend."""

LONGEST_RETRY_DELAY = 8.0
"""The longest delay between attempts, in seconds: it is doubled up to this."""


class FailureKind(enum.StrEnum):
    """The kinds of failure: how an attempt ended without a reply."""

    BAD_REQUEST = "bad request"
    CONTEXT_LENGTH = "context too long"
    CONTENT_FILTER = "content filter"
    ACCESS = "access refused"
    RATE_LIMIT = "rate limit"
    CONFLICT = "conflict"
    SERVER = "server error"
    REDIRECT = "redirect"
    OTHER_STATUS = "unexpected status"
    NOT_SENT = "not sent"
    NETWORK = "network"
    LOCAL = "trouble of this machine"
    TLS = "TLS"
    TIMEOUT = "timeout"
    BAD_REPLY = "unusable reply"
    TOO_LARGE = "reply too large"


class Limit(enum.StrEnum):
    """Which time-out ran out; the values are the settings' names."""

    TOTAL = "timeout_ms"
    CONNECT = "connect_timeout_ms"
    FIRST_TOKEN = "first_token_timeout_ms"
    STALL = "stall_timeout_ms"


COUNTED = frozenset({
    FailureKind.ACCESS, FailureKind.SERVER, FailureKind.REDIRECT, FailureKind.NETWORK, FailureKind.TLS,
    FailureKind.TIMEOUT, FailureKind.BAD_REPLY, FailureKind.TOO_LARGE,
})  # fmt: skip
"""The kinds that count against a backend's circuit breaker."""

_OVERLOADED = frozenset({503, 529})
"""The statuses of a server that has too much to do; 529 is what some services of models say."""

REFUSALS = frozenset({FailureKind.BAD_REQUEST, FailureKind.CONTEXT_LENGTH, FailureKind.CONTENT_FILTER})
"""The kinds that are due to the request. The backend itself is up, so a probe that ends in one of them closes the
circuit.
"""


_IN_SHORT = {
    FailureKind.TIMEOUT: "time-out",
    FailureKind.NETWORK: "network error",
    FailureKind.TLS: "TLS error",
    FailureKind.LOCAL: str(FailureKind.LOCAL),
}
"""What a kind is called beside a number; the others are called as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One attempt's failure, as a fact.

    ``message`` is one line with no key in it. ``status`` is the HTTP status of a response that was no success;
    ``amounts_to`` is the status that corresponds to an error within a successful response. ``retry_after`` is in
    seconds. ``should_retry`` is what the server says in ``x-should-retry``, a header that OpenAI's clients obey
    (https://github.com/openai/openai-python/blob/main/src/openai/_base_client.py), or False where its words say that
    the request itself cannot succeed. ``limit`` and ``limit_ms`` say which time-out ran out, ``elapsed_ms`` after how
    long. ``unconnected`` says that no connection was made, since the host is not found, or refuses it. ``words`` says
    how much text had already arrived, None where none had; the engine fills it in.
    """

    kind: FailureKind
    message: str
    status: int | None = None
    amounts_to: int | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    quota_exhausted: bool = False
    limit: Limit | None = None
    limit_ms: int | None = None
    elapsed_ms: int | None = None
    words: int | None = None
    unconnected: bool = False

    @property
    def is_out_of_reach(self) -> bool:
        """Whether nothing was sent, since there was no way to whoever should get it."""
        for_good = self.kind is FailureKind.LOCAL and self.should_retry is False
        return self.unconnected or self.limit is Limit.CONNECT or self.kind is FailureKind.TLS or for_good

    @property
    def counts(self) -> bool:
        """Whether it counts against the circuit breaker."""
        return self.kind in COUNTED

    @property
    def in_short(self) -> str:
        """The reason in a word or two: the status where there is one, such as ``503``, else the kind."""
        if status := self.status or self.amounts_to:
            return str(status)
        return _IN_SHORT.get(self.kind, str(self.kind))

    @property
    def tells_of_load(self) -> bool:
        """Whether the backend may have had too much to do at once; a rate limit says so in words of its own."""
        if self.limit is not None:
            return self.limit in (Limit.CONNECT, Limit.FIRST_TOKEN)
        if self.kind is FailureKind.NETWORK:
            return self.words is None
        return (self.status or self.amounts_to) in _OVERLOADED


class NotReady(LlxError):
    """A backend cannot send anything now; one line without a key, which says what helps."""


class LostError(LlxError):
    """Whoever had a row of many is gone, or has given it back: it is to be asked again, and has failed nobody."""


class BackendFailed(LlxError):
    """A backend gave no usable reply; ``failure`` holds the facts."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.message)


def retry_delay(failure: Failure, attempt: int, settings: Settings, jitter: float) -> float | None:
    """Return the seconds to wait before trying the same backend again, or None to end the visit.

    ``attempt`` is the number of the failed attempt, from 1. ``jitter`` is a random number in [0, 1); it lengthens
    the delay by at most a quarter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). A
    server's ``Retry-After``
    (https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3) of up to 5 s replaces the delay, a longer one ends the
    visit. ``x-should-retry`` is obeyed. Once text has been shown, the same backend is not asked again.
    """
    if attempt >= settings.failover_retry_count or failure.words is not None or not _worth_repeating(failure, settings):
        return None
    if failure.retry_after is not None:
        return failure.retry_after if failure.retry_after <= RETRY_AFTER_AT_MOST else None
    first = settings.failover_retry_delay_ms / 1000
    doubled: float = first * 2 ** min(attempt - 1, 16)
    return min(doubled, max(LONGEST_RETRY_DELAY, first)) * (1 + jitter / 4)


def _worth_repeating(failure: Failure, settings: Settings) -> bool:
    final = failure.kind in (FailureKind.TIMEOUT, FailureKind.TLS, FailureKind.TOO_LARGE)
    if final or failure.limit is not None or failure.quota_exhausted:
        return False
    if failure.should_retry is not None:
        return failure.should_retry
    if failure.kind in (FailureKind.NETWORK, FailureKind.LOCAL):
        return settings.failover_on_network_errors
    if failure.kind is FailureKind.BAD_REPLY:
        return True
    if failure.kind in (FailureKind.CONTEXT_LENGTH, FailureKind.CONTENT_FILTER):
        return False
    return (failure.status or failure.amounts_to) in settings.failover_status_codes


def may_fail_over(failure: Failure, settings: Settings) -> bool:
    """Return whether the next backend is asked: always, but for a content filter unless the settings say so."""
    return failure.kind is not FailureKind.CONTENT_FILTER or settings.failover_on_content_filter
