"""Ending a wait for more when nothing has come for so long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_TURNS = 4
"""How many turns of the loop what has arrived may take from the socket to its reader."""


class Silence:
    """A context that is left early, without an error, when the silence that was granted last is over.

    A loop that was held up finds its timers overdue and the socket full at the same time, and calls the timers before
    the reader: so a timer that is due first lets the loop turn, and the reader may grant more.
    """

    def __init__(self) -> None:
        self.over = False
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelled_before = 0

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelled_before = self._task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.grant(None)
        assert self._task is not None
        if not self.over:
            return False
        # https://docs.python.org/3/library/asyncio-task.html#asyncio.Task.uncancel
        return self._task.uncancel() <= self._cancelled_before and kind is asyncio.CancelledError

    def grant(self, seconds: float | None) -> None:
        """Begin anew: so long may nothing come; None for as long as it takes."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if seconds is not None and not self.over:
            self._handle = self._loop.call_later(seconds, self._due, _TURNS)

    def _due(self, turns: int) -> None:
        if turns:
            self._handle = self._loop.call_soon(self._due, turns - 1)
            return
        self.over = True
        assert self._task is not None
        self._task.cancel()
