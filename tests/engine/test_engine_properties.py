"""The whole engine against a plain model, over random histories of faults, concurrency, cancellations and time.

A backend of the port waits for the test at every step, so the test decides what each attempt meets and when, in any
order of any number of requests. After every step what is visible is compared with a model in the plainest words.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as budget
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from llx_magic.core.admission import Applicant
from llx_magic.core.breaker import CircuitState
from llx_magic.core.events import (
    AttemptStarted,
    BackendPutAside,
    BackendSkipped,
    Event,
    RequestAnswered,
    RequestCancelled,
    RequestFailed,
    RequestStarted,
    RetryScheduled,
    SkipReason,
    VisitCancelled,
    VisitFailed,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady
from llx_magic.core.message import Message
from llx_magic.core.ports import Progress, StateStore
from llx_magic.core.reply import Answer, Arrival, ChatRequest, Delta, Reply, Restart, Usage
from llx_magic.core.routing import ROUTINGS
from llx_magic.engine.clocks import ManualClock
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.plan import Candidate, Plan
from llx_magic.engine.request import RequestRun
from llx_magic.engine.store import MemoryStore
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import failure, gate_of, settings_with
from tests.engine.stores import JsonStore

pytestmark = pytest.mark.timeout(300)

NAMES = ("a", "b", "c")
SETTINGS = {
    "circuit_breaker_failure_threshold": 2,
    "circuit_breaker_failure_window_ms": 20_000,
    "circuit_breaker_recovery_timeout_ms": 5_000,
    "failover_retry_count": 2,
    "failover_retry_delay_ms": 1_000,
    "first_token_timeout_ms": 30_000,
    "stall_timeout_ms": 15_000,
    "timeout_ms": 60_000,
    "tpm_threshold": 40,
}
FAULTS = {
    "503": failure(),
    "reset": failure(FailureKind.NETWORK, "connection reset"),
    "400": failure(FailureKind.BAD_REQUEST, "400 Bad Request", status=400),
    "401": failure(FailureKind.ACCESS, "401 Unauthorized", status=401),
    "409": failure(FailureKind.CONFLICT, "409 Conflict", status=409),
    "429": failure(FailureKind.RATE_LIMIT, "429 Too Many Requests"),
    "429 for 3 s": failure(FailureKind.RATE_LIMIT, "429 Too Many Requests", retry_after=3.0),
    "bad reply": failure(FailureKind.BAD_REPLY, "an unusable reply"),
    "filter": failure(FailureKind.CONTENT_FILTER, "filtered"),
}
COUNTED = {"503", "reset", "401", "bad reply"}
REFUSALS = {"400", "filter"}


@dataclass(eq=False)
class Sending:
    """One attempt that waits for the test to say what it meets."""

    backend: str
    request: int
    serial: int
    progress: Progress
    said: asyncio.Future[str]
    shown: list[str] = field(default_factory=list)
    over: bool = False

    def speak(self) -> None:
        piece = f"{self.backend}/{self.request}/{self.serial}/{len(self.shown)} "
        self.shown.append(piece)
        self.progress.on_text(piece)

    def ends(self, word: str) -> Callable[[], None]:
        return lambda: self.said.set_result(word)


class Puppet:
    """A backend of the port whose every attempt is decided by the test."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name = name
        self.model = f"{name}-1"
        self._stage = stage
        self.blocked = False

    async def prepare(self) -> Puppet:
        if self.blocked:
            raise NotReady("no key")
        return self

    async def answer(self, request: ChatRequest, progress) -> Answer:
        progress.on_sending(self.name)
        progress.on_connected()
        self._stage.serial += 1
        number = int(request.messages[-1].text)
        said = asyncio.get_running_loop().create_future()
        sending = Sending(self.name, number, self._stage.serial, progress, said)
        self._stage.sendings.append(sending)
        try:
            word = await said
        finally:
            sending.over = True
            self._stage.sendings.remove(sending)
        if word in FAULTS:
            raise BackendFailed(FAULTS[word])
        if word == "bug":
            raise RuntimeError("a bug of this backend")
        usage = None if word == "no usage" else Usage(2, 30)
        return Answer(text="".join(sending.shown), model=self.model, usage=usage, finish_reason="stop")

    async def aclose(self) -> None:
        pass


