"""How many errors a run over rows bears."""

from __future__ import annotations

from llx_magic.core.parking import Tries
from llx_magic.engine.dispatch import Stop
from llx_magic.units import plural


class MostErrors:
    """Stops a run after ``most`` errors; None stands for any number.

    A row that has failed is one. While nobody answers, no row fails for a long time; then each time counts that one is
    asked again in vain, until somebody answers.
    """

    def __init__(self, most: int | None, stop: Stop) -> None:
        self._most = most
        self._stop = stop
        self._failed = self._in_vain = 0

    def take_failed(self) -> None:
        """Take that a row was asked and has failed, before that is on the disk."""
        self._failed += 1
        self._look()

    def take_put_back(self, tries: Tries) -> None:
        """Take that a row was asked, and is to be asked again."""
        self._in_vain += tries.has_failed_again
        self._look()

    def take_answered(self) -> None:
        """Take that somebody answers."""
        self._in_vain = 0

    def _look(self) -> None:
        if self._most is None or self._failed + self._in_vain < self._most:
            return
        again = f" ({plural(self._in_vain, 'time')} a row was asked again in vain)" if self._in_vain else ""
        self._stop(f"max_errors={self._most} is reached{again}; only what was under way was waited for", at_once=False)
