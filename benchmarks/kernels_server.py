"""A server of Redis as a queue of one thread, on virtual time: what its scripts do, as long as each takes."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from llx_magic.core.minute import Minute
from llx_magic.core.sharing import (
    LEASE_SECONDS,
    Answer,
    Granted,
    PlacesWanted,
    ProbeBegan,
    ProbeEnded,
    ProbeFailed,
    ProbeGranted,
    ProbeHeld,
    ProbeWanted,
    Recovered,
    Saying,
    Spent,
    There,
    Used,
)
from llx_magic.shared.redis_facts import LONGEST_REST
from llx_magic.shared.server import BLOCK_SECONDS, KEPT_LEASE_SECONDS

WIRE = 0.00025
"""Seconds from a customer to the server, and back again."""


@dataclass(frozen=True)
class Costs:
    """Seconds of the server's CPU for one of each, and bytes of its memory.

    They are the most of three runs of ``kernels_costs.py``. To hand a process a fact and to let it wait again takes
    22 µs together; half is taken for each.
    """

    take: float = 47e-6
    refuse: float = 38e-6
    spend: float = 44e-6
    beat: float = 43e-6
    probe: float = 27e-6
    keep: float = 27e-6
    tell: float = 27e-6
    look: float = 11e-6
    hand_on: float = 11e-6
    connection: float = 39_000
    peer: float = 570
    streams: float = 740_000


class Clock:
    """Virtual time: what is due is done in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._number = itertools.count()

    def at(self, when: float, act: Callable[..., object], *args: object) -> None:
        heapq.heappush(self._due, (max(when, self.now), next(self._number), act, args))

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, act, args = heapq.heappop(self._due)
            act(*args)
        self.now = until


class Customer(Protocol):
    """Who sends something, and looks for what others say."""

    def answered(self, answers: list[Answer], sent_at: float) -> None:
        """Take what the server says to what was sent then."""

    def hear(self, news: list[Entry]) -> None:
        """Take what others say."""


class Entry(NamedTuple):
    """A fact in the stream."""

    at: float
    origin: Customer
    fact: Saying
    age: float


@dataclass
class Lease:
    """Who is the probe, until when; and when the circuit last recovered or failed a probe."""

    holder: Customer | None = None
    until: float = -math.inf
    recovered: float = -math.inf
    failed: float = -math.inf

    def ask(self, customer: Customer, wish: ProbeWanted, now: float) -> Answer:
        """Do what the server's script does for who wants to be the probe."""
        opened = now - wish.opened_ago
        if self.recovered > opened + 0.1 and now - self.recovered < 1.0:
            return ProbeHeld(0.05)
        if self.failed > opened and self.failed + wish.recovery > now:
            return ProbeHeld(self.failed + wish.recovery - now)
        if self.holder not in (None, customer) and self.until > now:
            return ProbeHeld(min(self.until - now, 1.0))
        self.holder, self.until = customer, now + LEASE_SECONDS
        return ProbeGranted()


