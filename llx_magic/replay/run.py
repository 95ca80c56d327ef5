"""Prompts of the past, decided by the same engine as those of today, on time that leaps."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter

from llx_magic.core.breaker import CircuitState
from llx_magic.core.events import CircuitChanged, CoolDownLifted, Event
from llx_magic.core.extremes import Extreme
from llx_magic.core.gate import Gate
from llx_magic.core.ledger import Ledger
from llx_magic.core.message import Message
from llx_magic.core.money import UNPRICED, Tariff
from llx_magic.core.past import Asked, Course, Past
from llx_magic.core.ports import Backend
from llx_magic.core.routing import FAILOVER, Routing, Standing, turn_of
from llx_magic.core.statistics import RequestRecord
from llx_magic.core.totals import Expected, totals
from llx_magic.core.window import BYTES_A_TOKEN, bytes_of
from llx_magic.engine.budget import Budget, Purse
from llx_magic.engine.leaps import Arrival, LeapingClock, arriving, cut_at, never, on_leaping_time
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.plan import Candidate, Plan
from llx_magic.engine.request import RequestRun
from llx_magic.errors import AllBackendsFailed
from llx_magic.replay.playback import Drawn, Playback
from llx_magic.settings.declaration import Settings
from llx_magic.text.values import JsonValue

_PROMPT = (Message("user", "prompt"),)
"""Stands for a prompt whose text nobody has kept; as many tokens are counted for it as it had."""


MOST_COURSES, LEAST_COURSES = 9, 3
"""In how many courses a past is replayed of which something is drawn."""

MOST_PROMPTS = 20_000
"""How many prompts are replayed in all courses together, where there are more than the least."""


def draws(seed: int) -> Callable[[], float]:
    """Return what gives the same numbers in [0, 1) for the same seed."""
    return random.Random(seed).random  # noqa: S311 - nobody is kept from guessing them


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place of the profile that is tried: a backend with the settings that are to hold for it."""

    name: str
    settings: Settings
    tariff: Tariff = UNPRICED
    weight: float = 1.0
    params: Mapping[str, JsonValue] = field(default_factory=dict)


Answering = Callable[[str, Asked, LeapingClock], Backend]
"""Returns what a backend of that name is for one prompt."""

ByHand = tuple[int, CircuitChanged | CoolDownLifted]
"""What the user did to a circuit or a cool-down, with the kernel in which it was done."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of prompts, each beside the prompt that it was, in the order in which they came; and all events."""

    prompts: tuple[tuple[Asked, RequestRecord], ...]
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """What is tried: the places and their routing; ``seed`` is that of all draws.

    Nothing more is tried as soon as ``is_stopped`` says so.
    """

    places: Sequence[Place]
    routing: Routing
    seed: int = 0
    is_stopped: Callable[[], bool] = never


class Trial:
    """A profile as it is to be tried, from the first prompt to the last."""

    def __init__(self, terms: Terms, answering: Answering) -> None:
        self._places = terms.places
        self._routing = terms.routing
        self._answering = answering
        self._is_stopped = terms.is_stopped
        self._jitter = draws(terms.seed) if terms.routing.explores else lambda: 0.5
        self._budgets = (Budget(Purse(), terms.places[0].settings.budget_usd),)

    def decide(self, asked: Sequence[Asked], by_hand: Sequence[ByHand] = ()) -> Decided:
        """Ask every prompt when it came, and do to circuits what was done by hand; return what became of them.

        Raises:
            Stopped: where it is not wanted any longer.
        """
        if not asked:
            return Decided((), ())
        start = min(asked[0].at, *(done.at for _kernel, done in by_hand)) if by_hand else asked[0].at
        return on_leaping_time(start, lambda clock: self._run(clock, asked, by_hand), self._is_stopped)

    async def _run(self, clock: LeapingClock, asked: Sequence[Asked], by_hand: Sequence[ByHand]) -> Decided:
        count = Counter(each.kernel for each in asked)
        turns = self._first_turns(asked)
        names = [place.name for place in self._places]
        kernels = {each: LiveProfile("replay", names, clock, turns=turns.get(each, 0)) for each in count}
        for kernel, live in kernels.items():
            live.with_ledger(Ledger.resize, count[kernel])
        numbers: dict[tuple[int, int], Asked] = {}

        def begin(one: Asked) -> Coroutine[object, None, None]:
            live = kernels[one.kernel]
            run = RequestRun(live, self._plan(one, live, clock), self._jitter, lambda _part: None)
            numbers[one.kernel, run.number] = one
            after = one.cancelled_after
            return _ended(run) if after is None else cut_at(clock, after, _ended(run))

        arrivals: list[Arrival] = [
            (done.at, partial(_change, kernels[which], done)) for which, done in by_hand if which in kernels
        ]
        arrivals += [(each.at, partial(begin, each)) for each in asked]
        await arriving(clock, sorted(arrivals, key=itemgetter(0)))
        prompts, events = list[tuple[Asked, RequestRecord]](), list[Event]()
        for kernel, live in kernels.items():
            remembered = live.with_ledger(Ledger.remembered)
            prompts += [(numbers[kernel, record.request], record) for record in remembered.records()]
            events += remembered.events()
        return Decided(tuple(sorted(prompts, key=lambda each: (each[0].at, each[0].request))), tuple(events))

    def _plan(self, one: Asked, live: LiveProfile, clock: LeapingClock) -> Plan:
        is_pinned = len(one.order) == 1 and one.order[0] in {place.name for place in self._places}
        places = [place for place in self._places if not is_pinned or place.name == one.order[0]]
        gates, backends = live.gates(), {place.name: self._answering(place.name, one, clock) for place in places}
        candidates = tuple(
            Candidate(
                backends[place.name],
                gates[place.name],
                place.settings,
                place.params,
                tariff=place.tariff,
                weight=place.weight,
            )
            for place in places
        )
        tokens = one.prompt_tokens
        return Plan(
            routing=FAILOVER if is_pinned else self._routing,
            candidates=candidates[:1] if is_pinned else candidates,
            messages=_PROMPT,
            bytes_a_token=bytes_of(_PROMPT) / tokens if tokens else BYTES_A_TOKEN,
            budgets=self._budgets,
        )

    def _first_turns(self, asked: Sequence[Asked]) -> Mapping[int, int]:
        """Return whose turn it was at the first prompt of each kernel, where the orders of the past tell."""
        if self._routing.order is None:
            return {}
        orders = defaultdict[int, list[tuple[str, ...]]](list)
        for each in asked:
            if each.policy == self._routing.name and each.order:
                orders[each.kernel].append(each.order)
        standings = [Standing(place.name, 0, weight=place.weight) for place in self._places]
        return {kernel: turn_of(self._routing.order, standings, of_it) for kernel, of_it in orders.items()}


