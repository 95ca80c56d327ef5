"""Several runs at once at the same backends: no place is idle while a row waits, and each run gets its part at once.

The yardstick is one run that has all the rows, at the same backends: nothing keeps it from using every place, and it
finds out in the same way how many there are. All is on simulated time, and a reply takes a second.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from functools import partial

import msgspec
import pytest

from llx_magic.core.message import TEXT_ONLY, Message
from llx_magic.core.traffic import Room
from llx_magic.engine.dispatch import Dispatcher
from llx_magic.engine.rivals import NUMBERS
from llx_magic.session.answering import OwnEngine
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.mapping import MapRun
from llx_magic.session.options import MapOptions
from tests.engine.kit import balancer, simulated

TEMPLATE = "say {{ row }}"
NAMES = itertools.count()

WASTE = 1.1
"""How many times as long all runs together may take as one run that has all the rows."""

REPLY = 1.0
"""How many seconds a run may lose to others that had all the places when it began: no row is broken off for it, so it
waits until one of them ends."""


def at(names: str) -> LoadBalancer:
    return balancer(*(simulated(name, latency_ms=1000) for name in names))


@dataclass(frozen=True)
class Job:
    """A run of so many rows, of which so many may be under way at one backend; it asks the one, or all."""

    rows: int
    concurrency: int
    backend: str | None = None

    async def ends(self, lb: LoadBalancer, store) -> float:
        """When all rows are answered."""
        name = next(NAMES)
        rows = [f"{name} {row}" for row in range(self.rows)]
        options = MapOptions(store=store / f"{name}.sqlite", settings={"concurrency": self.concurrency})
        if self.backend is not None:
            options["backend"] = self.backend
        result = await MapRun(lb, rows, TEMPLATE, options).run()
        assert result.summary.answered == self.rows
        return lb.clock.now()


async def prompts(lb: LoadBalancer, count: int) -> list[float]:
    """Ask a prompt every half second, as somebody does who works meanwhile; return how long each took."""
    took = []

    async def ask():
        took.append((await lb.ask("x")).seconds)

    asking = []
    for _ in range(count):
        asking.append(asyncio.ensure_future(ask()))
        await lb.clock.sleep(0.5)
    await asyncio.gather(*asking)
    return took


async def ends(lb: LoadBalancer, store, *jobs: Job) -> list[float]:
    return list(await asyncio.gather(*(job.ends(lb, store) for job in jobs)))


@pytest.mark.parametrize(
    ("names", "jobs"),
    [
        ("a", [Job(160, 8), Job(20, 1)]),
        ("a", [Job(20, 1), Job(160, 8)]),
        ("a", [Job(640, 64), Job(20, 1), Job(40, 8)]),
        ("a", [Job(160, 8), Job(160, 8), Job(40, 4)]),
        ("ab", [Job(80, 8, "a"), Job(160, 8)]),
        ("ab", [Job(160, 8), Job(20, 1, "b"), Job(30, 2, "a")]),
    ],
)
async def test_runs_at_once_take_no_longer_than_their_rows_need_and_small_ones_as_long_as_alone(tmp_path, names, jobs):
    """Who may have fewer rows under way than its part of the places takes as long as alone, but for one reply."""
    alone = [(await ends(at(names), tmp_path, job))[0] for job in jobs]
    widest = max(job.concurrency for job in jobs)
    one = (await ends(at(names), tmp_path, Job(sum(job.rows for job in jobs), widest)))[0]
    together = await ends(at(names), tmp_path, *jobs)
    assert max(together) <= WASTE * max(one, *alone)
    for job, ended, by_itself in zip(jobs, together, alone, strict=True):
        if job.concurrency <= widest / len(jobs):
            assert ended <= by_itself + REPLY


async def test_a_wide_run_a_narrow_one_and_prompts_in_between_use_all_places(tmp_path):
    """Prompts never wait for rows; those of a run of one row at a time go on beside both."""

    async def beside_prompts(*jobs: Job) -> tuple[list[float], list[float]]:
        lb = at("a")
        took, ended = await asyncio.gather(prompts(lb, 30), ends(lb, tmp_path, *jobs))
        return ended, took

    (one,), _ = await beside_prompts(Job(1300, 64))
    (wide, narrow), took = await beside_prompts(Job(1280, 64), Job(20, 1))
    assert max(wide, narrow) <= WASTE * max(one, 20.0)
    assert narrow <= 20.0 + REPLY
    assert set(took) == {1.0}


class Trickle:
    """A run whose rows come one after the other, each so many seconds after the last, as from a slow source."""

    is_full = is_at_hand = False

    def __init__(self, lb: LoadBalancer, rows: int, every: float, concurrency: int) -> None:
        plan = lb.prepare("x", settings={"concurrency": concurrency})
        self._lb, self._plan = lb, msgspec.structs.replace(plan, run=next(NUMBERS))
        self._engine = OwnEngine(lb, plan.candidates, self._plan.run)
        self._rows, self._every = rows, every
        self._dispatcher = Dispatcher(lb.clock, self, is_fed=True)
        self.waited: list[float] = []

    async def ends(self) -> float:
        await self._engine.begin(self._dispatcher.look)
        running = asyncio.ensure_future(self._dispatcher.run())
        for _ in range(self._rows):
            self._dispatcher.feed([self._lb.clock.now()])
            await self._lb.clock.sleep(self._every)
        while len(self.waited) < self._rows:
            await self._lb.clock.sleep(0.01)
        self._dispatcher.stop()
        await running
        await self._engine.end()
        return self._lb.clock.now()

    def room(self, waiting: int) -> Room:
        return self._engine.room((), waiting)

    async def ask(self, row: float) -> None:
        waited = self._lb.clock.now() - row
        plan = self._plan.for_row((Message("user", "x"),), TEXT_ONLY, self._plan.candidates)
        await self._engine.answer(plan, None, lambda _part: None)
        self.waited.append(waited)

    def read(self, most):
        return ()

    def take(self, rows):
        return rows

    def ends_at(self, row):
        return None

    def expire(self, row):
        raise AssertionError(row)


@pytest.mark.parametrize(("rows", "every", "concurrency"), [(80, 0.25, 8), (10, 2.0, 8), (20, 1.0, 1), (200, 0.1, 64)])
async def test_a_run_with_a_slow_source_lends_its_places_and_has_them_back_when_it_needs_them(
    tmp_path, rows, every, concurrency
):
    """Its rows wait until one of the other run ends, unless it needs more than its part of the places."""
    lb = at("a")
    trickle, count = Trickle(lb, rows, every, concurrency), 160
    slow, fast = await asyncio.gather(trickle.ends(), Job(count, 8).ends(lb, tmp_path))
    (one,) = await ends(at("a"), tmp_path, Job(count + rows, max(8, concurrency)))
    assert max(slow, fast) <= WASTE * max(one, rows * every + REPLY)
    if every * 4 >= REPLY:
        assert max(trickle.waited) <= REPLY


async def test_runs_that_all_wait_for_a_backend_do_not_call_each_other_meanwhile():
    """Its circuit is open, and two runs have rows for it: each would make the other look for places without end."""
    lb = at("a")
    lb.open_circuit("a")
    plan = lb.prepare("x")
    engines = [OwnEngine(lb, plan.candidates, next(NUMBERS)) for _ in range(2)]
    looks = []

    def look_for(engine: OwnEngine) -> None:
        looks.append(engine.room((), 5).places)

    for engine in engines:
        await engine.begin(partial(look_for, engine))
    for engine in engines:
        look_for(engine)
    for _ in range(20):
        await asyncio.sleep(0)
    for engine in engines:
        await engine.end()
    assert looks == [0, 0]
