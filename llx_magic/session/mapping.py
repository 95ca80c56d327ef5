"""A run over rows from its preparation to its result."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from llx_magic.cluster.waiting import stepped_aside
from llx_magic.core.events import Event
from llx_magic.core.progress import MapProgress
from llx_magic.engine.background import BACKGROUND
from llx_magic.engine.budget import Budget, Purse
from llx_magic.engine.dispatch import Dispatcher
from llx_magic.engine.loops import off_loop, on_this_loop
from llx_magic.engine.parts import Stream
from llx_magic.engine.plan import PRICE_UNKNOWN, PRICES_SAID, Plan, names_of
from llx_magic.engine.rivals import NUMBERS
from llx_magic.engine.steady import SteadyBackend
from llx_magic.errors import LlxError, UsageProblem, brief
from llx_magic.observe.debug import VARIABLE
from llx_magic.replies.store import ReplyStore
from llx_magic.rows.layout import Layout
from llx_magic.rows.outcome import Outcome, Outcomes
from llx_magic.rows.result import Ending, MapResult
from llx_magic.rows.rows import Source
from llx_magic.rows.source import source_of
from llx_magic.session.answering import Answering, OwnEngine
from llx_magic.session.estimate import Estimate, estimate
from llx_magic.session.feed import Feed
from llx_magic.session.keeping import Keeping
from llx_magic.session.options import MapOptions, Wishes, ask_options, check_names, check_types
from llx_magic.session.row_prompts import NO_NAMES, RowPrompts, row_template
from llx_magic.session.row_work import MOST_FOLLOWERS, RowWork, Written
from llx_magic.session.ticker import Ticker
from llx_magic.template.template import Template
from llx_magic.text.wording import listed
from llx_magic.units import CURRENCY, exact, plural

if TYPE_CHECKING:
    from llx_magic.session.balancer import LoadBalancer

MapWatch = Callable[[MapProgress | Event], None]
"""Takes how far a run has come, a few times a second, and where debug lines are asked for the decisions on its rows."""


class MapRun:
    """The same prompt for every row, prepared: everything that can be wrong with what was given has been found.

    ``namespace`` are the variables that the template sees behind the columns. With ``keep`` the outcomes are kept for
    ``result``.

    Raises:
        UsageProblem: for data, a template or an option that cannot be used, and columns that would be overwritten.
    """

    def __init__(
        self,
        balancer: LoadBalancer,
        data: object,
        template: str | Template,
        options: MapOptions,
        *,
        namespace: Mapping[str, object] = NO_NAMES,
        keep: bool = True,
    ) -> None:
        check_names(options, MapOptions)
        check_types(options)
        self._wishes = wishes = Wishes.of(options)
        template = _template_of(template, data)
        self._again = (balancer, template, options, namespace)
        if not isinstance(data, Source):
            data = source_of(data, keep=keep, client=options.get("client"))
        data.samples = wishes.samples
        self._source = source = data
        with source.preparing():
            plan = balancer.prepare(template.text, **ask_options(options))
            often = tuple(
                replace(each, backend=SteadyBackend(each.backend, balancer.clock)) for each in plan.candidates
            )
            plan = msgspec.structs.replace(plan, candidates=often, run=next(NUMBERS))
            keeping = Keeping(plan, balancer.name)
            plan, remarks = _within_budget(plan, wishes.budget)
            self._layout = Layout(plan.shape, options.get("prefix") or "")
            self._layout.check(source.columns, wishes.samples)
            longest = plan.candidates[0].settings.image_max_pixels
            prompts = RowPrompts(template, source, before=plan.messages[:-1], longest=longest, namespace=namespace)
        self._store = ReplyStore.open(options.get("store"))
        self._plan, self._live = plan, balancer.live
        self._new_feed = partial(Feed, source, prompts, keeping, wishes, self._store)
        self._feed = feed = self._new_feed()
        self._notes = (*balancer.remarks, *remarks, *prompts.remarks)
        self._outcomes = Outcomes()
        self._deliver: Callable[[Outcome], None] = self._outcomes.put
        self._stopped, self._is_cut_off = "", False
        self._answering = self._answering_of(balancer, plan, options)
        self._work = RowWork(self._answering, plan, feed, wishes, self._take, self._stop)
        self._clock = self._answering.clock
        self._dispatcher = Dispatcher(self._clock, self._work)
        self._stop_soon: Callable[[str], None] | None = None

    def estimate(self) -> Estimate:
        """Return what the run would ask and about what that takes; it reads the rows, so it is instead of ``run``.

        Raises:
            StoreProblem: where the store cannot be read.
        """
        with self._store:
            return estimate(self._feed, self._plan, self._live, self._label)

    def question(self) -> str | None:
        """Return why somebody should be asked before the run; None where it is cheap enough, or has a limit of its own.

        Of an iterator nobody knows what it will cost.

        Raises:
            StoreProblem: where the store cannot be read.
        """
        most = self._plan.candidates[0].settings.ask_above_usd
        prices = [each.tariff.price for each in self._plan.candidates]
        if (
            most is None
            or self._plan.has_limit
            or self._source.length is None
            or not any(map(any, filter(None, prices)))
        ):
            return None
        told = estimate(self._new_feed(), self._plan, self._live, self._label)
        if told.dearest is None or told.dearest.cost is None or told.dearest.cost.likely <= most:
            return None
        cost = told.dearest.cost.in_words(CURRENCY if told.dearest.is_estimate else "")
        return f"the {plural(told.to_ask, 'row')} to ask will cost about {cost}, more than ask_above_usd={exact(most)}"

    def _label(self, place: int) -> str:
        return self._source.label(place // self._source.samples)

    def abandon(self) -> None:
        """Close what was opened for a run that is not to be."""
        self._store.close()

    async def run(self, watch: MapWatch = lambda _part: None) -> MapResult:
        """Ask every row that has to be asked, on the running loop, and return what became of all.

        Raises:
            StoreProblem: where the store cannot be read.
            Exception: what the data itself raised; what was answered until then is stored.
        """
        self._stop_soon = on_this_loop(self._stop)
        if self._stopped:
            self._store.close()
            return self.result()
        writer = self._store.writer(on_this_loop(self._settled))
        self._feed.claims = claims = self._store.claims()
        self._work.begin(writer, watch if os.environ.get(VARIABLE) else None, self._dispatcher.look)
        ticker = Ticker(self._clock, lambda: watch(self.progress()))
        try:
            await self._answering.begin(self._dispatcher.look)
            await self._dispatcher.run()
        finally:
            ticker.stop()
            self._work.end()
            await self._answering.end()
            await off_loop(writer.close)
            self._work.end_those_asked_in_vain()
            claims.close()
            self._store.close()
            watch(self.progress())
        return self.result()

    def follow(
        self,
        draw: Callable[[list[MapProgress | Event]], float] = lambda _parts: 0.0,
        on_interrupt: Callable[[], None] | None = None,
    ) -> MapResult:
        """Run while the calling thread waits and draws; as ``Running.follow``, and errors as of ``run``.

        Raises:
            UsageProblem: where the run would need the thread that waits for it; nothing was sent.
        """
        try:
            self._answering.check_waiting()
            self._source.check_waiting()
        except UsageProblem:
            self.abandon()
            raise
        with stepped_aside():
            return BACKGROUND.start(self.run).follow(draw, on_interrupt)

    async def rows(self) -> AsyncIterator[Outcome]:
        """Run, and yield each row's outcome as it ends; leaving the loop early stops the run."""
        stream: Stream[Outcome] = Stream()
        self._deliver, self._work.wants_values, self._work.backlog = stream.put, True, lambda: stream.backlog
        async with aclosing(stream.of(self.run())) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, Outcome):
                    yield outcome
                    if stream.backlog == MOST_FOLLOWERS // 2:
                        self._dispatcher.look()

    def stop(self, why: str = "interrupted") -> None:
        """End the run with what is finished, from whatever thread; connections are closed at once."""
        if self._stop_soon is None:
            self._stopped = why
        else:
            self._stop_soon(why)

    def progress(self) -> MapProgress:
        """Return how far the run has come."""
        under_way = self._dispatcher.under_way
        is_waiting = self._dispatcher.is_waiting or (not under_way and self._feed.elsewhere)
        in_flight = self._answering.in_flight(under_way)
        waiting_for = self._work.blocked_by() if is_waiting else None
        return self._work.tally.progress(in_flight, waiting_for, self._work.troubles)

    def result(self) -> MapResult:
        """Return what has become of the rows until now."""
        tally = self._work.tally
        ending = Ending(
            seconds=tally.seconds,
            again=self._ask_again,
            stopped=self._stopped,
            cost_is_estimate=tally.cost_is_estimate,
            notes=(*self._notes, *self._work.closed.left_out, *self._answering.notes(), *tally.told_notes()),
        )
        return MapResult(self._source, self._outcomes, self._layout, ending)

    def _answering_of(self, balancer: LoadBalancer, plan: Plan, options: MapOptions) -> Answering:
        if options.get("client") is None:
            return OwnEngine(balancer, plan.candidates, plan.run)
        from llx_magic.session.hiring import fleet_of

        return fleet_of(balancer, plan, options, self._stop)

    def _ask_again(self) -> MapResult:
        balancer, template, options, namespace = self._again
        options = {**options, "retry": "errors", "fresh": False}
        return MapRun(balancer, self._source, template, options, namespace=namespace).follow()

    def _take(self, outcome: Outcome) -> None:
        self._deliver(outcome)

    def _settled(self, group: list[Written], problem: LlxError | None) -> None:
        self._work.settled(group, problem)
        self._dispatcher.look()

    def _stop(self, why: str, *, at_once: bool = True) -> None:
        self._stopped = self._stopped or why
        if not at_once:
            self._dispatcher.finish()
        elif not self._is_cut_off:
            self._is_cut_off = True
            self._dispatcher.stop()


