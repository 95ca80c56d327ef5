"""What is done with each row of a run: asked, put back, ended; its reply is on the disk before anybody hears of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from llx_magic.core.ceilings import LOOK_AGAIN_SECONDS
from llx_magic.core.events import AttemptFailed, BackendSkipped, Event, SkipReason
from llx_magic.core.failure import REFUSALS, LostError
from llx_magic.core.parking import Prospects, Tries, Verdict
from llx_magic.core.ports import Timer
from llx_magic.core.traffic import Room
from llx_magic.engine.dispatch import Stop
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Plan, names_of
from llx_magic.engine.reasons import CUT
from llx_magic.errors import AllBackendsFailed, LlxError
from llx_magic.replies.key import Key
from llx_magic.replies.record import Stored
from llx_magic.rows.outcome import Outcome, Status
from llx_magic.session.answering import Answering
from llx_magic.session.closed_backends import ClosedBackends
from llx_magic.session.feed import Feed, MapRow
from llx_magic.session.most_errors import MostErrors
from llx_magic.session.options import Wishes
from llx_magic.session.outcomes import in_vain, of_all_rounds, of_failure, of_reply, of_stored
from llx_magic.session.patience import Patience
from llx_magic.session.run_tally import KEPT_FAULT, RunTally
from llx_magic.units import duration, plural
from llx_magic.units import limit as in_words

if TYPE_CHECKING:
    from llx_magic.core.reply import Reply
    from llx_magic.replies.writer import Writer

GROUP = 64
"""How many replies may be on their way to the disk: no further row is sent until some of them are there."""

MOST_FOLLOWERS = 1024
"""How many rows may wait for another's reply before no further rows are read."""

HOW_TO_WAIT = "run it again when that is mended, or let it wait: --give-up-after SECONDS (in Python give_up_after=)"
"""What is said where there is no way to anybody."""

Written = tuple[MapRow, Outcome]


