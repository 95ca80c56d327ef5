"""How many rows at once a backend bears, found out from what becomes of them.

The level doubles with each flight of rows, more slowly where replies are quick, until something is refused. What was
under way then and was not refused is known to be borne: the level holds there. After some answers it feels for one
place more; where that is borne, for three more, nine, and so on, so that room which opens later is soon found. A
refusal while it feels brings it back to what it held, and makes it feel more rarely. A refusal at what it held cuts it,
once for all that were under way together, as TCP does (https://www.rfc-editor.org/rfc/rfc5681#section-3.1); answers
bring it back quickly, and it feels for more at once, since what is borne has changed.
"""

from __future__ import annotations

import msgspec

from llx_magic.core.queueing import Queueing

START = 4.0
"""How many rows begin."""

TOLD = 24.0
"""How many rows begin at most where the service says that it takes as many."""

CUT = 0.7
"""What is left of the level when something is refused that ought to have been borne."""

SATURATED = 0.8
"""From what share of the level on an answer teaches anything: where fewer are under way, they prove nothing."""

DOUBLING_SECONDS, MOST_DOUBLINGS = 0.2, 16.0
"""How soon it may double again: quick replies come and go before it shows that they were too many."""

RETURN = 2.0
"""How many places a flight of answers gives back after a cut."""

GROWTH = 3.0
"""How many times larger the next step is where one was borne."""

LONGEST_STEP = 0.5
"""Which share of what is borne it feels for at most: what a server has saved up makes more seem to be borne."""

AT_ONCE, SOON, RARELY = 1, 20, 150
"""After how many answers it feels for more: at what was cut, and where a single row of the first ones was borne, since
the others may have been refused for coming with it; else at first; and at last, when each attempt was refused."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""How long to wait, in seconds, after the second flight in a row of which nothing was answered; then twice as long."""

EASE = 0.9
"""What is left of the level, once in a flight, while the server seems to queue."""

UNKNOWN = 1_000_000.0
"""Stands for what is not known yet: higher than any level."""


class Level(msgspec.Struct):
    """The level of one backend, the clock an argument. Times are seconds of a monotonic clock.

    ``at_most`` rows may be under way; ``held`` is the most that is known to be borne. ``answered`` counts the answers
    since the level last changed its mind; after ``patience`` of them it feels for ``step`` places more. What was
    admitted until ``cut_at`` belongs to the flight that has had its cut. ``in_vain`` flights in a row had no answer.
    While it doubles, ``began_with`` is what it was at the first answer, at ``began_at``.
    """

    at_most: float = START
    held: float = UNKNOWN
    step: float = 1.0
    answered: int = 0
    began_at: float = 0.0
    began_with: float = START
    patience: int = SOON
    is_starting: bool = True
    cut_at: float = -1.0
    in_vain: int = 0
    queueing: Queueing = msgspec.field(default_factory=Queueing)

    @property
    def pause(self) -> float:
        """How many seconds to wait where nothing but refusals came, and none of them named a time."""
        return 0.0 if self.in_vain < 2 else min(FIRST_PAUSE * 2.0 ** min(self.in_vain - 2, 16), LONGEST_PAUSE)

    @property
    def is_on_trial(self) -> bool:
        """Whether it feels for a second row at once, where of the first ones a single one was borne."""
        return self.patience == AT_ONCE and self.held < 2.0 <= self.at_most

    def begin_with(self, rows: float) -> None:
        """Begin with more rows than others do, since the service says that it takes so many."""
        if self.is_starting:
            self.at_most = max(self.at_most, min(rows, TOLD))

    def refused(self, under_way: int, admitted_at: float, now: float, *, is_timed: bool = False) -> None:
        """Take a refusal of what was admitted then; ``under_way`` are so many, itself among them.

        One that ``is_timed``, since the server said for how long, cuts nothing: the wait is cut enough. The first few
        rows are counted all the same, since a wait that follows a single row is hardly for too many in a time.
        """
        if admitted_at <= self.cut_at:
            if not is_timed or (self.in_vain and self.at_most <= START):
                self._hold(self.held - 1.0)
            return
        is_felt = self.at_most > self.held
        if is_felt:
            self.patience = min(RARELY, max(SOON, 3 * self.patience))
        elif not self.is_starting and not is_timed:
            self.at_most, self.patience = self.at_most * CUT, AT_ONCE
        self._hold(under_way - 1.0)
        self.cut_at, self.in_vain = now, self.in_vain + 1
        self._change_its_mind()

    def passed(self, under_way: int, ceiling: float, now: float) -> None:
        """Take an answer; ``under_way`` were so many, itself among them, and the level need not exceed ``ceiling``."""
        if self.pause:  # after a time in which nothing was borne, what was borne before it tells nothing
            self.is_starting, self.held = True, UNKNOWN
        self.in_vain = 0
        if under_way < SATURATED * min(self.at_most, ceiling) or self.queueing.is_suspected:
            return
        self.answered += 1
        if self.is_starting:
            if self.answered == 1:
                self.began_at, self.began_with = now, self.at_most
            doublings = min(1.0 + (now - self.began_at) / DOUBLING_SECONDS, MOST_DOUBLINGS)
            self.at_most = min(self.at_most + 1.0, self.began_with * 2.0**doublings)
        elif self.at_most < self.held:
            self.at_most, self.answered = min(self.held, self.at_most + RETURN / self.at_most), 0
        elif self.answered >= max(self.patience if self.at_most == self.held else 0, self.at_most):
            if self.at_most > self.held:
                self.held, self.patience = self.at_most, SOON
                self.step = min(GROWTH * self.step, max(1.0, LONGEST_STEP * self.held))
            self.at_most, self.answered = self.held + self.step, 0
        self.at_most = min(self.at_most, ceiling)

    def first_token(self, seconds: float) -> None:
        """Take the time to the first token of an answer; where that tells of a queue, less is sent."""
        self.queueing.take(seconds)
        if not self.queueing.is_suspected:
            return
        self.answered += 1
        if not self.is_starting and self.answered < max(SOON, self.at_most):
            return
        before = self.queueing.acquits(self.at_most)
        self.at_most = self.held = min(self.at_most, max(START, EASE * self.at_most)) if before is None else before
        self.patience = SOON
        self._change_its_mind()

    def _hold(self, borne: float) -> None:
        self.held = max(1.0, borne)
        self.at_most = max(1.0, min(self.at_most, self.held))

    def _change_its_mind(self) -> None:
        self.step, self.answered, self.is_starting = 1.0, 0, False
