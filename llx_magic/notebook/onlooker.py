"""Looks every few seconds who else shares the backends of a profile, while a dashboard is open."""

from __future__ import annotations

import time
from concurrent.futures import Future

from llx_magic.core.peers import Shared
from llx_magic.engine.background import BACKGROUND
from llx_magic.errors import LlxError
from llx_magic.session.balancer import LoadBalancer

LOOKS_EVERY = 2.0
"""How many seconds lie between two looks."""


class Onlooker:
    """Who shares the backends of one profile, as far as it is known; nobody waits for it, and no key is read."""

    def __init__(self, balancer: LoadBalancer) -> None:
        self._balancer = balancer
        self._look: Future[Shared] | None = None
        self._due = 0.0
        self._seen: Shared | None = None

    def latest(self) -> Shared | None:
        """Return what was found last, and look again where that is some seconds ago; None where nothing is shared."""
        if self._balancer.live.sharing is None:
            return None
        if self._look is not None and self._look.done():
            done, self._look = self._look, None
            if not done.cancelled() and done.exception() is None:
                self._seen = done.result()
        if self._look is None and time.monotonic() >= self._due:
            self._due = time.monotonic() + LOOKS_EVERY
            try:
                self._look = BACKGROUND.submit(self._balancer.shared(reads_keys=False))
            except LlxError:  # this machine has no thread to spare; it may have one the next time
                return self._seen
        return self._seen
