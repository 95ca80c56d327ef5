"""Why each backend gave no answer to one request, and what the reader of the reply should know."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from llx_magic.core.events import BackendSkipped, SkipReason
from llx_magic.core.failure import REFUSALS, Failure, FailureKind
from llx_magic.core.gate import Hold
from llx_magic.core.reply import Answer
from llx_magic.errors import AllBackendsFailed, Reason
from llx_magic.hosts import command
from llx_magic.units import below, duration, exact, plural


class Fate(enum.StrEnum):
    """What a request came to at one backend, in the words of the error that counts them."""

    NOT_ASKED = "not asked"
    NOT_USABLE = "not usable"
    CIRCUIT_OPEN = "with an open circuit"
    LIMITED = "limiting the rate"
    FAILED = "failed"
    OUT_OF_REACH = "out of reach"


_FATES = {FailureKind.RATE_LIMIT: Fate.LIMITED, FailureKind.LOCAL: Fate.OUT_OF_REACH}


class Withdrawn(NamedTuple):
    """Text that was shown and no longer counts."""

    backend: str
    reason: str
    words: int


class Reasons:
    """Collects, backend by backend, why a request went on."""

    def __init__(self) -> None:
        self.attempts = 0
        self.withdrawn: Withdrawn | None = None
        self._messages: dict[str, str] = {}
        self._failures: dict[str, Failure] = {}
        self._notes: dict[str, str] = {}
        self._fates: dict[str, Fate] = {}
        self._waited = 0.0

    def not_ready(self, backend: str, obstacle: str) -> None:
        """Note that nothing could be sent to the backend."""
        self._fates[backend] = Fate.NOT_USABLE
        self._messages[backend] = obstacle
        self._notes[backend] = f"{backend} skipped: {obstacle}"

    def skipped(self, skip: BackendSkipped, last_error: str | None) -> None:
        """Note that a backend was passed over, and its last known error."""
        backend, message = skip.backend, skip.message
        self._fates[backend] = Fate.CIRCUIT_OPEN if skip.reason is SkipReason.CIRCUIT_OPEN else Fate.LIMITED
        self._messages[backend] = f"{message}; its last error: {last_error}" if last_error else message
        self._notes[backend] = f"{backend} skipped: {message}"

    def put_aside(self, backend: str, tpm: float, threshold: float) -> None:
        """Note that the backend was put aside for its tokens per minute."""
        self._messages[backend] = self._notes[backend] = (
            f"{backend} put aside: TPM {below(tpm, threshold, ',')} below {exact(threshold, ',')}"
        )

    def waited(self, seconds: float) -> None:
        """Note that the request waited for a rate limit to end."""
        self._waited += seconds

    def failed(self, backend: str, failure: Failure) -> None:
        """Note a failed attempt."""
        self._messages[backend] = failure.message
        self._failures[backend] = failure
        self._fates[backend] = _FATES.get(failure.kind, Fate.FAILED)
        self._notes[backend] = f"{backend} failed: {failure.message}"
        if failure.partial:
            words = len(failure.partial.split())
            self.withdrawn = Withdrawn(backend, failure.message, words)
            self._notes[backend] = f"{backend} broke off after {plural(words, 'word')} ({failure.message}), restarted"

    def notes(self, backend: str, answer: Answer) -> tuple[str, ...]:
        """Return the remarks that belong under the reply of ``backend``: why others did not answer, how it ended."""
        notes = [note for name, note in self._notes.items() if name != backend]
        if self._waited:
            notes.append(f"waited {duration(self._waited)} for a rate limit")
        if answer.finish_reason == "length":
            notes.append("cut at max_tokens")
        elif answer.finish_reason is None:
            notes.append("the backend did not say why it finished")
        return (*notes, *answer.notes)

    def nobody_answered(self, holds: Mapping[str, Hold | None]) -> AllBackendsFailed:
        """Return the error that names every backend, in order, with what holds it back from now on."""
        reasons = tuple(self._reason(name, hold) for name, hold in holds.items())
        refused = self._refusal()
        return AllBackendsFailed(
            refused or self._headline(holds),
            reasons,
            summary=refused or self._summary(tuple(holds)),
            partial=self._longest_partial(),
        )

    def refused_for_good(self, order: tuple[str, ...], failure: Failure) -> AllBackendsFailed:
        """Return the error of a request that no further backend is asked to answer."""
        headline = f"{failure.message}; no further backend was asked (failover_on_content_filter is false)"
        reasons = tuple(self._reason(name, None) for name in order)
        return AllBackendsFailed(headline, reasons, partial=failure.partial)

    def _reason(self, name: str, hold: Hold | None) -> Reason:
        message = self._messages.get(name, "not asked")
        if hold is None:
            return Reason(name, message)
        action = "close" if hold.reason is SkipReason.CIRCUIT_OPEN else "reset"
        return Reason(name, message, hold.seconds, command(f"circuit {action} {name}"))

    def _refusal(self) -> str:
        """Return that the request was refused, where nothing else went wrong."""
        refused = [(name, failure) for name, failure in self._failures.items() if failure.kind in REFUSALS]
        if not refused or len(self._failures) > len(refused):
            return ""
        name, failure = refused[0]
        return f"{name} refused the request: {failure.message}"

    def _headline(self, order: Iterable[str]) -> str:
        if all(self._fates.get(name) is Fate.NOT_USABLE for name in order):
            return "no backend can be used, nothing was sent"
        if not self._failures:
            return "no backend may be asked just now"
        return "no backend could answer"

    def _summary(self, order: tuple[str, ...]) -> str:
        """Return the headline with how many backends came to what."""
        if len(order) == 1:
            return self._headline(order)
        fates = Counter(self._fates.get(name, Fate.NOT_ASKED) for name in order)
        return f"{self._headline(order)}: {', '.join(f'{number} {fate}' for fate, number in fates.items())}"

    def _longest_partial(self) -> str:
        return max((failure.partial for failure in self._failures.values()), key=len, default="")
