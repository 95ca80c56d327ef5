"""How long a run waits for somebody to answer."""

from __future__ import annotations

from collections.abc import Callable

from llx_magic.core.ports import Clock, Timer


class Patience:
    """Calls ``give_up`` where nobody has answered for so many seconds of the clock; None stands for ever."""

    def __init__(self, clock: Clock, seconds: float | None, give_up: Callable[[], None]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._give_up = give_up
        self._timer: Timer | None = None

    @property
    def is_endless(self) -> bool:
        """Whether nobody has said how long to wait."""
        return self._seconds is None

    def wait(self) -> None:
        """From now on a reply is waited for, if it is not already."""
        if self._timer is None and self._seconds is not None:
            self._timer = self._clock.call_later(self._seconds, self._give_up)

    def end(self) -> None:
        """Wait no more: somebody has answered."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
