"""The rows that an engine on a worker has been given, as its dispatcher meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llx_magic.cluster.messages import Ended, Limits, Order, Report
from llx_magic.core.events import AttemptFailed, BackendSkipped, Event, SkipReason
from llx_magic.core.gate import GateKey
from llx_magic.core.parking import Prospects, Tries, meets_all
from llx_magic.core.reply import Arrival
from llx_magic.core.traffic import Room
from llx_magic.engine.dispatch import Dispatcher
from llx_magic.engine.outbox import Outbox
from llx_magic.engine.plan import Candidate, Plan, names_of
from llx_magic.errors import AllBackendsFailed
from llx_magic.session.answering import OwnEngine
from llx_magic.session.balancer import LoadBalancer
from llx_magic.settings.declaration import Settings

AHEAD = 4
"""Of so many rows under way, one more is wanted, so that the next is there when one ends."""

FEWEST = 2
"""How many more are wanted at least."""

REPORT_SECONDS = 0.5
"""How often it is told how the engine stands where nothing has ended."""

HELD_SECONDS = 1.0
"""Where nobody can be asked for longer, rows go back: another worker may have somebody."""


class OrderedRows:
    """Asks each row once and keeps how it ended until that has arrived; what becomes of it is decided elsewhere.

    ``refusals`` are the backends that cannot be asked from here, and why.
    """

    is_full = is_at_hand = False

    def __init__(self, balancer: LoadBalancer, plan: Plan, refusals: dict[str, str]) -> None:
        self._balancer = balancer
        self._plan = plan
        self._refusals = refusals
        self._prospects = Prospects(names_of(plan.candidates), plan.candidates[0].settings)
        self._outbox = Outbox[Ended]()
        self._engine = OwnEngine(balancer, plan.candidates)
        self._candidates = plan.candidates
        self._closed: set[GateKey] = set()
        self.dispatcher = Dispatcher(balancer.clock, self, is_fed=True)
        self._close()

    def divide(self, parts: int) -> None:
        """Keep to one of so many parts of the limits that the user has set for a backend."""
        self._candidates = tuple(
            replace(each, settings=part_of(each.settings, parts)) for each in self._plan.candidates
        )
        self._engine = OwnEngine(self._balancer, self._candidates)
        self.dispatcher.look()

    def give(self, orders: Sequence[Order]) -> None:
        """Take further rows."""
        self.dispatcher.feed(orders)

    def stop(self) -> None:
        """Break off what is under way; whoever waits for a report is told."""
        self.dispatcher.stop()
        self._outbox.ring()

    async def report(self, seen: int) -> Report:
        """Return what has ended, and how the engine stands."""
        batch = await self._outbox.fetch(seen, REPORT_SECONDS)
        self.dispatcher.look()  # those that have arrived leave their places to others
        room, in_flight = self._engine.room(self._closed, 0), self.dispatcher.under_way
        is_held = room.places <= 0 and not in_flight
        busy = in_flight + max(0, room.places)
        return Report(
            number=batch.number,
            ended=batch.things,
            takes=0 if is_held else busy + max(FEWEST, busy // AHEAD),
            in_flight=in_flight,
            opens_in=None if room.at is None else max(0.0, room.at - self._balancer.clock.now()),
            message=self._engine.blocked_by() or "",
            standings=self._engine.standings(),
            refusals=dict(self._refusals),
        )

    def give_back_what_is_held(self) -> None:
        """Give the rows back that wait, where nobody can be asked for a while."""
        room = self._engine.room(self._closed, 0)
        is_open = room.places > 0 or self.dispatcher.under_way
        if is_open or (room.at is not None and room.at - self._balancer.clock.now() <= HELD_SECONDS):
            return
        for order in self.dispatcher.give_back():
            self._outbox.put(Ended(order.number, "back"))

    def read(self, most: int) -> Sequence[Order]:
        """Return none: they are given."""
        return ()

    def take(self, rows: Sequence[Order]) -> Sequence[Order]:
        """Return all."""
        return rows

    async def ask(self, row: Order) -> float | None:
        """Ask a row once, and keep how it ended."""
        self._outbox.put(await self._ended(row))
        return None

    def room(self, waiting: int) -> Room:
        """Say how many rows may be sent: one that has ended keeps its place until it is known to have arrived.

        So what is lost with this process, and asked again elsewhere, is never more than what it may have under way.
        """
        room = self._engine.room(self._closed, waiting)
        return room._replace(places=room.places - self._outbox.unseen)

    def ends_at(self, row: Order) -> float | None:
        """Return None: no row comes back here."""
        return None

    def expire(self, row: Order) -> None:
        """Do nothing: no row waits here for its end."""

    async def _ended(self, row: Order) -> Ended:
        candidates = tuple(
            each for each in self._candidates if each.backend.name in row.backends and each.gate not in self._closed
        )
        if not candidates:
            return Ended(row.number, "back")
        plan = self._plan.for_row(row.messages, row.held, candidates)
        try:
            reply = await self._engine.answer(plan, row.seconds, _watch_nothing)
        except AllBackendsFailed as failed:
            return Ended(row.number, "failed", failed=self._told(failed))
        except TimeoutError:
            return Ended(row.number, "late")
        except Exception as fault:  # noqa: BLE001 - the run that this row is of has to hear of it
            return Ended(row.number, "fault", fault=f"{type(fault).__name__}: {fault}")
        self._prospects.answered(reply.backend)
        return Ended(row.number, "answered", reply=replace(reply, read=None))

    def _told(self, failed: AllBackendsFailed) -> AllBackendsFailed:
        """Leave out who refuses everybody here, and let the row be asked elsewhere: it may be this worker's key."""
        self._prospects.judge(Tries(), failed.trace, (), self._balancer.clock.now())
        self._refusals |= self._prospects.closed
        self._close()
        failed.trace = tuple(map(_of_here, failed.trace))
        return failed

    def _close(self) -> None:
        self._closed = {each.gate for each in self._candidates if each.backend.name in self._refusals}


def part_of(settings: Settings, parts: int) -> Settings:
    """Return the settings with a part of the limits of requests, tokens and places, of so many that are alike."""
    limits = {name: limit // parts for name in DIVIDED if (limit := getattr(settings, name)) is not None}
    return replace(settings, **limits) if limits and parts > 1 else settings


DIVIDED = ("rpm_limit", "tpm_limit", "concurrency_limit")
"""The limits that hold for all workers together."""


def limits_of(candidates: Sequence[Candidate]) -> Limits:
    """Return what these limits of the candidates mean for the workers together."""
    set_to = {(name, getattr(each.settings, name)) for each in candidates for name in DIVIDED}
    limits = {(name, limit) for name, limit in set_to if limit is not None}
    per_minute = any(name != "concurrency_limit" for name, _ in limits)
    return Limits(min((limit for _, limit in limits), default=None), per_minute)


def _of_here(event: object) -> object:
    """Return an event as it is told elsewhere: a refusal that is this worker's own matter only says that it has none.

    So the row is asked on another worker, whose key may be right.
    """
    if not isinstance(event, BackendSkipped | AttemptFailed) or not meets_all(event):
        return event
    said = "not to be asked from that worker"
    return BackendSkipped(at=0.0, request=0, backend=event.backend, reason=SkipReason.AT_LEVEL, message=said)


def _watch_nothing(_part: Arrival | Event) -> None:
    """Nobody watches a row on a worker."""