class RowWork:
    """The rows of one run, as the dispatcher meets them.

    ``deliver`` gets each row's outcome once, on the loop; ``stop`` ends the run, with the reason.
    """

    def __init__(
        self,
        answering: Answering,
        plan: Plan,
        feed: Feed,
        wishes: Wishes,
        deliver: Callable[[Outcome], None],
        stop: Stop,
    ) -> None:
        self._answering = answering
        self._plan = plan
        self._feed = feed
        self._wishes = wishes
        self._deliver = deliver
        self._stop = stop
        self._clock = answering.clock
        self._limit_ms = plan.candidates[0].settings.row_timeout_ms
        self._prospects = Prospects(names_of(plan.candidates), plan.candidates[0].settings)
        self.closed = ClosedBackends(plan.candidates, self._prospects)
        self.tally = RunTally(answering, names_of(plan.candidates), feed.total)
        self._leaders: dict[Key, MapRow] = {}
        self._recent: dict[Key, Outcome] = {}
        self._followers = 0
        self._writing = 0
        self._under_way = 0
        self._errors = MostErrors(wishes.max_errors, stop)
        self._patience = Patience(self._clock, wishes.give_up_after, self._give_up)
        self._pause: Timer | None = None
        self._look: Callable[[], None] = lambda: None
        self._writer: Writer[Written] | None = None
        self._watch: Watch = lambda _part: None
        self.wants_values = False
        """Whether the outcome of a stored row has its value, which is read from the text each time."""
        self.backlog: Callable[[], int] = lambda: 0
        """How many outcomes were delivered and not yet taken by whoever wants them."""

    def begin(
        self,
        writer: Writer[Written] | None,
        on_event: Callable[[Event], None] | None = None,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep replies with the writer, where there is one, and tell the decisions on rows to whoever wants them.

        ``look`` is called where further rows may be read again.
        """
        self._writer, self._look = writer, look
        if on_event is not None:
            self._watch = lambda part: on_event(part) if isinstance(part, Event) else None

    def end(self) -> None:
        """Wait for nobody any more."""
        self._patience.end()
        if self._pause is not None:
            self._pause.cancel()

    def end_those_asked_in_vain(self) -> None:
        """Say of the rows that were asked, and would be asked again, what came of it: the run is over."""
        for row in self._leaders.values():
            if row.tries is not None and row.tries.attempts:
                for each in (row, *row.followers):
                    self._deliver(in_vain(each.place, row.tries))

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why backends that do not answer do not."""
        return self._prospects.troubles

    @property
    def is_full(self) -> bool:
        """Whether no further rows should be read for now."""
        return self._pause is not None or max(self._followers, self.backlog()) >= MOST_FOLLOWERS

    @property
    def is_at_hand(self) -> bool:
        """Whether the next rows can be read at once."""
        return self._feed.is_at_hand

    def read(self, most: int) -> Sequence[MapRow]:
        """Return further rows, made into prompts and looked up."""
        return self._feed.read(most)

    def take(self, rows: Iterable[MapRow]) -> Sequence[MapRow]:
        """End the rows that need not be asked, and return the others."""
        to_ask = []
        for row in rows:
            if row.prompt.problem:
                self._end(row, of_failure(row, row.prompt.problem))
            elif row.stored is not None:
                if row.stored.error is not None and not self._feed.has_stored(row.stored):
                    self.tally.note((KEPT_FAULT,))
                elif row.stored.finish_reason == "length":
                    self.tally.note((CUT,))
                if row.elsewhere is not None:
                    self._patience.end()
                status: Status = "shared" if self._feed.has_stored(row.stored) else "stored"
                shape = self._plan.shape if self.wants_values else None
                self._end(row, of_stored(row.place, row.stored, status, shape))
            elif (leader := self._leaders.get(row.key)) is not None:
                leader.followers.append(row)
                self._followers += 1
            elif (outcome := self._recent.get(row.key)) is not None:
                self._feed.ended(row)
                self._end(row, outcome.shared_with(row.place))
            elif row.elsewhere is not None:
                self._feed.put_back(row)
            else:
                self._leaders[row.key] = row
                to_ask.append(row)
        self._recent.clear()
        self._leave_to_others()
        return to_ask

    def _leave_to_others(self) -> None:
        """Read nothing for a moment where all that could be read is asked for by other runs."""
        if not (waiting := self._feed.elsewhere):
            return
        self._patience.wait()
        if waiting >= MOST_FOLLOWERS or not self._feed.has_new:
            self._pause = self._clock.call_later(LOOK_AGAIN_SECONDS, self._end_pause)

    def _end_pause(self) -> None:
        self._pause = None
        self._look()

    async def ask(self, row: MapRow) -> float | None:
        """Ask a row once; returns None where it has ended, or from when on it may be asked again."""
        number, began = (row.tries.request, row.tries.began) if row.tries else (0, None)
        plan = self._plan.for_row(
            row.prompt.messages, row.prompt.held, self.closed.others_for(row.tries), number, began
        )
        called = self._clock.now()
        self._under_way += 1
        self._patience.wait()
        try:
            self._took(row, await self._answering.answer(plan, self._seconds_for(row), self._watch))
        except AllBackendsFailed as failed:
            return self._came_back(row, plan, failed, called)
        except LostError:
            return self._clock.now() + LOOK_AGAIN_SECONDS
        except TimeoutError:
            row.tries = row.tries or Tries()
            row.tries.attempts += 1
            self.expire(row)
        finally:
            self._under_way -= 1
        return None

    def ends_at(self, row: MapRow) -> float | None:
        """Return until when a row may wait."""
        return None if self._limit_ms is None else self._end_of(row)

    def expire(self, row: MapRow) -> None:
        """End a row whose time is up."""
        self._fail(row, f"no reply within {in_words(self._limit_ms or 0)} (row_timeout_ms)")

    def room(self, waiting: int) -> Room:
        """Say how many rows may be sent now, of so many; none while the disk has enough to do."""
        if self._writing >= GROUP or self.backlog() >= MOST_FOLLOWERS:
            return Room(0)
        room = self._answering.room(self.closed.gates, waiting)
        if room.places <= 0:
            self._patience.wait()
        return room

    def blocked_by(self) -> str | None:
        """Say for what, and how long where that is known, no row can be sent now; None where one can."""
        if self._writing >= GROUP:
            return f"the store, which has {plural(self._writing, 'reply', 'replies')} to write"
        if told := self._answering.blocked_by():
            return told
        elsewhere = self._feed.elsewhere
        return f"another run, which asks for {elsewhere} of these rows" if elsewhere else None

    def settled(self, group: list[Written], problem: LlxError | None) -> None:
        """Show the rows of a group that is on the disk, or could not be put there."""
        self._writing -= len(group)
        for row, outcome in group:
            self._clock.release()
            if self._feed.tells_own:  # not before: until now the store would have told what was there before the run
                self._feed.own.add(row.key)
            self._end_leader(row, outcome)
        if problem is not None:
            self._stop(f"{problem}; the last replies are in this result alone")

    def _give_up(self) -> None:
        silent = f"{plural(self._under_way, 'row')} under way" if self._under_way else "all fail"
        why = self.blocked_by() or silent
        self._stop(f"nobody has answered for {duration(self._wishes.give_up_after)} ({why})")

    def _seconds_for(self, row: MapRow) -> float | None:
        """Return how long a row may be asked that is sent now; None for as long as it takes."""
        if self._limit_ms is None:
            return None
        now = self._clock.now()
        row.began = now if row.began is None else row.began
        return self._end_of(row) - now

    def _end_of(self, row: MapRow) -> float:
        return (self._clock.now() if row.began is None else row.began) + (self._limit_ms or 0) / 1000

    def _took(self, row: MapRow, reply: Reply) -> None:
        """Take a reply, and have it written."""
        self._prospects.answered(reply.backend)
        self._errors.take_answered()
        self._patience.end()
        if self._under_way > 1:
            self._patience.wait()
        self.tally.pay(reply.cost, is_estimate=reply.cost_is_estimate)
        if reply.notes or row.prompt.notes:
            self.tally.note((*row.prompt.notes, *reply.notes))
        if row.tries is not None:
            reply = of_all_rounds(reply, row.tries, self._clock.now())
        outcome = of_reply(row.place, reply)
        if self._writer is None:
            self._end_leader(row, outcome)
            return
        if outcome.status == "failed":
            self._errors.take_failed()
        self._write(row, self._feed.keeping.reply(reply, row.prompt.messages), outcome)

    def _came_back(self, row: MapRow, plan: Plan, failed: AllBackendsFailed, called: float) -> float | None:
        """Decide on a row without a reply; returns from when on it may be asked again, None where it has failed."""
        row.tries = tries = row.tries or Tries()
        tries.request = failed.request
        unfit = [each.backend.name for each in plan.candidates if plan.refusal(each)]
        verdict = self._prospects.judge(tries, failed.trace, unfit, self._clock.now())
        if tries.began is None and tries.attempts:
            tries.began = called
        if verdict is Verdict.LATER:
            self._patience.wait()
            if not tries.error or any(isinstance(each, AttemptFailed) for each in failed.trace):
                tries.error = failed.what_happened
            self._errors.take_put_back(tries)
            if whys := self.closed.look():
                self._stop(whys, at_once=False)
            self._end_where_nobody_is_reached()
            if tries.refused_by:  # who has refused the row has room, which is none for it
                tries.not_before = max(tries.not_before, self._clock.now() + LOOK_AGAIN_SECONDS)
            return self._when_affordable(failed, tries)
        refusals = [each for each in failed.trace if isinstance(each, AttemptFailed) and each.failure.kind in REFUSALS]
        if verdict is Verdict.FAILED or not refusals or self._writer is None:
            self._fail(row, failed.what_happened)
            return None
        stored = self._feed.keeping.fault(refusals[-1], row.prompt.messages, failed, tries.attempts)
        self._errors.take_failed()
        self._write(row, stored, of_failure(row, failed.what_happened))
        return None

    def _end_where_nobody_is_reached(self) -> None:
        """End the run where there never was a way to anybody, unless it was said how long to wait."""
        if self._patience.is_endless and (whys := self._prospects.out_of_reach):
            told = "; ".join(f"{name}: {why}" for name, why in whys.items())
            self._stop(f"nobody can be reached: {told} ({HOW_TO_WAIT})", at_once=False)

    def _when_affordable(self, failed: AllBackendsFailed, tries: Tries) -> float:
        """Return when a row may be asked again; the run ends where its budget does, and none of it is held.

        What is held for other rows may be given back.
        """
        met = [each for each in failed.trace if isinstance(each, BackendSkipped | AttemptFailed)]
        lacks = [each for each in met if isinstance(each, BackendSkipped) and each.reason is SkipReason.OVER_BUDGET]
        if not lacks:
            return tries.not_before
        if len(lacks) == len(met) and self._under_way == 1:
            self._stop(lacks[0].message)
        return self._clock.now() + LOOK_AGAIN_SECONDS

    def _write(self, row: MapRow, stored: Stored, outcome: Outcome) -> None:
        assert self._writer is not None
        self._writing += 1
        self._clock.hold()
        self._writer.put(row.key, stored, (row, outcome))

    def _fail(self, row: MapRow, error: str) -> None:
        self._errors.take_failed()
        self._end_leader(row, of_failure(row, error))

    def _end_leader(self, row: MapRow, outcome: Outcome) -> None:
        """End a row that was asked, and all that wait for its reply."""
        del self._leaders[row.key]
        self._recent[row.key] = outcome
        self._feed.ended(row)
        self._end(row, outcome)
        for follower in row.followers:
            self._followers -= 1
            self._end(follower, outcome.shared_with(follower.place))

    def _end(self, row: MapRow, outcome: Outcome) -> None:
        self.tally.take(outcome)
        self._deliver(outcome)
