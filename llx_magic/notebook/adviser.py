"""Finds now and then what another setting would have made of the prompts, while a dashboard is open."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from llx_magic.core.snapshot import Snapshot
from llx_magic.core.statistics import Prompts
from llx_magic.core.totals import FEWEST_PROMPTS
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.what_if import SLOW, what_if
from llx_magic.settings.declaration import Settings

LOOKS_EVERY = 60.0
"""How many seconds lie between two looks at least."""

Find = Callable[[LoadBalancer, Callable[[], bool]], str]
"""Returns what would have helped; the second argument tells whether that is still wanted."""

Ground = tuple[int, Mapping[str, Settings]]
"""What an answer rests on: how often the statistics were reset, and the settings in force."""

_looking = threading.Lock()
"""Held while one looks: a kernel has one processor's time to spare at most, however many dashboards are open."""

_log = logging.getLogger(__name__)


class Adviser:
    """What would have helped with one profile's prompts; it is looked for in a thread of its own, and seldom.

    There is a look only where prompts were failed or slow, and where prompts have ended since the last one. What was
    found holds until the statistics are reset or the settings are changed.
    """

    def __init__(self, balancer: LoadBalancer, find: Find = what_if) -> None:
        self._balancer = balancer
        self._find = find
        self._due = 0.0
        self._seen: tuple[Ground, int] | None = None
        self._found: tuple[Ground, str] | None = None
        self._stopped = threading.Event()

    def latest(self, snapshot: Snapshot) -> str:
        """Return what was found last, and look again where that is worth it; empty where nothing is to be said."""
        if not _is_troubled(snapshot.prompts):
            self._seen = self._found = None
            return ""
        ground = self._balancer.times_reset, self._balancer.settings()
        self._look_again((ground, snapshot.prompts.answered + snapshot.prompts.failed))
        found = self._found
        return found[1] if found is not None and found[0] == ground else ""

    def stop(self) -> None:
        """Look no more; a look that is under way ends soon."""
        self._stopped.set()

    def _look_again(self, seen: tuple[Ground, int]) -> None:
        if self._stopped.is_set() or seen == self._seen or time.monotonic() < self._due:
            return
        if not _looking.acquire(blocking=False):
            return
        self._seen, self._due = seen, time.monotonic() + LOOKS_EVERY
        try:
            threading.Thread(target=self._look, args=(seen[0],), name="llx_magic what if", daemon=True).start()
        except RuntimeError:  # this machine has no thread to spare; it may have one the next time
            _looking.release()

    def _look(self, ground: Ground) -> None:
        found = ""
        try:
            found = self._find(self._balancer, self._stopped.is_set)
        except Exception:  # noqa: BLE001 - a picture without this line is better than none
            _log.warning("what another setting would have made of the prompts could not be found", exc_info=True)
        finally:
            if not self._stopped.is_set():  # the last picture keeps what was found before
                self._found = ground, found
            _looking.release()


def _is_troubled(prompts: Prompts) -> bool:
    if prompts.answered + prompts.failed < FEWEST_PROMPTS:
        return False
    return prompts.failed > 0 or (prompts.p95_seconds or 0.0) > SLOW * (prompts.median_seconds or 0.0)