def _template_of(given: object, data: object) -> Template:
    if isinstance(given, Template):
        return given
    if isinstance(given, str):
        return row_template(given, data)
    raise UsageProblem(f"the template must be a text, as 'Rate {{{{ text }}}}'; got {brief(given)}; nothing was sent")


def _within_budget(plan: Plan, budget: float | None) -> tuple[Plan, tuple[str, ...]]:
    """Return the plan with the budget of the run, for those alone whose price is known, and who is left out and why.

    Raises:
        UsageProblem: where nobody is left.
    """
    if budget is not None:
        own = Budget(Purse(), budget, "--budget {0} (in Python budget={0})")
        plan = msgspec.structs.replace(plan, budgets=(own, *plan.budgets))
    priceless = [each for each in plan.candidates if plan.refusal(each) == PRICE_UNKNOWN]
    if not priceless:
        return plan, ()
    if len(priceless) == len(plan.candidates):
        raise UsageProblem(
            f"a budget needs prices; {listed(names_of(priceless))}: none is known; {PRICES_SAID}; nothing was sent"
        )
    priced = tuple(each for each in plan.candidates if each not in priceless)
    unasked = (f"{listed(names_of(priceless))}: not asked: {PRICE_UNKNOWN}",)
    return msgspec.structs.replace(plan, candidates=priced), unasked
