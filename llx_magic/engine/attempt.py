"""One sending to one backend, held to its time-outs."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from io import StringIO
from typing import NamedTuple, Protocol

import msgspec

from llx_magic.core.failure import BackendFailed, Failure, FailureKind, Limit
from llx_magic.core.machine import in_words, trouble_of
from llx_magic.core.ports import Clock, Ready, Timer
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.settings.declaration import Settings
from llx_magic.units import ceil_milliseconds, duration, limit

HELD_UP_SECONDS = 0.1
"""From how late a timer is, in seconds, the loop counts as held up: by other work on it, or a suspended machine."""

LOOKS = 6
"""How many turns of the loop what has arrived is given to be read, before a limit counts as run out."""

_WHAT_RAN_OUT = {
    Limit.TOTAL: "no whole reply within {}",
    Limit.CONNECT: "no connection to {to} within {}",
    Limit.FIRST_TOKEN: "no text within {}",
    Limit.STALL: "no further text within {}",
}


def unexpected(fault: Exception) -> str:
    """Name a fault by its kind alone: its text may hold a key."""
    return f"an unexpected {type(fault).__name__} inside this backend"


class _Deadline(NamedTuple):
    when: float
    limit: Limit
    limit_ms: int


class Listener(Protocol):
    """Hears of one attempt as it goes on. It must not refer to the attempt, which refers to it."""

    def on_first(self, seconds: float) -> None:
        """Take that the first piece of a stream came so many seconds after sending."""

    def on_piece(self, piece: str) -> None:
        """Take a piece of the reply's text."""

    def on_thought(self, piece: str) -> None:
        """Take a piece of the reasoning."""

    def on_rates(self, facts: RateFacts, sent_at: float | None) -> None:
        """Take what the service tells of its limits with the reply to what was sent then."""


