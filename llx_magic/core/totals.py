"""What many prompts came to, in the few figures by which settings are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median_low

from llx_magic.core.events import Event, RequestStarted, VisitWithoutReply
from llx_magic.core.past import Asked
from llx_magic.core.statistics import RequestRecord, percentile
from llx_magic.units import duration, number, percent

Figure = Callable[["Totals"], float | None]
"""One of the figures, where there is one."""

Prompts = Sequence[tuple[Asked, RequestRecord]]
"""Prompts as they were asked, each with what became of it."""

FEWEST_PROMPTS = 20
"""Of fewer prompts nothing is concluded: the slowest of 20 has none beside it."""

POINTS_APART, PART_APART = 0.02, 0.1
"""How far a course may come from the middle, in the share that is answered and as a part of any other figure.

Where one comes further, the figure cannot be told: a history that holds too little shows in its courses.
"""

WORTH_SAYING = 0.05
"""By which part of itself a time or a cost must change to be worth a word."""

POINTS_WORTH_SAYING = 0.005
"""By how much the share of prompts that are answered must change to be worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What prompts came to; times are in seconds, of those that were answered, from the call to the last byte.

    ``cost`` is None where none is known. ``switches`` counts the prompts that another backend answered than the first
    that was to be asked. ``wasted_tokens`` are those of visits that brought no reply: as far as the backend told them,
    else those of the prompt.
    """

    prompts: int
    answered: int
    failed: int
    p50: float | None
    p95: float | None
    cost: float | None
    switches: int
    wasted_tokens: int

    @property
    def cancelled(self) -> int:
        """The prompts that somebody stopped."""
        return self.prompts - self.answered - self.failed

    @property
    def success_rate(self) -> float | None:
        """The share that was answered of the prompts that nobody stopped; None of none."""
        ended = self.answered + self.failed
        return self.answered / ended if ended else None


CLAIMS: Mapping[str, Figure] = {
    "answered": lambda each: each.success_rate,
    "p50": lambda each: each.p50,
    "p95": lambda each: each.p95,
    "cost": lambda each: each.cost,
}
"""The figures by which settings are compared, which can be told or not."""

WORDS: Mapping[str, str] = {"p50": "half within", "p95": "19 of 20 within"}
"""What people read in place of the names of percentiles; the other names are words already."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What prompts would come to where part of it is drawn: in some courses, each as likely as the others.

    ``extremes`` are what they could come to besides, where they hang on a backend that never answered.
    """

    courses: tuple[Totals, ...]
    extremes: tuple[Totals, ...] = ()

    @property
    def middle(self) -> Totals:
        """The middle of the courses: means of counts and cost, medians of times."""
        return Totals(
            prompts=self.courses[0].prompts,
            answered=round(mean(each.answered for each in self.courses)),
            failed=round(mean(each.failed for each in self.courses)),
            p50=self._of(median_low, lambda each: each.p50),
            p95=self._of(median_low, lambda each: each.p95),
            cost=self._of(mean, lambda each: each.cost),
            switches=round(mean(each.switches for each in self.courses)),
            wasted_tokens=round(mean(each.wasted_tokens for each in self.courses)),
        )

    @property
    def typical(self) -> int:
        """Which of the courses has the p95 of the middle."""
        return [each.p95 for each in self.courses].index(self.middle.p95)

    @property
    def is_drawn(self) -> bool:
        """Whether there is more than one course, since something was drawn."""
        return len(self.courses) > 1

    @property
    def untold(self) -> frozenset[str]:
        """The claims that cannot be told, since courses or extremes come to too different figures."""
        return frozenset(name for name in CLAIMS if not self._is_told(name))

    @property
    def hangs_on_silence(self) -> bool:
        """Whether a claim cannot be told since it hangs on a backend that never answered."""
        return bool(self.extremes and Expected(self.extremes).untold)

    def spread(self, figure: Figure) -> tuple[float, float] | None:
        """Return the least and the greatest of a figure in courses and extremes; None where none has it."""
        known = self._known(figure, (*self.courses, *self.extremes))
        return (min(known), max(known)) if known else None

    def _is_told(self, claim: str) -> bool:
        figure = CLAIMS[claim]
        every = (*self.courses, *self.extremes)
        middle, known = figure(self.middle), self._known(figure, every)
        if middle is None:
            return True
        apart = max(abs(each - middle) for each in known)
        return len(known) == len(every) and apart <= (POINTS_APART if claim == "answered" else PART_APART * middle)

    def _known(self, figure: Figure, of: Sequence[Totals]) -> list[float]:
        return [value for each in of if (value := figure(each)) is not None]

    def _of(self, middle: Callable[[list[float]], float], figure: Figure) -> float | None:
        return middle(known) if (known := self._known(figure, self.courses)) else None


def spread_in_words(expected: Expected, figure: Figure, words: Callable[[float | None], str]) -> str:
    """Return from where to where a figure goes in the courses, such as ``9.1 s to 10.4 s``; empty where it is one."""
    least, greatest = map(words, expected.spread(figure) or (None, None))
    return f"{least} to {greatest}" if least != greatest else ""


def totals(prompts: Prompts, events: Iterable[Event]) -> Totals:
    """Return what the prompts came to; the events are those of the same requests."""
    records = [record for _asked, record in prompts]
    answered = [record for record in records if record.outcome == "answered"]
    seconds = [record.seconds for record in answered if record.seconds is not None]
    costs = [record.cost for record in records if record.cost is not None]
    sizes = {record.request: asked.prompt_tokens or 0 for asked, record in prompts}
    wasted = sum(
        (event.prompt_tokens or sizes[event.request]) + (event.completion_tokens or 0)
        for event in events
        if isinstance(event, VisitWithoutReply) and event.attempts and event.request in sizes
    )
    firsts = [(asked.order[0] if asked.order else "") for asked, _record in prompts]
    return Totals(
        prompts=len(records),
        answered=len(answered),
        failed=sum(record.outcome == "failed" for record in records),
        p50=percentile(seconds, 0.5),
        p95=percentile(seconds, 0.95),
        cost=sum(costs) if costs else None,
        switches=sum(
            record.outcome == "answered" and record.backend != first
            for record, first in zip(records, firsts, strict=True)
        ),
        wasted_tokens=wasted,
    )


def as_recorded(asked: Iterable[Asked], events: Iterable[Event]) -> Prompts:
    """Return what became of prompts, by their own events.

    Of a row that was put back that is what became of it in the end, from when it was asked for the last time.
    """
    of_request = {each.request: each for each in asked}
    records: dict[int, RequestRecord] = {}
    for event in events:
        if isinstance(event, RequestStarted) and event.request in of_request:
            records[event.request] = RequestRecord(request=event.request, started=event.at, policy=event.policy)
        if (record := records.get(event.request)) and record.outcome == "running":
            record.fold(event)
            if record.seconds is not None:
                record.seconds -= of_request[event.request].waited
    return [(of_request[number], record) for number, record in records.items()]


def claim_in_words(expected: Expected, claim: str, words: Callable[[float | None], str]) -> str:
    """Return a figure, such as ``9.1 s``; where that cannot be told, from where to where it goes in the courses."""
    figure = CLAIMS[claim]
    spread = spread_in_words(expected, figure, words) if claim in expected.untold else ""
    return spread or words(figure(expected.middle))


def what_if(now: Expected, then: Expected, change: str) -> str | None:
    """Return in one line what a change would have made of the prompts, or None where that is nothing to speak of.

    What cannot be told is a range there, and left out where that is not better or worse as a whole.
    """
    said = list[str]()
    for claim, words, text in (
        ("answered", percent, "{} answered instead of {}"),
        ("p95", duration, f"{WORDS['p95']} {{}} instead of {{}}"),
        ("cost", number, "cost {} instead of {}"),
    ):
        if _differ(now, then, claim):
            said.append(text.format(claim_in_words(then, claim, words), claim_in_words(now, claim, words)))
    return f"with {change}: {', '.join(said)}" if said else None


def _differ(now: Expected, then: Expected, claim: str) -> bool:
    was, would = CLAIMS[claim](now.middle), CLAIMS[claim](then.middle)
    if was is None or would is None:
        return False
    if abs(would - was) <= (POINTS_WORTH_SAYING if claim == "answered" else WORTH_SAYING * was):
        return False
    (lowest, low), (high, highest) = sorted(each.spread(CLAIMS[claim]) or (was, would) for each in (now, then))
    return claim not in now.untold | then.untold or max(lowest, low) < min(high, highest)
