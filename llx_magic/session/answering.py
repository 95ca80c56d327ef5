"""Who answers the rows of a run: the engine of this process, or those on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from llx_magic.core.events import SkipReason
from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.progress import Standing
from llx_magic.core.runs import Wish
from llx_magic.core.traffic import Room
from llx_magic.engine.loops import within
from llx_magic.units import countdown

if TYPE_CHECKING:
    from llx_magic.core.ports import Clock
    from llx_magic.core.reply import Reply
    from llx_magic.engine.parts import Watch
    from llx_magic.engine.plan import Candidate, Plan
    from llx_magic.session.balancer import LoadBalancer


class Answering(Protocol):
    """Answers the rows of one run, each whenever it is asked; all is called on the loop of the run."""

    @property
    def clock(self) -> Clock:
        """The time by which the run goes."""

    def check_waiting(self) -> None:
        """See to it that the calling thread may wait for the end of the run.

        Raises:
            UsageProblem: where that would be for ever.
        """

    async def begin(self, look: Callable[[], None]) -> None:
        """Get ready; ``look`` is to be called whenever more than the end of a row makes room."""

    async def end(self) -> None:
        """Answer no more; what is under way is broken off."""

    async def answer(self, plan: Plan, seconds: float | None, watch: Watch) -> Reply:
        """Ask a row once, for so many seconds at most.

        Raises:
            AllBackendsFailed: where nobody has answered; its trace says how each candidate ended.
            TimeoutError: where that takes longer.
            LostError: where whoever had the row is gone, or nobody has room for it after all.
        """

    def room(self, left_out: Collection[GateKey], waiting: int) -> Room:
        """Say how many rows may be asked now, where so many wait for that, without those who are left out."""

    def blocked_by(self) -> str | None:
        """Say for what and how long no row can be asked now; None where one can."""

    def in_flight(self, handed_out: int) -> int:
        """Return how many of the rows that were handed out are being asked."""

    def standings(self) -> dict[str, Standing]:
        """Say how each backend stands."""

    def workers(self) -> dict[str, tuple[int, Standing]]:
        """Say of each worker how many rows it has answered and how it stands; none where there are no workers."""

    def notes(self) -> tuple[str, ...]:
        """Return what there is to say of it when the run has ended."""


class OwnEngine:
    """The engine of this process, by the gates of a loaded profile; once begun, a ``run`` shares places with others."""

    def __init__(self, balancer: LoadBalancer, candidates: tuple[Candidate, ...], run: int = 0) -> None:
        self.clock = balancer.clock
        self._balancer = balancer
        self._live = balancer.live
        self._gates = {each.gate: each.settings for each in candidates}
        self._names = {each.gate: each.backend.name for each in candidates}
        self._run = run
        self._under_way = 0

    def check_waiting(self) -> None:
        """Do nothing: the run has a loop and a thread of its own then."""

    async def begin(self, look: Callable[[], None]) -> None:
        """Take places beside other runs, which may leave some to this one; as ``Answering``."""
        self._live.rivals.begin(self._run, {gate: own.concurrency for gate, own in self._gates.items()}, look)

    async def end(self) -> None:
        """Leave the places to other runs; what was under way has been cancelled by whoever asked."""
        self._live.rivals.end(self._run, self._gates)

    async def answer(self, plan: Plan, seconds: float | None, watch: Watch) -> Reply:
        """Ask a row once; as ``Answering``."""
        self._under_way += 1
        try:
            if seconds is None:
                return await self._balancer.answer_row(plan, watch)
            return await within(self.clock, self.clock.now() + seconds, self._balancer.answer_row(plan, watch))
        finally:
            self._under_way -= 1

    def room(self, left_out: Collection[GateKey], waiting: int) -> Room:
        """Say how many rows all gates together have room for, of which other runs have their part."""
        wish, room = Wish(self._run, waiting, self._under_way), self._live.rivals.room
        rooms = [room(gate, wish, own) for gate, own in self._gates.items() if gate not in left_out]
        if len(rooms) == 1:
            return rooms[0]
        waits = [each.at for each in rooms if each.at is not None]
        return Room(sum(each.places for each in rooms), min(waits, default=None))

    def blocked_by(self) -> str | None:
        """Say which of the gates opens first."""
        now = self.clock.now()
        rooms = [(gate.name, self._live.ask(gate, Gate.room, now, own)) for gate, own in self._gates.items()]
        waits = [(room.at, name, room.message) for name, room in rooms if not room.places and room.at is not None]
        if len(waits) < len(rooms):
            return None
        at, name, message = min(waits)
        return f"{name}: {message}, {countdown(at - now)}"

    def in_flight(self, handed_out: int) -> int:
        """Return all of them: what is handed out is asked at once."""
        return handed_out

    def standings(self) -> dict[str, Standing]:
        """Say of each gate what it has and what keeps rows away."""
        now = self.clock.now()
        return {self._names[gate]: self._standing(gate, now) for gate in self._gates}

    def workers(self) -> dict[str, tuple[int, Standing]]:
        """Return none."""
        return {}

    def notes(self) -> tuple[str, ...]:
        """Return what has to be said once of the server of shared facts."""
        return self._live.news()

    def _standing(self, gate: GateKey, now: float) -> Standing:
        hold = self._live.ask(gate, Gate.held_back, now, self._gates[gate])
        rows, level = self._live.ask(gate, _rows_and_level)
        state = "closed"
        if hold is not None and hold.reason is SkipReason.CIRCUIT_OPEN:
            state = f"open, probe in {countdown(hold.seconds)}" if hold.seconds else "half-open"
        elif hold is not None and hold.reason is SkipReason.AT_CEILING:
            state = "at its own limit" + (f", {countdown(hold.seconds)}" if hold.seconds else "")
        elif hold is not None:
            state = f"cooling down, {countdown(hold.seconds)}"
        return Standing(rows, level, state)


def _rows_and_level(gate: Gate) -> tuple[int, int | None]:
    traffic = gate.traffic
    return traffic.rows, None if traffic.level is None else int(traffic.level.at_most)
