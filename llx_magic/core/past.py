"""What is known of attempts that were made, read from events, and what an attempt that was never made would meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter

from llx_magic.core.attempts import FEW_FAILURES, LONGEST_SECONDS, Attempted, Attempts, courses_of, in_order
from llx_magic.core.breaker import Cause
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendEvent,
    BackendSkipped,
    CircuitChanged,
    CoolDownLifted,
    Event,
    FirstTokenReceived,
    RequestCancelled,
    RequestEnded,
    RequestPutBack,
    RequestStarted,
    SkipReason,
    VisitCancelled,
    VisitSucceeded,
)

MOVED_SECONDS = 5.0
"""By how much an attempt may be sent sooner or later than it was, and still meet what it met."""


@dataclass(slots=True)
class Asked:
    """One prompt as it was asked: when, in what order, and how it ended; ``ended`` is None while it is under way.

    Each ``kernel`` has circuits, cool-downs and statistics of its own.
    """

    at: float
    request: int
    policy: str
    order: tuple[str, ...]
    kernel: int = 0
    ended: RequestEnded | None = None
    prompt_tokens: int | None = None

    @property
    def cancelled_after(self) -> float | None:
        """After how many seconds the user stopped it; None where nobody did."""
        return _within_reason(self.ended.seconds) if isinstance(self.ended, RequestCancelled) else None


class Past:
    """A history: the events of each kernel in their order, whose requests have numbers that are nobody else's.

    Its draws are made by ``draw``, which gives numbers in [0, 1), and may be replaced by another one at any time.
    """

    def __init__(self, kernels: Sequence[Iterable[Event]], draw: Callable[[], float]) -> None:
        self.draw = draw
        self._asked: dict[int, Asked] = {}
        self._attempts: dict[tuple[int, str], list[Attempted]] = defaultdict(list)
        self._made: dict[str, list[Attempted]] = defaultdict(list)
        """All attempts at each backend, those of rows that were put back too."""
        self._not_ready: dict[tuple[int, str], str] = {}
        self._never_ready: dict[str, str] = {}
        self.by_hand: list[tuple[int, CircuitChanged | CoolDownLifted]] = []
        """What the user did to circuits and cool-downs, each with its kernel."""
        for kernel, events in enumerate(kernels):
            for event in events:
                self._read(event, kernel)
        telling = {name: [each for each in made if not each.is_of_request] for name, made in self._made.items()}
        every = {name: in_order(each) for name, each in telling.items() if each}
        moments = [each.at for each in self._asked.values()] or [0.0]
        self._courses = courses_of(every, (min(moments), max(moments)), draw)
        self._backends = {name: Attempts(each, self._courses[name]) for name, each in every.items()}
        for known in self._backends.values():
            known.sample(draw)
        for known in self._backends.values():
            known.borrow(list(self._backends.values()))
        self._strangers: dict[str, Attempts] = {}
        self._seed = draw()

    def asked_of(self, backends: Collection[str]) -> list[Asked]:
        """Return the prompts that ended of whoever has one of the backends, in the order in which they came.

        Rows that were put back came again later.
        """
        ended = (each for each in self._asked.values() if each.ended and not isinstance(each.ended, RequestPutBack))
        return sorted(
            (each for each in ended if not each.order or set(each.order) & set(backends)), key=attrgetter("at")
        )

    def knows(self, backend: str) -> bool:
        """Return whether anything is known of how a backend answers."""
        return backend in self._backends

    def attempts_at(self, backend: str) -> int:
        """Return from how many attempts is drawn what a backend would have answered."""
        return len(self._made[backend])

    def why_not(self, backend: str, request: int) -> str | None:
        """Return why a backend could not be asked, as far as that is known, or None."""
        if self._at(backend) is None:
            return self._never_ready.get(backend, "it has never been asked, so nothing is known of it")
        return self._not_ready.get((request, backend))

    def meets(self, backend: str, request: int, number: int, at: float) -> tuple[Attempted, bool]:
        """Return what the ``number``-th attempt of a request at a backend meets, and whether that is known.

        It is where the request made just that attempt, at about that time; else it is drawn.
        """
        made = self._attempts.get((request, backend), ())
        own = made[number - 1] if number <= len(made) else None
        if own is not None and abs(own.at - at) <= MOVED_SECONDS:
            return own, True
        known = self._at(backend)
        assert known is not None
        return known.drawn(own, at, self.draw), False

    def outlasting(self, backend: str, cut: Attempted, at: float) -> Attempted | None:
        """Return how an attempt goes on that was cut: as one that lasted longer, or for ever, which is None."""
        known = self._at(backend)
        return None if known is None else known.longer_than(cut, at, self.draw)

    def _at(self, backend: str) -> Attempts | None:
        """Return the attempts at a backend; where next to nothing is known of it, those at one that it may be like."""
        own = self._backends.get(backend)
        if own is not None and (own.replies or self.attempts_at(backend) >= FEW_FAILURES):
            return own
        if backend not in self._strangers and backend not in self._never_ready:
            others = [each for each in self._backends.values() if each.replies]
            if others:
                like = others[int(_drawn_for(backend, self._seed) * len(others))]
                course = self._courses[""]
                self._strangers[backend] = like.of_one_like_it(backend, self.attempts_at(backend), course)
        return self._strangers.get(backend, own)

    def _read(self, event: Event, kernel: int) -> None:
        if isinstance(event, RequestStarted):
            if event.request in self._asked:
                self._ask_anew(event.request)
            self._asked[event.request] = Asked(event.at, event.request, event.policy, event.order, kernel)
        elif isinstance(event, RequestEnded) and event.request in self._asked:
            self._asked[event.request].ended = event
        elif isinstance(event, CircuitChanged | CoolDownLifted):
            if isinstance(event, CoolDownLifted) or event.cause is Cause.BY_HAND:
                self.by_hand.append((kernel, event))
        elif isinstance(event, BackendEvent):
            self._read_attempt(event)

    def _ask_anew(self, request: int) -> None:
        """Take that a row comes again that was put back: what it met before is not what it meets now."""
        for name in self._asked[request].order:
            self._attempts.pop((request, name), None)
            self._not_ready.pop((request, name), None)

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


def _drawn_for(backend: str, seed: float) -> float:
    """Return a number in [0, 1) that only the name and the seed decide, so that it takes none of the other draws."""
    digest = blake2b(f"{seed} {backend}".encode(errors="replace"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


def _within_reason(seconds: float) -> float:
    """Return a time as an attempt may have taken it, whatever a file says."""
    return min(max(0.0, seconds), LONGEST_SECONDS)
