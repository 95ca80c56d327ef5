"""The attempts that were made at one backend, and what one more would meet, drawn from them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import msgspec

from llx_magic.core.events import VisitSucceeded
from llx_magic.core.failure import REFUSALS, Failure, Limit
from llx_magic.core.outages import Outages, Seen
from llx_magic.core.statistics import percentile

NEIGHBOURS = 40
"""From how many attempts nearest in time one is drawn, where a backend was slower at some times than at others."""

OFTEN = 0.1
"""Where more than this part of the replies take so long, a time-out is no sign of an outage."""

RARELY = 2.33
"""By how many standard deviations blocks of replies must differ so that chance is no reason: one in a hundred does."""

ENOUGH_LONGER = 10
"""From so many replies that lasted longer, or as many as were cut, it is drawn how one goes on that was cut."""

DOUBT = 5
"""For so many attempts counts what is expected of a backend before it was asked."""

FEW_REPLIES = 6
"""Of fewer replies, how far they lie apart is taken from other backends as well."""

STRANGE = 2.0
"""A backend that nobody asked takes mostly between so many times as long as another and that part of it."""

FEW_FAILURES = 20
"""A backend that has only failed, and not so often, may be one that answers."""


LONGEST_SECONDS = 86_400.0
"""No attempt is taken to have lasted longer."""


@dataclass(slots=True)
class Attempted:
    """One attempt as it was: when it was sent, and what came of it after ``seconds``.

    ``is_cut`` says that it was ended from here, by a time-out or since nobody wanted it any longer: left alone, it
    would have lasted longer. ``has_failed`` says that it may be a sign of an outage, as an uncommonly long silence is.
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
    def has_timed_out(self) -> bool:
        """Whether a time-out cut it, in a way that may be a sign of an outage."""
        return self.has_failed and self.failure is not None

    @property
    def was_on_its_way(self) -> bool:
        """Whether it was cut in the midst of its text, only since it took long."""
        return self.ttft is not None and (self.failure is None or self.failure.limit is Limit.TOTAL)

    @property
    def first_at(self) -> float:
        """After how many seconds its first text came, or would not have come yet."""
        return self.seconds if self.ttft is None else self.ttft

    def stretched(self, by: float, model: str | None = None) -> Attempted:
        """Return it as it would have been had it taken so many times as long, and perhaps of another model."""
        reply = self.reply
        if reply is not None and model is not None:
            reply = msgspec.structs.replace(reply, model=model)
        ttft = None if self.ttft is None else self.ttft * by
        return replace(self, seconds=self.seconds * by, ttft=ttft, reply=reply)


def in_order(attempts: Iterable[Attempted]) -> Sequence[Attempted]:
    """Return attempts at a backend, oldest first; says of each whether it is a sign of an outage."""
    every = sorted(attempts, key=attrgetter("at"))
    waits = sorted(each.first_at for each in every if not each.is_cut and not each.has_failed)
    for each in every:
        often_takes = len(waits) - bisect_left(waits, each.seconds) > OFTEN * len(waits)
        each.has_failed = each.has_failed and not (each.is_cut and (often_takes or each.was_on_its_way))
    return every


def seen_in(attempts: Sequence[Attempted]) -> Seen:
    """Return what attempts in their order tell of outages."""
    return Seen([each.at for each in attempts], [each.has_failed for each in attempts])


