"""The engine that asks rows on a worker of a cluster: it is given rows, and tells how each has ended."""

from __future__ import annotations

import concurrent.futures
from dataclasses import replace

import msgspec

from llx_magic.cluster.messages import Job, Opening, Order, Report
from llx_magic.core.failure import NotReady
from llx_magic.engine.background import BACKGROUND, awaited
from llx_magic.engine.card import take_role
from llx_magic.engine.clocks import LoopClock
from llx_magic.engine.plan import Plan
from llx_magic.engine.steady import SteadyBackend
from llx_magic.profiles.travel import unpack
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.ordered_rows import OrderedRows
from llx_magic.session.ticker import Ticker
from llx_magic.text.shape import JSON

ROLE = "Dask worker"
"""By what name the others that share a backend know this process."""

UNHEARD_SECONDS = 60.0
"""Who fetches nothing for so long is gone: nothing more is asked for it."""


class RowEngine:
    """Asks the rows of one run from this process, by its own gates, keys and connections; as ``Engine``.

    Where nothing is fetched for ``unheard_seconds`` it ends by itself. It is made on any thread, its methods are
    awaited on the worker's loop, and it works on that of the background.

    Raises:
        ProfileError: for a profile that cannot be used here.
    """

    def __init__(self, job: Job, unheard_seconds: float = UNHEARD_SECONDS) -> None:
        take_role(ROLE)
        self._balancer = LoadBalancer(unpack(job.profile))
        self._plan = self._planned(job)
        self._clock = LoopClock()
        self._heard = self._clock.now()
        self._unheard_seconds = unheard_seconds
        self._rows: OrderedRows | None = None
        self._ticker: Ticker | None = None
        self._running: concurrent.futures.Future[None] | None = None

    async def open(self, parts: int) -> Opening:
        """Begin; as ``Engine``."""
        refusals = await awaited(BACKGROUND.submit(self._open(parts)))
        assert self._rows is not None
        self._running = BACKGROUND.submit(self._rows.dispatcher.run())
        return Opening(refusals, shares=self._balancer.live.sharing is not None)

    async def divide(self, parts: int) -> None:
        """Keep to a part of the limits; as ``Engine``."""

        async def divide() -> None:
            self._there.divide(parts)

        await awaited(BACKGROUND.submit(divide()))

    async def give(self, orders: tuple[Order, ...]) -> None:
        """Take rows; as ``Engine``."""

        async def give() -> None:
            self._there.dispatcher.feed(orders)

        await awaited(BACKGROUND.submit(give()))

    async def report(self, seen: int) -> Report:
        """Tell what has ended; as ``Engine``."""
        self._heard = self._clock.now()
        return await awaited(BACKGROUND.submit(self._there.report(seen)))

    async def close(self) -> None:
        """Break off; as ``Engine``."""

        async def close() -> None:
            self._stop()

        await awaited(BACKGROUND.submit(close()))
        if self._running is not None:
            await awaited(self._running)

    def _planned(self, job: Job) -> Plan:
        """Return the plan of the run, as this process can carry it out: its settings and parameters are the run's."""
        schema = job.schema if job.is_json else None
        plan = self._balancer.prepare("rows", backend=job.backend, schema=schema, effort=job.effort)
        candidates = tuple(
            replace(
                each,
                backend=SteadyBackend(each.backend, self._balancer.clock),
                settings=job.settings[each.backend.name],
                params=job.params[each.backend.name],
            )
            for each in plan.candidates
            if each.backend.name in job.settings
        )
        shape = JSON if job.is_json and schema is None else plan.shape
        return msgspec.structs.replace(plan, candidates=candidates, shape=shape, budgets=())

    async def _open(self, parts: int) -> dict[str, str]:
        refusals = {}
        for candidate in self._plan.candidates:
            try:
                await candidate.backend.prepare()
            except NotReady as problem:
                refusals[candidate.backend.name] = str(problem)
        self._rows = OrderedRows(self._balancer, self._plan, refusals)
        self._rows.divide(parts)
        self._ticker = Ticker(self._clock, self._tick)
        return refusals

    @property
    def _there(self) -> OrderedRows:
        if self._rows is None or self._ticker is None:
            raise RuntimeError("the engine is closed")
        return self._rows

    def _tick(self) -> None:
        if self._clock.now() - self._heard > self._unheard_seconds:
            self._stop()
        else:
            self._there.give_back_what_is_held()

    def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        if self._rows is not None:
            self._rows.stop()
