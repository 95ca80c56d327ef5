"""Tokens per minute between replies: the rate after each reply, and how it falls until the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from llx_magic.core.events import Event, VisitSucceeded
from llx_magic.core.tokens import WINDOW_SECONDS, TokenWindow

Basis = Literal["elapsed", "busy"]

POINTS = 300
"""The least number of steps into which the time of a curve is divided."""


class MeasuredRate:
    """One backend's tokens per minute, computed from its replies and compared with the measured rate.

    After a reset of the statistics, replies of the last five minutes are missing, so the known ones give another
    rate than was measured. Then the rate between two replies is unknown until the missing ones no longer count.
    """

    def __init__(self) -> None:
        self._tokens = TokenWindow()
        self._agrees = True
        self.measured_at = -math.inf
        self.measured: float | None = None

    def take(self, event: VisitSucceeded, basis: Basis) -> None:
        """Add a reply that reported its usage."""
        tokens = (event.completion_tokens or 0) + (event.prompt_tokens or 0)
        self._tokens.add(event.at - event.seconds, event.at, tokens)
        self.measured_at, self.measured = event.at, event.tpm
        known = self._tokens.rate(event.at, basis)
        self._agrees = known == event.tpm or math.isclose(known or 0.0, event.tpm or 0.0, rel_tol=1e-6)

    def at(self, now: float, basis: Basis) -> float | None:
        """Return the rate at a moment after the latest reply, or None where it is not known."""
        if self._agrees:
            return self._tokens.rate(now, basis)
        return self.measured if now == self.measured_at else None


def curves(
    events: Iterable[Event], basis: Mapping[str, Basis], now: float
) -> Iterator[tuple[float, str, float | None]]:
    """Yield the points of each backend's curve as (time, backend, rate); the rate is None where there is a gap."""
    replies: dict[str, list[VisitSucceeded]] = {}
    for event in events:
        if isinstance(event, VisitSucceeded) and event.completion_tokens is not None:
            replies.setdefault(event.backend, []).append(event)
    begin = min((each[0].at for each in replies.values()), default=now)
    step = max(now - begin, 1e-6) / POINTS
    for backend, told in replies.items():
        rate, kind = MeasuredRate(), basis.get(backend, "elapsed")
        for reply, following in zip(told, [*(each.at for each in told[1:]), now], strict=True):
            rate.take(reply, kind)
            yield reply.at, backend, reply.tpm
            last = min(following, reply.at + WINDOW_SECONDS)  # when the reply no longer counts
            count = math.ceil((last - reply.at) / step)
            for moment in (*(reply.at + number * step for number in range(1, count)), *([last] if count else [])):
                yield moment, backend, rate.at(moment, kind)
