"""How one request was decided, step by step, made from its events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from llx_magic.core.describe import why, words
from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    BackendEvent,
    BackendPutAside,
    BackendSkipped,
    CoolDownWaitEnded,
    Event,
    FirstTokenReceived,
    RequestEnded,
    RequestPutBack,
    RequestStarted,
    RetryScheduled,
    VisitCancelled,
    VisitFailed,
    VisitSucceeded,
)
from llx_magic.text.screen import printable
from llx_magic.units import duration, number

NOTHING_ASKED = "nothing has been asked yet, or not since a reset of the statistics"

BAR_WIDTH = 24
"""Characters of the bar in a text waterfall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step; ``begin``, ``first_token`` and ``end`` are seconds from the start of the request.

    ``kind`` is "skip", "aside", "attempt", "wait" or "note". ``end`` equals ``begin`` for what takes no time, and
    is None while an attempt is still under way. ``ok`` is False for what did not lead to the answer; then ``outrun``
    says that it did not fail: another backend was first.
    """

    backend: str
    kind: str
    text: str
    begin: float
    end: float | None
    first_token: float | None = None
    ok: bool = False
    outrun: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """The events of one request, oldest first, and the steps they add up to."""

    events: tuple[Event, ...]

    @property
    def request(self) -> int:
        """The request's number."""
        return self.events[0].request if self.events else 0

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every skip, attempt, wait and change of state, in order."""
        return tuple(sorted((*_steps(self.events), *_rests(self.events)), key=attrgetter("begin")))

    @property
    def seconds(self) -> float:
        """From the first event to the last."""
        return self.events[-1].at - self.events[0].at if self.events else 0.0

    @property
    def headline(self) -> str:
        """How the request ended, in one line."""
        if not self.events:
            return NOTHING_ASKED
        order = next((event for event in self.events if isinstance(event, RequestStarted)), None)
        asked = f" ({order.policy}: {', '.join(order.order)})" if order else ""
        outcome = words(self.events[-1]) if isinstance(self.events[-1], RequestEnded) else "under way"
        return f"Request {self.request}: {outcome}{asked}"

    def __str__(self) -> str:
        """The waterfall as text: when, who, a bar from start to end, what happened."""
        steps = self.steps
        width = max((len(step.backend) for step in steps), default=0)
        begins = [duration(step.begin) for step in steps]
        longest = max(map(len, begins), default=0)
        lines = [self.headline]
        for step, begin in zip(steps, begins, strict=True):
            bar = _bar(step, self.seconds)
            lines.append(f"  {begin.rjust(longest)}  {step.backend.ljust(width)}  |{bar}|  {step.text}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return printable(str(self))

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __len__(self) -> int:
        return len(self.events)


NO_TRACE = Trace(())
"""That of a request of which nothing is told."""


def trace_of(events: Iterable[Event], request: int) -> Trace:
    """Return the trace of one request out of the events of many."""
    return Trace(tuple(event for event in events if event.request == request))


def _bar(step: Step, total: float) -> str:
    """Draw where in the request the step lies: ``·`` until the first token, ``=`` from there, ``-`` for a wait."""
    if total <= 0 or step.kind not in ("attempt", "wait"):
        return " " * BAR_WIDTH
    end = total if step.end is None else step.end
    begin = min(_column(step.begin, total), BAR_WIDTH - 1)
    until = max(_column(end, total), begin + 1)
    if step.kind == "wait" or step.first_token is None:
        bar = ("-" if step.kind == "wait" else "·") * (until - begin)
    else:
        first = max(begin, min(_column(step.first_token, total), until - 1))
        bar = "·" * (first - begin) + "=" * (until - first)
    return (" " * begin + bar).ljust(BAR_WIDTH)


def _column(at: float, total: float) -> int:
    return min(BAR_WIDTH, round(at / total * BAR_WIDTH))


def _steps(events: tuple[Event, ...]) -> Iterator[Step]:
    if not events:
        return
    zero = events[0].at
    open_attempts: dict[str, tuple[AttemptStarted, FirstTokenReceived | None]] = {}
    for event in events:
        now = event.at - zero
        match event:
            case AttemptStarted():
                open_attempts[event.backend] = (event, None)
            case FirstTokenReceived() if event.backend in open_attempts:
                open_attempts[event.backend] = (open_attempts[event.backend][0], event)
            case AttemptFailed() | VisitSucceeded() | VisitCancelled() if event.backend in open_attempts:
                yield _attempt(open_attempts.pop(event.backend), event, zero)
            case VisitFailed() | RequestEnded():
                pass  # the last attempt and the headline say it
            case _ if text := words(event):
                backend = event.backend if isinstance(event, BackendEvent) else ""
                begin = now - event.seconds if isinstance(event, CoolDownWaitEnded) else now
                end = now + event.delay if isinstance(event, RetryScheduled) else now
                yield Step(backend=backend, kind=_KINDS.get(type(event), "note"), text=text, begin=begin, end=end)
    for open_attempt in open_attempts.values():
        yield _attempt(open_attempt, None, zero)


def _rests(events: tuple[Event, ...]) -> Iterator[Step]:
    """Yield the times in which a row was put back, until it was asked again."""
    rounds = (event for event in events if isinstance(event, RequestPutBack | RequestStarted))
    for ended, begun in pairwise(rounds):
        if isinstance(ended, RequestPutBack):
            begin, end = ended.at - events[0].at, begun.at - events[0].at
            yield Step(backend="", kind="wait", text=words(ended) or "", begin=begin, end=end)


def _attempt(
    started: tuple[AttemptStarted, FirstTokenReceived | None], ended: BackendEvent | None, zero: float
) -> Step:
    begin, came = started
    which = f"attempt {begin.attempt}/{begin.attempts}"
    match ended:
        case AttemptFailed():
            text = f"{which} failed after {duration(ended.seconds)}: {why(ended)}"
        case VisitSucceeded():
            words = "no usage reported"
            if ended.completion_tokens is not None:
                words = f"{number(ended.prompt_tokens)} + {number(ended.completion_tokens)} tokens"
            first = "" if came is None else f", first token after {duration(came.seconds)}"
            text = f"{which} answered in {duration(ended.at - begin.at)}{first}, {words}"
        case VisitCancelled():
            text = f"{which} cancelled" + (f", {ended.outrun_by} was first" if ended.outrun_by else "")
        case _:
            text = f"{which} under way"
    return Step(
        backend=begin.backend,
        kind="attempt",
        text=text,
        begin=begin.at - zero,
        end=None if ended is None else ended.at - zero,
        first_token=None if came is None else came.at - zero,
        ok=isinstance(ended, VisitSucceeded),
        outrun=isinstance(ended, VisitCancelled) and ended.outrun_by is not None,
    )


_KINDS: dict[type[Event], str] = {
    BackendSkipped: "skip",
    BackendPutAside: "aside",
    RetryScheduled: "wait",
    CoolDownWaitEnded: "wait",
}
