"""How many requests are under way at one backend, and how many rows more may be: the part of a gate that counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llx_magic.core.bucket import Bucket
from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS, Ceilings, Free, limits_of
from llx_magic.core.events import SkipReason
from llx_magic.core.flow import Flow
from llx_magic.core.level import AT_ONCE, Level
from llx_magic.core.load import NOTHING, Expected, Load
from llx_magic.core.rate_facts import RateFacts
from llx_magic.core.runs import Runs
from llx_magic.units import duration

if TYPE_CHECKING:
    from llx_magic.core.admission import Applicant, Permit
    from llx_magic.core.reply import Usage
    from llx_magic.settings.declaration import Settings

FEW_ANSWERS = 10
"""A failure among rows counts for the circuit where fewer were answered since the last: of many, some always fail."""


A_MOMENT = 0.001
"""For how long no row begins after a refusal: who refuses at once, beside one that answers, is not flooded."""

MANY_ANSWERS = 100
"""A refusal in spite of what the service says is left is no matter where so many were answered since the last."""


class Room(NamedTuple):
    """How many rows may be sent to a backend now; where none may, why, and when to ask again.

    ``at`` is a time of the clock, None where that is when one of the rows under way has ended.
    """

    places: int
    at: float | None = None
    reason: SkipReason | None = None
    message: str = ""

    def within(self, other: Room) -> Room:
        """Return the narrower of two that both hold; of two that take none, the one that does for longer."""
        if other.places > 0:
            return self._replace(places=min(self.places, other.places))
        return other if self.places > 0 or (self.at or 0.0) < (other.at or 0.0) else self


class Traffic(msgspec.Struct):
    """What is under way at one backend, rows and others together, and what rows have taught.

    ``level`` is there from the first row on. ``paused_until`` is the end of the latest wait that the server named.
    ``answers`` were given to rows since the last failure that was excused, at ``excused_at``. ``smooth`` were given
    since the last refusal in spite of what the service says is left; one that did not matter was at ``slipped_at``.
    """

    under_way: int = 0
    rows: int = 0
    level: Level | None = None
    flow: Flow = msgspec.field(default_factory=Flow)
    paused_until: float = 0.0
    answers: int = 0
    excused_at: float = -1.0
    sent: Load = Load()
    expected: Expected = msgspec.field(default_factory=Expected)
    bucket: Bucket | None = None
    smooth: int = 0
    slipped_at: float = -1.0
    ceilings: Ceilings | None = None
    runs: Runs = msgspec.field(default_factory=Runs)

    def room(self, now: float, settings: Settings, estimate: float = 0.0, run: int = 0) -> Room:
        """Return how many rows may be sent now, with prompts of about so many tokens; to a ``run`` only its part."""
        if now < self.paused_until:
            return Room(0, self.paused_until, SkipReason.COOLING_DOWN, "cooling down after a rate limit")
        places = self._places(settings.concurrency)
        if places <= 0:
            return self.until_one_ends(now, "as many under way as it has been seen to bear")
        room = Room(places)
        if ceilings := self.bounded_by(settings):
            room = room.within(self._room_of(ceilings, self.expected.load(estimate), places, now))
        if self.bucket is not None:
            left, at = self.bucket.places(self.expected.load(estimate), now)
            room = room.within(Room(left, at, SkipReason.USED_UP, "what its service says is left is used up"))
        if self.flow.per_second:
            message = f"one row each {duration(1 / self.flow.per_second)}, as it has been seen to bear"
            room = room.within(Room(self.flow.places(now), self.flow.due_at, SkipReason.AT_LEVEL, message))
        return self._part_of(run, room, now) if room.places > 0 and run in self.runs.known else room

    def _places(self, concurrency: int) -> int:
        """Return how many more may be under way; of several runs the widest counts, and each keeps to its own."""
        return int(min((self.level or Level()).at_most, max(concurrency, self.runs.most))) - self.under_way

    def _part_of(self, run: int, room: Room, now: float) -> Room:
        """Return what of a room is for a run; where places are left to others, it is looked whether they take them."""
        places = self.runs.places(run, room.places, now)
        if places == room.places:
            return room
        if places == self.runs.known[run].left:
            room = room if places else self.until_one_ends(now, "as many under way as its run may have")
            return room._replace(places=places)
        return Room(places, now + A_MOMENT, None if places else SkipReason.AT_LEVEL, "left to another run")

    def awaited(self, but: int, now: float) -> Sequence[int]:
        """Return the runs that are to look for a place now, beside one that does so by itself."""
        return self.runs.call(self._places(0), but, now)

    def _room_of(self, ceilings: Ceilings, load: Load, wanted: int, now: float) -> Room:
        if ceilings.stock is not None:
            ceilings.ask(load, 1, now)
            ceilings.ask_at_once(self.under_way, wanted, now)
        if free := ceilings.refuses(0, load, self.under_way, now):
            at = free.at or free.look_at or ceilings.next_turn_at(self.under_way, now) or now + LOOK_AGAIN_SECONDS
            return Room(0, max(now, at), SkipReason.AT_CEILING, free.message)
        return Room(ceilings.free(load, self.under_way, now).places)

    def until_one_ends(self, now: float, message: str) -> Room:
        """Return that there is none until one of those under way ends; where no row is, somebody has to look."""
        return Room(0, None if self.rows else now + LOOK_AGAIN_SECONDS, SkipReason.AT_LEVEL, message)

    def bounded_by(self, settings: Settings) -> Ceilings | None:
        """Return the user's own limits with what counts for them, or None where none is set."""
        limits = limits_of(settings)
        if limits is None:
            return None
        self.ceilings = self.ceilings or Ceilings()
        self.ceilings.limits = limits
        return self.ceilings

    def at_ceiling(self, applicant: Applicant, now: float, settings: Settings) -> Free | None:
        """Return which of the user's own limits keeps a request away, or None."""
        if (ceilings := self.bounded_by(settings)) is None:
            return None
        return ceilings.refuses(applicant.request, self.expected.load(applicant.tokens), self.under_way, now)

    def may_send_again(self, permit: Permit, now: float, settings: Settings) -> bool:
        """Return whether the user's own limits leave a place for what is under way to be sent again; it is counted."""
        ceilings, load = self.bounded_by(settings), self.expected.load(permit.tokens)
        if ceilings is None:
            return True
        if ceilings.free(load, self.under_way - 1, now).places <= 0:
            return False
        ceilings.count(load, now)
        return True

    def admit(self, applicant: Applicant, now: float) -> Load | None:
        """Count one that goes to the backend; return what has been sent to it by then, where that is counted."""
        self.under_way += 1
        is_row = applicant.is_row
        ceilings = self.ceilings if self.ceilings is not None and self.ceilings.has_limit else None
        if not is_row and self.bucket is None and ceilings is None:
            return None
        load = self.expected.load(applicant.tokens)
        if ceilings is not None:
            ceilings.admit(applicant.request, load, now)
        if self.bucket is not None:
            self.bucket.take(load, now)
        self.sent = self.sent.plus(load)
        if is_row:
            self.rows += 1
            self.runs.admit(applicant.run)
            self.level = self.level or Level()
            self.flow.admit(now)
        return self.sent

    def settle(self, now: float, *, is_row: bool, run: int = 0) -> None:
        """Count one that has ended."""
        self.under_way -= 1
        if is_row:
            self.rows -= 1
            self.runs.settle(run)
        if self.ceilings is not None:
            self.ceilings.has_ended(self.under_way, now)

    def answered(self, now: float, settings: Settings) -> None:
        """Learn from a row that was answered; it still counts as under way."""
        self.answers += 1
        self.smooth += 1
        self.flow.passed(now)
        if (level := self.level) is None:
            return
        most = max(settings.concurrency, self.runs.most)
        level.passed(self.under_way, most, now)
        if self.flow.is_on_trial and level.held == 2.0:
            self.flow.seek()
            self.level = Level(at_most=most, cut_at=level.cut_at, queueing=level.queueing)
        elif level.is_on_trial and self.under_way == 1:
            self.flow.try_distance(now)

    def learn(self, permit: Permit, usage: Usage | None, ttft: float | None, now: float) -> None:
        """Learn what an answer took, against what was expected, and how long it let wait."""
        if usage is not None:
            if self.ceilings is not None:
                difference = usage.total_tokens - self.expected.load(permit.tokens).tokens
                self.ceilings.correct(permit.admitted_at, difference, now)
            self.expected.learn(permit.tokens, usage)
        if permit.is_row and self.level is not None and ttft is not None:
            self.level.first_token(ttft)

    def refused(self, admitted_at: float, now: float, wait: float | None) -> None:
        """Learn from a refusal of what was admitted then, a row or not; ``wait`` is for how long, where that is known.

        A later refusal never makes an earlier wait shorter. One that names its time may come from too many at once or
        too many in a time: the first are to blame where more were under way than are known to be borne. Where it names
        none, the second are, if no more were under way than ought to be borne. Where rows are kept at an even distance,
        it is that which was too short.
        """
        if wait is not None:
            self.pause(now + wait)
        level = self.level
        if level is None or self._is_of_distance(level, admitted_at, now, wait):
            return
        is_first, at_its_most = level.is_starting, self.under_way >= max(2.0, level.held)
        ought_to_be_borne = not is_first and admitted_at > level.cut_at and 2.0 <= level.at_most <= level.held
        if wait is None and ought_to_be_borne and not level.in_vain:
            self.flow.refused(admitted_at, now, now)
        if wait is None or is_first or at_its_most:
            level.refused(self.under_way, admitted_at, now, is_timed=wait is not None)
            if level.held < 2.0 and not self.answers:
                level.patience = AT_ONCE
        if wait is None:
            self.pause(now + max(level.pause, A_MOMENT))
        elif (is_first or not at_its_most) and not self._is_a_slip(admitted_at, now):
            self.flow.refused(admitted_at, now, self.paused_until)

    def _is_of_distance(self, level: Level, admitted_at: float, now: float, wait: float | None) -> bool:
        """Learn what a refusal tells of the distance between rows; return whether it tells of nothing else."""
        if wait is None and level.at_most < 2.0 and self.under_way == 1:
            self.flow.refused_alone(now)
        elif self.flow.is_on_trial:
            self.flow.end_trial(now)
        elif self.flow.blames_distance(now):
            self.flow.refused(admitted_at, now, max(now, self.paused_until))
            return True
        return False

    def _is_a_slip(self, admitted_at: float, now: float) -> bool:
        """Return whether a refusal says nothing of the rate: the service tells that, and a request was only held up."""
        if self.bucket is None or not self.bucket.paces:
            return False
        if admitted_at > self.slipped_at:
            is_rare, self.smooth = self.smooth >= MANY_ANSWERS, 0
            self.slipped_at = now if is_rare else self.slipped_at
            return is_rare
        return True

    def learn_rates(self, facts: RateFacts, sent: Load | None, as_of: float, now: float) -> None:
        """Take what a reply tells of limits whose request went at ``as_of``, when so much had been sent."""
        self.bucket = self.bucket or Bucket()
        self.bucket.learn(facts, NOTHING if sent is None else self.sent.less(sent), as_of, now)
        if self.level is not None:
            places, _ = self.bucket.places(self.expected.load(0.0), now)
            self.level.begin_with(self.under_way + places)

    def excuses(self, admitted_at: float, now: float) -> bool:
        """Return whether a row's failure counts for nothing: it is a rare one, or of the same flight as a rare one."""
        if admitted_at <= self.excused_at:
            return True
        if self.answers < FEW_ANSWERS:
            return False
        self.answers, self.excused_at = 0, now
        return True

    def pause(self, until: float) -> None:
        """Let no row begin before then, nor before an earlier pause ends."""
        self.paused_until = max(self.paused_until, until)

    def lift(self) -> None:
        """End the wait of rows because the user says so."""
        self.paused_until, self.flow = 0.0, Flow()

    def start_anew(self) -> None:
        """Forget how many are borne at once: the circuit has opened, and what was borne before it tells nothing."""
        self.level = None
        if self.flow.is_on_trial:
            self.flow = Flow()

    @property
    def has_line(self) -> bool:
        """Whether somebody waits at one of the user's own limits."""
        return self.ceilings is not None and not self.ceilings.line.is_empty

    def leave(self, request: int) -> None:
        """Let a request wait no longer at such a limit."""
        if self.ceilings is not None:
            self.ceilings.leave(request)

    def call_next(self, now: float) -> int | None:
        """Take the next one out of the line at such a limit where there is a place for it, and keep that."""
        return None if self.ceilings is None else self.ceilings.call_next(self.under_way, now)

    def next_turn_at(self, now: float) -> float | None:
        """Return when the next one at such a limit may go; None where that depends on those under way."""
        return None if self.ceilings is None else self.ceilings.next_turn_at(self.under_way, now)

    def losing_patience(self, now: float) -> list[int]:
        """Return those who wait at such a limit and need not any longer."""
        return [] if self.ceilings is None else self.ceilings.losing_patience(self.under_way, now)
