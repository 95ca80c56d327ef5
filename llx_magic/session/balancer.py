"""A loaded profile: what is asked, and what can be read about it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llx_magic.core.events import Event
from llx_magic.core.policy import Policy
from llx_magic.core.ports import Clock
from llx_magic.core.reply import Message, Part, Reply
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.values import JsonValue
from llx_magic.engine.live import Subscriber
from llx_magic.engine.request import Candidate, Plan, RequestRun, Watch
from llx_magic.engine.stream import parts_of
from llx_magic.errors import UsageProblem
from llx_magic.profiles.document import Profile
from llx_magic.session import wiring
from llx_magic.settings.declaration import nearest
from llx_magic.settings.layers import Layer, Values, policy, read_cell_values

if TYPE_CHECKING:
    import pandas as pd

NO_VALUES: Values = {}


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt with all that is for this request only.

    ``messages`` end with the user's. ``settings`` are checked values of the cell layer; ``params`` go to the model;
    ``backend`` pins one member, so that there is no failover.
    """

    messages: tuple[Message, ...]
    settings: Values = field(default_factory=dict)
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    backend: str | None = None


class LoadBalancer:
    """A loaded profile, ready to answer; made by ``llx_magic.load``.

    Circuits, cool-downs, tokens per minute and statistics are shared with everybody in this process who loaded the
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
    ) -> None:
        wiring.check(profile)
        self.profile = profile
        self._entry = wiring.live_entry(profile, isolated=isolated, clock=clock)
        self._live = self._entry.live
        self._session = session
        self._jitter = (lambda: 0.5) if wiring.is_virtual(profile) else jitter
        self._backends = wiring.backends_of(profile, self._entry)
        self._policies: tuple[Values, dict[str, Policy]] | None = None

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name

    @property
    def members(self) -> tuple[str, ...]:
        """The backends' names, in priority order."""
        return tuple(member.name for member in self.profile.members)

    async def ask(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        settings: Mapping[str, JsonValue] | None = None,
        params: Mapping[str, JsonValue] | None = None,
        backend: str | None = None,
    ) -> Reply:
        """Return one whole reply from the best backend that is up; runs on the caller's loop.

        ``prompt`` is the user's text, or a conversation that ends with it. ``settings`` and ``params`` are for this
        request only.

        Raises:
            AllBackendsFailed: it holds every backend's reason and the longest partial text.
            UsageProblem: for an empty prompt, or a setting or backend that does not exist; nothing was sent.
        """
        return await self.run(self.prepare(prompt, system, settings, params, backend), lambda _part: None)

    def stream(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        settings: Mapping[str, JsonValue] | None = None,
        params: Mapping[str, JsonValue] | None = None,
        backend: str | None = None,
    ) -> AsyncIterator[Part]:
        """Yield ``Delta`` for each piece of text, ``Restart`` where all text so far is withdrawn, the ``Reply`` last.

        Arguments and errors are those of ``ask``. Leaving the loop early cancels the request and closes its connection.
        """
        asked = self.prepare(prompt, system, settings, params, backend)
        return parts_of(lambda watch: self.run(asked, watch))

    def prepare(
        self,
        prompt: str | Sequence[Message],
        system: str | None,
        settings: Mapping[str, JsonValue] | None,
        params: Mapping[str, JsonValue] | None,
        backend: str | None,
    ) -> Ask:
        """Check what was given and put it into one value.

        Raises:
            UsageProblem: for an empty prompt, or a setting or backend that does not exist.
        """
        messages = (Message("user", prompt),) if isinstance(prompt, str) else tuple(prompt)
        if not messages or not messages[-1].content.strip():
            raise UsageProblem("the prompt is empty: nothing was sent")
        if system is not None:
            messages = (Message("system", system), *messages)
        if backend is not None:
            self._member(backend)
        return Ask(messages, read_cell_values(settings or {}), params or {}, backend)

    async def run(self, asked: Ask, watch: Watch) -> Reply:
        """Answer; ``watch`` sees each piece and each decision as it happens, on the loop that runs this."""
        reply = await RequestRun(self._live, self._plan(asked), self._jitter, watch).run()
        return replace(reply, cost=self._cost(reply))

    async def explain(self, asked: Ask) -> tuple[tuple[str, str], ...]:
        """Return each backend in the order in which it would be considered now, with the reason; nothing is sent."""
        plan = self._plan(asked)
        candidates = plan.candidates
        if plan.policy == "roundrobin":
            begin = self._live.peek_turn() % len(candidates)
            candidates = candidates[begin:] + candidates[:begin]
        verdicts = []
        for candidate in candidates:
            name = candidate.backend.name
            obstacle = await candidate.backend.obstacle()
            verdict = self._live.preview(name, candidate.policy, sole=plan.sole)
            verdicts.append((name, verdict if obstacle is None else f"skipped: {obstacle}"))
        return tuple(verdicts)

    def policies(self, cell: Values = NO_VALUES) -> dict[str, Policy]:
        """Return the policy in force for each backend, with a cell's values on top."""
        session = self._session()
        if not cell and self._policies is not None and self._policies[0] is session:
            return self._policies[1]
        policies = {
            member.name: policy(
                {
                    Layer.MEMBER: member.member_settings,
                    Layer.PROFILE: self.profile.settings,
                    Layer.SESSION: session,
                    Layer.CELL: cell,
                }
            )
            for member in self.profile.members
        }
        if not cell:
            self._policies = (session, policies)
        return policies

    def snapshot(self) -> Snapshot:
        """Return the state and the counts of every backend at this moment."""
        return self._live.snapshot(self.policies())

    def stats(self) -> pd.DataFrame:
        """Return a row per backend, indexed by its name: its circuit, counts, latencies, tokens and rates."""
        from llx_magic.observe.frames import stats_frame

        return stats_frame(self.snapshot())

    def history(self) -> pd.DataFrame:
        """Return a row per request that has ended, oldest first; at most ``history_limit``."""
        from llx_magic.observe.frames import history_frame

        return history_frame(self._live.records(), self._live.clock.epoch)

    def events(self) -> pd.DataFrame:
        """Return a row per event, oldest first: every decision that is still remembered."""
        from llx_magic.observe.frames import events_frame

        return events_frame(self._live.events(), self._live.clock.epoch)

    def decisions(self) -> tuple[Event, ...]:
        """Return the events themselves, oldest first."""
        return self._live.events()

    @property
    def epoch(self) -> float:
        """The Unix time, in seconds, at which the events' clock was zero."""
        return self._live.clock.epoch

    def open_circuit(self, backend: str) -> None:
        """Open a backend's circuit by hand; it recovers as any other.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        self._live.set_circuit(self._member(backend), open_it=True)

    def close_circuit(self, backend: str) -> None:
        """Close a backend's circuit by hand and forget its failures.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        self._live.set_circuit(self._member(backend), open_it=False)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Deliver every later event of the profile to ``subscriber``, on whatever thread makes it; it must be quick."""
        self._live.subscribe(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Stop delivering; harmless when it was not subscribed."""
        self._live.unsubscribe(subscriber)

    def now(self) -> float:
        """Return the seconds of the clock that the events' ``at`` is in."""
        return self._live.clock.now()

    def reset_statistics(self) -> None:
        """Forget counts and history; circuits, cool-downs and tokens per minute stay."""
        self._live.reset_statistics()

    async def aclose(self) -> None:
        """Close the connections that were opened on the running loop."""
        for backend in self._backends:
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

    def _cost(self, reply: Reply) -> float | None:
        prices = next(member.connection for member in self.profile.members if member.name == reply.backend)
        if reply.usage is None or prices.price_input is None or prices.price_output is None:
            return None
        paid = reply.usage.prompt_tokens * prices.price_input + reply.usage.completion_tokens * prices.price_output
        return paid / 1e6

    def _plan(self, asked: Ask) -> Plan:
        policies = self.policies(asked.settings)
        candidates = tuple(
            Candidate(backend, policies[member.name], {**wiring.request_params(member), **asked.params})
            for member, backend in zip(self.profile.members, self._backends, strict=True)
            if asked.backend in (None, member.name)
        )
        order = "failover" if asked.backend or self.profile.policy == "single" else self.profile.policy
        return Plan(policy=order, candidates=candidates, messages=asked.messages)
