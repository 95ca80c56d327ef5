"""The limits that the user sets for one backend: requests and tokens in a minute, and requests at once.

They hold for rows and all others alike. Where there is no place for a request that is no row, it waits in line, and
rows leave the next place to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llx_magic.core.line import Line, Patience
from llx_magic.core.load import PLENTY, Load
from llx_magic.core.minute import Minute
from llx_magic.core.sharing import Granted, PlacesWanted, Spent
from llx_magic.core.stock import Stock

if TYPE_CHECKING:
    from llx_magic.settings.declaration import Settings

LOOK_AGAIN_SECONDS = 0.25
"""When to look again where nothing that happens in this run tells that there is room."""


class Limits(NamedTuple):
    """The settings; None is no limit."""

    rpm_limit: int | None = None
    tpm_limit: int | None = None
    concurrency_limit: int | None = None

    def part(self, of: int) -> Limits:
        """Return one of so many equal parts."""
        return Limits(*(limit and max(1, limit // of) for limit in self))


class Free(NamedTuple):
    """How many requests may be sent; where none may, until when, and which limit stands in the way.

    ``at`` is None where that is until one of those under way has ended, of another process where ``look_at`` is when to
    look. ``setting`` is the limit's name.
    """

    places: int
    at: float | None = None
    setting: str = ""
    limit: int = 0
    look_at: float | None = None

    @property
    def message(self) -> str:
        """What keeps a request away."""
        return f"at its {self.setting} of {self.limit:,}"


class Ceilings(msgspec.Struct):
    """What has been sent within the limits, and who waits for a place. ``called`` are those that have one kept.

    ``loads`` are what they will probably take. ``served_at`` is when somebody was last called: that renews the patience
    of all who wait.
    """

    limits: Limits = Limits()
    requests: Minute = msgspec.field(default_factory=Minute)
    tokens: Minute = msgspec.field(default_factory=Minute)
    line: Line = msgspec.field(default_factory=Line)
    called: set[int] = set()
    loads: dict[int, Load] = {}
    served_at: float = 0.0
    stock: Stock | None = None

    def free(self, load: Load, under_way: int, now: float) -> Free:
        """Return how many requests of such a load may be sent now, beside those that have been called.

        Limits of a minute that are shared are those that the server of all gives places of; while it is away, each
        process keeps to its part of them.
        """
        limit = self.limits.concurrency_limit
        found = Free(PLENTY) if limit is None else self._at_once(limit, under_way + len(self.called), now)
        if self.stock is None or not self.has_minute:
            return self._of_minute(self.limits, found, load, now)
        if self.stock.is_there:
            return self._least(self.stock, found, load, now)
        return self._alone(self.stock, found, load, now)

    def _at_once(self, limit: int, in_use: int, now: float) -> Free:
        """Return how many more may be under way at once."""
        found, stock = Free(limit - in_use, None, "concurrency_limit", limit), self.stock
        if stock is None:
            return found
        if stock.is_there:
            holding, places = stock.holding, min(limit, stock.holding.held) - in_use
            at = holding.due_at(now) if places <= 0 and in_use < limit else None
            return found._replace(places=places, at=at, look_at=holding.look_at(now))
        return found._replace(places=max(1, limit // stock.parts(now)) - in_use, look_at=now + LOOK_AGAIN_SECONDS)

    def _of_minute(self, limits: Limits, found: Free, load: Load, now: float) -> Free:
        """Return the lesser of what was found and what the limits of a minute allow."""
        for limit, minute, one, name, said in (
            (limits.rpm_limit, self.requests, load.requests, "rpm_limit", self.limits.rpm_limit),
            (limits.tpm_limit, self.tokens, load.tokens, "tpm_limit", self.limits.tpm_limit),
        ):
            if limit is None or not one or found.places <= 0:
                continue
            places = minute.places(limit, one, now) - len(self.called)
            if places < found.places:
                found = Free(places, minute.due_at(limit, one, now) if places <= 0 else None, name, said or limit)
        return found

    def _alone(self, stock: Stock, found: Free, load: Load, now: float) -> Free:
        """Return the lesser of what was found and what a process may send that does not hear the server of all.

        Until it has heard anything of it, that is a single request.
        """
        found = self._of_minute(self.limits.part(stock.parts(now)), found, load, now)
        if stock.lost_at is None:
            is_first = not self.requests.entries and not self.tokens.entries and not self.called
            return found if is_first else self._named(0, now + LOOK_AGAIN_SECONDS)
        places, until = stock.spared(load, now)
        places -= len(self.called)
        return found if places >= found.places else self._named(places, until if places <= 0 else None)

    def _least(self, stock: Stock, found: Free, load: Load, now: float) -> Free:
        """Return the lesser of what was found and what was given by the server of all."""
        places = stock.places(load, now, counts_tokens=self.limits.tpm_limit is not None) - len(self.called)
        if places >= found.places:
            return found
        return self._named(places, stock.due_at(now) if places <= 0 else None)

    def hear(self, answer: Granted, now: float) -> None:
        """Take places of the server of all; whatever it says, one process alone never exceeds the whole."""
        stock, limit = self.stock, self.limits.rpm_limit
        if stock is not None:
            left = PLENTY if limit is None else self.requests.left(limit, now) - stock.promised(now)
            stock.hear(answer, left, now)

    def _named(self, places: int, at: float | None) -> Free:
        """Return so many places, by the limit of a minute that is there."""
        named = "tpm_limit" if self.limits.rpm_limit is None else "rpm_limit"
        return Free(places, at, named, self.limits.rpm_limit or self.limits.tpm_limit or 0)

    @property
    def has_limit(self) -> bool:
        """Whether there is a limit at all."""
        return self.limits.concurrency_limit is not None or self.has_minute

    @property
    def has_minute(self) -> bool:
        """Whether there is a limit of a minute."""
        return self.limits.rpm_limit is not None or self.limits.tpm_limit is not None

    def ask(self, load: Load, waiting: int, now: float, ahead: int = 0) -> bool:
        """Ask the server of all for places where no more than ``ahead`` are left; return whether one has to wait."""
        stock, limits = self.stock, self.limits
        if stock is None or not stock.is_there or not self.has_minute:
            return False
        if stock.places(load, now, counts_tokens=limits.tpm_limit is not None) > len(self.called) + ahead:
            return False
        if stock.may_ask(now):
            stock.ask(now, waiting)
            stock.outbox.append(PlacesWanted(stock.block, load.tokens, limits.rpm_limit, limits.tpm_limit))
        return stock.asked_at is not None

    def ask_at_once(self, under_way: int, more: int, now: float) -> bool:
        """Ask the server of all for so many more places at once where there is none; return whether one has to wait."""
        stock, limit, in_use = self.stock, self.limits.concurrency_limit, under_way + len(self.called)
        if stock is None or limit is None or not stock.is_there:
            return False
        if stock.hears(now):
            stock.hold(stock.holding.need(in_use, more, limit, now))
        return stock.holding.asked_at is not None and stock.holding.held <= in_use

    def has_ended(self, under_way: int, now: float) -> None:
        """Take that a request has ended; where others lack its place, it is given back."""
        if self.stock is not None and self.stock.is_there and self.limits.concurrency_limit is not None:
            in_use, waiting = under_way + len(self.called), len(self.line.waiting)
            self.stock.hold(self.stock.holding.has_ended(in_use, waiting, self.limits.concurrency_limit, now))

    def renew(self, under_way: int, now: float) -> None:
        """Tell the server of all which places at once are still held."""
        if self.stock is not None and self.limits.concurrency_limit is not None:
            in_use = under_way + len(self.called)
            self.stock.hold(self.stock.holding.renew(in_use, self.limits.concurrency_limit, now))

    def spend(self, requests: float, tokens: float, ago: float = 0.0, given_at: int = 0) -> None:
        """Tell the server of all what it does not know of, sent so many seconds ago; negative is less than it knows."""
        rpm, tpm = self.limits.rpm_limit, self.limits.tpm_limit
        if self.stock is not None and self.stock.is_there and self.has_minute and (requests or tokens):
            self.stock.outbox.append(Spent(requests, tokens, ago, rpm, tpm, given_at))

    def spend_since(self, since: float, now: float) -> None:
        """Tell the server of all what was sent since then."""
        for at, sent in self.requests.entries:
            if at >= since:
                self.spend(sent, 0.0, now - at)
        for at, sent in self.tokens.entries:
            if at >= since:
                self.spend(0.0, sent, now - at)

    def correct(self, admitted_at: float, difference: float, now: float) -> None:
        """Take that what was admitted then took so many tokens more, or fewer, than was expected."""
        self.tokens.correct(admitted_at, difference)
        if self.limits.tpm_limit is not None:
            self.spend(0.0, difference, now - admitted_at)

    def refuses(self, request: int, load: Load, under_way: int, now: float) -> Free | None:
        """Return what keeps a request from being sent now; one that was called has its place."""
        if request in self.called:
            return None
        free = self.free(load, under_way, now)
        if free.places > 0 and self.line.is_empty:
            return None
        return free if free.places <= 0 else free._replace(places=0)

    def admit(self, request: int, load: Load, now: float) -> None:
        """Count a request that is sent."""
        self.leave(request)
        self.count(load, now)

    def count(self, load: Load, now: float) -> None:
        """Count what is sent."""
        if (stock := self.stock) is not None and self.has_minute:
            if stock.is_there:
                self.spend(*stock.take(load, now, counts_tokens=self.limits.tpm_limit is not None))
                if stock.asked_at is None and stock.is_dense(now):
                    self.ask(load, 0, now, stock.block // 2)
            else:
                stock.spare = stock.spare.less(load)
                for each in (self.requests, self.tokens):
                    each.part_at(now if stock.lost_at is None else stock.lost_at)
        if self.limits.rpm_limit is not None:
            self.requests.take(self.limits.rpm_limit, load.requests, now)
        if self.limits.tpm_limit is not None:
            self.tokens.take(self.limits.tpm_limit, load.tokens, now)

    def join(self, request: int, patience: Patience, load: Load) -> None:
        """Wait for a place."""
        self.called.discard(request)
        self.line.join(request, patience)
        self.loads[request] = load

    def leave(self, request: int) -> None:
        """Wait no longer, nor keep a place."""
        self.line.leave(request)
        self.called.discard(request)
        self.loads.pop(request, None)

    def call_next(self, under_way: int, now: float) -> int | None:
        """Take the next one out of the line where there is a place for it, and keep that."""
        if self.line.is_empty:
            return None
        if self.stock is not None:
            self.ask(self.loads[self.line.first], len(self.line.waiting), now)
            self.ask_at_once(under_way, len(self.line.waiting), now)
        if self.free(self.loads[self.line.first], under_way, now).places <= 0:
            return None
        request = self.line.take_first()
        self.called.add(request)
        self.served_at = now
        return request

    def next_turn_at(self, under_way: int, now: float) -> float | None:
        """Return when the next in line may go; None where that is when one of those under way has ended."""
        if self.line.is_empty:
            return None
        free = self.free(self.loads[self.line.first], under_way, now)
        return free.look_at if free.at is None else free.at

    def is_worth_waiting(self, free: Free, patience: Patience) -> bool:
        """Return whether to wait: the place comes soon enough, or when one of those under way ends."""
        if patience.limit is None:
            return False
        return free.at is None or free.at - max(patience.since, self.served_at) <= patience.limit

    def losing_patience(self, under_way: int, now: float) -> list[int]:
        """Return those in line who need not wait any longer, since even the first of them has to wait too long."""
        if self.line.is_empty:
            return []
        first = self.free(self.loads[self.line.first], under_way, now)
        if first.at is None or first.at - self.served_at <= self.line.least_limit:
            return []
        return [each for each, patience in self.line.waiting.items() if not self.is_worth_waiting(first, patience)]


def limits_of(settings: Settings) -> Limits | None:
    """Return the limits that are set, or None where none is."""
    if settings.rpm_limit is None and settings.tpm_limit is None and settings.concurrency_limit is None:
        return None
    return Limits(settings.rpm_limit, settings.tpm_limit, settings.concurrency_limit)
