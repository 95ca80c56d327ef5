"""One way through the candidates of a request, and what may be found on it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from llx_magic.core.reply import Answer
from llx_magic.engine.plan import Candidate
from llx_magic.engine.visit import Visit
from llx_magic.text.shape import Read


class Lap(msgspec.Struct, gc=False):
    """One way through the candidates: who is still to be asked, and who was passed over for the moment.

    ``put_aside`` are below their tokens per minute and asked in the second part; ``limited`` are kept from answering by
    nothing but a rate limit. ``passed`` were not let in; where another stays silent for long, they may be by then.
    """

    queue: tuple[Candidate, ...]
    is_second: bool = False
    put_aside: tuple[Candidate, ...] = ()
    limited: tuple[Candidate, ...] = ()
    passed: tuple[Candidate, ...] = ()

    def next(self) -> Candidate:
        """Return who is asked next, and take it off the queue."""
        candidate, *_ = self.queue
        self.queue = self.queue[1:]
        return candidate

    def drop(self, candidate: Candidate) -> None:
        """Ask a candidate no more in this lap."""
        self.queue = tuple(each for each in self.queue if each is not candidate)
        self.passed = tuple(each for each in self.passed if each is not candidate)


class Found(NamedTuple):
    """An answer, the visit that gave it, and what was read in it where it was to be something."""

    visit: Visit
    answer: Answer
    read: Read | None
