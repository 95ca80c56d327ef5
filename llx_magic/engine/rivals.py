"""The runs over rows that share the backends of one profile: each is called where a place has come free for it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.runs import Wish
from llx_magic.core.traffic import Room
from llx_magic.engine.loops import on_this_loop

if TYPE_CHECKING:
    from llx_magic.engine.live import LiveProfile
    from llx_magic.settings.declaration import Settings

NUMBERS = itertools.count(1)
"""By what number the gates know each run of this process."""


class Rivals:
    """The runs of one profile in this process, by number. They may be on several loops; for any thread."""

    def __init__(self, live: LiveProfile) -> None:
        self._live = live
        self._looks: dict[int, Callable[[], None]] = {}

    def begin(self, run: int, most: Mapping[GateKey, int], look: Callable[[], None]) -> None:
        """Let a run take part, with so many rows at each gate at most; ``look`` has it look, on the running loop."""

        def look_anew() -> None:
            for gate in most:
                self._live.ask(gate, lambda each: each.traffic.runs.want(Wish(run, 0, 0)))
            look()

        for gate, rows in most.items():
            self._live.ask(gate, _begin, run, rows)
        self._looks[run] = on_this_loop(look_anew)

    def end(self, run: int, gates: Iterable[GateKey]) -> None:
        """Let a run take part no more."""
        self._looks.pop(run, None)
        for gate in gates:
            self._live.ask(gate, lambda each: each.traffic.runs.end(run))

    def abandon(self, gates: Iterable[GateKey]) -> None:
        """Forget all runs: in a forked copy of the process none goes on."""
        for run in list(self._looks):
            self.end(run, gates)

    def room(self, gate: GateKey, wish: Wish, settings: Settings) -> Room:
        """Return how many rows a run may send of those that wait; others for which places are left are called."""
        now = self._live.clock.now()
        if len(self._looks) < 2:
            return self._live.ask(gate, Gate.room, now, settings)
        room, called = self._live.ask(gate, _room_beside_others, wish, now, settings)
        self._call(called)
        return room

    def look(self, gate: GateKey, but: int) -> None:
        """Call the runs for which there are places at a gate now, but for one that looks by itself."""
        if len(self._looks) > 1:
            now = self._live.clock.now()
            self._call(self._live.ask(gate, lambda each: each.traffic.awaited(but, now)))

    def _call(self, runs: Iterable[int]) -> None:
        for run in runs:
            if look := self._looks.get(run):
                look()


def _begin(gate: Gate, run: int, most: int) -> None:
    gate.traffic.runs.begin(run, most)


def _room_beside_others(gate: Gate, wish: Wish, now: float, settings: Settings) -> tuple[Room, Sequence[int]]:
    gate.traffic.runs.want(wish)
    whole = gate.room(now, settings)
    if whole.places <= 0:  # runs that all wait for the backend would call each other without end
        return whole, ()
    return gate.room(now, settings, run=wish.run), gate.traffic.awaited(wish.run, now)
