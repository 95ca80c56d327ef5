"""Worlds of backends that go out, get slow and fail at random, by a seed: the truth that a replay is held against."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from typing import NamedTuple

from llx_magic.core.events import Event
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.past import Asked, Past
from llx_magic.core.reply import Answer, Usage
from llx_magic.core.routing import ROUTINGS
from llx_magic.core.totals import Expected, Totals, totals
from llx_magic.replay.run import Place, Terms, Trial, courses_for, draws, extremes_of, told
from llx_magic.settings.declaration import Settings
from tests.engine.kit import settings_with

START = 1_767_225_600.0
POLICIES = ("failover", "failover", "roundrobin", "fastest", "weighted")


class Script:
    """What one backend answers to each attempt of each request, whenever it comes: the same in every run."""

    def __init__(self, name: str, seed: int, seconds: float) -> None:
        draw = random.Random(f"{seed}|{name}")
        self.name, self._seed = name, seed
        self._noise = draw.choice((0.0, 0.01, 0.03))
        self._slow = draw.choice((0.0, 0.0, 0.01))
        self._median, self._spread = draw.uniform(0.5, 4), draw.uniform(0.2, 0.6)
        self._hangs = draw.random() < 0.3
        up, out, at = draw.uniform(7200, 36_000), draw.uniform(60, 900), START
        self._changes: list[float] = []
        while at < START + seconds:
            for mean in (up, out):
                at += draw.expovariate(1 / mean)
                self._changes.append(at)

    def meets(self, request: int, attempt: int, at: float) -> tuple[float, bool, bool]:
        """Return how many seconds the reply takes, whether it fails, and whether it never comes."""
        draw = random.Random(f"{self._seed}|{self.name}|{request}|{attempt}")
        seconds = self._median * math.exp(draw.gauss(0, self._spread)) * (10 if draw.random() < self._slow else 1)
        is_out = bisect_right(self._changes, at) % 2 == 1
        return seconds, draw.random() < self._noise or is_out, is_out and self._hangs


class Scripted:
    """A backend that follows a script, for one request."""

    def __init__(self, script: Script, request: int, clock) -> None:
        self.name = self.model = script.name
        self._script, self._request, self._clock, self._made = script, request, clock, 0

    async def prepare(self):
        return self

    async def answer(self, _request, progress) -> Answer:
        progress.on_sending(self.name)
        progress.on_connected()
        self._made += 1
        seconds, fails, hangs = self._script.meets(self._request, self._made, self._clock.now())
        if hangs:
            await self._clock.sleep(86_400)
        if fails:
            await self._clock.sleep(0.05)
            raise BackendFailed(Failure(kind=FailureKind.SERVER, message="503 Service Unavailable", status=503))
        await self._clock.sleep(0.3 * seconds)
        progress.on_text("fine ")
        await self._clock.sleep(0.7 * seconds)
        return Answer(text="fine ", model=self.name, usage=Usage(100, 200), finish_reason="stop")

    async def aclose(self) -> None:
        pass


class Held(NamedTuple):
    """A replay beside the truth: what was, what would really have been, what the replay says of that."""

    was: Totals
    truth: Totals
    told: Expected

    @property
    def points(self) -> float:
        """By how much the share that is answered is wrong."""
        return abs(self.told.middle.success_rate - self.truth.success_rate)

    @property
    def part(self) -> float:
        """By which part of itself the p95 is wrong."""
        return abs(self.told.middle.p95 / self.truth.p95 - 1)

    @property
    def is_within(self) -> bool:
        """Whether the true p95 lies within what the replay says that it may be."""
        least, greatest = self.told.spread(lambda each: each.p95) or (math.nan, math.nan)
        return least * 0.999 <= self.truth.p95 <= greatest * 1.001


def asked_in(draw: random.Random, names: tuple[str, ...], prompts: int) -> list[Asked]:
    at, asked, gap = START, [], draw.choice((20, 40, 90))
    for number in range(1, prompts + 1):
        at += draw.expovariate(1 / gap)
        asked.append(Asked(at, number, "failover", names, prompt_tokens=100))
    return asked


def values_in(draw: random.Random) -> dict[str, int | None]:
    return {
        "timeout_ms": draw.choice((8000, 15_000, 30_000, 60_000)),
        "failover_retry_count": draw.choice((1, 2, 3)),
        "failover_retry_delay_ms": draw.choice((200, 1000)),
        "circuit_breaker_failure_threshold": draw.choice((1, 2, 3, 5)),
        "circuit_breaker_recovery_timeout_ms": draw.choice((10_000, 30_000, 60_000)),
        "hedge_after_ms": draw.choice((None, None, 3000)),
    }


def settings_in(draw: random.Random) -> Settings:
    return settings_with(**values_in(draw))


def run(scripts: dict[str, Script], asked: list[Asked], settings: Settings, policy: str, seed: int = 1):
    """Ask the prompts of the scripts themselves."""
    places = [Place(name=name, settings=settings) for name in scripts]
    terms = Terms(places, ROUTINGS[policy], seed)
    trial = Trial(terms, lambda name, one, clock: Scripted(scripts[name], one.request, clock))
    return trial.decide(asked)


def held_against_truth(seed: int, prompts: int, courses: int | None = None) -> Held:
    """Replay a random history of a random world under random settings; ask the same world under them, too.

    The replay is given the events of the first run and nothing else.
    """
    draw = random.Random(seed)
    names = ("a", "b", "c")[: draw.choice((2, 3))]
    asked = asked_in(draw, names, prompts)
    scripts = {name: Script(name, seed, asked[-1].at - START + 600) for name in names}
    (before, policy), (after, other) = ((settings_in(draw), draw.choice(POLICIES)) for _ in range(2))
    was, truth = run(scripts, asked, before, policy), run(scripts, asked, after, other, seed=2)
    past = Past([was.events])
    drawn = (past.course(draws(number)) for number in range(courses or courses_for(prompts)))
    terms = Terms([Place(name=name, settings=after) for name in names], ROUTINGS[other], seed=4)
    found = told(drawn, terms, extremes_of(past, names, 0))
    return Held(_totals(was), _totals(truth), found.expected)


def _totals(decided) -> Totals:
    return totals(decided.prompts, decided.events)


def events_of(seed: int = 5, prompts: int = 60, **settings) -> tuple[Event, ...]:
    """The events of prompts that were asked of a world of two backends."""
    draw = random.Random(seed)
    asked = asked_in(draw, ("a", "b"), prompts)
    scripts = {name: Script(name, seed, asked[-1].at - START + 600) for name in ("a", "b")}
    return run(scripts, asked, settings_with(**settings), "failover").events
