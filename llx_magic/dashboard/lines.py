"""What stands in each prompt's line, in words and as a bar, for the page and for the file alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llx_magic.core.events import RequestEnded, VisitSucceeded, VisitWithoutReply
from llx_magic.core.trace import Step, Trace
from llx_magic.dashboard.axis import clock, nice_ceiling
from llx_magic.dashboard.hops import hops_of, tag_of
from llx_magic.dashboard.latest import LATEST_KEPT
from llx_magic.dashboard.svg import WIDE, path, stretched, svg
from llx_magic.dashboard.view import View
from llx_magic.units import duration, number

BAR = 14
"""Height of a bar in pixels."""

_MIDDLE = BAR // 2

_LEAST, _GAP = 3, 14
"""How long a piece is at least, and what is left free behind a failed attempt, in units of the picture's width."""


@dataclass(frozen=True, slots=True)
class Line:
    """One prompt: when it was asked, how long it took, and how long the whole length of its bar is, in seconds."""

    trace: Trace
    when: str
    seconds: float
    longest: float
    is_slow: bool

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become of it."""
        return isinstance(self.trace.events[-1], RequestEnded)

    @property
    def took(self) -> str:
        """How long it took, in words."""
        return duration(self.seconds)

    @property
    def tag(self) -> str:
        """What sets it apart from those that were answered as most are; empty for these."""
        return tag_of(self.trace, is_slow=self.is_slow)

    @property
    def hops(self) -> tuple[str, ...]:
        """What became of it, hop by hop."""
        return tuple(hops_of(self.trace))

    @property
    def bar(self) -> str:
        """Its time as a bar."""
        return _bar(self.trace.steps, self.seconds, self.longest)

    @property
    def cost(self) -> str:
        """What it cost, where that is known."""
        paid = [
            event.cost
            for event in self.trace.events
            if isinstance(event, VisitSucceeded | VisitWithoutReply) and event.cost is not None
        ]
        return number(sum(paid), 3) if paid else ""


class Lines(NamedTuple):
    """The lines, newest first, and what the whole length of a bar means."""

    shown: tuple[Line, ...]
    scale: str

    @property
    def title(self) -> str:
        """What stands above them: which prompts they are."""
        return "Latest prompts" + (", and older ones that stand out" if len(self.shown) > LATEST_KEPT else "")


def lines_of(view: View, now: float) -> Lines:
    """Return the lines of the latest prompts, all bars to one scale."""
    lengths = [_seconds(prompt.trace, now) for prompt in view.prompts]
    longest = nice_ceiling(max(lengths, default=0.0))
    found = [
        Line(prompt.trace, clock(prompt.trace.events[0].at, view.axis), length, longest, prompt.is_slow)
        for prompt, length in zip(view.prompts, lengths, strict=True)
    ]
    return Lines(tuple(found), duration(longest) if found else "")


def _bar(steps: Sequence[Step], length: float, longest: float) -> str:
    """Draw a prompt's time: failed attempts hatched, waits as a line, an outline until the first token, then filled."""
    marks: dict[str, list[str]] = {kind: [] for kind in ("lx", "lw", "ly", "la", "lf")}
    for step in steps:
        for kind, begin, end in _pieces(step, length):
            left, right = (round(WIDE * at / longest) for at in (begin, end))
            if kind == "lx" and right - left < _LEAST:  # else what follows would cover it
                left = max(0, left - (_GAP + _LEAST) // 2)
            left = min(left, WIDE - _LEAST)
            gap = min(_GAP, (right - left) // 2) if kind == "lx" and end < length else 0
            marks[kind].append(f"M{left} {_MIDDLE}H{max(left + _LEAST, right - gap)}")
        if step.first_token is not None:
            marks["lf"].append(f"M{min(WIDE - 1, round(WIDE * step.first_token / longest))} 0V{BAR}")
    foot = path("lg", [f"M0 {BAR}H{WIDE}"])
    return svg("b", BAR, "", stretched(BAR, foot + "".join(path(kind, drawn) for kind, drawn in marks.items())))


def _pieces(step: Step, until: float) -> Iterable[tuple[str, float, float]]:
    end = until if step.end is None else step.end
    if step.kind == "wait":
        yield "lw", step.begin, min(end, until)
    elif step.outrun:
        yield "ly", step.begin, end
    elif step.kind == "attempt" and not step.ok and step.end is not None:
        yield "lx", step.begin, end
    elif step.kind == "attempt":
        first = end if step.first_token is None and step.end is None else step.first_token or step.begin
        if first > step.begin:
            yield "ly", step.begin, first
        if end > first:
            yield "la", first, end


def _seconds(trace: Trace, now: float) -> float:
    last = trace.events[-1]
    return (last.at if isinstance(last, RequestEnded) else max(now, last.at)) - trace.events[0].at