class Attempt:
    """Runs one attempt and reports its progress; cancels the backend when a time-out runs out.

    All limits and latencies run from the moment at which the backend says that it sends. One timer serves all limits:
    when it fires it looks at the deadline of the moment and, if that has moved, waits on. So a piece of text costs a
    look at the clock and no timer.

    Where the loop was held up until after a deadline, what has arrived meanwhile is read first; if there is nothing,
    the limit runs once more from then on, since that the backend was silent is not known.
    """

    def __init__(self, clock: Clock, settings: Settings, listener: Listener) -> None:
        self._clock = clock
        self._settings = settings
        self._listener = listener
        self.pieces = 0
        """How many pieces of text and reasoning have arrived."""
        self.usage: Usage | None = None
        """What was told of the tokens of a reply that failed or was cancelled."""
        self._text: StringIO | None = None
        self._to = ""
        self.sent_at: float | None = None
        """When it was sent, on the clock; None where it was not."""
        self._connecting_since: float | None = None
        self.first_at: float | None = None
        self._last_at = 0.0
        self._timer: Timer | None = None
        self._looks = 0
        self._held_up = 0.0
        self._anew: dict[Limit, float] = {}
        self._ran_out: _Deadline | None = None
        self._task: asyncio.Task[object] | None = None

    def on_usage(self, usage: Usage) -> None:
        """Take what a reply that is not whole has cost."""
        self.usage = usage

    def on_rates(self, facts: RateFacts) -> None:
        """Take what the service tells of its limits."""
        self._listener.on_rates(facts, self.sent_at)

    @property
    def text(self) -> str:
        """The text that has come."""
        return "" if self._text is None else self._text.getvalue()

    @property
    def _words(self) -> int | None:
        return len(self.text.split()) if self._text is not None else None

    @property
    def seconds(self) -> float:
        """Seconds since sending; 0 where nothing was sent."""
        return 0.0 if self.sent_at is None else self._clock.now() - self.sent_at

    @property
    def generating_seconds(self) -> float:
        """Seconds from the first piece to the last."""
        return 0.0 if self.first_at is None else self._last_at - self.first_at

    def on_sending(self, to: str) -> None:
        """Start the limits; called again, start only the one on connecting anew."""
        self._to = to
        self._connecting_since = self._clock.now()
        if self.sent_at is None:
            self.sent_at = self._last_at = self._connecting_since
        self._rearm()

    def on_connected(self) -> None:
        """End the limit on connecting."""
        self._connecting_since = None

    def on_text(self, piece: str) -> None:
        """Take a piece of the reply's text."""
        self._last_at = self._clock.now()
        self.pieces += 1
        if self.first_at is None:
            self._begin()
        if self._text is None:
            self._text = StringIO()
        self._text.write(piece)
        self._listener.on_piece(piece)

    def on_reasoning(self, piece: str) -> None:
        """Take a piece of reasoning: a sign of life as well."""
        self._last_at = self._clock.now()
        self.pieces += 1
        if self.first_at is None:
            self._begin()
        self._listener.on_thought(piece)

    def _begin(self) -> None:
        """Take that the first piece has come."""
        if self._settings.streaming:
            self.first_at = self._last_at
            self._listener.on_first(self.seconds)
            self._rearm()  # the stall limit may end before the limit on the first piece would have

    async def run(self, backend: Ready, request: ChatRequest) -> Answer:
        """Return the backend's whole reply.

        Raises:
            BackendFailed: as the backend says, or for the time-out that ran out.
        """
        self._task = asyncio.current_task()
        assert self._task is not None
        cancellations_before = self._task.cancelling()
        try:
            answer = await backend.answer(request, self)
            if self._ran_out is not None:
                raise asyncio.CancelledError
        except (BackendFailed, asyncio.CancelledError) as ended:
            raise self._verdict(ended, cancellations_before) from None
        except Exception as fault:  # noqa: BLE001 - a fault in one backend must not keep the next from answering
            # Its kind alone is named: its text and its frames may hold a key.
            kind, trouble = FailureKind.LOCAL, trouble_of(fault)
            if trouble is None:
                kind, trouble = FailureKind.BAD_REPLY, unexpected(fault)
            raise BackendFailed(Failure(kind=kind, message=trouble, words=self._words)) from None
        finally:
            if self._timer is not None:
                self._timer.cancel()
        if answer.usage is not None and not answer.usage.total_tokens:
            return msgspec.structs.replace(answer, usage=None)  # servers that do not count say 0 + 0
        return answer

    def _verdict(self, ended: BaseException, cancellations_before: int) -> BaseException:
        """Return what the attempt ends with; a cancellation outweighs an error that closing the connection raised."""
        assert self._task is not None
        if self._ran_out is not None and self._task.uncancel() <= cancellations_before:
            return BackendFailed(self._timed_out(self._ran_out))
        if not isinstance(ended, BackendFailed):
            return ended
        if self._task.cancelling() > cancellations_before:
            return asyncio.CancelledError()
        words = self._words
        return BackendFailed(ended.failure if words is None else replace(ended.failure, words=words))

    def _deadline(self) -> _Deadline | None:
        """Return the earliest deadline of the moment; there is none before sending."""
        settings, anew = self._settings, self._anew
        waits: tuple[float | None, Limit, int | None] = (None, Limit.STALL, None)
        if settings.streaming and self.first_at is None:
            waits = self.sent_at, Limit.FIRST_TOKEN, settings.first_token_timeout_ms
        elif settings.streaming:
            waits = self._last_at, Limit.STALL, settings.stall_timeout_ms
        connects = self._connecting_since, Limit.CONNECT, settings.connect_timeout_ms
        soonest, found = math.inf, None
        for since, kind, limit_ms in (connects, waits, (self.sent_at, Limit.TOTAL, settings.timeout_ms)):
            if since is not None and limit_ms is not None:
                when = (max(since, anew[kind]) if kind in anew else since) + limit_ms / 1000
                if when < soonest:
                    soonest, found = when, (kind, limit_ms)
        return None if found is None else _Deadline(soonest, *found)

    def _rearm(self) -> None:
        self._looks, self._held_up = 0, 0.0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadline := self._deadline():
            self._timer = self._clock.call_later(deadline.when - self._clock.now(), self._look)

    def _look(self) -> None:
        deadline = self._deadline()
        if deadline is None or self._clock.now() < deadline.when:
            self._rearm()
            return
        assert self._timer is not None
        self._held_up = max(self._held_up, self._timer.late)
        # For what it waits for a limit begins anew once, so every wait has an end.
        began_anew = self._anew.get(deadline.limit, -math.inf) + deadline.limit_ms / 1000 >= deadline.when
        if self._held_up > 0 and self._looks < LOOKS:
            self._looks += 1
            self._timer = self._clock.call_later(0.0, self._look)
        elif self._held_up > HELD_UP_SECONDS and not began_anew:
            self._anew[deadline.limit] = self._clock.now()
            self._rearm()
        else:
            self._ran_out = deadline
            assert self._task is not None
            self._task.cancel()

    def _timed_out(self, ran_out: _Deadline) -> Failure:
        kind, message = FailureKind.TIMEOUT, _WHAT_RAN_OUT[ran_out.limit].format(limit(ran_out.limit_ms), to=self._to)
        if self._held_up > HELD_UP_SECONDS:
            kind, message = FailureKind.LOCAL, in_words(f"it stood still for {duration(self._held_up)}; {message}")
        return Failure(
            kind=kind,
            message=f"{message} ({ran_out.limit})",
            limit=ran_out.limit,
            limit_ms=ran_out.limit_ms,
            elapsed_ms=max(ceil_milliseconds(self.seconds), ran_out.limit_ms),
            words=self._words,
        )
