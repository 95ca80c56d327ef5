"""How a backend may answer that never did, as far as any could: what hangs on it lies between these."""

from __future__ import annotations

from enum import Enum

from llx_magic.core.attempts import LONGEST_SECONDS, Attempted
from llx_magic.core.events import VisitSucceeded


class Extreme(Enum):
    """What such a backend does from the moment on from which nothing is known of an attempt.

    It stays silent; it has answered by then; or its text begins then, and goes on until a limit ends it.
    """

    SILENT = "silent"
    AT_ONCE = "at once"
    WITHOUT_END = "without end"

    def of(self, cut: Attempted, backend: str) -> Attempted | None:
        """Return how an attempt goes on that was cut; None where it stays silent for ever."""
        if self is Extreme.SILENT:
            return None
        seconds = cut.seconds if self is Extreme.AT_ONCE else LONGEST_SECONDS
        reply = VisitSucceeded(
            at=cut.at + seconds,
            request=0,
            backend=backend,
            attempts=1,
            seconds=seconds,
            ttft=cut.first_at,
            prompt_tokens=None,
            completion_tokens=None,
            finish_reason="stop",
            model=backend,
            generating_seconds=0.0,
        )
        return Attempted(cut.at, seconds, ttft=cut.first_at, reply=reply)