@dataclass(eq=False)
class Asking:
    """One request as its user sees it."""

    number: int
    only: str | None
    breaker: bool
    text: list[str] = field(default_factory=list)
    restarts: int = 0
    events: list[Event] = field(default_factory=list)
    task: asyncio.Task[Reply] | None = None
    cancelled: bool = False

    def watch(self, part: Arrival | Event) -> None:
        match part:
            case Delta():
                self.text.append(part.text)
            case Restart():
                self.text.clear()
                self.restarts += 1
            case Event():
                self.events.append(part)


class Circuit:
    """The rules of a circuit in the plainest words, told by the visits' outcomes alone."""

    def __init__(self) -> None:
        self.state = "closed"
        self.failures: list[float] = []
        self.opened_at = 0.0
        self.generation = 0
        self.probe: int | None = None

    def move(self, state: str) -> None:
        self.state, self.generation, self.probe = state, self.generation + 1, None

    def refuses(self, now: float) -> bool:
        return self.state == "half-open" or (self.state == "open" and now - self.opened_at < 5)

    def admit(self, number: int, now: float) -> bool:
        """Note an admission and say whether it must be the probe."""
        if self.state == "open" and now - self.opened_at >= 5:
            self.move("half-open")
            self.probe = number
            return True
        return False

    def settle(self, number: int, generation: int, outcome: str, now: float) -> None:
        if generation != self.generation:
            return
        healthy = outcome in ("success", "refusal")
        if self.state == "closed":
            if outcome == "counted":
                self.failures = [at for at in self.failures if now - at < 20] + [now]
                if len(self.failures) >= 2:
                    self.opened_at = now
                    self.move("open")
        elif healthy:
            self.failures = []
            self.move("closed")
        elif self.probe == number:
            if outcome != "given back":
                self.opened_at = now
            self.move("open")


