"""A loaded profile: what is asked, and what can be read about it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from llx_magic.core.events import Event
from llx_magic.core.failure import NotReady
from llx_magic.core.policy import Policy
from llx_magic.core.ports import Clock
from llx_magic.core.reply import Message, Part, Reply
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.trace import Trace, trace_of
from llx_magic.core.values import JsonValue
from llx_magic.engine.live import Subscriber
from llx_magic.engine.plan import Candidate, Plan
from llx_magic.engine.request import RequestRun, Watch
from llx_magic.engine.stream import parts_of
from llx_magic.errors import UsageProblem
from llx_magic.observe import frames, plots
from llx_magic.observe.reply_frame import reply_frame
from llx_magic.profiles.document import Profile
from llx_magic.session import wiring
from llx_magic.settings.declaration import nearest
from llx_magic.settings.layers import Layer, Values, policy, read_cell_values

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NO_VALUES: Values = {}


@dataclass(frozen=True, slots=True)
class Ask:
    """One prompt with all that is for this request only.

    ``messages`` end with the user's. ``settings`` are checked values of the cell layer; ``params`` go to the model;
    ``backend`` pins one member, so that there is no failover. ``notes`` are remarks about the prompt itself, as of what
    of a table is in it; the reply carries them. ``json`` asks for a reply that is JSON. ``conversation`` names the
    conversation that is continued.
    """

    messages: tuple[Message, ...]
    settings: Values = field(default_factory=dict)
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    backend: str | None = None
    notes: tuple[str, ...] = ()
    json: bool = False
    conversation: str | None = None


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
        remarks: tuple[str, ...] = (),
    ) -> None:
        wiring.check(profile)
        self.profile = profile
        wired = wiring.wire(profile, isolated=isolated, clock=clock)
        self._live = wired.live
        self._backends = wired.backends
        self._gates = {gate.name: gate for _backend, gate in wired.backends}
        self._session = session
        self._remarks = remarks
        self._jitter = (lambda: 0.5) if wiring.is_virtual(profile) else jitter
        self._policies: tuple[Values, dict[str, Policy]] | None = None

    @property
    def name(self) -> str:
        """The profile's name."""
        return self.profile.name

    @property
    def members(self) -> tuple[str, ...]:
        """The backends' names, in priority order; one that has several places is named at its first."""
        return tuple(dict.fromkeys(member.name for member in self.profile.members))

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
        messages = (Message("user", prompt),) if isinstance(prompt, str) else _conversation(prompt)
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
        notes = (*self._remarks, *asked.notes, *reply.notes)
        return replace(reply, cost=self._cost(reply), notes=notes, to_frame=reply_frame)

    async def explain(self, asked: Ask) -> tuple[tuple[str, str], ...]:
        """Return each backend in the order in which it would be considered now, with the reason; nothing is sent."""
        plan = self._plan(asked)
        verdicts = []
        for candidate in plan.order(self._live.peek_turn()):
            verdict = self._live.preview(candidate.gate, candidate.policy, sole=plan.sole)
            try:
                await candidate.backend.prepare()
            except NotReady as problem:
                verdict = f"skipped: {problem}"
            verdicts.append((candidate.backend.name, verdict))
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
        return self._live.snapshot((self._gates[name], policy) for name, policy in self.policies().items())

    def stats(self) -> pd.DataFrame:
        """Return a row per backend, indexed by its name: its circuit, counts, latencies, tokens and rates.

        Columns: state, requests (visits), successes, failures, cancelled, in_flight, success_rate (0 to 1),
        mean_latency_seconds, p50_latency_seconds, p95_latency_seconds, ttft_seconds (median time to first token),
        tokens, prompt_tokens, completion_tokens, tokens_per_second, tpm (tokens per minute), tpm_threshold, attempts,
        timeouts, seconds_until_probe, cooling_down_seconds, last_error.
        """
        return frames.stats_frame(self.snapshot())

    def history(self) -> pd.DataFrame:
        """Return a row per request that has ended, in the order of their ends; at most ``history_limit``.

        Columns: request, started (UTC), policy, outcome, seconds, backend, model, attempts, ttft_seconds (time to first
        token), prompt_tokens, completion_tokens, tokens_per_second (after the first piece), finish_reason,
        restarts, decisions (joined by semicolons), error.
        """
        return frames.history_frame(self._live.records(), self.epoch)

    def attempts(self) -> pd.DataFrame:
        """Return a row per attempt that is still remembered, in the order in which they began.

        Columns: request, backend, attempt (from 1), started (UTC), seconds, ttft_seconds (time to first token),
        outcome, and of a failure its kind, HTTP status and message.
        """
        return frames.attempts_frame(self.decisions(), self.epoch)

    def events(self) -> pd.DataFrame:
        """Return a row per event, oldest first: every decision that is still remembered.

        The first columns are at (UTC), request, event and backend; the others are the facts of one kind of event or
        another, missing elsewhere, with the unit in the name.
        """
        return frames.events_frame(self.decisions(), self.epoch)

    def tpm(self) -> pd.DataFrame:
        """Return a row per reply that reported its usage, oldest first: at (UTC), backend, tpm (tokens per minute)."""
        return frames.tpm_frame(self.decisions(), self.epoch)

    def circuit(self) -> pd.DataFrame:
        """Return a row per interval of a backend's circuit: backends in priority order, each one's oldest first.

        Columns: backend, state, began (UTC), ended (UTC, NaT while it lasts), seconds (so far, while it lasts), cause.
        """
        since, events, snapshot = self.remembered_since, self.decisions(), self.snapshot()
        states = {backend.name: backend.state for backend in snapshot.backends}
        return frames.circuit_frame(events, states, since, snapshot.at, self.epoch)

    def cool_downs(self) -> pd.DataFrame:
        """Return a row per cool-down after a rate limit, by backend, each one's oldest first.

        Columns: backend, began (UTC), ended (UTC, ahead while it lasts), seconds.
        """
        return frames.cool_downs_frame(self.decisions(), self.epoch)

    def plot_circuit(self, *, ax: Axes | None = None) -> Axes:
        """Draw each backend's circuit and cool-downs over time; return the Axes, which a notebook shows as a value."""
        return plots.plot_circuit(self.circuit(), self.cool_downs(), self.members, ax=ax)

    def plot_latency(self, *, ax: Axes | None = None) -> Axes:
        """Draw the seconds of every attempt over time, with each ``timeout_ms`` in force; return the Axes."""
        limits = {name: policy.timeout_ms for name, policy in self.policies().items()}
        return plots.plot_latency(self.attempts(), limits, ax=ax)

    def plot_tpm(self, *, ax: Axes | None = None) -> Axes:
        """Draw each backend's tokens per minute over time, with each ``tpm_threshold`` in force; return the Axes."""
        thresholds = {name: policy.tpm_threshold for name, policy in self.policies().items()}
        basis = {name: policy.tpm_basis for name, policy in self.policies().items()}
        curves = frames.curves_frame(self.decisions(), basis, self.now(), self.epoch)
        return plots.plot_tpm(self.tpm(), curves, thresholds, ax=ax)

    def plot_waterfall(self, request: int | None = None, *, ax: Axes | None = None) -> Axes:
        """Draw how a request (the last one, unless its number is given) was decided; return the Axes.

        Raises:
            UsageProblem: for a request that is not remembered.
        """
        return plots.plot_waterfall(self.trace(request), ax=ax)

    def trace(self, request: int | None = None) -> Trace:
        """Return how a request (the last one, unless its number is given) was decided; empty before the first.

        Raises:
            UsageProblem: for a request that is not remembered.
        """
        events = self.decisions()
        numbers = {event.request for event in events} - {0}  # what was done by hand belongs to no request
        if request is None:
            return trace_of(events, max(numbers)) if numbers else Trace(())
        if request not in numbers:
            there_are = f"there are {min(numbers)} to {max(numbers)}" if numbers else "there is none yet"
            raise UsageProblem(f"no request {request} is remembered of {self.name}; {there_are}")
        return trace_of(events, request)

    def decisions(self) -> tuple[Event, ...]:
        """Return the events themselves, oldest first."""
        return self._live.events()

    @property
    def remembered_since(self) -> float | None:
        """From when on every event is kept, on the events' clock; None before the first."""
        return self._live.remembered_since()

    @property
    def epoch(self) -> float:
        """The Unix time, in seconds, at which the events' clock was zero."""
        return self._live.clock.epoch

    def open_circuit(self, backend: str) -> None:
        """Open a backend's circuit by hand; it recovers as any other.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        self._live.set_circuit(self._gates[self._member(backend)], open_it=True)

    def close_circuit(self, backend: str) -> None:
        """Close a backend's circuit by hand and forget its failures.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        self._live.set_circuit(self._gates[self._member(backend)], open_it=False)

    def reset(self, backend: str | None = None) -> None:
        """Close a backend's circuit, or that of every one, forget the failures, and end its cool-down.

        Raises:
            UsageProblem: for a backend that the profile does not have.
        """
        for name in self.members if backend is None else (self._member(backend),):
            self._live.reset_gate(self._gates[name])

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

    def warm_up(self) -> None:
        """Have the background loop do now what its first request would wait for; sends nothing, reads no key."""
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

    def _cost(self, reply: Reply) -> float | None:
        prices = next(member.connection for member in self.profile.members if member.name == reply.backend)
        if reply.usage is None or prices.price_input is None or prices.price_output is None:
            return None
        paid = reply.usage.prompt_tokens * prices.price_input + reply.usage.completion_tokens * prices.price_output
        return paid / 1e6

    def _plan(self, asked: Ask) -> Plan:
        policies = self.policies(asked.settings)
        candidates = tuple(
            Candidate(backend, gate, policies[member.name], {**wiring.request_params(member), **asked.params})
            for member, (backend, gate) in zip(self.profile.members, self._backends, strict=True)
            if asked.backend in (None, member.name)
        )
        if asked.backend is not None:
            candidates = candidates[:1]  # one that has several places is asked once where it is pinned
        order = "failover" if asked.backend or self.profile.policy == "single" else self.profile.policy
        return Plan(
            policy=order,
            candidates=candidates,
            messages=asked.messages,
            json=asked.json,
            conversation=asked.conversation,
        )


def _conversation(prompt: object) -> tuple[Message, ...]:
    """Return the messages; a caller without a type checker may have given anything."""
    messages = tuple(prompt) if isinstance(prompt, Sequence) else (prompt,)
    if not all(isinstance(message, Message) for message in messages):
        raise UsageProblem(f"the prompt must be a text, or a sequence of messages; got {type(prompt).__name__}")
    return messages
