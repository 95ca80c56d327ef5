"""What is known of attempts that were made, read from events, and what an attempt that was never made would meet."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

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
from llx_magic.core.failure import REFUSALS, Failure
from llx_magic.core.outages import outages

MOVED_SECONDS = 5.0
"""By how much an attempt may be sent sooner or later than it was, and still meet what it met."""

NEIGHBOURS = 40
"""From how many of the attempts nearest in time an attempt that was never made is drawn."""

OFTEN = 0.1
"""Where more than this part of the replies take so long, a time-out is no sign of an outage."""

LONGEST_SECONDS = 86_400.0
"""No attempt is taken to have lasted longer."""


@dataclass(slots=True)
class Attempted:
    """One attempt as it was: when it was sent, and what came of it after ``seconds``.

    ``is_cut`` says that it was ended from here, by a time-out or since nobody wanted it any longer: left alone, it
    would have lasted longer. ``has_failed`` says that it may be a sign of an outage.
    """

    at: float
    seconds: float = 0.0
    ttft: float | None = None
    failure: Failure | None = None
    reply: VisitSucceeded | None = None
    is_cut: bool = False
    has_failed: bool = False

    @property
    def is_of_request(self) -> bool:
        """Whether it failed through the request, and not the backend."""
        return self.failure is not None and self.failure.kind in REFUSALS

    @property
    def first_at(self) -> float:
        """After how many seconds its first text came, or would not have come yet."""
        return self.seconds if self.ttft is None else self.ttft


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


class _OfBackend:
    """The attempts at one backend, oldest first; which of them were made while it was out is drawn."""

    def __init__(self, attempts: Iterable[Attempted], draw: Callable[[], float]) -> None:
        every = sorted(attempts, key=attrgetter("at"))
        self._waits = sorted(each.first_at for each in every if not each.is_cut and not each.has_failed)
        for each in every:
            each.has_failed = each.has_failed and not (each.is_cut and self._often_takes(each.seconds))
        self.outages = outages([each.at for each in every], [each.has_failed for each in every], draw)
        self._alike: dict[tuple[bool, bool], list[Attempted]] = defaultdict(list)
        for each in every:
            self._alike[self.outages.is_out(each.at), each.has_failed].append(each)

    def like(self, *, is_out: bool, has_failed: bool) -> list[Attempted]:
        """Return those of a kind: of that state where there are any, else of the other."""
        return self._alike[is_out, has_failed] or self._alike[not is_out, has_failed]

    def _often_takes(self, seconds: float) -> bool:
        """Return whether replies often begin so late, so that a time-out by then is no sign of an outage."""
        longer = len(self._waits) - bisect_left(self._waits, seconds)
        return longer > OFTEN * len(self._waits)


class Past:
    """A history: the events of each kernel in their order, whose requests have numbers that are nobody else's.

    Its draws are made by ``draw``, which gives numbers in [0, 1).
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
        self._backends = {name: _OfBackend(each, draw) for name, each in telling.items() if each}

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
        if not self.knows(backend):
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
        return self._drawn(self._backends[backend], own, at), False

    def outlasting(self, backend: str, cut: Attempted, at: float) -> Attempted | None:
        """Return how an attempt goes on that was cut: as one that lasted longer, or for ever, which is None."""
        known = self._backends[backend]
        if cut.has_failed and known.outages.is_out(at):
            return None
        longer = [
            each
            for each in known.like(is_out=False, has_failed=False)
            if not each.is_cut and each.seconds > cut.seconds and (cut.ttft is not None or each.first_at > cut.seconds)
        ]
        return self._one_near(longer, at) if longer else None

    def _drawn(self, known: _OfBackend, own: Attempted | None, at: float) -> Attempted:
        is_out = known.outages.is_out(at)
        fails = self.draw() < known.outages.failing(at)
        if own is not None and not own.has_failed and not fails:
            return own
        found = known.like(is_out=is_out, has_failed=fails) or known.like(is_out=is_out, has_failed=not fails)
        return self._one_near(found, at)

    def _one_near(self, attempts: Sequence[Attempted], at: float) -> Attempted:
        """Draw one of those nearest in time."""
        place = bisect_left(attempts, at, key=attrgetter("at"))
        first = max(0, min(place - NEIGHBOURS // 2, len(attempts) - NEIGHBOURS))
        near = attempts[first : first + NEIGHBOURS]
        return near[int(self.draw() * len(near))]

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


def _within_reason(seconds: float) -> float:
    """Return a time as an attempt may have taken it, whatever a file says."""
    return min(max(0.0, seconds), LONGEST_SECONDS)
