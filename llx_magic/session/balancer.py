"""A loaded profile: asking it, and changing its circuits by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self, Unpack

import msgspec

from llx_magic.core.effort import without_effort
from llx_magic.core.failure import NotReady
from llx_magic.core.gate import Gate
from llx_magic.core.ledger import Ledger
from llx_magic.core.message import Message
from llx_magic.core.ports import Clock
from llx_magic.core.preview import preview
from llx_magic.core.reply import Part, Reply, read_effort
from llx_magic.core.routing import FAILOVER, routing_named
from llx_magic.engine.live import LiveProfile, Subscriber
from llx_magic.engine.loops import off_loop
from llx_magic.engine.parts import Watch, parts_of
from llx_magic.engine.plan import Candidate, Plan
from llx_magic.engine.request import RequestRun
from llx_magic.errors import UsageProblem
from llx_magic.keys.redaction import named_secret
from llx_magic.observe.debug import debug_lines_writer
from llx_magic.observe.frames.frames import reply_frame
from llx_magic.profiles.document import SINGLE, Profile
from llx_magic.rows.outcome import Outcome
from llx_magic.rows.result import MapResult
from llx_magic.session import wiring
from llx_magic.session.keeping import from_store
from llx_magic.session.mapping import MapRun
from llx_magic.session.members import takes_of
from llx_magic.session.options import AskOptions, MapOptions, check_names, check_types, with_options
from llx_magic.session.prices import Costs, get_ready
from llx_magic.session.prompt import Prompt, conversation_of, read_pieces, taken_by
from llx_magic.session.record import NO_VALUES, ProfileRecord
from llx_magic.session.windows import Windows
from llx_magic.settings.declaration import Settings
from llx_magic.settings.layers import Values, read_cell_values
from llx_magic.text.schemas import shape_of
from llx_magic.text.values import JsonValue
from llx_magic.text.wording import nearest


class LoadBalancer(ProfileRecord):
    """A loaded profile, ready to answer; made by ``llx_magic.load``.

    Its circuits, cool-downs, tokens per minute and statistics are shared by everybody in this process who loaded the
    same file, unless it was loaded with ``isolated=True``. Use it with ``async with``, or call ``aclose`` at the end.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        isolated: bool = False,
        clock: Clock | None = None,
        session: Callable[[], Values] = lambda: NO_VALUES,
        jitter: Callable[[], float] = random.random,
        remarks: tuple[str, ...] = (),
    ) -> None:
        wiring.check(profile)
        super().__init__(profile, *wiring.wire(profile, isolated=isolated, clock=clock), session)
        self._takes = {member.name: takes_of(member) for member in profile.members}
        self._windows = Windows(profile.members)
        self.remarks = remarks
        """What every reply says of the profile."""
        self._costs = {member.name: Costs(member) for member in profile.members}
        self._is_estimated = any(costs.url for costs in self._costs.values())
        self._has_prices = False
        self._plain: tuple[Mapping[str, Settings], Mapping[str, int | None], tuple[Candidate, ...]] | None = None
        self._given: tuple[str, Values] = ("{}", NO_VALUES)
        self._jitter = (lambda: 0.5) if wiring.is_virtual(profile.members[0]) else jitter

    @property
    def live(self) -> LiveProfile:
        """The state of the backends, and what is remembered of requests."""
        return self._live

    @property
    def clock(self) -> Clock:
        """The time by which everything of this profile goes."""
        return self._live.clock

    @with_options
    async def ask(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Reply:
        """Return one whole reply from the best backend that is up; runs on the caller's loop.

        ``prompt`` is the user's text, or texts, images and files in their order, or a conversation that ends with them.
        Images and files are read before anything is sent. ``AskOptions`` tells what the others mean.

        Raises:
            AllBackendsFailed: it holds every backend's reason and the longest partial text.
            UsageProblem: for an empty prompt, a setting or backend that does not exist, an image or file that cannot be
                read, and one that no backend takes; nothing was sent.
        """
        return await self.run(self.prepare(prompt, **options))

    @with_options
    def stream(self, prompt: Prompt, **options: Unpack[AskOptions]) -> AsyncIterator[Part]:
        """Yield ``Delta`` for each piece of text, ``Restart`` where all text so far is withdrawn, the ``Reply`` last.

        Arguments and errors are those of ``ask``. Leaving the loop early cancels the request and closes its connection.
        """
        plan = self.prepare(prompt, **options)
        return parts_of(lambda watch: self.run(plan, watch), debug_lines_writer())

    @with_options
    def prepare(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Plan:
        """Check what was given and freeze it, with the settings in force.

        Raises:
            UsageProblem: for an empty prompt, a setting or backend that does not exist, an image or file that cannot be
                read or that nobody takes, or a parameter that is a key, which would go to every backend.
        """
        check_names(options)
        check_types(options)
        backend, params = options.get("backend"), options.get("params") or {}
        messages = conversation_of(prompt)
        if not messages or messages[-1].is_blank:
            raise UsageProblem("the prompt is empty; nothing was sent")
        if (system := options.get("system")) is not None:
            messages = (Message("system", system), *messages)
        if backend is not None:
            self._member(backend)
        if params and (name := named_secret(params)):
            raise UsageProblem(f"params: {name}: a key or password is no parameter of a model; nothing was sent")
        schema, effort = options.get("schema"), options.get("effort")
        pinned = backend is not None or self.profile.policy == SINGLE
        candidates = self._candidates(self._values_of(options.get("settings") or {}), options)
        messages = read_pieces(messages, candidates[0].settings.image_max_pixels)
        return Plan(
            routing=FAILOVER if pinned else routing_named(self.profile.policy),
            candidates=candidates,
            messages=messages,
            held=taken_by(candidates, messages),
            shape=None if schema is None else shape_of(schema),
            effort=None if effort is None else read_effort(effort),
            budgets=self.budgets(),
            is_kept=bool(options.get("cache")),
        )

    async def run(self, plan: Plan, watch: Watch | None = None) -> Reply:
        """Answer; ``watch`` gets each piece and each event as it happens, on the loop that runs this.

        It also writes the debug lines that are asked for, in their place among what else it shows.
        """
        watch = watch or debug_lines_writer()
        if plan.is_kept:
            reply = await self._kept(plan, watch)
        else:
            reply = await self._asked(plan, watch)
        before = (*self.said(), *plan.notes)
        return replace(reply, notes=(*before, *reply.notes)) if before else reply

    async def _kept(self, plan: Plan, watch: Watch) -> Reply:
        return await from_store(self.name, plan, watch, lambda: self._asked(plan, watch))

    async def _asked(self, plan: Plan, watch: Watch) -> Reply:
        if self._is_estimated:
            await self._have_prices(plan)
        plan = self._with_ratio(plan)
        reply = await RequestRun(self._live, plan, self._jitter, watch, reply_frame).run()
        self._windows.learn(plan, reply.usage)
        return reply

    async def answer_row(self, plan: Plan, watch: Watch) -> Reply:
        """Answer a row of many, once; what serves a reader alone is left out.

        Raises:
            AllBackendsFailed: as ``run``; nothing was waited for.
        """
        if self._is_estimated:
            await self._have_prices(plan)
        return await RequestRun(self._live, plan, self._jitter, watch).run()

    async def _have_prices(self, plan: Plan) -> None:
        """Have published prices at hand: before anybody is asked where that decides who is, else meanwhile."""
        if not (plan.has_limit or plan.routing.wants_costs):
            get_ready()
        elif not self._has_prices:
            await off_loop(lambda: [costs.price for costs in self._costs.values()])
            self._has_prices = True

    @with_options
    async def map(self, data: object, template: str, **options: Unpack[MapOptions]) -> MapResult:
        """Ask the same for every row of the data and return what became of each; runs on the caller's loop.

        ``data`` is a DataFrame, a Series, a list or an iterator of values or dictionaries, or a path. In the template
        ``{{ name }}`` is a column, ``{{ row }}`` the whole row, or the value of a single one. Each reply is on the disk
        as soon as it is whole, and the same call asks only what is missing. What one row meets is in its
        ``llx_status`` and ``llx_error``; a backend that cannot answer now is waited for. ``MapOptions`` tells what the
        options mean.

        Raises:
            UsageProblem: for data, a template or an option that cannot be used; nothing was sent.
        """
        return await MapRun(self, data, template, options).run()

    @with_options
    def map_rows(self, data: object, template: str, **options: Unpack[MapOptions]) -> AsyncIterator[Outcome]:
        """Yield the outcome of each row as it ends, in no order; ``place`` is its position.

        Of an iterator only the rows under way are in memory, and some that are read ahead. Leaving the loop early
        closes the connections. Arguments and errors are those of ``map``.
        """
        return MapRun(self, data, template, options, keep=False).rows()

    async def explain(self, plan: Plan) -> tuple[tuple[str, str], ...]:
        """Return the backends in the order in which they would be considered, with what would be done; send nothing."""
        verdicts, plan = [], self._with_ratio(plan)
        for candidate in plan.order(self._live, 0, self._jitter):
            now, settings = self._live.clock.now(), candidate.settings
            verdict = self._live.ask(candidate.gate, preview, now, settings, only_candidate=plan.has_one_candidate)
            try:
                await candidate.backend.prepare()
            except NotReady as problem:
                verdict = f"skipped: {problem}"
            if why := plan.refusal(candidate):
                verdict = f"skipped: {why}"
            verdicts.append((candidate.backend.name, verdict))
        return tuple(verdicts)

    def open_circuit(self, backend: str) -> None:
        """Open a backend's circuit by hand; it recovers as any other.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        self._live.change_by_hand(self._gates[self._member(backend)], Gate.open)

    def close_circuit(self, backend: str) -> None:
        """Close a backend's circuit by hand and forget its failures.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        self._live.change_by_hand(self._gates[self._member(backend)], Gate.close)

    def reset(self, backend: str | None = None) -> None:
        """Close a backend's circuit, or every one's without a name; forget its failures and end its cool-down.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        for name in self.members if backend is None else (self._member(backend),):
            self._live.change_by_hand(self._gates[name], Gate.reset)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call ``subscriber`` with every later event, on the thread where it happens; it must return quickly."""
        self._live.subscribe(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop calling ``subscriber``; harmless if it was not subscribed."""
        self._live.unsubscribe(subscriber)

    def reset_statistics(self) -> None:
        """Forget counts and history; circuits, cool-downs and tokens per minute stay."""
        self._live.with_ledger(Ledger.reset)

    def warm_up(self) -> None:
        """Do now, in the background, what the first request would wait for; send nothing and read no key."""
        wiring.warm_up(backend for backend, _gate in self._backends)

    async def aclose(self) -> None:
        """Close the connections that were opened on the running loop."""
        for backend, _gate in self._backends:
            await backend.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _member(self, backend: str) -> str:
        if backend not in self.members:
            raise UsageProblem(f"profile {self.name} has no backend {backend!r}{nearest(backend, self.members)}")
        return backend

    def _values_of(self, given: Mapping[str, JsonValue]) -> Values:
        """Return the settings that are given with a prompt, checked; mostly they are those of the last one."""
        written = repr(given)  # compared as text, since the caller may change the mapping itself, and 1 equals True
        known = self._given
        if known[0] != written:
            known = self._given = written, read_cell_values(given)
        return known[1]

    def _candidates(self, cell: Values, options: AskOptions) -> tuple[Candidate, ...]:
        """Return the backends that may be asked, each with its own parameters below those of the prompt.

        An effort of the prompt outweighs what a profile's parameters say of it, in whatever words.
        """
        in_force, windows = self.settings(cell), self._windows.now()
        pinned, params = options.get("backend"), options.get("params") or {}
        is_plain, known = not (pinned or params or options.get("effort")), self._plain
        if is_plain and known is not None and known[0] is in_force and known[1] is windows:
            return known[2]
        saved: Callable[[Mapping[str, JsonValue]], dict[str, JsonValue]]
        saved = dict if options.get("effort") is None else without_effort
        candidates = tuple(
            Candidate(
                backend,
                gate,
                in_force[member.name],
                {**saved(wiring.request_params(member)), **params},
                self._takes[member.name],
                windows[member.name],
                self._costs[member.name],
                self.profile.weights.get(member.name, 1.0),
            )
            for member, (backend, gate) in zip(self.profile.members, self._backends, strict=True)
            if pinned in (None, member.name)
        )
        if is_plain:
            self._plain = in_force, windows, candidates
        return candidates if pinned is None else candidates[:1]  # one that has several places is asked once

    def _with_ratio(self, plan: Plan) -> Plan:
        """Return the plan with the size of its conversation's tokens, where a backend has counted them."""
        ratio = self._windows.bytes_a_token(plan.conversation)
        return plan if ratio == plan.bytes_a_token else msgspec.structs.replace(plan, bytes_a_token=ratio)
