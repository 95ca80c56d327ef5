"""Finds now and then what another setting would have made of the prompts, while a dashboard is open."""

from __future__ import annotations

import logging
import threading
import time

from llx_magic.core.snapshot import Snapshot
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.what_if import SLOW, what_if

LOOKS_EVERY = 60.0
"""How many seconds lie between two looks at least."""

FEWEST_PROMPTS = 10
"""Of fewer prompts nothing is concluded."""

_log = logging.getLogger(__name__)


class Adviser:
    """What would have helped with one profile's prompts; it is looked for in a thread of its own, and seldom.

    There is a look only where prompts were failed or slow, and where prompts have ended since the last one.
    """

    def __init__(self, balancer: LoadBalancer) -> None:
        self._balancer = balancer
        self._due = 0.0
        self._seen = 0
        self._looking: threading.Thread | None = None
        self._said = ""

    def latest(self, snapshot: Snapshot) -> str:
        """Return what was found last, and look again where that is worth it; empty where nothing is to be said."""
        prompts = snapshot.prompts
        ended = prompts.answered + prompts.failed
        if ended < FEWEST_PROMPTS:
            self._seen, self._said = 0, ""
            return ""
        is_troubled = prompts.failed or (prompts.p95_seconds or 0.0) > SLOW * (prompts.median_seconds or 0.0)
        is_idle = self._looking is None or not self._looking.is_alive()
        if is_troubled and is_idle and ended != self._seen and time.monotonic() >= self._due:
            self._seen, self._due = ended, time.monotonic() + LOOKS_EVERY
            self._looking = threading.Thread(target=self._look, name="llx_magic what if", daemon=True)
            try:
                self._looking.start()
            except RuntimeError:  # this machine has no thread to spare; it may have one the next time
                self._looking = None
        return self._said

    def _look(self) -> None:
        try:
            self._said = what_if(self._balancer)
        except Exception:  # noqa: BLE001 - a picture without this line is better than none
            _log.warning("what another setting would have made of the prompts could not be found", exc_info=True)
