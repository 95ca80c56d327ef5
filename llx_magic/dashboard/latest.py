"""The latest prompts, and older ones that are worth a look, folded from events; bounded, whatever comes."""

from __future__ import annotations

from collections import OrderedDict, deque

from llx_magic.core.events import (
    Event,
    ReplyRestarted,
    RequestAnswered,
    RequestEnded,
    RequestFailed,
    RequestPutBack,
    RequestStarted,
)
from llx_magic.core.statistics import percentile
from llx_magic.core.trace import Trace
from llx_magic.dashboard.view import Prompt
from llx_magic.observe.status.standing import SLOW

LATEST_KEPT = 4
"""How many of the latest prompts are shown, whatever became of them."""

STRIKING_KEPT = 2
"""How many older ones are shown: the latest of those that failed, were restarted, or were slow."""

RUNNING_KEPT = 256
"""How many older prompts are followed that have not ended, since they may still turn out to be worth a look."""

EVENTS_PER_ROUND = 200
"""After how many events of a prompt, since it was last started, its further steps are left out."""

SECONDS_KEPT = 1000
"""Of how many of the latest prompts that were answered it is known how long they took."""

_FEWEST = 5
"""Of fewer prompts nobody knows which are slow."""


class Latest:
    """The latest prompts; it is used by one thread at a time."""

    def __init__(self) -> None:
        self._shown: OrderedDict[int, _Told] = OrderedDict()
        self._running: OrderedDict[int, _Told] = OrderedDict()
        """Those that are no longer shown and have not ended."""
        self._striking: deque[Prompt] = deque(maxlen=STRIKING_KEPT)
        self._seconds: deque[float] = deque(maxlen=SECONDS_KEPT)
        self._median: float | None = None
        self._counted = self._ranked = 0
        """How many prompts were answered, now and when the median was last looked for."""

    def fold(self, event: Event) -> None:
        """Take one event into account."""
        if isinstance(event, RequestStarted):
            self._start(event.request)
        if isinstance(event, RequestAnswered):
            self._seconds.append(event.seconds)
            self._counted += 1
        told = self._shown.get(event.request) or self._running.get(event.request)
        if told is not None:
            told.add(event)
            if isinstance(event, RequestEnded) and event.request in self._running:
                self._judge(self._running.pop(event.request))

    def prompts(self) -> tuple[Prompt, ...]:
        """Return the latest prompts, and those that are worth a look for longer; newest first."""
        if self._counted > self._ranked:
            self._rank()
        latest = [self._prompt(told) for told in reversed(self._shown.values())]
        striking = sorted(self._striking, key=_begin)[::-1]
        return (*latest, *striking)

    def _start(self, request: int) -> None:
        """Show a prompt as the latest; a row that was put back keeps its number and what was told of it."""
        if any(each.trace.request == request for each in self._striking):
            others = [each for each in self._striking if each.trace.request != request]
            self._striking = deque(others, maxlen=STRIKING_KEPT)
        told = self._shown.pop(request, None) or self._running.pop(request, None) or _Told()
        told.begin_round()
        self._shown[request] = told
        if len(self._shown) > LATEST_KEPT:
            self._leave(*self._shown.popitem(last=False))

    def _leave(self, request: int, told: _Told) -> None:
        """Show a prompt no longer as one of the latest."""
        if told.has_ended:
            self._judge(told)
            return
        self._running[request] = told
        if len(self._running) > RUNNING_KEPT:
            self._running.popitem(last=False)

    def _judge(self, told: _Told) -> None:
        """Keep a prompt that has ended for longer where it is worth a look; one that was put back will come again."""
        last = told.events[-1]
        if isinstance(last, RequestPutBack):
            return
        if self._counted > 1.1 * self._ranked:  # seldom, since it is done while prompts are answered
            self._rank()
        prompt = self._prompt(told)
        if (
            prompt.is_slow
            or isinstance(last, RequestFailed)
            or any(isinstance(event, ReplyRestarted) for event in told.events)
        ):
            self._striking.append(prompt)

    def _prompt(self, told: _Told) -> Prompt:
        last, median = told.events[-1], self._median
        is_slow = False
        if isinstance(last, RequestAnswered) and median is not None and len(self._seconds) >= _FEWEST:
            is_slow = last.seconds > SLOW * median
        return Prompt(trace=Trace(tuple(told.events)), is_slow=is_slow)

    def _rank(self) -> None:
        self._median = percentile(self._seconds, 0.5)
        self._ranked = self._counted


class _Told:
    """What is told of one prompt: of a row that was put back, of all its rounds while these are few."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._begun = 0
        """How many events came before the last round."""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will become of it, or not before it is started again."""
        return isinstance(self.events[-1], RequestEnded)

    def begin_round(self) -> None:
        """Make room for a new round: of many events, when it was first asked and how it last ended remain."""
        if len(self.events) > EVENTS_PER_ROUND:
            self.events = [self.events[0], self.events[-1]]
        self._begun = len(self.events)

    def add(self, event: Event) -> None:
        """Tell a further step, while there is room for it; the end of a round is told in any case."""
        if len(self.events) - self._begun < EVENTS_PER_ROUND or isinstance(event, RequestEnded):
            self.events.append(event)


def _begin(prompt: Prompt) -> float:
    return prompt.trace.events[0].at
