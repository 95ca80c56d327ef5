"""A backend that many rows ask, one after the other."""

from __future__ import annotations

from llx_magic.core.ports import Backend, Clock, Ready

READY_SECONDS = 1.0
"""How long what a row needs to send serves the next ones too: a repaired key takes effect within that time."""


class SteadyBackend:
    """Gets ready to send once a second and not for each row, on the loop on which the rows are asked."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self.name = backend.name
        self.model = backend.model
        self._backend = backend
        self._clock = clock
        self._ready: Ready | None = None
        self._until = 0.0

    async def prepare(self) -> Ready:
        """Get ready, unless that has just been done.

        Raises:
            NotReady: where nothing can be sent now.
        """
        if self._ready is None or self._clock.now() >= self._until:
            self._ready = None
            self._ready = await self._backend.prepare()
            self._until = self._clock.now() + READY_SECONDS
        return self._ready

    async def aclose(self) -> None:
        """Release what was opened on the running loop."""
        await self._backend.aclose()