@dataclass(frozen=True, slots=True)
class Replayed:
    """A past under other settings; for each of its prompts, how many of its attempts met what was drawn."""

    decided: Decided
    drawn: tuple[Drawn, ...]

    @property
    def drawn_share(self) -> float:
        """The share of all attempts that met what was drawn and not what is known, from 0 to 1."""
        attempts = sum(each.attempts for each in self.drawn)
        return sum(each.drawn for each in self.drawn) / attempts if attempts else 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """A past under other settings: what is expected, and of the courses that were drawn the one nearest to it."""

    typical: Replayed
    expected: Expected


def told(courses: Iterable[Course], terms: Terms, extremes: Iterable[Course] = ()) -> Told:
    """Return what the prompts would have come to, in each of the courses of their past.

    One is enough where nothing is drawn. With more of them the ``extremes`` tell what hangs on who never answered.
    """
    found = list[Replayed]()
    for number, course in enumerate(courses):
        course.draw = draws(terms.seed + 1 + number)
        found.append(replayed(course, terms))
        if not found[0].drawn_share:
            break
    beyond = [replayed(course, terms) for course in extremes] if len(found) > 1 else []
    in_figures = (tuple(totals(each.decided.prompts, each.decided.events) for each in some) for some in (found, beyond))
    expected = Expected(*in_figures)
    return Told(found[expected.typical], expected)


def extremes_of(past: Past, backends: Iterable[str], seed: int) -> Iterator[Course]:
    """Yield the courses in which backends that never answered do what they could at most; none where all answered."""
    if any(map(past.never_answered, backends)):
        for extreme in Extreme:
            yield past.course(draws(seed), extreme)


def courses_for(prompts: int) -> int:
    """Return how many courses are enough: of many prompts each is much like the others."""
    return max(LEAST_COURSES, min(MOST_COURSES, MOST_PROMPTS // max(1, prompts)))


def replayed(course: Course, terms: Terms) -> Replayed:
    """Return what the prompts of the past would have come to in one of its courses."""
    asked = course.past.asked_of({place.name for place in terms.places})
    drawn = {each.request: Drawn() for each in asked}
    pauses = {place.name: (place.settings.stall_timeout_ms or 1e12) / 2000 for place in terms.places}

    def answering(name: str, one: Asked, clock: LeapingClock) -> Backend:
        return Playback(name, course, one.request, clock, drawn[one.request], pauses[name])

    decided = Trial(terms, answering).decide(asked, course.past.by_hand)
    return Replayed(decided, tuple(drawn[one.request] for one, _record in decided.prompts))


async def _ended(run: RequestRun) -> None:
    with suppress(AllBackendsFailed):
        await run.run()


async def _change(live: LiveProfile, done: CircuitChanged | CoolDownLifted) -> None:
    if (gate := live.gates().get(done.backend)) is None:
        return
    if isinstance(done, CoolDownLifted):
        live.change_by_hand(gate, Gate.reset)
    else:
        live.change_by_hand(gate, Gate.open if done.after is CircuitState.OPEN else Gate.close)