class Server:
    """Does one thing after another, each for as long as it costs; whoever waits for facts is woken by the next one."""

    def __init__(self, clock: Clock, rest: float) -> None:
        self.clock, self.costs, self.rest = clock, Costs(), rest
        self.free_at = self.busy = self.longest = 0.0
        self.trips = self.entries = 0
        self.stream: list[Entry] = []
        self.random = random.Random(1)
        self.minute = Minute()
        self.lease = Lease()
        self.customers = 0
        self._blocked: dict[int, list[Customer]] = {}
        self._cohorts = itertools.count()

    def trip(self, customer: Customer, said: Sequence[tuple[Saying, float]], *, beats: bool) -> None:
        """Take what a customer sends at once, and answer it."""
        now = max(self.clock.now, self.free_at)
        cost, answers, told = 0.0, list[Answer](), 0
        self.trips += 1
        if beats:
            cost += self.costs.beat
            answers.append(There(self.customers))
        for message, at in said:
            answer, price = self._do(customer, message, at, now)
            cost += price
            told += price == self.costs.tell
            if answer is not None:
                answers.append(answer)
        woken = [each for cohort in self._blocked.values() for each in cohort] if told else []
        if woken:
            self._blocked.clear()
        end = self._work(cost + len(woken) * self.costs.hand_on)
        self.clock.at(end + WIRE, customer.answered, answers, self.clock.now - WIRE)
        if woken:
            self.clock.at(end + WIRE, self._hand_on, woken, len(self.stream) - told, len(self.stream))

    def look(self, cohort: list[Customer], after: int) -> None:
        """Answer those who look for facts beyond a place in the stream, or let them wait for the next one."""
        self.trips += len(cohort)
        has_news = len(self.stream) > after
        end = self._work(len(cohort) * (self.costs.look + has_news * self.costs.hand_on))
        if has_news:
            self.clock.at(end + WIRE, self._hand_on, cohort, after, len(self.stream))
            return
        name = next(self._cohorts)
        self._blocked[name] = cohort
        self.clock.at(self.clock.now + BLOCK_SECONDS, self._time_out, name, after)

    def _time_out(self, name: int, after: int) -> None:
        if (cohort := self._blocked.pop(name, None)) is not None:
            self._work(len(cohort) * self.costs.hand_on)
            self.look(cohort, after)

    def _hand_on(self, cohort: list[Customer], first: int, end: int) -> None:
        news = [entry for entry in self.stream[first:end] if not isinstance(entry.fact, Used)]
        if news:
            for customer in cohort:
                customer.hear(news)
        if not self.rest:
            self.clock.at(self.clock.now + WIRE, self.look, cohort, end)
            return
        for customer in cohort:
            rests = min(self.rest * self.customers, LONGEST_REST) * (0.5 + self.random.random())
            self.clock.at(self.clock.now + WIRE + rests, self.look, [customer], end)

    def _work(self, seconds: float) -> float:
        begin = max(self.clock.now, self.free_at)
        self.busy += seconds
        self.free_at = begin + seconds
        self.longest = max(self.longest, self.free_at - self.clock.now)
        return self.free_at

    def _do(self, customer: Customer, message: Saying, at: float, now: float) -> tuple[Answer | None, float]:
        costs, lease = self.costs, self.lease
        match message:
            case PlacesWanted():
                assert message.rpm_limit is not None
                granted = self._take(message, message.rpm_limit, now)
                return granted, costs.take if granted.places else costs.refuse
            case Spent():
                self._correct(message, now)
                return None, costs.spend
            case ProbeWanted():
                return lease.ask(customer, message, now), costs.probe
            case ProbeBegan():
                lease.until = now + KEPT_LEASE_SECONDS
                return None, costs.keep
            case ProbeEnded():
                lease.holder = None if lease.holder is customer else lease.holder
                return None, costs.keep
        self.entries += 1
        self.stream.append(Entry(now, customer, message, now - at))
        if isinstance(message, Recovered):
            lease.recovered = at
        if isinstance(message, ProbeFailed):
            lease.failed = at
        return None, costs.tell

    def _take(self, wanted: PlacesWanted, limit: int, now: float) -> Granted:
        places = min(wanted.places, self.minute.places(limit, 1.0, now))
        for _ in range(places):
            self.minute.take(limit, 1.0, now)
        wait = 0.0 if places else self.minute.due_at(limit, 1.0, now) - now
        return Granted(places, wanted.tokens, math.ceil(1000 * wait) / 1000, int(1e6 * now))

    def _correct(self, spent: Spent, now: float) -> None:
        assert spent.rpm_limit is not None
        if spent.given_at:
            self.minute.correct(spent.given_at / 1e6, spent.requests)
            self.minute.next_at += 61.25 * spent.requests / spent.rpm_limit
        else:
            for _ in range(round(spent.requests)):
                self.minute.take(spent.rpm_limit, 1.0, now)
