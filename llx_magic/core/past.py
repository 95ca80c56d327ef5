"""What is known of attempts that were made, read from events, and what an attempt that was never made would meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from statistics import NormalDist

from llx_magic.core.attempts import FEW_FAILURES, LONGEST_SECONDS, Attempted, Attempts, in_order, seen_in, strangeness
from llx_magic.core.breaker import Cause
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendEvent,
    BackendSkipped,
    CircuitChanged,
    CoolDownLifted,
    CoolDownWaitEnded,
    Event,
    FirstTokenReceived,
    RequestCancelled,
    RequestEnded,
    RequestPutBack,
    RequestStarted,
    SkipReason,
    SubProfileSelected,
    VisitCancelled,
    VisitStarted,
    VisitSucceeded,
)
from llx_magic.core.extremes import Extreme
from llx_magic.core.outages import Outages, Seen, outages, usual_of

MOVED_SECONDS = 5.0
"""By how much an attempt may be sent sooner or later than it was, and still meet what it met."""

ENOUGH_FAILURES = 10
"""Who failed so often by itself, and never answered, is known to fail: most likely in three of four attempts."""

BETWEEN_VISITS = (RequestStarted, SubProfileSelected, BackendSkipped, CoolDownWaitEnded)
"""After one of these a request does nothing but get its next backend ready, until it visits that."""


@dataclass(slots=True)
class Asked:
    """One prompt as it was asked: when, in what order, and how it ended; ``ended`` is None while it is under way.

    ``waited`` is how many seconds before that a row that was put back was first sent. Each ``kernel`` has circuits,
    cool-downs and statistics of its own.
    """

    at: float
    request: int
    policy: str
    order: tuple[str, ...]
    kernel: int = 0
    waited: float = 0.0
    ended: RequestEnded | None = None
    prompt_tokens: int | None = None

    @property
    def cancelled_after(self) -> float | None:
        """After how many seconds the user stopped it; None where nobody did."""
        ended = self.ended
        return _within_reason(ended.seconds - self.waited) if isinstance(ended, RequestCancelled) else None


def kernels_of(orders: Sequence[Set[str]], backends: Collection[str]) -> frozenset[int]:
    """Return which kernels asked for the profile of these backends, by whom the prompts of each could ask.

    In one file there may be those of several profiles: its own are those that could ask nobody else. Where there are
    none, it had other backends before, and they are those that could ask one of them.
    """
    own = frozenset(kernel for kernel, names in enumerate(orders) if names and names <= set(backends))
    return own or frozenset(kernel for kernel, names in enumerate(orders) if names & set(backends))


class Past:
    """A history: the events of each kernel in their order, whose requests have numbers that are nobody else's."""

    def __init__(self, kernels: Sequence[Iterable[Event]]) -> None:
        self._asked: dict[int, Asked] = {}
        self._attempts: dict[tuple[int, str], list[Attempted]] = defaultdict(list)
        self._made: dict[str, list[Attempted]] = defaultdict(list)
        """All attempts at each backend, those of rows that were put back too."""
        self._last: dict[int, Event] = {}
        """The latest event of each request."""
        self._ready_after: dict[tuple[int, str], float] = {}
        self._not_ready: dict[tuple[int, str], str] = {}
        self._never_ready: dict[str, str] = {}
        self.by_hand: list[tuple[int, CircuitChanged | CoolDownLifted]] = []
        """What the user did to circuits and cool-downs, each with its kernel."""
        self._orders: list[set[str]] = []
        """Whom the prompts of each kernel could ask, all together."""
        for kernel, events in enumerate(kernels):
            self._orders.append(set())
            for event in events:
                self._read(event, kernel)
        telling = {name: [each for each in made if not each.is_of_request] for name, made in self._made.items()}
        self._every = {name: in_order(each) for name, each in telling.items() if each}
        self._seen = {name: seen_in(each) for name, each in self._every.items()}

    def course(self, draw: Callable[[], float], extreme: Extreme | None = None) -> Course:
        """Return one of the courses that things may have taken where nobody looked.

        In an ``extreme`` one, backends that never answered do as it says whatever nobody saw of them.
        """
        moments = [each.at for each in self._asked.values()] or [0.0]
        span, usual = (min(moments), max(moments)), usual_of(self._seen.values())
        courses = {name: outages(seen, draw, usual, span) for name, seen in self._seen.items()}
        backends = {name: Attempts(each, courses[name]) for name, each in self._every.items()}
        return Course(self, backends, outages(Seen(), draw, usual, span), draw, extreme)

    def asked_of(self, backends: Collection[str]) -> list[Asked]:
        """Return the prompts that ended of the profile of these backends, in the order in which they came.

        Rows that were put back came again later.
        """
        kernels = kernels_of(self._orders, backends)
        ended = (each for each in self._asked.values() if each.ended and not isinstance(each.ended, RequestPutBack))
        return sorted((each for each in ended if each.kernel in kernels), key=attrgetter("at"))

    def knows(self, backend: str) -> bool:
        """Return whether anything is known of how a backend answers."""
        return backend in self._every

    def attempts_at(self, backend: str) -> int:
        """Return from how many attempts is drawn what a backend would have answered."""
        return len(self._made[backend])

    def never_answered(self, backend: str) -> bool:
        """Return whether it was asked, and nobody knows how it answers: no reply of it came whole.

        One that failed often by itself, and not by a time-out, is known to fail.
        """
        made = self._every.get(backend, ())
        has_failed = sum(not each.is_cut for each in made) >= ENOUGH_FAILURES
        return bool(made) and not has_failed and not any(each.reply for each in made)

    def why_not(self, backend: str, request: int) -> str | None:
        """Return why a request found that a backend could not be asked, or None."""
        return self._not_ready.get((request, backend))

    def ready_after(self, backend: str, request: int) -> float:
        """Return how many seconds a request waited until a backend was ready: until a model was loaded, for example."""
        return self._ready_after.get((request, backend), 0.0)

    def why_never(self, backend: str) -> str | None:
        """Return why a backend could not be asked when it was last tried, or None."""
        return self._never_ready.get(backend)

    def made(self, request: int, backend: str) -> Sequence[Attempted]:
        """Return the attempts that a request made at a backend."""
        return self._attempts.get((request, backend), ())

    def _read(self, event: Event, kernel: int) -> None:
        if isinstance(event, RequestStarted):
            if event.request in self._asked:
                self._ask_anew(event.request)
            self._asked[event.request] = Asked(event.at, event.request, event.policy, event.order, kernel, event.waited)
            self._orders[kernel].update(event.order)
        elif isinstance(event, RequestEnded) and event.request in self._asked:
            self._asked[event.request].ended = event
        elif isinstance(event, CircuitChanged | CoolDownLifted):
            if isinstance(event, CoolDownLifted) or event.cause is Cause.BY_HAND:
                self.by_hand.append((kernel, event))
        elif isinstance(event, VisitStarted):
            last = self._last.get(event.request)
            if isinstance(last, BETWEEN_VISITS):
                self._ready_after[event.request, event.backend] = _within_reason(event.at - last.at)
        elif isinstance(event, BackendEvent):
            self._read_attempt(event)
        self._last[event.request] = event

    def _ask_anew(self, request: int) -> None:
        """Take that a row comes again that was put back: what it met before is not what it meets now."""
        for name in self._asked[request].order:
            self._attempts.pop((request, name), None)
            self._not_ready.pop((request, name), None)
            self._ready_after.pop((request, name), None)

    def _read_attempt(self, event: BackendEvent) -> None:
        if isinstance(event, AttemptStarted):
            began = Attempted(event.at, is_cut=True)
            self._attempts[event.request, event.backend].append(began)
            self._made[event.backend].append(began)
            return
        of_request = self._attempts.get((event.request, event.backend))
        last = of_request[-1] if of_request else None
        match event:
            case BackendSkipped(reason=SkipReason.NOT_READY):
                self._not_ready[event.request, event.backend] = event.message
                self._never_ready[event.backend] = event.message
            case FirstTokenReceived() if last:
                last.ttft = _within_reason(event.seconds)
            case AttemptFailed() if last:
                last.seconds, last.failure = _within_reason(event.seconds), event.failure
                last.is_cut, last.has_failed = event.failure.limit is not None, True
            case VisitSucceeded() if last:
                last.seconds, last.reply, last.is_cut = _within_reason(event.at - last.at), event, False
                if event.prompt_tokens is not None and event.request in self._asked:
                    self._asked[event.request].prompt_tokens = event.prompt_tokens
            case VisitCancelled() if last:
                last.seconds = _within_reason(event.at - last.at)
                last.has_failed = event.outrun_by is not None and last.ttft is None


