"""What the tests of decisions and engine share: settings, small backends of the port, and requests on virtual time."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from llx_magic.core.archive import Block, Told, block_of
from llx_magic.core.breaker import Cause, CircuitState
from llx_magic.core.events import BackendEvent, CircuitChanged, Event
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady
from llx_magic.core.gate import Gate, GateKey
from llx_magic.core.ledger import Ledger
from llx_magic.core.message import Message
from llx_magic.core.money import UNPRICED, Tariff
from llx_magic.core.ports import SharedFacts, StateStore
from llx_magic.core.reply import Answer, Arrival, ChatRequest, Reply, Usage
from llx_magic.core.routing import ROUTINGS
from llx_magic.core.snapshot import BackendSnapshot
from llx_magic.engine.budget import Budget
from llx_magic.engine.clocks import VirtualClock
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.plan import Candidate, Plan
from llx_magic.engine.request import RequestRun
from llx_magic.engine.store import MemoryStore
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.settings.declaration import Settings
from llx_magic.settings.layers import Layer, read_values, settings_of


def settings_with(**settings) -> Settings:
    """The defaults, with some settings in their place."""
    return settings_of({Layer.SESSION: read_values(settings)})


def failure(kind: FailureKind = FailureKind.SERVER, message: str = "503 Service Unavailable", **facts) -> Failure:
    if kind is FailureKind.SERVER:
        facts.setdefault("status", 503)
    if kind is FailureKind.RATE_LIMIT:
        facts.setdefault("status", 429)
    return Failure(kind=kind, message=message, **facts)


DOWN = failure()
LIMITED = failure(FailureKind.RATE_LIMIT, "429 Too Many Requests")
REFUSED = failure(FailureKind.BAD_REQUEST, "400 Bad Request", status=400)

Step = Failure | tuple[str, Failure] | str | Answer | Callable[[ChatRequest, object], Awaitable[Answer]]


class Scripted:
    """A backend that takes the next step for each attempt; the last one repeats. A pair breaks off after its text."""

    def __init__(self, name: str, *steps: Step, obstacle: str | None = None, tokens: int | None = 10) -> None:
        self.name = name
        self.model = f"{name}-1"
        self.steps = list(steps) or ["fine"]
        self.blocked_by = obstacle
        self.tokens = tokens
        self.asked: list[ChatRequest] = []

    async def prepare(self) -> Scripted:
        if self.blocked_by is not None:
            raise NotReady(self.blocked_by)
        return self

    async def answer(self, request: ChatRequest, progress) -> Answer:
        progress.on_sending(self.name)
        progress.on_connected()
        step = self.steps[min(len(self.asked), len(self.steps) - 1)]
        self.asked.append(request)
        if isinstance(step, tuple):
            text, step = step
            progress.on_text(text)
        if isinstance(step, Failure):
            raise BackendFailed(step)
        if isinstance(step, Answer):
            return step
        if isinstance(step, str):
            progress.on_text(step)
            return answer(step, tokens=self.tokens)
        return await step(request, progress)

    async def aclose(self) -> None:
        pass


def answer(text: str = "fine", *, tokens: int | None = 10, finish_reason: str | None = "stop") -> Answer:
    usage = None if tokens is None else Usage(0, tokens)
    return Answer(text=text, model="m", usage=usage, finish_reason=finish_reason)


_MOVES = {
    Cause.FAILURES: ("closed", "open"),
    Cause.RECOVERY_TIME: ("open", "half-open"),
    Cause.PROBE_FAILED: ("half-open", "open"),
    Cause.PROBE_RETURNED: ("half-open", "open"),
    Cause.RECOVERED: ("half-open", "closed"),
}


def circuit_changed(at: float, cause: Cause, **facts) -> CircuitChanged:
    """A change of the circuit of ``a``: from and to what follows from the cause, unless it is said."""
    before, after = _MOVES.get(cause, ("closed", "open"))
    given = {"request": 1, "backend": "a", "before": before, "after": after, **facts}
    return CircuitChanged(
        at=at, cause=cause, **{**given, **{name: CircuitState(given[name]) for name in ("before", "after")}}
    )


def backend_snapshot(name: str = "a", **facts) -> BackendSnapshot:
    """A backend of which nothing is known, but for some facts."""
    unknown = dict.fromkeys(
        ("cooling_down", "tpm", "tpm_threshold", "success_rate", "mean_latency", "p50_latency", "p95_latency", "ttft",
         "tokens_per_second", "last_error")
    )  # fmt: skip
    counts = dict.fromkeys(
        ("requests", "successes", "failures", "cancelled", "in_flight", "attempts", "timeouts", "prompt_tokens",
         "completion_tokens"), 0,
    )  # fmt: skip
    return BackendSnapshot(name=name, **{"state": "closed", "seconds_until_probe": 0.0, **unknown, **counts, **facts})


def gate_of(live: LiveProfile, key: GateKey) -> Gate:
    """The state of a backend, to look at."""
    return live.ask(key, lambda gate: gate)


class Bench:
    """A live profile of hand-written backends, asked on virtual time unless a clock is given."""

    store: Callable[[], StateStore] = MemoryStore

    def __init__(
        self,
        *backends: Scripted,
        order: str = "failover",
        clock: Any = None,
        tariffs: Mapping[str, Tariff] | None = None,
        budgets: tuple[Budget, ...] = (),
        facts: SharedFacts | None = None,
        **settings,
    ):
        self.tariffs = tariffs or {}
        self.budgets = budgets
        self.clock = clock or VirtualClock()
        self.backends = backends
        self.order = order
        self.settings = {"failover_retry_count": 1, **settings}
        self.live = LiveProfile("bench", [backend.name for backend in backends], self.clock, self.store(), facts)
        self.live.with_ledger(Ledger.resize, self.rules().history_limit)
        self.gates = self.live.gates()
        self.seen: list[Arrival | Event] = []
        self.live.subscribe(lambda event: None)

    def rules(self, **settings) -> Settings:
        return settings_with(**{**self.settings, **settings})

    def start(self, *, only: str | None = None, watch=None, jitter=lambda: 0.0, **settings) -> RequestRun:
        candidates = tuple(
            Candidate(
                backend,
                self.gates[backend.name],
                self.rules(**settings),
                {},
                tariff=self.tariffs.get(backend.name, UNPRICED),
            )
            for backend in self.backends
            if only in (None, backend.name)
        )
        plan = Plan(
            routing=ROUTINGS[self.order],
            candidates=candidates,
            messages=(Message("user", "why"),),
            budgets=self.budgets,
        )
        return RequestRun(self.live, plan, jitter, watch or self.seen.append)

    async def ask(self, **options) -> Reply:
        return await self.start(**options).run()

    def events(self, *kinds: type[Event], backend: str | None = None) -> list[Event]:
        return [
            event
            for event in self.live.with_ledger(Ledger.remembered).events(*kinds)
            if backend is None or (isinstance(event, BackendEvent) and event.backend == backend)
        ]

    def changes(self, cause: Cause) -> list[CircuitChanged]:
        """The changes of circuits for this reason."""
        return [event for event in self.events() if isinstance(event, CircuitChanged) and event.cause is cause]

    def gate(self, name: str) -> Gate:
        """The state of a backend."""
        return gate_of(self.live, self.gates[name])

    def snapshot(self, name: str):
        return self.live.snapshot([(self.gates[name], self.rules())]).backends[0]

    def replace(self, *, fresh: Sequence[str], kept: Sequence[str]) -> None:
        """Replace backends, and load the profile again."""
        self.live.replace_backends(fresh=fresh, kept=kept)
        self.gates = self.live.gates()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everybody who waits for it act."""
        await settle()
        self.clock.advance(seconds)
        await settle()


def clock_of(lb: LoadBalancer) -> VirtualClock:
    """The time that `balancer` gave it."""
    clock = lb._live.clock
    assert isinstance(clock, VirtualClock)
    return clock


async def settle(turns: int = 30) -> None:
    """Let every task go as far as it can without time passing."""
    for _ in range(turns):
        await asyncio.sleep(0)


def simulated(name: str, script: str = "ok", **params) -> ModelProfile:
    return ModelProfile(name, "simulated", f"{name}-1", params={"script": script, **params})


def block(events: Sequence[Event]) -> Block:
    """Return events as they are kept when they are older."""
    return block_of((), [Told(list(events), array("Q", range(len(events))))])


def balancer(*members: ModelProfile, order: str = "failover", clock=None, session=None, **settings) -> LoadBalancer:
    """Simulated members behind a routing, on virtual time, without jitter."""
    if len(members) == 1 and order == "failover":
        profile = Profile.single(members[0])
    else:
        profile = getattr(Profile, order)("lb", members, {"failover_retry_count": 1, **settings})
    more = {"session": session} if session else {}
    return LoadBalancer(profile, clock=clock or VirtualClock(), jitter=lambda: 0.0, **more)
