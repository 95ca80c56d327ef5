"""Several runs over rows at once on the same backends: who takes a place that is free."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection

from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS
from llx_magic.core.gate import GateKey
from llx_magic.core.traffic import A_MOMENT, Room
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.loops import on_this_loop


class Rival:
    """One run among those of this process: a free place is for the one that wants it and has the fewest rows under way.

    Otherwise the first run would keep all places: whoever has rows under way hears first that one of them has ended.
    Entered, it has one row more under way. The runs may be on several loops.
    """

    def __init__(self, live: LiveProfile) -> None:
        self.live = live
        self.under_way = 0
        self.latest = 0
        """Which row it has sent last, in the order of those of all runs."""
        self.wants: Collection[GateKey] = ()
        """The gates to which it has rows to send."""
        self.called_at: float | None = None
        """Since when on the clock it is asked to look for a place; None once it has."""
        self._look: Callable[[], None] = lambda: None

    def begin(self, look: Callable[[], None]) -> None:
        """Take part from now on; ``look`` makes the run look for places, on the running loop."""

        def look_anew() -> None:
            self.wants, self.called_at = (), None
            look()

        self._look = on_this_loop(look_anew)
        _RUNNING.add(self)

    def end(self) -> None:
        """Take part no more."""
        _RUNNING.discard(self)

    def __enter__(self) -> None:
        self.under_way += 1
        self.latest = next(_ORDER)

    def __exit__(self, *_ended: object) -> None:
        self.under_way -= 1

    def share(self, gate: GateKey, room: Room) -> Room:
        """Return what of a gate's room is for this run, which wants it; another one that it is for is told so."""
        if room.places <= 0 or len(_RUNNING) < 2:
            return room
        now = self.live.clock.now()
        others = (each for each in tuple(_RUNNING) if each.live is self.live and each.hears_of(gate, now))
        first = min(others, key=Rival.rank, default=self)
        if first.rank() >= self.rank():
            return room
        first.call(now)
        return Room(0, now + A_MOMENT)

    def rank(self) -> tuple[int, int]:
        """Return by what runs take their turns: rows under way, and of those with as many, who was last to send."""
        return self.under_way, self.latest

    def hears_of(self, gate: GateKey, now: float) -> bool:
        """Return whether it takes a place at a gate when it is called; one whose loop is busy does not."""
        is_deaf = self.called_at is not None and now - self.called_at > LOOK_AGAIN_SECONDS
        return gate in self.wants and not is_deaf

    def call(self, now: float) -> None:
        """Have it look for a place."""
        if self.called_at is None:
            self.called_at = now
            self._look()


_RUNNING: set[Rival] = set()
_ORDER = itertools.count(1)
