"""The workers of a Dask cluster as those who answer the rows of one run; the run itself stays where it was called."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from llx_magic.cluster.link import Link
from llx_magic.cluster.messages import Ended, Job, Limits, Order
from llx_magic.cluster.seat import Seat
from llx_magic.cluster.till import Till
from llx_magic.core.events import BackendSkipped, SkipReason
from llx_magic.core.failure import LostError
from llx_magic.core.ports import Clock
from llx_magic.core.progress import Standing
from llx_magic.core.traffic import Room
from llx_magic.engine.dispatch import Stop
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Plan, names_of
from llx_magic.errors import AllBackendsFailed
from llx_magic.text.shape import Read
from llx_magic.units import countdown, plural

if TYPE_CHECKING:
    from llx_magic.core.gate import GateKey
    from llx_magic.core.reply import Reply

LOOK_SECONDS = 0.5
"""How often it is looked which workers are there."""

MINUTE = 60.0
"""For how long what was sent counts for ``rpm_limit`` and ``tpm_limit``."""

CLOSED = "the client of the cluster was closed"
GIVEN_UP = "the scheduler of the cluster was lost, and the client is closed: run it again with a new one"
"""A client closes by itself where its scheduler is not back within ``distributed.comm.timeouts.connect``, 30 s."""


class Fleet:
    """Hands each row to the worker that has most room for it; as ``Answering`` of a run.

    ``limits`` are those that the user has set for all workers together.
    """

    def __init__(self, link: Link, job: Job, clock: Clock, stop: Stop, limits: Limits) -> None:
        self.clock = clock
        self._link = link
        self._job = job
        self._stop = stop
        self._limits = limits
        self._has_begun = False
        self._lost_at: list[float] = []
        self._seats: dict[str, Seat] = {}
        self._gone: list[Seat] = []
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._spare = 0
        self._till = Till()
        self._numbers = itertools.count(1)
        self._look: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None
        self._lost_rows = 0
        self._is_away = self._is_over = False

    def check_waiting(self) -> None:
        """See to it that the client does not need the thread that waits; as ``Answering``."""
        self._link.check_waiting()

    async def begin(self, look: Callable[[], None]) -> None:
        """Look for workers from now on."""
        self._look = look
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def end(self) -> None:
        """Have every engine break off and be forgotten."""
        self._look, self._is_over = lambda: None, True
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(seat.end() for seat in self._seats.values()), *self._goodbyes)

    async def answer(self, plan: Plan, seconds: float | None, _watch: Watch) -> Reply:
        """Have a row asked by a worker; as ``Answering``. Nothing is told of it before it has ended."""
        names = names_of(plan.candidates)
        seat = self._seat_for(names)
        if seat is None:
            raise self._refused(names) if self._nobody_can(names) else LostError("no worker has room")
        held = self._till.hold(plan)
        reply: Reply | None = None
        try:
            order = Order(next(self._numbers), plan.messages, plan.held, names, seconds)
            reply = self._till.priced(plan, _reply_of(await self._asked(seat, order)))
        finally:
            self._till.settle(plan, held, reply)
        return reply if plan.shape is None else replace(reply, read=Read.of(reply.text, plan.shape))

    async def _asked(self, seat: Seat, order: Order) -> Ended:
        try:
            return await seat.ask(order)
        except LostError:
            self._lost_rows += 1
            raise

    def room(self, left_out: Collection[GateKey], waiting: int) -> Room:
        """Say how many rows the workers take; one, where that one will tell that no worker can ask anybody."""
        places = sum(seat.free for seat in self._seats.values())
        if not places and self._nobody_can(tuple(self._job.settings)):
            return Room(1)
        return Room(
            places, min((at for seat in self._seats.values() if (at := seat.opens_at) is not None), default=None)
        )

    def blocked_by(self) -> str | None:
        """Say for what the run waits where no worker takes a row."""
        if self._is_away:
            return "the scheduler of the cluster"
        usable = [seat for seat in self._seats.values() if seat.is_usable]
        if not usable:
            return "the workers of the cluster to get ready" if self._seats else "a worker of the cluster"
        waits = [(at, seat) for seat in usable if (at := seat.opens_at) is not None]
        if any(seat.free for seat in usable) or not waits:
            return None
        at, seat = min(waits, key=lambda each: each[0])
        return f"{seat.report.message or 'the workers'} on {shown(seat)}, {countdown(at - self.clock.now())}"

    def in_flight(self, handed_out: int) -> int:
        """Return how many rows the workers were asking when they last told."""
        return min(handed_out, sum(seat.report.in_flight for seat in self._seats.values()))

    def standings(self) -> dict[str, Standing]:
        """Say how each backend stands, all workers together."""
        told = [seat.standings() for seat in self._seats.values()]
        untold = Standing(0, None, self._why_untold())
        by_name = {name: [each[name] for each in told if name in each] for name in self._job.settings}
        return {name: _together(each) if each else untold for name, each in by_name.items()}

    def workers(self) -> dict[str, tuple[int, Standing]]:
        """Say how each worker stands: those that are there, and those that are gone and have answered something."""
        gone = [seat for seat in self._gone if seat.answered]
        return {shown(seat): (seat.answered, seat.standing()) for seat in (*gone, *self._seats.values())}

    def notes(self) -> tuple[str, ...]:
        """Say which workers were not used and why, and what was lost with others."""
        unused = [f"worker {shown(seat)} is not used: {seat.why_not}" for seat in self._seats.values() if seat.why_not]
        partly = [
            f"worker {shown(seat)} does not ask {name}: {why}"
            for seat in self._seats.values()
            if seat.is_usable
            for name, why in seat.report.refusals.items()
        ]
        if self._spare:
            unused.append(
                f"{plural(self._spare, 'worker')} spare: a limit of {self._limits.most} cannot be divided among more"
            )
        lost = sum(not seat.why_not for seat in self._gone)
        told = f"{plural(lost, 'worker')} lost, {plural(self._lost_rows, 'row')} handed to others"
        return (*unused, *partly, *([told] if lost else []))

    def _why_untold(self) -> str:
        """Say why no worker tells how a backend stands."""
        if self._seats and all(seat.why_not for seat in self._seats.values()):
            return "no worker can ask it"
        if self._gone:
            return "no worker left"
        return "not asked" if self._is_over else "no worker yet"

    def _seat_for(self, names: Collection[str]) -> Seat | None:
        """Return the worker with most room among those that can ask one of the backends."""
        able = [seat for seat in self._seats.values() if seat.free and seat.can_ask(names)]
        return max(able, key=lambda seat: seat.free, default=None)

    def _nobody_can(self, names: Collection[str]) -> bool:
        """Return whether all workers have told that they can ask none of the backends."""
        seats = [seat for seat in self._seats.values() if not seat.is_gone]
        return bool(seats) and not any(seat.is_joining or (seat.is_usable and seat.can_ask(names)) for seat in seats)

    def _refused(self, names: Collection[str]) -> AllBackendsFailed:
        """Return the error that says of each backend why no worker can ask it."""
        failed = AllBackendsFailed("no worker of the cluster can ask anybody", ())
        trace = []
        for name in names:
            whys = {seat.report.refusals.get(name) or seat.why_not: shown(seat) for seat in self._seats.values()}
            said = "; ".join(f"{why} (worker {where})" for why, where in whys.items() if why)
            skipped = BackendSkipped(
                at=self.clock.now(), request=0, backend=name, reason=SkipReason.NOT_READY, message=said
            )
            trace.append(skipped)
        failed.trace = tuple(trace)
        return failed

    async def _watch(self) -> None:
        while True:
            try:
                async with asyncio.timeout(10 * LOOK_SECONDS):
                    self._meet(await self._link.workers())
                self._is_away = False
            except Exception:  # noqa: BLE001 - whatever a library says of a scheduler that cannot be reached
                was_away, self._is_away = self._is_away, True
                if self._link.is_closed:
                    self._stop(GIVEN_UP if was_away else CLOSED)
                    return
            await self._divide()
            await asyncio.sleep(LOOK_SECONDS)

    def _meet(self, there: set[str]) -> None:
        """Take in which workers are there: engines are made on new ones, and those that are not there are lost."""
        now, most = self.clock.now(), self._most
        for address in self._seats.keys() - there:
            self._seats[address].lose()
        for address in [address for address, seat in self._seats.items() if seat.is_gone]:
            self._let_go(self._seats.pop(address))
            self._lost_at.append(now)
        starts_at = now + MINUTE if self._has_begun and self._limits.per_minute and most is not None else now
        for address in sorted(there - self._seats.keys()):
            if most is None or self._used < most:
                seat = self._seats[address] = Seat(address, self._link, self.clock, self._look)
                seat.start(self._job, self._parts(len(there)), starts_at)
        self._spare = len(there - self._seats.keys())
        self._has_begun = self._has_begun or bool(there)

    def _let_go(self, seat: Seat) -> None:
        """Have what may be left of the engine closed: a worker that was silent for long may still be there."""
        self._gone.append(seat)
        goodbye = asyncio.get_running_loop().create_task(seat.end())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    async def _divide(self) -> None:
        """Tell every worker into how many parts the user's limits are divided now.

        What one that is gone has sent counts for a minute, so its part is nobody else's until then. In the same way
        one that comes later waits for a minute: until then the others may have used more than their new parts.
        """
        now = self.clock.now()
        self._lost_at = [at for at in self._lost_at if self._limits.per_minute and now - at < MINUTE]
        parts = self._parts(self._used + len(self._lost_at))
        await asyncio.gather(*(seat.divide(parts) for seat in self._seats.values()))

    @property
    def _most(self) -> int | None:
        """Among how many workers the limits can be divided; None where there are none, or all share them otherwise."""
        usable = [seat for seat in self._seats.values() if seat.is_usable]
        is_shared = bool(usable) and all(seat.shares for seat in usable)
        return None if is_shared else self._limits.most

    @property
    def _used(self) -> int:
        return sum(not seat.why_not for seat in self._seats.values())

    def _parts(self, workers: int) -> int:
        most = self._most
        return 1 if most is None else max(1, min(most, workers))


def shown(seat: Seat) -> str:
    """Return a worker's address as people are told it."""
    return seat.address.removeprefix("tcp://")


def _reply_of(ended: Ended) -> Reply:
    """Return the reply of a row, or raise what it came to."""
    match ended.how:
        case "answered":
            assert ended.reply is not None
            return ended.reply
        case "failed":
            assert ended.failed is not None
            raise ended.failed
        case "late":
            raise TimeoutError
        case "back":
            raise LostError("a worker has given it back")
        case "fault":
            raise RuntimeError(f"on a worker of the cluster: {ended.fault}")


def _together(told: list[Standing]) -> Standing:
    """Return how a backend stands on several workers: what keeps it from being asked, where that is so on all."""
    levels = [each.level for each in told if each.level is not None]
    states = [each.state for each in told]
    calm = sum(state == "closed" for state in states)
    state = next((each for each in states if each != "closed"), "closed")
    if calm and calm < len(states):
        state = f"{state} (on {len(states) - calm} of {len(states)} workers)"
    return Standing(sum(each.in_flight for each in told), sum(levels) if levels else None, state)
