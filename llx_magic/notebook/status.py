"""The line under a reply that is still coming: who is asked, for how long, and how long it may take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from llx_magic.core import events as facts
from llx_magic.core.describe import why
from llx_magic.core.events import Event
from llx_magic.core.reply import Arrival, Delta
from llx_magic.units import in_time, number

LEAST_SECONDS = 1
"""A wait of fewer seconds shows no clock."""


class Status:
    """The text of the line; its clock runs until the first text arrives.

    ``limits_ms`` are the milliseconds within which each backend must have begun to answer; None is no limit.
    ``now`` is the clock of the events.
    """

    def __init__(self, limits_ms: Mapping[str, int | None], now: Callable[[], float]) -> None:
        self._limits_ms = limits_ms
        self._now = now
        self._what = "asking…"
        self._asked: dict[str, float] = {}
        """Who is being asked, and since when; two where one stayed silent."""
        self._since: float | None = None
        self._until: float | None = None
        self._of = ""
        self._shown = ""

    def take(self, part: Arrival | Event) -> bool:
        """Take new parts and events into account; return whether the line has changed."""
        match part:
            case Delta():
                self._since = self._until = None
                return False
            case facts.AttemptStarted():
                self._asked[part.backend] = part.at
                self._say_who(f", attempt {part.attempt}" if part.attempt > 1 else "")
            case facts.FirstTokenReceived():
                self._what, self._of = f"{part.backend} is answering…", ""
            case facts.AttemptFailed():
                self._asked.pop(part.backend, None)
                if self._asked:
                    self._say_who()
                else:
                    self._say(f"{part.backend} failed: {why(part)}")
            case facts.VisitSucceeded() | facts.VisitWithoutReply():
                self._asked.pop(part.backend, None)
                return False
            case facts.RetryScheduled():
                self._say(f"{self._what}, asking again", until=part.at + part.delay)
            case facts.CoolDownWaitStarted():
                self._say_wait(part)
            case facts.CoolDownWaitEnded():
                self._say("asking…")
            case _:
                return False
        return True

    def _say_wait(self, wait: facts.CoolDownWaitStarted) -> None:
        what = f"waiting for the {wait.limit} of {wait.backend}"
        if wait.seconds is None:  # it ends when a request does
            self._say(f"{what}…", since=wait.at)
        else:
            self._say(f"{what}, asking", until=wait.at + wait.seconds)

    def ticks(self) -> bool:
        """Return whether time alone has changed the line since it was last read."""
        return self._line() != self._shown

    def line(self) -> str:
        """Return the line as it is now."""
        self._shown = self._line()
        return self._shown

    def _say_who(self, more: str = "") -> None:
        """Say who is being asked, and for how long the latest of them has been."""
        latest = list(self._asked)[-1]
        self._say(f"asking {' and '.join(self._asked)}{more}…", since=self._asked[latest])
        limit = self._limits_ms.get(latest)
        self._of = "" if limit is None else f" of {number(limit / 1000)} s"

    def _say(self, what: str, *, since: float | None = None, until: float | None = None) -> None:
        self._what, self._since, self._until, self._of = what, since, until, ""

    def _line(self) -> str:
        if self._until is not None:
            return f"{self._what} {in_time(self._until - self._now())}"
        seconds = 0 if self._since is None else int(self._now() - self._since)
        return self._what if seconds < LEAST_SECONDS else f"{self._what} {seconds} s{self._of}"