class Course:
    """One course of a past: what every attempt meets in it, made then or not.

    Its draws are made by ``draw``, which gives numbers in [0, 1), and may be replaced by another one at any time.
    ``outages`` are those of a backend that nobody asked.
    """

    def __init__(
        self,
        past: Past,
        backends: Mapping[str, Attempts],
        outages: Outages,
        draw: Callable[[], float],
        extreme: Extreme | None = None,
    ) -> None:
        self.past = past
        self.draw = draw
        self._backends = backends
        self._outages = outages
        for known in backends.values():
            known.sample(draw)
        for known in backends.values():
            known.borrow(list(backends.values()), _deviations(draw()))
        self._extreme = extreme
        self._strangers: dict[str, Attempts] = {}
        self._seed = draw()

    def why_not(self, backend: str, request: int) -> str | None:
        """Return why a backend could not be asked, as far as that is known, or None."""
        if self._at(backend) is None:
            return self.past.why_never(backend) or "it has never been asked, so nothing is known of it"
        return self.past.why_not(backend, request)

    def meets(self, backend: str, request: int, number: int, at: float) -> tuple[Attempted, bool]:
        """Return what the ``number``-th attempt of a request at a backend meets, and whether that is known.

        It is where the request made just that attempt, at about that time; else it is drawn.
        """
        made = self.past.made(request, backend)
        own = made[number - 1] if number <= len(made) else None
        if own is not None and abs(own.at - at) <= MOVED_SECONDS:
            return own, True
        if self._extreme is not None and self.past.never_answered(backend):
            return Attempted(at, is_cut=True), False
        known = self._at(backend)
        assert known is not None
        return known.drawn(own, at, self.draw), False

    def outlasting(self, backend: str, cut: Attempted, at: float) -> Attempted | None:
        """Return how an attempt goes on that was cut: as one that lasted longer, or for ever, which is None."""
        if self._extreme is not None and self.past.never_answered(backend):
            return self._extreme.of(cut, backend)
        known = self._at(backend)
        return None if known is None else known.longer_than(cut, at, self.draw)

    def _at(self, backend: str) -> Attempts | None:
        """Return the attempts at a backend; where next to nothing is known of it, those at one that it may be like."""
        own = self._backends.get(backend)
        if own is not None and (own.replies or self.past.attempts_at(backend) >= FEW_FAILURES):
            return own
        if backend not in self._strangers and not self.past.why_never(backend):
            others = [each for each in self._backends.values() if each.replies]
            if others:
                like = others[int(_drawn_for(backend, self._seed) * len(others))]
                failed = self.past.attempts_at(backend)
                by = strangeness(_deviations(_drawn_for(f"times of {backend}", self._seed)), 0)
                self._strangers[backend] = like.of_one_like_it(backend, failed, self._outages, by)
        return self._strangers.get(backend, own)


def _drawn_for(backend: str, seed: float) -> float:
    """Return a number in [0, 1) that only the name and the seed decide, so that it takes none of the other draws."""
    digest = blake2b(f"{seed} {backend}".encode(errors="replace"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def _deviations(drawn: float) -> float:
    """Return a number of standard deviations as often as chance has it, from a number in [0, 1)."""
    return NormalDist().inv_cdf(max(drawn, 1e-9))


def _within_reason(seconds: float) -> float:
    """Return a time as an attempt may have taken it, whatever a file says."""
    return min(max(0.0, seconds), LONGEST_SECONDS)