class Stage:
    """Backends, clock, live profile and loop of one history, and the model beside them."""

    def __init__(self, order: str, store: StateStore) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.order = order
        self.hedge_after_ms: int | str = "none"
        self.serial = 0
        self.sendings: list[Sending] = []
        self.askings: list[Asking] = []
        self.backends = tuple(Puppet(name, self) for name in NAMES)
        self.live = LiveProfile("stage", NAMES, self.clock, store)
        self.live.subscribe(self.see)
        self.gates = self.live.gates()
        self.circuits = {name: Circuit() for name in NAMES}
        self.admitted: dict[
            tuple[int, str], int
        ] = {}  # generation in which a visit was admitted; -1 without the breaker
        self.cooling: dict[str, float] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[int] = Counter()
        self.wrong: list[str] = []

    def do(self, *acts: Callable[[], object], after: tuple[int, Callable[[], object]] | None = None) -> None:
        """Act in one turn of the loop, let ``after`` follow some turns later, and every task go as far as it can."""

        async def turns() -> None:
            for act in acts:
                act()
            for turn in range(25):
                if after is not None and after[0] == turn:
                    after[1]()
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def settle(self) -> None:
        """Let every task go as far as it can without time passing."""
        self.do()

    def ask(self, only: str | None, breaker: bool, streaming: bool) -> Asking:
        asking = Asking(len(self.askings) + 1, only, breaker)
        settings = settings_with(
            **SETTINGS, circuit_breaker_enabled=breaker, streaming=streaming, hedge_after_ms=self.hedge_after_ms
        )
        candidates = tuple(
            Candidate(each, self.gates[each.name], settings, {}) for each in self.backends if only in (None, each.name)
        )
        order = self.order if only is None else "failover"
        plan = Plan(routing=ROUTINGS[order], candidates=candidates, messages=(Message("user", str(asking.number)),))
        run = RequestRun(self.live, plan, lambda: 0.0, asking.watch)
        self.askings.append(asking)
        asking.task = self.loop.create_task(run.run())
        self.settle()
        return asking

    def claim(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)  # an assertion in a subscriber would be contained like any of its errors

    def see(self, event: Event) -> None:
        """Follow each event with the model."""
        match event:
            case RequestStarted():
                self.claim(event.request not in self.ended, "a request began after its end")
            case VisitStarted():
                self.admit(event)
            case VisitSucceeded() | VisitFailed() | VisitCancelled():
                self.visit_ended(event)
            case BackendSkipped(reason=SkipReason.CIRCUIT_OPEN):
                self.claim(self.circuits[event.backend].refuses(event.at), f"{event.backend} skipped though not open")
            case AttemptStarted():
                self.attempt(event)
            case RetryScheduled():
                is_probe = self.circuits[event.backend].probe == event.request
                self.claim(not is_probe, "a probe wants a second attempt")
            case BackendPutAside():
                self.claim(event.tpm < event.threshold, "put aside though not below")
            case RequestAnswered() | RequestFailed() | RequestCancelled():
                self.ended[event.request] += 1
            case _:
                pass

    def attempt(self, event: AttemptStarted) -> None:
        asking, state = self.askings_by(event.request), self.circuits[event.backend].state
        self.claim((event.request, event.backend) in self.admitted, "an attempt without a visit")
        heeds = asking.breaker and asking.only is None
        self.claim(event.attempt == 1 or not heeds or state == "closed", f"another attempt though it is {state}")

    def admit(self, event: VisitStarted) -> None:
        name, asking, circuit = event.backend, self.askings_by(event.request), self.circuits[event.backend]
        self.counts[name, "requests"] += 1
        self.claim((event.request, name) not in self.admitted, "two visits of one request at one backend at once")
        if not asking.breaker:
            self.claim(not event.is_probe, "a probe without the breaker")
            self.admitted[event.request, name] = -1
            return
        if asking.only is None:
            self.claim(not circuit.refuses(event.at), f"{name} was visited though its circuit is {circuit.state}")
        must_probe = circuit.admit(event.request, event.at)
        self.claim(event.is_probe == must_probe, f"probe: {event.is_probe}, by the rules {must_probe}")
        self.admitted[event.request, name] = circuit.generation

    def visit_ended(self, event: VisitSucceeded | VisitFailed | VisitCancelled) -> None:
        name = event.backend
        generation = self.admitted.pop((event.request, name), None)
        self.claim(generation is not None, "a visit ended that had not begun")
        match event:
            case VisitSucceeded():
                what, outcome = "successes", "success"
            case VisitCancelled():
                what, outcome = "cancelled", "given back"
            case VisitFailed():
                what, outcome = "failures", self.outcome_of(event.failure)
        self.counts[name, what] += 1
        if generation is not None:
            self.circuits[name].settle(event.request, generation, outcome, event.at)

    def outcome_of(self, failed: Failure) -> str:
        if failed.kind in (FailureKind.BAD_REQUEST, FailureKind.CONTENT_FILTER):
            return "refusal"
        if failed.kind is FailureKind.RATE_LIMIT:
            return "given back"
        return "uncounted" if failed.kind is FailureKind.CONFLICT else "counted"

    def askings_by(self, request: int) -> Asking:
        return self.askings[request - 1]

    def close(self) -> None:
        for asking in self.askings:
            if asking.task is not None and not asking.task.done():
                asking.task.cancel()
        self.settle()
        self.loop.close()


