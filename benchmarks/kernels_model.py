"""Many kernels that share a backend, on virtual time: gates of the pure core, asked and told as the engine does.

Kernels take no time of their own, and nothing is lost on the way. Notes of tokens cost the server what they cost, but
no gate adds them up: nobody has set ``tpm_threshold``.
"""

from __future__ import annotations

import itertools
import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from kernels_server import WIRE, Clock, Entry, Server

from llx_magic.core.admission import Applicant, Permit
from llx_magic.core.breaker import CircuitState, Outcome
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.gate import Gate
from llx_magic.core.hearing import asks, hear_answer, hear_fact, share, unsent
from llx_magic.core.sharing import (
    ANSWER_SECONDS,
    TOKENS_SECONDS,
    Answer,
    GaveUp,
    Gone,
    Granted,
    PlacesWanted,
    ProbeGranted,
    ProbeWanted,
    Saying,
    Spent,
    Swept,
    There,
    Used,
)
from llx_magic.settings.declaration import Settings
from llx_magic.shared.redis_facts import (
    BEAT_SECONDS,
    FIRST_RETRY,
    REST_SECONDS,
    SWEEP_SECONDS,
    TRIES,
)

FAILS_WITHIN = 0.2
"""Seconds that a failure or a refusal takes."""

TOKENS = 400
"""How many tokens a reply takes."""


@dataclass
class Call:
    """One request of a kernel; ``ends`` is how long it waits for the server's answer."""

    number: int
    since: float
    ends: float

    def applicant(self, *, alone: bool) -> Applicant:
        return Applicant(self.number, only_candidate=alone, waiting_since=self.since)


@dataclass
class Backend:
    """The model that all ask: it answers, fails or refuses as ``mode`` says; ``failed`` is when visits failed."""

    clock: Clock
    seconds: float = 2.0
    mode: str = "ok"
    asked: list[float] = field(default_factory=list)
    failed: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)

    @property
    def failures(self) -> int:
        """How many visits have failed by now."""
        return bisect_right(self.failed, self.clock.now)

    def visit(self, kernel: Kernel, permit: Permit) -> None:
        now = self.clock.now
        self.asked.append(now)
        if permit.is_probe:
            self.probes.append(now)
        ends = now + (self.seconds if self.mode == "ok" else FAILS_WITHIN)
        if self.mode == "down":
            self.failed.append(ends)
        self.clock.at(ends, kernel.visited, permit, self.mode)
        if self.mode == "429":
            self.mode = "ok"


