"""What has been done for somebody who fetches it, and says with the next fetch that it has arrived."""

from __future__ import annotations

import asyncio
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

TOGETHER_SECONDS = 0.02
"""How long what comes next may join what is there already: each fetch costs some milliseconds on three machines."""


class Batch(NamedTuple, Generic[T]):
    """What was fetched; ``number`` is what the next fetch says has arrived."""

    number: int
    things: tuple[T, ...]


class Outbox(Generic[T]):
    """Holds things until they have arrived, in their order; for one loop."""

    def __init__(self) -> None:
        self._things: list[T] = []
        self._fetched = 0
        self._number = 0
        self._changed = asyncio.Event()

    @property
    def unseen(self) -> int:
        """How many have not arrived, as far as is known here."""
        return len(self._things)

    def put(self, thing: T) -> None:
        """Add one."""
        self._things.append(thing)
        self.ring()

    def ring(self) -> None:
        """Have whoever waits go on: there is something else to tell."""
        self._changed.set()

    async def fetch(self, seen: int, seconds: float) -> Batch[T]:
        """Return what there is, or nothing after so many seconds; what was fetched as ``seen`` has arrived."""
        if seen == self._number:
            del self._things[: self._fetched]
        self._fetched = 0
        if not self._things:
            self._changed.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(TOGETHER_SECONDS)
        self._number += 1
        self._fetched = len(self._things)
        return Batch(self._number, tuple(self._things))
