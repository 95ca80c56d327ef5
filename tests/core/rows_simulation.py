"""A run over rows against one server, in virtual time: the gate decides, the server answers, queues or refuses."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from llx_magic.core.admission import Applicant, Permit
from llx_magic.core.breaker import Outcome
from llx_magic.core.failure import Failure
from llx_magic.core.gate import Gate
from llx_magic.core.rate_facts import RateFacts
from llx_magic.settings.declaration import Settings
from tests.engine.kit import LIMITED, failure, settings_with

TRIP = 0.03
"""How long a refusal takes to come back, in seconds."""


class Answered(NamedTuple):
    """What a server makes of a request: seconds until the first token and until the end, or a failure."""

    ttft: float = 0.0
    seconds: float = TRIP
    failure: Failure | None = None
    tells: RateFacts = ()


class Server:
    """Takes so many at once, as ``places`` tells for each time, and refuses or queues what is more."""

    def __init__(self, places: Callable[[float], int], *, refusal: Failure | None = LIMITED) -> None:
        self.places = places
        self.refusal = refusal
        self.ends: list[float] = []
        self.most = 0

    def take(self, now: float, seconds: float) -> Answered:
        """Take a request whose reply takes so many seconds, once it has a place."""
        while self.ends and self.ends[0] <= now:
            heapq.heappop(self.ends)
        begins, places = now, self.places(now)
        if len(self.ends) >= places:
            if self.refusal is not None:
                return Answered(failure=self.refusal)
            begins = heapq.nsmallest(len(self.ends) - places + 1, self.ends)[-1]
        heapq.heappush(self.ends, begins + seconds)
        self.most = max(self.most, len(self.ends))
        return Answered(begins - now + 0.1 * seconds, begins - now + seconds)


@dataclass
class Rate:
    """Takes so many a second, of which it saves up ``burst``; else it refuses and names the time to wait."""

    rate: float
    burst: float
    wait: float | None = 1.0
    tells: Callable[[Rate], RateFacts] = lambda _rate: ()
    saved: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.saved = self.burst

    def take(self, now: float, seconds: float) -> Answered:
        """Take a request where the rate allows it."""
        self.saved, self.at = min(self.burst, self.saved + (now - self.at) * self.rate), now
        if self.saved < 1.0:
            return Answered(failure=failure(LIMITED.kind, "429", retry_after=self.wait), tells=self.tells(self))
        self.saved -= 1.0
        return Answered(0.1 * seconds, seconds, tells=self.tells(self))


@dataclass
class Window:
    """Takes so many in each time of so many seconds, which begins with a request; else it refuses and says nothing."""

    count: int
    seconds: float
    began: float = -math.inf
    taken: int = 0

    def take(self, now: float, seconds: float) -> Answered:
        """Take a request where there are any left in this time."""
        if now >= self.began + self.seconds:
            self.began, self.taken = now, 0
        self.taken += 1
        return Answered(0.1 * seconds, seconds) if self.taken <= self.count else Answered(failure=LIMITED)


def lengths(seed: int, median: float = 2.0, spread: float = 0.5) -> Iterator[float]:
    """Draw how long replies take, log-normal around the median."""
    draw = random.Random(seed)
    while True:
        yield median * draw.lognormvariate(0.0, spread)


class Rows:
    """A run over rows against one server: those that are refused are the next to be sent again."""

    def __init__(
        self, server: Server | Rate | Window, rows: int, takes: Iterator[float], settings: Settings | None = None
    ) -> None:
        self.gate = Gate("a")
        self.now = 0.0
        self.answers: list[float] = []
        self.refusals: list[float] = []
        self.took: list[float] = []
        self._server = server
        self._settings = settings or settings_with()
        self._waiting = [next(takes) for _ in range(rows)][::-1]
        self._under_way: list[tuple[float, int, Permit, Answered, float]] = []
        self._numbers = count(1)

    def run(self) -> Rows:
        """Ask until every row is answered."""
        while self._waiting or self._under_way:
            room = self.gate.room(self.now, self._settings)
            if self._waiting and room.places:
                for _ in range(min(room.places, len(self._waiting))):
                    self._send(self._waiting.pop())
            elif self._waiting and room.at is not None and (not self._under_way or room.at < self._under_way[0][0]):
                self.now = room.at
            elif self._under_way:
                self._end(*heapq.heappop(self._under_way))
        return self

    def _send(self, seconds: float) -> None:
        permit = self.gate.admit(Applicant(next(self._numbers), is_row=True), self.now, self._settings).permit
        assert permit is not None, "there was room"
        answered = self._server.take(self.now, seconds)
        heapq.heappush(self._under_way, (self.now + answered.seconds, permit.request, permit, answered, seconds))

    def _end(self, at: float, _number: int, permit: Permit, answered: Answered, seconds: float) -> None:
        self.now = at
        if answered.tells:
            self.gate.learn_rates(permit, answered.tells, permit.admitted_at, at)
        if answered.failure is None:
            self.gate.traffic.learn(permit, None, answered.ttft, at)
            self.gate.settle(permit, Outcome.SUCCESS, at, self._settings)
            self.answers.append(at)
            self.took.append(at - permit.admitted_at)
        else:
            self.gate.limited(permit, answered.failure, at, will_retry=False)
            self.gate.settle(permit, Outcome.GIVEN_BACK, at, self._settings)
            self.refusals.append(at)
            self._waiting.append(seconds)
