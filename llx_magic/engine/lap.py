"""One way through the candidates of a request, and what may be found on it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from llx_magic.core.reply import Answer
from llx_magic.engine.plan import Candidate
from llx_magic.engine.visit import Visit
from llx_magic.text.shape import Read


@dataclass(slots=True)
class Lap:
    """One way through the candidates: who is still to be asked, and who was passed over for the moment.

    ``put_aside`` are below their tokens per minute and asked in the second part; ``limited`` are kept from answering by
    nothing but a rate limit. ``passed`` were not let in; where another stays silent for long, they may be by then.
    """

    queue: deque[Candidate]
    is_second: bool = False
    put_aside: tuple[Candidate, ...] = ()
    limited: tuple[Candidate, ...] = ()
    passed: tuple[Candidate, ...] = ()

    def drop(self, candidate: Candidate) -> None:
        """Ask a candidate no more in this lap."""
        if candidate in self.queue:
            self.queue.remove(candidate)
        else:
            at = self.passed.index(candidate)
            self.passed = self.passed[:at] + self.passed[at + 1 :]


class Found(NamedTuple):
    """An answer, the visit that gave it, and what was read in it where it was to be something."""

    visit: Visit
    answer: Answer
    read: Read | None
