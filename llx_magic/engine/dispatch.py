"""Many rows at once: which is sent when, as long as there are rows and somebody is free."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS
from llx_magic.core.ports import Clock, Timer
from llx_magic.engine.own_thread import OwnThread

R = TypeVar("R")

LOOK_AHEAD = 2
"""For how many times the rows that may be under way the next ones are read."""

FEWEST_READ, MOST_READ = 8, 256
"""How many rows are read at a time at least and at most: each reading wakes a thread, which costs as much as a row."""

MOST_AT_HAND = 64
"""How many rows are read at a time on the loop, where that takes about a millisecond."""

ROWS_A_TURN = 4
"""How many rows are sent in one turn of the loop: a prompt of somebody else waits for no more than these.

With 2 a row costs an eighth more, for the turns of the loop; with 8 hardly less than with 4.
"""


class Places(Protocol):
    """How many rows may be sent now, and when to ask again for more; None: when one under way has ended."""

    @property
    def places(self) -> int: ...  # noqa: D102
    @property
    def at(self) -> float | None: ...  # noqa: D102


class Rows(Protocol[R]):
    """Whoever owns the rows of a run. All but ``read`` is called on the loop."""

    @property
    def is_full(self) -> bool:
        """Whether no further rows should be read for now; when that is over, it calls ``look``."""

    @property
    def is_at_hand(self) -> bool:
        """Whether reading the next rows takes a moment and waits for nobody; then it is done on the loop."""

    def read(self, most: int) -> Sequence[R]:
        """Return at most so many further rows; none at the end.

        Unless they are at hand it may block. It is called by one thread at a time.
        """

    def take(self, rows: Sequence[R]) -> Sequence[R]:
        """Return those of the rows read that have to be asked."""

    async def ask(self, row: R) -> float | None:
        """Ask a row once. Returns None where it has ended, or from when on it may be asked again, on the clock."""

    def room(self, waiting: int) -> Places:
        """Say how many rows may be sent now, where so many wait for that at least."""

    def ends_at(self, row: R) -> float | None:
        """Return until when a row that came back may wait, on the clock; None for ever."""

    def expire(self, row: R) -> None:
        """End a row that has waited so long."""


class Stop(Protocol):
    """Ends a run; at once, or when the rows under way have ended, which may be answered."""

    def __call__(self, why: str, *, at_once: bool = True) -> None: ...  # noqa: D102


class Dispatcher(Generic[R]):
    """Sends rows in their order while there is room; one that comes back is sent again before any new one.

    A worker is a task that asks one row after the other, so a row costs no task of its own. Rows are read ahead, at
    most a few times as many as may be under way. Those that are not at hand are read on a thread of their own, since
    that may block; it costs twice the CPU, for two threads that hand each other the interpreter's lock. Where it is
    ``fed``, none are read: whoever has them gives them, and it runs until it is stopped.
    """

    def __init__(self, clock: Clock, rows: Rows[R], *, is_fed: bool = False) -> None:
        self._clock = clock
        self._rows = rows
        self._ready: deque[R] = deque()
        self._parked: list[tuple[float, int, R]] = []
        self._ends: list[tuple[float, R]] = []
        self._order = itertools.count()
        self._workers: set[asyncio.Task[None]] = set()
        self._about_to_ask = 0
        self._at_once = 0
        """How many rows may be under way, as it was last seen."""
        self._left_of_turn = ROWS_A_TURN
        self._reading: asyncio.Task[None] | None = None
        self._is_fed = is_fed
        self._has_more = True
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._error: BaseException | None = None
        self._is_stopped = self._is_ending = False
        self._reader: OwnThread[Sequence[R]] | None = None
        self._ended: asyncio.Future[None] | None = None

    @property
    def under_way(self) -> int:
        """How many rows are being asked."""
        return len(self._workers)

    @property
    def waiting(self) -> int:
        """How many rows wait to be sent."""
        return len(self._ready)

    @property
    def is_waiting(self) -> bool:
        """Whether there are rows, and none of them can be asked now."""
        return not self._workers and bool(self._parked or self._ready)

    async def run(self) -> None:
        """Return when every row has ended, or nothing runs any more after ``stop``.

        Raises:
            Exception: what reading or asking a row raised; everything else was cancelled.
        """
        self._ended = asyncio.get_running_loop().create_future()
        self.look()
        try:
            await self._ended
        finally:
            self.stop()
            if tasks := self._tasks():
                await asyncio.wait(tasks)
            if self._reader is not None:
                self._reader.end()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Cancel what is under way, whose connections are closed, and send nothing more."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks():
            task.cancel()
        self._end_if_done()

    def finish(self) -> None:
        """Send nothing more, and end when what is under way has ended: it may be answered, and is paid for."""
        self._is_ending, self._has_more = True, False
        self._ready.clear()
        self._parked.clear()
        if self._reading is not None:
            self._reading.cancel()
        self._end_if_done()

    def feed(self, rows: Iterable[R]) -> None:
        """Take further rows, behind those that wait to be sent."""
        self._ready.extend(rows)
        self.look()

    def give_back(self) -> list[R]:
        """Return the rows that wait to be sent, which then are somebody else's."""
        rows = list(self._ready)
        self._ready.clear()
        return rows

    def look(self) -> None:
        """Send rows while somebody is free; to be called where more than the end of a row has changed that."""
        self._expire()
        self._send(self._free_places())
        self._read_ahead()
        self._end_if_done()

    def _park(self, row: R, not_before: float) -> None:
        if self._is_ending:
            return
        heapq.heappush(self._parked, (not_before, next(self._order), row))
        if (ends_at := self._rows.ends_at(row)) is not None:
            self._ends.append((ends_at, row))
            self._look_at(ends_at)

    def _expire(self) -> None:
        """End the rows that have waited long enough; those that were sent again meanwhile see to that themselves."""
        now = self._clock.now()
        ends, self._ends = self._ends, []
        for ends_at, row in ends:
            if all(parked is not row for *_, parked in self._parked):
                continue
            if ends_at > now:
                self._ends.append((ends_at, row))
                self._look_at(ends_at)
            else:
                self._parked = [each for each in self._parked if each[2] is not row]
                heapq.heapify(self._parked)
                self._rows.expire(row)

    def _free_places(self) -> int:
        """Return how many rows may be sent now; it is looked again when there may be more."""
        waiting = len(self._ready) + self._has_due()
        if self._is_stopped or not waiting:
            return 0
        room = self._rows.room(waiting)
        self._at_once = len(self._workers) + max(0, room.places)
        places = min(room.places - self._about_to_ask, self._left_of_turn)
        if room.places > 0 and not self._left_of_turn:
            return 0  # the next turn goes on
        if room.at is not None:
            self._look_at(room.at)
        elif places <= 0 and not self._workers:
            self._look_at(self._clock.now() + LOOK_AGAIN_SECONDS)
        return max(0, places)

    def _send(self, places: int) -> None:
        while places and (row := self._next()) is not None:
            places -= 1
            self._use_turn()
            self._about_to_ask += 1
            self._workers.add(asyncio.get_running_loop().create_task(self._work(row)))

    def _use_turn(self) -> None:
        """Take it that a row is sent in this turn of the loop; in the next one there is room for others again."""
        if self._left_of_turn == ROWS_A_TURN:
            asyncio.get_running_loop().call_soon(self._next_turn)
        self._left_of_turn -= 1

    def _next_turn(self) -> None:
        was_spent, self._left_of_turn = not self._left_of_turn, ROWS_A_TURN
        if was_spent:
            self.look()

    def _next(self) -> R | None:
        """Return the row to be sent next: one that came back, once its time has come, else the first of the others."""
        if self._has_due():
            return heapq.heappop(self._parked)[2]
        return self._ready.popleft() if self._ready else None

    def _has_due(self) -> bool:
        """Return whether the time of a row that came back has come; where it has not, it is looked again then."""
        if not self._parked:
            return False
        due = self._parked[0][0]
        if due > self._clock.now():
            self._look_at(due)
            return False
        return True

    async def _work(self, first: R) -> None:
        self._about_to_ask -= 1
        row: R | None = first
        try:
            while row is not None:
                not_before = await self._rows.ask(row)
                if not_before is not None:
                    self._park(row, not_before)
                row = self._one_more()
        except Exception as fault:  # noqa: BLE001 - run raises it, when the others have ended
            self._error = self._error or fault
            self._is_stopped = True
        finally:
            if (this := asyncio.current_task()) is not None:
                self._workers.discard(this)
            self._end_if_done()

    def _one_more(self) -> R | None:
        """Return the row that a worker goes on with; further places that are free go to further workers."""
        places = self._free_places()
        row = self._next() if places else None
        if row is not None:
            self._use_turn()
        if places > 1:
            self._send(places - 1)
        self._read_ahead()
        return row

    def _read_ahead(self) -> None:
        if self._reading is not None or not self._has_more or self._is_fed or self._is_stopped:
            return
        wanted = max(FEWEST_READ, min(LOOK_AHEAD * self._at_once, MOST_READ))
        if len(self._ready) + len(self._parked) <= wanted // 2 and not self._rows.is_full:
            self._reading = asyncio.get_running_loop().create_task(self._read(wanted))

    async def _read(self, most: int) -> None:
        """Read rows until some of them have to be asked; meanwhile no virtual time passes."""
        self._clock.hold()
        try:
            while self._has_more and not self._is_stopped and not self._rows.is_full:
                rows = await self._read_some(most)
                self._has_more = bool(rows)
                to_ask = self._rows.take(rows)
                self._ready.extend(to_ask)
                most = min(2 * most, MOST_READ)
                if to_ask:
                    break
                await asyncio.sleep(0)  # others have their turn, however many rows need not be asked
        except Exception as fault:  # noqa: BLE001 - run raises it, when the others have ended
            self._error = self._error or fault
            self._is_stopped = True
        finally:
            self._clock.release()
            self._reading = None
            self.look()

    async def _read_some(self, most: int) -> Sequence[R]:
        if self._rows.is_at_hand:
            return self._rows.read(min(most, MOST_AT_HAND))
        if self._reader is None:
            self._reader = OwnThread("llx-rows")
        return await self._reader.call(lambda: self._rows.read(most))

    def _look_at(self, when: float) -> None:
        """Look again at a time of the clock, unless that happens sooner."""
        if self._timer is not None:
            if self._timer_at <= when:
                return
            self._timer.cancel()
        self._timer_at = when
        self._timer = self._clock.call_later(max(0.0, when - self._clock.now()), self._look_now)

    def _look_now(self) -> None:
        self._timer = None
        self.look()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [*self._workers, *([] if self._reading is None else [self._reading])]

    def _end_if_done(self) -> None:
        if self._ended is None or self._ended.done() or (self._workers and not self._is_stopped):
            return
        has_rows = self._ready or self._parked or self._has_more or self._reading is not None
        if self._is_stopped or self._is_ending or not has_rows:
            self._ended.set_result(None)
