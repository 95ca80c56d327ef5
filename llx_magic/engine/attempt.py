"""One sending to one backend, held to its time-outs."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

from llx_magic.core.failure import BackendFailed, Failure, FailureKind, Limit
from llx_magic.core.policy import Policy
from llx_magic.core.ports import Backend, Clock, Timer
from llx_magic.core.reply import Answer, ChatRequest

WHOLE_REPLY_MS = 600_000
"""The limit of an attempt that is not streamed where ``timeout_ms`` is not set."""

_WHAT_RAN_OUT = {
    Limit.TOTAL: "no whole reply within {} ms",
    Limit.CONNECT: "no connection within {} ms",
    Limit.FIRST_TOKEN: "no text within {} ms",
    Limit.STALL: "no further text within {} ms",
}


class Attempt:
    """Runs one attempt and reports its progress; cancels the backend when a time-out runs out.

    One timer serves all limits: when it fires it looks at the deadline of the moment and, if that has moved, waits
    on. So a piece of text costs a look at the clock and no timer.
    """

    def __init__(
        self, clock: Clock, policy: Policy, on_first: Callable[[float], None], on_piece: Callable[[str], None]
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._on_first = on_first
        self._on_piece = on_piece
        self._pieces: list[str] = []
        self._sent_at = clock.now()
        self._first_at: float | None = None
        self._last_at = self._sent_at
        self._timer: Timer | None = None
        self._ran_out: tuple[Limit, int] | None = None
        self._task: asyncio.Task[object] | None = None

    @property
    def ttft(self) -> float | None:
        """Seconds from sending to the first piece of text or reasoning; None when there was none, or no stream."""
        return None if self._first_at is None else self._first_at - self._sent_at

    @property
    def seconds(self) -> float:
        """Seconds since sending."""
        return self._clock.now() - self._sent_at

    @property
    def generating_seconds(self) -> float:
        """Seconds from the first piece to the last."""
        return 0.0 if self._first_at is None else self._last_at - self._first_at

    def on_text(self, piece: str) -> None:
        """Take a piece of the reply's text."""
        self.on_reasoning(piece)
        self._pieces.append(piece)
        self._on_piece(piece)

    def on_reasoning(self, piece: str) -> None:
        """Take a piece of reasoning: a sign of life."""
        self._last_at = self._clock.now()
        if self._first_at is None and self._policy.streaming:
            self._first_at = self._last_at
            self._on_first(self._first_at - self._sent_at)
            self._rearm()  # the stall limit may end before the limit on the first piece would have

    async def run(self, backend: Backend, request: ChatRequest) -> Answer:
        """Return the backend's whole reply.

        Raises:
            BackendFailed: as the backend says, or for the time-out that ran out; ``partial`` holds the text so far.
        """
        self._task = asyncio.current_task()
        assert self._task is not None
        cancellations_before = self._task.cancelling()
        self._rearm()
        try:
            answer = await backend.answer(request, self)
            if self._ran_out is not None:
                raise asyncio.CancelledError
        except (BackendFailed, asyncio.CancelledError) as ended:
            raise self._verdict(ended, cancellations_before) from None
        except Exception as fault:  # noqa: BLE001 - a fault in one backend must not keep the next from answering
            raise BackendFailed(self._faulty(fault)) from None
        finally:
            if self._timer is not None:
                self._timer.cancel()
        return answer

    def _verdict(self, ended: BaseException, cancellations_before: int) -> BaseException:
        """Return what the attempt ends with; a cancellation outweighs an error that closing the connection raised."""
        assert self._task is not None
        if self._ran_out is not None and self._task.uncancel() <= cancellations_before:
            return BackendFailed(self._timed_out(*self._ran_out))
        if not isinstance(ended, BackendFailed):
            return ended
        if self._task.cancelling() > cancellations_before:
            return asyncio.CancelledError()
        return BackendFailed(replace(ended.failure, partial="".join(self._pieces)))

    def _faulty(self, fault: Exception) -> Failure:
        """Name the fault's kind alone: its text and its frames may hold a key."""
        message = f"an unexpected {type(fault).__name__} inside this backend"
        return Failure(kind=FailureKind.BAD_REPLY, message=message, partial="".join(self._pieces))

    def _deadline(self) -> tuple[float, Limit, int] | None:
        """Return the earliest deadline of the moment: when, which limit, and its milliseconds."""
        policy = self._policy
        total = policy.timeout_ms if policy.streaming or policy.timeout_ms else WHOLE_REPLY_MS
        candidates = []
        if total is not None:
            candidates.append((self._sent_at + total / 1000, Limit.TOTAL, total))
        if policy.streaming and self._first_at is None and policy.first_token_timeout_ms is not None:
            limit = policy.first_token_timeout_ms
            candidates.append((self._sent_at + limit / 1000, Limit.FIRST_TOKEN, limit))
        if policy.streaming and self._first_at is not None and policy.stall_timeout_ms is not None:
            limit = policy.stall_timeout_ms
            candidates.append((self._last_at + limit / 1000, Limit.STALL, limit))
        return min(candidates, default=None)

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline := self._deadline():
            self._timer = self._clock.call_later(deadline[0] - self._clock.now(), self._look)

    def _look(self) -> None:
        deadline = self._deadline()
        if deadline is None or self._clock.now() < deadline[0]:
            self._rearm()
            return
        self._ran_out = deadline[1:]
        assert self._task is not None
        self._task.cancel()

    def _timed_out(self, limit: Limit, limit_ms: int) -> Failure:
        elapsed = math.ceil((self._clock.now() - self._sent_at) * 1000)
        return Failure(
            kind=FailureKind.TIMEOUT,
            message=f"{_WHAT_RAN_OUT[limit].format(limit_ms)} ({limit})",
            limit=limit,
            limit_ms=limit_ms,
            elapsed_ms=max(elapsed, limit_ms + 1),
            partial="".join(self._pieces),
        )