class EngineAgainstModel(RuleBasedStateMachine):
    """Requests come, speak, fail, wait, are cancelled and run out of time, in any order."""

    store: Callable[[], StateStore] = MemoryStore

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage("failover", self.store())

    @initialize(
        order=st.sampled_from(["failover", "roundrobin", "leastbusy"]),
        down=st.sets(st.sampled_from(NAMES)),
        hedge_after_ms=st.sampled_from(["none", 4_000, 500]),
    )
    def it_begins(self, order, down, hedge_after_ms):
        """By one routing or another, with a second backend beside a silent one or not, some circuits open already."""
        self.stage.order, self.stage.hedge_after_ms = order, hedge_after_ms
        for name in sorted(down):
            for _ in range(2):
                self.stage.ask(name, breaker=True, streaming=True)
                self.stage.do(self.sending(0).ends("401"))

    @rule(
        only=st.sampled_from([None, None, None, None, "a", "b"]),
        breaker=st.sampled_from([True, True, True, False]),
        streaming=st.sampled_from([True, True, True, False]),
        times=st.integers(1, 3),
    )
    def somebody_asks(self, only, breaker, streaming, times):
        for _ in range(times):
            self.stage.ask(only, breaker, streaming)

    @precondition(lambda self: self.stage.sendings)
    @rule(which=st.integers(0, 50), pieces=st.integers(1, 2))
    def an_attempt_speaks(self, which, pieces):
        self.stage.do(*[self.sending(which).speak] * pieces)

    @precondition(lambda self: self.stage.sendings)
    @rule(which=st.integers(0, 50), word=st.sampled_from([*FAULTS, "bug"]))
    def an_attempt_fails(self, which, word):
        self.stage.do(self.sending(which).ends(word))

    @precondition(lambda self: self.stage.sendings)
    @rule(word=st.sampled_from(["503", "reset", "401"]))
    def all_attempts_fail_at_once(self, word):
        self.stage.do(*(sending.ends(word) for sending in self.stage.sendings))

    @precondition(lambda self: self.stage.sendings)
    @rule(which=st.integers(0, 50), word=st.sampled_from(["ok", "ok", "no usage"]))
    def an_attempt_answers(self, which, word):
        sending = self.sending(which)
        self.stage.do(sending.speak, sending.ends(word))

    @precondition(lambda self: any(not asking.task.done() for asking in self.stage.askings))
    @rule(which=st.integers(0, 50), at_the_end=st.sampled_from([None, None, "ok", "503"]), turns=st.integers(0, 4))
    def a_user_cancels(self, which, at_the_end, turns):
        """At rest, or a few turns of the loop after the attempt ended, while the engine acts on that."""
        running = [asking for asking in self.stage.askings if not asking.task.done()]
        asking = running[which % len(running)]
        sending = next((each for each in self.stage.sendings if each.request == asking.number), None)
        ending = [] if sending is None or at_the_end is None else [sending.speak, sending.ends(at_the_end)]
        asking.cancelled = True
        self.stage.do(*ending, after=(turns, asking.task.cancel))

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 5.0, 5.0, 10.0, 16.0, 31.0]))
    def time_passes(self, seconds):
        target = self.stage.clock.now() + seconds
        while self.stage.clock.now() < target:  # in steps, so that who wakes up acts before the next one does
            self.stage.clock.advance(min(1.0, target - self.stage.clock.now()))
            self.stage.settle()

    def sending(self, which: int) -> Sending:
        return self.stage.sendings[which % len(self.stage.sendings)]

    @rule(name=st.sampled_from(NAMES), blocked=st.booleans())
    def a_key_is_lost_or_found(self, name, blocked):
        next(each for each in self.stage.backends if each.name == name).blocked = blocked

    @invariant()
    def nothing_contradicted_the_model(self):
        assert self.stage.wrong == []

    @invariant()
    def the_circuits_are_those_of_the_model(self):
        for name, gate in self.stage.gates.items():
            assert str(gate_of(self.stage.live, gate).breaker.state) == self.stage.circuits[name].state, name

    @invariant()
    def counts_add_up(self):
        for each in self.snapshot():
            counted = self.stage.counts
            assert each.requests == each.successes + each.failures + each.cancelled + each.in_flight
            assert each.requests == counted[each.name, "requests"]
            assert (each.successes, each.failures, each.cancelled) == tuple(
                counted[each.name, what] for what in ("successes", "failures", "cancelled")
            )
            assert each.in_flight == sum(name == each.name for _, name in self.stage.admitted)

    @invariant()
    def half_open_means_that_exactly_one_probe_is_under_way(self):
        for name, circuit in self.stage.circuits.items():
            if gate_of(self.stage.live, self.stage.gates[name]).breaker.state is CircuitState.HALF_OPEN:
                assert (circuit.probe, name) in self.stage.admitted

    @invariant()
    def every_request_that_is_over_ended_once_in_an_answer_or_one_error(self):
        for asking in self.stage.askings:
            over = asking.task.done()
            assert self.stage.ended[asking.number] == int(over)
            if not over:
                continue
            if asking.task.cancelled():
                assert asking.cancelled
            elif (error := asking.task.exception()) is not None:
                assert isinstance(error, AllBackendsFailed), repr(error)
                assert one_sending(error.partial, asking.number, None)
            else:
                reply = asking.task.result()
                assert one_sending(reply.text, asking.number, reply.backend), reply.text
                assert "".join(asking.text) == reply.text, "what was shown is not the reply"

    @invariant()
    def what_is_shown_is_of_one_sending(self):
        for asking in self.stage.askings:
            assert one_sending("".join(asking.text), asking.number, None), asking.text

    @invariant()
    def whoever_is_over_has_nothing_under_way(self):
        over = {asking.number for asking in self.stage.askings if asking.task.done()}
        assert not [each for each in self.stage.sendings if each.request in over]
        assert not [number for number, _ in self.stage.admitted if number in over]

    def snapshot(self):
        settings = settings_with(**SETTINGS)
        return self.stage.live.snapshot((gate, settings) for gate in self.stage.gates.values()).backends

    def teardown(self):
        """End everything; then, once every wait is over, each backend admits somebody again."""
        try:
            for asking in self.stage.askings:
                if not asking.task.done():
                    asking.cancelled = True
                    asking.task.cancel()
            self.stage.settle()
            self.every_request_that_is_over_ended_once_in_an_answer_or_one_error()
            assert self.stage.clock.waiting() == 0, "a timer leaked"
            assert not self.stage.sendings
            self.stage.clock.advance(3700.0)
            self.stage.live.unsubscribe(self.stage.see)
            self.everybody_is_asked_again()
        finally:
            self.stage.close()

    def everybody_is_asked_again(self):
        for backend in self.stage.backends:
            backend.blocked = False
        for name in NAMES:
            settings = settings_with(**SETTINGS)
            admission = self.stage.live.admit(self.stage.gates[name], Applicant(request=10**6), settings)
            assert admission.permit is not None, f"{name} is wedged: {admission.events}"


def one_sending(text: str, number: int, backend: str | None) -> bool:
    """Whether a text is the pieces of one sending, in order from the first, for this request and by this backend."""
    pieces = [piece.split("/") for piece in text.split()]
    whole = [(piece[0], piece[1], piece[2]) for piece in pieces]
    return (
        len(set(whole)) <= 1
        and all(each[1] == str(number) and backend in (None, each[0]) for each in whole)
        and [int(piece[3]) for piece in pieces] == list(range(len(pieces)))
    )


class SharedEngineAgainstModel(EngineAgainstModel):
    """The same, with a state that is written down and read back at each step."""

    store = JsonStore


TestSharedEngineAgainstModel = SharedEngineAgainstModel.TestCase
TestSharedEngineAgainstModel.settings = budget(
    max_examples=25, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
TestEngineAgainstModel = EngineAgainstModel.TestCase
TestEngineAgainstModel.settings = budget(stateful_step_count=40, suppress_health_check=list(HealthCheck))