class Attempts:
    """The attempts at one backend, oldest first, and the ``course`` of when it was up and out.

    ``course_then`` is that which the attempts met, where it is another.
    """

    def __init__(self, attempts: Iterable[Attempted], course: Outages, course_then: Outages | None = None) -> None:
        self._course = course
        self._alike: dict[tuple[bool, bool], list[Attempted]] = defaultdict(list)
        for each in attempts:
            self._alike[(course_then or course).is_out(each.at), each.has_failed].append(each)
        whole = [each.seconds for each in self.replies if not each.is_cut]
        self._neighbours = NEIGHBOURS if changes(whole) else len(self.replies)

    @property
    def replies(self) -> Sequence[Attempted]:
        """The attempts that met it while it was up and did not fail."""
        return self._alike[False, False]

    @property
    def usual_seconds(self) -> float | None:
        """How long half of the replies take at most; None of none."""
        return percentile((each.seconds for each in self.replies if not each.is_cut), 0.5)

    def of_one_like_it(self, model: str, failed: int, course: Outages, by: float = 1.0) -> Attempts:
        """Return what another backend would have answered, of which no more is known than that it has failed so often.

        It is taken to answer as this one does, but to take so many times as long, and to be out by the ``course``.
        """
        rate = (failed + DOUBT * self._course.fails_up) / (failed + DOUBT)
        course = replace(course, fails_up=rate, fails_out=max(rate, course.fails_out))
        like = Attempts((each.stretched(by, model) for each in self.replies), course, self._course)
        like.borrow([self])
        return like

    def borrow(self, others: Sequence[Attempts], off: float = 0.0) -> None:
        """Take from other backends what is lacking: how they fail, and how far replies lie apart around the usual.

        By ``off`` standard deviations the usual may be another than that of its few replies.
        """
        if not self.failures:
            every = (each for other in others for each in other.failures)
            self._alike[True, True] = sorted(every, key=attrgetter("at"))
        own, usual = self._alike[False, False], self.usual_seconds
        lacking = FEW_REPLIES - len(own)
        if usual is None or lacking <= 0:
            return
        model = next((each.reply.model for each in own if each.reply), "")
        by = strangeness(off, len(own))
        for other in others:
            if len(other.replies) >= FEW_REPLIES and other.usual_seconds:
                own += other.spread(lacking, usual * by / other.usual_seconds, model)
        own.sort(key=attrgetter("at"))
        self._neighbours = len(own)

    @property
    def failures(self) -> Sequence[Attempted]:
        """Attempts that failed while it was out, or else while it was up."""
        return self._alike[True, True] or self._alike[False, True]

    def spread(self, count: int, by: float, model: str) -> list[Attempted]:
        """Return so many of the replies, from quick to slow, stretched."""
        every, step = sorted(self.replies, key=attrgetter("seconds")), len(self.replies) / count
        return [every[int((place + 0.5) * step)].stretched(by, model) for place in range(count)]

    def sample(self, draw: Callable[[], float]) -> None:
        """Take as many of the replies as there are, each as often as chance will have it.

        So that what is drawn in several courses differs by as much as is unknown from so few
        (B. Efron's bootstrap, https://doi.org/10.1214/aos/1176344552).
        """
        replies = self.replies
        self._alike[False, False] = sorted((replies[int(draw() * len(replies))] for _ in replies), key=attrgetter("at"))

    def drawn(self, own: Attempted | None, at: float, draw: Callable[[], float]) -> Attempted:
        """Draw what an attempt meets that was never made then; ``own`` is what it met at another time."""
        is_out, fails = self._course.is_out(at), draw() < self._course.failing(at)
        if own is not None and not own.has_failed and not fails:
            return own
        found = self._like(is_out=is_out, has_failed=fails) or self._like(is_out=is_out, has_failed=not fails)
        return self._one_near(found, at, draw)

    def longer_than(self, cut: Attempted, at: float, draw: Callable[[], float]) -> Attempted | None:
        """Draw how an attempt goes on that was cut: as one that lasted longer, or for ever, which is None."""
        if cut.has_failed and self._course.is_out(at):
            return None
        begun = cut.ttft is not None
        longer = [
            each
            for each in self._like(is_out=False, has_failed=False)
            if not each.is_cut and each.seconds > cut.seconds and (begun or each.first_at > cut.seconds)
        ]
        enough = min(ENOUGH_LONGER, sum(each.is_cut for each in self.replies))
        if longer and (len(longer) >= enough or cut.has_timed_out):
            return self._one_near(longer, at, draw)
        whole = [each for each in self.replies if not each.is_cut and each.first_at > 0 and each.seconds > 0]
        if cut.has_timed_out or not whole or (steepness := self._steepness()) is None:
            return None
        seconds = min(LONGEST_SECONDS, cut.seconds * (1 - draw()) ** (-1 / steepness))
        like = self._one_near(whole, at, draw)
        return like.stretched(seconds / (like.seconds if begun else like.first_at))

    def _steepness(self) -> float | None:
        """Return how fast replies get rarer the longer they take: the power of that, from the longest fifth of them.

        Those that were cut are among them (B. M. Hill's estimate, https://doi.org/10.1214/aos/1176343247, as for what
        was not seen to its end).
        """
        every = sorted(self.replies, key=attrgetter("seconds"))
        longest = every[int(0.8 * len(every)) :]
        known, least = sum(not each.is_cut for each in longest), longest[0].seconds if longest else 0.0
        spread = sum(math.log(each.seconds / least) for each in longest) if least > 0 else 0.0
        return max(1.0, known / spread) if known and spread else None

    def _like(self, *, is_out: bool, has_failed: bool) -> Sequence[Attempted]:
        """Return those of a kind: of that state where there are any, else of the other."""
        return self._alike[is_out, has_failed] or self._alike[not is_out, has_failed]

    def _one_near(self, attempts: Sequence[Attempted], at: float, draw: Callable[[], float]) -> Attempted:
        """Draw one of those nearest in time."""
        count = self._neighbours or NEIGHBOURS
        place = bisect_left(attempts, at, key=attrgetter("at"))
        first = max(0, min(place - count // 2, len(attempts) - count))
        near = attempts[first : first + count]
        return near[int(draw() * len(near))]


def strangeness(off: float, replies: int) -> float:
    """Return how many times as long as it seems a backend may take, of which so few replies are known.

    ``off`` is by how many standard deviations.
    """
    return math.pow(STRANGE, off / math.sqrt(1 + replies))


def changes(seconds: Sequence[float]) -> bool:
    """Return whether a backend was slower at some times than at others, by its replies in the order of time.

    Blocks of neighbours are compared by their ranks (https://doi.org/10.1080/01621459.1952.10483441), with the law of
    chance by E. B. Wilson and M. M. Hilferty (https://doi.org/10.1073/pnas.17.12.684).
    """
    count, blocks = len(seconds), len(seconds) // NEIGHBOURS
    if blocks < 2:
        return False
    sums, sizes = [0.0] * blocks, [0] * blocks
    for rank, place in enumerate(sorted(range(count), key=seconds.__getitem__), 1):
        block = place * blocks // count
        sums[block] += rank
        sizes[block] += 1
    differ = sum(total**2 / size for total, size in zip(sums, sizes, strict=True))
    differ = 12 / (count * (count + 1)) * differ - 3 * (count + 1)
    free = 2 / (9 * (blocks - 1))
    return math.cbrt(differ / (blocks - 1)) > 1 - free + RARELY * math.sqrt(free)