class Kernel:
    """A process: one gate, one thread that talks to the server, one that listens."""

    def __init__(self, world: World, settings: Settings, *, alone: bool) -> None:
        self.world, self.clock, self.settings, self.alone = world, world.clock, settings, alone
        self.gate = Gate("model")
        share(self.gate)
        self.is_there = False
        self.lost = 0
        self.heeds_at: float | None = None
        self._outbox: deque[tuple[Saying, float]] = deque(maxlen=1024)
        self._is_sending = self._beats = False
        self._slow = 0
        self._tokens: list[int] = []
        self._pending: list[Call] = []
        self._calls: dict[int, Call] = {}
        self._numbers = itertools.count(1)
        self._looks_at = math.inf

    def change(self, change: Callable[..., object], *args: object) -> object:
        """Change the gate, and send what it has to say."""
        result = change(self.gate, *args)
        said = unsent(self.gate)
        for message in said:
            if isinstance(message, GaveUp):
                self.clock.at(self.clock.now, self.give_up)
            elif isinstance(message, Used):
                self._add_tokens(message.tokens)
            elif self.is_there or not isinstance(message, PlacesWanted | ProbeWanted | Spent):
                self._outbox.append((message, self.clock.now))
        if self._outbox:
            self._send()
        return result

    def beat(self) -> None:
        """Say that it is there."""
        self._beats = True
        self._send()

    def answered(self, answers: list[Answer], sent_at: float) -> None:
        """Take what the server says to what was sent then."""
        self._is_sending = False
        for answer in answers:
            if isinstance(answer, There):
                self._hear_beat(answer, sent_at)
            else:
                self.told(answer)
        self._send()

    def _hear_beat(self, answer: There, sent_at: float) -> None:
        if self.clock.now - sent_at < ANSWER_SECONDS:
            self._slow, self.is_there = 0, True
            self.told(answer)
            self.clock.at(self.clock.now + BEAT_SECONDS, self.beat)
        elif (slow := self._slow + 1) < TRIES:
            self._slow = slow
            self.beat()
        else:
            self._slow = 0
            self.give_up()

    def give_up(self) -> None:
        """Go on alone, and try again soon."""
        if self.is_there:
            self.lost += 1
            self.told(Gone())
        self.is_there = False
        self.clock.at(self.clock.now + FIRST_RETRY, self.beat)

    def told(self, answer: Answer) -> None:
        """Take an answer, and let those go on who wait for it."""
        self.change(hear_answer, answer, self.clock.now)
        if isinstance(answer, Granted | ProbeGranted):
            self.clock.at(self.clock.now + SWEEP_SECONDS, self._sweep)
        most = answer.places + 1 if isinstance(answer, Granted) and answer.places else len(self._pending)
        woken, self._pending = self._pending[:most], self._pending[most:]
        for call in woken:
            self.seek(call)
        self.look()

    def _sweep(self) -> None:
        self.change(hear_answer, Swept(), self.clock.now)

    def hear(self, news: list[Entry]) -> None:
        """Fold in what others say."""
        now = self.clock.now
        for entry in news:
            if entry.origin is not self:
                self.change(hear_fact, entry.fact, entry.at - entry.age, now, self.settings)
        if self.heeds_at is None and self.gate.cool_down.seconds_left(now):
            self.heeds_at = now

    def call(self) -> None:
        """Make a request."""
        now = self.clock.now
        call = Call(next(self._numbers), now, now + ANSWER_SECONDS)
        self._calls[call.number] = call
        self.world.calls += 1
        self.seek(call)

    def seek(self, call: Call) -> None:
        """Ask the others for what admission needs; then ask for that."""
        now = self.clock.now
        to_come = self.change(asks, call.applicant(alone=self.alone), now, self.settings, len(self._pending))
        if to_come and now < call.ends:
            self._pending.append(call)
            self.clock.at(call.ends, self._seek_no_more, call)
        else:
            self._enter(call)

    def _seek_no_more(self, call: Call) -> None:
        if call in self._pending:
            self._pending.remove(call)
            self._enter(call)

    def _enter(self, call: Call) -> None:
        now, applicant = self.clock.now, call.applicant(alone=self.alone)
        admission = self.change(Gate.admit, applicant, now, self.settings)
        if admission.permit is not None:
            self.world.backend.visit(self, admission.permit)
        elif not self.alone or self.change(Gate.wait, applicant, now, self.settings) is None:
            self.world.elsewhere += 1
            del self._calls[call.number]
        else:
            self.look()

    def visited(self, permit: Permit, how: str) -> None:
        """Take what came of a visit."""
        now = self.clock.now
        self._calls.pop(permit.request, None)
        if how == "ok":
            self._add_tokens(TOKENS)
            self.world.answered += 1
        if how == "429":
            failure = Failure(kind=FailureKind.RATE_LIMIT, message="429", status=429, retry_after=30.0)
            self.gate.limited(permit, failure, now, will_retry=False)
            self.heeds_at = now
        outcome = {"ok": Outcome.SUCCESS, "down": Outcome.COUNTED_FAILURE, "429": Outcome.GIVEN_BACK}[how]
        self.change(Gate.settle, permit, outcome, now, self.settings)
        self.look()

    def look(self) -> None:
        """Let those in line go on whose turn it is, and look again when the next one's is."""
        now = self.clock.now
        self._looks_at = math.inf if self._looks_at <= now else self._looks_at
        while (called := self.change(Gate.call_next, now)) is not None:
            self.seek(self._calls[called])
        for number in self.gate.losing_patience(now):
            self.gate.leave(number)
            self.world.elsewhere += 1
            del self._calls[number]
        at = self.gate.next_turn_at(now)
        if at is not None and at < self._looks_at:
            self._looks_at = at
            self.clock.at(at, self.look)

    def _add_tokens(self, tokens: int) -> None:
        if not self._tokens:
            self.clock.at(self.clock.now + TOKENS_SECONDS, self._tell_tokens)
        self._tokens.append(tokens)

    def _tell_tokens(self) -> None:
        self._outbox.append((Used(sum(self._tokens), TOKENS_SECONDS), self.clock.now))
        self._tokens = []
        self._send()

    def _send(self) -> None:
        if self._is_sending or not (self._outbox or self._beats):
            return
        said, beats = list(self._outbox), self._beats
        self._outbox.clear()
        self._is_sending, self._beats = True, False
        self.clock.at(self.clock.now + WIRE, lambda: self.world.server.trip(self, said, beats=beats))


class World:
    """So many kernels, their backend and their server; each asks once in ``pause`` seconds in the mean."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        *,
        pause: float | None = 60.0,
        alone: bool = False,
        rest: float = REST_SECONDS,
    ) -> None:
        self.random = random.Random(number)
        self.clock = Clock()
        self.server = Server(self.clock, rest)
        self.backend = Backend(self.clock)
        self.calls = self.answered = self.elsewhere = 0
        self.pause = pause
        self.kernels = [Kernel(self, settings, alone=alone) for _ in range(number)]
        self.server.customers = number
        for kernel in self.kernels:
            begins = self.random.random() * BEAT_SECONDS
            self.clock.at(begins, kernel.beat)
            self.clock.at(begins, self.server.look, [kernel], 0)
            if pause is not None:
                self.clock.at(BEAT_SECONDS + self.random.expovariate(1 / pause), self._ask_on, kernel)

    def _ask_on(self, kernel: Kernel) -> None:
        kernel.call()
        assert self.pause is not None
        self.clock.at(self.clock.now + self.random.expovariate(1 / self.pause), self._ask_on, kernel)

    def in_state(self, state: CircuitState) -> int:
        """Return how many kernels' circuits are in a state."""
        return sum(kernel.gate.breaker.state is state for kernel in self.kernels)

    @property
    def lost(self) -> int:
        """How often a kernel has gone on alone."""
        return sum(kernel.lost for kernel in self.kernels)
