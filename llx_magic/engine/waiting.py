"""Where requests wait for rate limits to end, on whatever loops and threads they run."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

from llx_magic.core.admission import Applicant, Wait
from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.ports import Clock, StateStore
from llx_magic.settings.declaration import Settings

GRACE_SECONDS = 1.0
"""How long after the end of a cool-down everybody looks, in case the loop of the one whose task it was has ended."""


class Waiter:
    """One request that waits on the running loop; it may be woken from any thread.

    ``is_called`` tells it to go on; then ``turn`` is the backend that keeps a place for it, if any does.
    """

    def __init__(self, request: int, since: float, tokens: float = 0.0) -> None:
        self.request = request
        self.tokens = tokens
        self.since = since
        self.gates: tuple[GateKey, ...] = ()
        self.is_called = False
        self.turn: GateKey | None = None
        self._loop = asyncio.get_running_loop()
        self._alarm = self._loop.create_future()

    def can_go_on(self) -> bool:
        """Return whether its loop runs, so that it would make use of a turn."""
        return self._loop.is_running()

    def wake(self) -> None:
        """Make it look again; harmless where its loop has ended."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring)

    async def sleep(self, clock: Clock, seconds: float | None) -> None:
        """Return when it is woken, or after so many seconds."""
        timer = None if seconds is None else clock.call_later(seconds, self._ring)
        try:
            await self._alarm
        finally:
            if timer is not None:
                timer.cancel()
        self._alarm = self._loop.create_future()

    def _ring(self) -> None:
        if not self._alarm.done():
            self._alarm.set_result(None)


class WaitingRoom:
    """Everybody who waits, whichever backends they wait for. Not thread-safe: its owner locks around each call.

    One of them, the watch, sleeps until the next limit ends; all others are woken when it is their turn.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._waiters: dict[int, Waiter] = {}
        self._called: dict[int, Waiter] = {}
        self._gates: dict[GateKey, None] = {}
        self._watch: Waiter | None = None
        self._watch_ends: float | None = None

    def join(
        self, waiter: Waiter, applicant: Applicant, wanted: Iterable[tuple[GateKey, Settings]], now: float
    ) -> tuple[GateKey, Wait] | None:
        """Let a request wait for whichever of the backends has a place for it first, where waiting is worth while.

        Returns the one that may be asked first and for what it waits, or None where there is none to wait for.
        """
        waits: dict[GateKey, Wait] = {}
        for gate, settings in wanted:
            wait = self._store.update(gate, Gate.wait, applicant, now, settings)
            if wait is not None:
                waits[gate] = wait
        if waits:
            waiter.is_called, waiter.gates = False, tuple(waits)
            self._gates.update(dict.fromkeys(waits))
            self._waiters[waiter.request] = waiter
        return min(
            waits.items(), key=lambda each: math.inf if each[1].seconds is None else each[1].seconds, default=None
        )

    def leave(self, waiter: Waiter, now: float) -> None:
        """Let a request wait no longer, for whatever reason; a turn that it did not use is the next one's."""
        self._take_out(waiter)
        if waiter.turn is not None:
            self._give_back(waiter, waiter.turn, now)
            waiter.turn = None
        self._called.pop(waiter.request, None)

    def use_turn(self, request: int, gate: GateKey) -> None:
        """Note that the request visits the gate; what its turn held is the visit's from now on."""
        if (waiter := self._called.get(request)) and waiter.turn == gate:
            waiter.turn = None

    def look(self, now: float) -> None:
        """Call everybody who has a place now, or who need not wait any longer."""
        if not self._gates and self._watch is None:
            return
        for gate in list(self._gates):
            for request in self._store.update(gate, lambda each: each.losing_patience(now)):
                self._lose_patience(self._waiters[request], gate)
            while (called := self._store.update(gate, lambda each: each.call_next(now))) is not None:
                self._give_turn(self._waiters[called], gate, now)
            if not self._store.update(gate, lambda each: each.has_line):
                del self._gates[gate]
        self._appoint_watch(now)

    def call_all(self) -> None:
        """Let everybody look for themselves: something was changed by hand."""
        for waiter in list(self._waiters.values()):
            self._call(waiter)

    def abandon(self, now: float) -> None:
        """Forget everybody: in a forked copy of the process nobody goes on waiting."""
        for waiter in [*self._waiters.values(), *self._called.values()]:
            self.leave(waiter, now)
        self._watch = None

    def seconds_until_look(self, waiter: Waiter, now: float) -> float | None:
        """Return when the waiter should look without being woken; None where it will be woken."""
        ends = self._next_end(now)
        if waiter is self._watch:
            self._watch_ends = ends
            return None if ends is None else ends - now
        return None if ends is None else ends - now + GRACE_SECONDS

    def _give_turn(self, waiter: Waiter, gate: GateKey, now: float) -> None:
        if waiter.can_go_on():
            waiter.turn = gate
        else:
            self._give_back(waiter, gate, now)
        self._call(waiter)

    def _lose_patience(self, waiter: Waiter, gate: GateKey) -> None:
        self._store.update(gate, lambda each: each.leave(waiter.request))
        waiter.gates = tuple(other for other in waiter.gates if other != gate)
        if not waiter.gates:
            self._call(waiter)

    def _call(self, waiter: Waiter) -> None:
        self._take_out(waiter)
        self._called[waiter.request] = waiter
        waiter.is_called = True
        waiter.wake()

    def _take_out(self, waiter: Waiter) -> None:
        if self._waiters.pop(waiter.request, None) is not None:
            for gate in waiter.gates:
                self._store.update(gate, lambda each: each.leave(waiter.request))

    def _appoint_watch(self, now: float) -> None:
        """Wake the one who has waited longest where it does not know yet when the next cool-down ends."""
        watch = next(iter(self._waiters.values()), None)
        ends = self._next_end(now)
        if watch is not self._watch or (ends is not None and (self._watch_ends is None or ends < self._watch_ends)):
            self._watch, self._watch_ends = watch, ends
            if watch is not None:
                watch.wake()

    def _next_end(self, now: float) -> float | None:
        ends = (self._store.update(gate, lambda each: each.next_turn_at(now)) for gate in self._gates)
        return min((end for end in ends if end is not None), default=None)

    def _give_back(self, waiter: Waiter, gate: GateKey, now: float) -> None:
        self._store.update(gate, lambda each: each.give_back_turn(waiter.request, now))
