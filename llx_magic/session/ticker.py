"""A call that is made a few times a second."""

from __future__ import annotations

from collections.abc import Callable

from llx_magic.core.ports import Clock

TICK_SECONDS = 0.25
"""How often the call is made."""


class Ticker:
    """Calls a function a few times a second, on the running loop, until it is stopped."""

    def __init__(self, clock: Clock, tick: Callable[[], None]) -> None:
        self._clock = clock
        self._tick = tick
        self._timer = clock.call_later(TICK_SECONDS, self._ring)

    def stop(self) -> None:
        """Call it no more."""
        self._timer.cancel()

    def _ring(self) -> None:
        self._timer = self._clock.call_later(TICK_SECONDS, self._ring)
        self._tick()
