"""Two visits of one request at once: where a backend stays silent for long, another is asked beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from llx_magic.core.events import HedgeStarted
from llx_magic.core.failure import may_fail_over
from llx_magic.core.reply import Delta, Thought
from llx_magic.engine.scope import RequestScope
from llx_magic.engine.visit import Visit
from llx_magic.engine.visiting import Visiting


class Race:
    """A visit, and one beside it where it has shown nothing in time; the first to show text wins, the other is ended.

    Each runs as a task of its own, so that the one that loses can be cancelled, which closes its connection. While
    both run, reasoning is held back: it is shown when the text of the same backend begins.
    """

    def __init__(self, scope: RequestScope, first: Visiting) -> None:
        self._scope = scope
        self._first = first
        self._tasks: dict[asyncio.Task[Visit], Visiting] = {}
        self._held_back: dict[Visiting, list[Thought]] = {}
        self.winner: Visiting | None = None
        """Whose reply is shown."""
        self.loser: Visiting | None = None
        """Who was cancelled since the other was first; it may be asked again."""
        self.failed: list[Visiting] = []
        """Those whose visits ended without an answer, in that order."""

    @property
    def has_hedged(self) -> bool:
        """Whether a second visit was made."""
        return len(self._tasks) > 1

    @property
    def is_open(self) -> bool:
        """Whether a second visit would still be of use: nothing is shown, and the first has not ended."""
        return self.winner is None and not self.failed and any(not task.done() for task in self._tasks)

    async def run(self, seconds: float, another: Callable[[], Awaitable[Visiting | None]]) -> Visiting:
        """Return the visit that counts: the one that answered, or the last that failed.

        After so many seconds without anything shown, ``another`` returns the visit to make as well, None for none.
        """
        alarm = asyncio.create_task(self._scope.clock.sleep(seconds))
        try:
            self._start(self._first)
            await asyncio.wait([*self._tasks, alarm], return_when=asyncio.FIRST_COMPLETED)
            if alarm.done() and self.is_open and (second := await another()) is not None:
                self._begin_beside(second, seconds)
            return await self._decided()
        finally:
            running = [task for task in (*self._tasks, alarm) if not task.done()]
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    def _start(self, visiting: Visiting) -> None:
        visiting.show = lambda part: self._show(visiting, part)
        self._tasks[asyncio.create_task(visiting.run())] = visiting

    def _begin_beside(self, second: Visiting, seconds: float) -> None:
        beside = self._first.visit.backend
        self._held_back = {self._first: [], second: []}
        scope = self._scope
        scope.live.publish(HedgeStarted(**scope.stamp(), backend=second.visit.backend, beside=beside, seconds=seconds))
        self._start(second)

    async def _decided(self) -> Visiting:
        """Wait until a visit has answered, or failed with nobody left or in a way that ends the request."""
        pending = set(self._tasks)
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=list(self._tasks).index):
                visiting = self._tasks[task]
                if visiting is self.loser:
                    continue
                visit = task.result()
                if visit.answer is not None:
                    self._win(visiting)
                    return visiting
                assert visit.failure is not None
                self.failed.append(visiting)
                if visiting is self.winner or not pending or not may_fail_over(visit.failure, visit.settings):
                    return visiting

    def _show(self, visiting: Visiting, part: Delta | Thought) -> None:
        """Show what arrived, unless the other was first."""
        if self.winner is None and (isinstance(part, Delta) or not self._held_back):
            self._win(visiting)
        if self.winner is visiting:
            self._scope.watch(part)
        elif self.winner is None and isinstance(part, Thought):
            self._held_back[visiting].append(part)

    def _win(self, visiting: Visiting) -> None:
        if self.winner is not None:
            return
        self.winner = visiting
        for task, other in self._tasks.items():
            if other is not visiting and not task.done():
                other.visit.outrun_by = visiting.visit.backend
                self.loser = other
                task.cancel()
        for thought in self._held_back.get(visiting, ()):
            self._scope.watch(thought)
