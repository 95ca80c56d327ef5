"""One worker of a cluster, as a run knows it: the engine there, the rows that it has, and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping

from llx_magic.cluster.link import Hired, Link, UnfitError
from llx_magic.cluster.messages import Ended, Engine, Job, Opening, Order, Report
from llx_magic.core.failure import LostError
from llx_magic.core.ports import Clock, P, T
from llx_magic.core.progress import Standing
from llx_magic.text.screen import one_line

SILENT_SECONDS = 30.0
"""A worker that tells nothing for so long is taken for lost."""

GOODBYE_SECONDS = 2.0
"""How long the end of a run waits for a worker to close its connections."""

TRIES, PAUSE_SECONDS = 3, 0.5
"""How often it is tried to have an engine made on a worker, and the pause between; one that is gone is seen in it."""

FIRST = 4
"""How many rows a worker is handed before it has told how many it takes."""


class Seat:
    """A worker from when it is seen until it is gone; ``changed`` is called whenever it may take more rows, or none."""

    def __init__(self, address: str, link: Link, clock: Clock, changed: Callable[[], None]) -> None:
        self.address = address
        self.shares = False
        """Whether its process shares limits with all others, so that none are divided."""
        self.answered = 0
        self.why_not = ""
        """Why it is not used; empty where it is."""
        self.is_joining = True
        self.is_gone = False
        """Whether nothing is to be heard from it any more."""
        self.has_ended = False
        """Whether that is since the run is over, and not since it was lost."""
        self.parts = 0
        """Into how many parts it was told that the user's limits are divided."""
        self._link = link
        self._clock = clock
        self._changed = changed
        self._hired: Hired | None = None
        self._report = Report()
        self._opens_at: float | None = None
        self._starts_at = 0.0
        self._rows: dict[int, asyncio.Future[Ended]] = {}
        self._pending: list[Order] = []
        self._giving: asyncio.Task[None] | None = None
        self._serving: asyncio.Task[None] | None = None

    def start(self, job: Job, parts: int, starts_at: float) -> None:
        """Have an engine made there, and hear from it until it is gone; it gets no row before ``starts_at``."""
        self.parts, self._starts_at = parts, starts_at
        self._serving = asyncio.get_running_loop().create_task(self._serve(job))

    @property
    def is_usable(self) -> bool:
        """Whether it asks rows."""
        return not (self.is_joining or self.is_gone or self.why_not)

    @property
    def report(self) -> Report:
        """What it told last."""
        return self._report

    @property
    def free(self) -> int:
        """How many more rows it takes now; one where it was to be asked again by now."""
        now, takes = self._clock.now(), self._report.takes
        if not self.is_usable or now < self._starts_at:
            return 0
        if takes == 0 and self._opens_at is not None and self._opens_at <= now:
            takes = 1
        return max(0, takes - len(self._rows))

    @property
    def opens_at(self) -> float | None:
        """When it takes rows again, where it takes none now and that is known."""
        if not self.is_usable:
            return None
        if self._clock.now() < self._starts_at:
            return self._starts_at
        return None if self._report.takes else self._opens_at

    def can_ask(self, backends: Collection[str]) -> bool:
        """Return whether one of the backends can be asked from there."""
        return any(name not in self._report.refusals for name in backends)

    def standing(self) -> Standing:
        """Say how it stands, in words."""
        level = self._report.takes or None
        if self.why_not:
            return Standing(0, None, f"not used: {self.why_not}")
        if self.is_gone:
            done = "done" if self.answered else "not needed"
            return Standing(0, None, done if self.has_ended else "lost")
        state = "getting ready" if self.is_joining else self._report.message if not level else "asking"
        return Standing(self._report.in_flight, level, state or "asking")

    def standings(self) -> Mapping[str, Standing]:
        """Say how each backend stands there, or stood when the run was over; none where it asks nobody."""
        if self.has_ended:
            return {name: each._replace(in_flight=0) for name, each in self._report.standings.items()}
        return self._report.standings if self.is_usable else {}

    async def ask(self, order: Order) -> Ended:
        """Hand a row over and return how it ended there.

        Raises:
            LostError: where it is lost with the worker.
        """
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._rows[order.number] = future
        self._pending.append(order)
        if self._giving is None:
            self._giving = asyncio.get_running_loop().create_task(self._give())
        try:
            return await future
        finally:
            self._rows.pop(order.number, None)

    def lose(self) -> None:
        """Take it that the worker is gone, and with it what it had."""
        if self.is_gone:
            return
        self.is_gone, self.is_joining = True, False
        self._report = Report(refusals=self._report.refusals)
        for task in (self._serving, self._giving):
            if task is not None:
                task.cancel()
        self._lose_rows()
        self._changed()

    async def divide(self, parts: int) -> None:
        """Tell it into how many parts the user's limits are divided now."""
        if self._hired is None or not self.is_usable or parts == self.parts:
            return
        engine, self.parts = self._hired.engine, parts
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            await self._call(engine.divide, parts)

    async def end(self) -> None:
        """Have the engine break off what is under way, and forget it."""
        hired = self._hired
        self.has_ended = self.has_ended or not self.is_gone
        self.is_gone, self.is_joining = True, False
        with contextlib.suppress(Exception):  # whatever a library says of a call to somebody who has gone meanwhile
            async with asyncio.timeout(GOODBYE_SECONDS):
                if hired is not None:
                    await self._link.call(hired.engine.close)
                    await asyncio.wait([task for task in (self._serving, self._giving) if task is not None])
        with contextlib.suppress(Exception):
            async with asyncio.timeout(GOODBYE_SECONDS):
                if hired is not None:
                    await self._link.dismiss(hired)
        for task in (self._serving, self._giving):
            if task is not None:
                task.cancel()
        self._lose_rows()

    async def _serve(self, job: Job) -> None:
        try:
            engine, opening = await self._join(job)
            self.shares = opening.shares
            self._note(Report(takes=FIRST, refusals=opening.refusals), job)
            self.is_joining = False
            self._changed()
            while not self.is_gone:
                self._take(await self._call(engine.report, self._report.number), job)
        except UnfitError as problem:
            self.why_not, self.is_joining = one_line(str(problem)), False
            self._changed()
        except Exception:  # noqa: BLE001 - whatever a library says of a call that did not come through
            self.lose()

    async def _join(self, job: Job) -> tuple[Engine, Opening]:
        """Have an engine made and opened; return it, and what it said then.

        Raises:
            UnfitError: where that cannot be done on a worker that is there, since a package is missing, say.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._hired = await self._link.hire(self.address, job)
                return self._hired.engine, await self._call(self._hired.engine.open, self.parts)
            except UnfitError:
                raise
            except Exception as problem:  # noqa: BLE001 - whatever a library says of a call that did not come through
                if not tries_left:
                    said = one_line(f"{type(problem).__name__}: {problem}", 200)
                    raise UnfitError(f"it cannot get ready: {said}") from None
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError  # the last try has returned or raised

    async def _give(self) -> None:
        """Hand over what has come together, until there is no more."""
        assert self._hired is not None
        engine = self._hired.engine
        try:
            while self._pending:
                orders, self._pending = tuple(self._pending), []
                await self._call(engine.give, orders)
        except Exception:  # noqa: BLE001 - as above
            self.lose()
        finally:
            self._giving = None

    def _take(self, report: Report, job: Job) -> None:
        self._note(report, job)
        for ended in report.ended:
            future = self._rows.get(ended.number)
            if future is not None and not future.done():
                self.answered += ended.how == "answered"
                future.set_result(ended)
        self._changed()

    def _note(self, report: Report, job: Job) -> None:
        self._report = report
        self._opens_at = None if report.opens_in is None else self._clock.now() + report.opens_in
        if report.refusals and all(name in report.refusals for name in job.settings):
            self.why_not = one_line("; ".join(report.refusals.values()))
            self._lose_rows()

    def _lose_rows(self) -> None:
        for future in self._rows.values():
            if not future.done():
                future.set_exception(LostError(f"{self.address} is gone"))

    async def _call(self, work: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        async with asyncio.timeout(SILENT_SECONDS):
            return await self._link.call(work, *args, **kwargs)
