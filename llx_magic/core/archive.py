"""Requests and their events as they are kept: the latest one by one, older ones as columns, in blocks."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from typing import NamedTuple

import msgspec

from llx_magic.core.columns import Columns, columns_of, facts_of, later
from llx_magic.core.events import Event
from llx_magic.core.statistics import RequestRecord

EVENTS_PER_REQUEST = 400
"""How many events of one request are kept; of more, those in its middle are left out."""

EVENTS_PER_BLOCK = 4096
"""So many events or more are laid down as columns at once, in a millisecond or two; at most so many stay one by one."""


class Told(msgspec.Struct, gc=False):
    """Events, oldest first, with their places among all events."""

    events: list[Event] = []
    places: array[int] = msgspec.field(default_factory=lambda: array("Q"))


class Kept(Told, kw_only=True, gc=False):
    """The events of one request, and its record."""

    record: RequestRecord

    def add(self, event: Event, place: int) -> None:
        """Take the next event into account."""
        self.record.fold(event)
        self.events.append(event)
        self.places.append(place)
        if len(self.events) > EVENTS_PER_REQUEST:
            del self.events[EVENTS_PER_REQUEST // 2], self.places[EVENTS_PER_REQUEST // 2]


class Alike(NamedTuple):
    """All events of one kind of a block: in which of its rows they are, and their fields."""

    rows: array[int]
    columns: Columns


@dataclass(frozen=True, slots=True)
class Block:
    """Requests and their events as columns; the events of a request are in rows that follow each other.

    ``places`` are those of the rows among all events. ``requests`` are the numbers of those that have ended, oldest
    first, which have ``records``; each one's first row is in ``begins``, and when it ended in ``ends``.
    """

    requests: array[int]
    records: Columns
    places: array[int]
    begins: array[int]
    ends: array[float]
    alike: Mapping[type[Event], Alike]

    def without(self, requests: int) -> Block:
        """Return the block without so many of its oldest requests."""
        first = self.begins[requests]
        found: dict[type[Event], Alike] = {}
        for kind, (rows, columns) in self.alike.items():
            if (gone := bisect_left(rows, first)) < len(rows):
                found[kind] = Alike(rows[gone:], later(columns, gone))
        return replace(
            self,
            requests=self.requests[requests:],
            records=later(self.records, requests),
            begins=self.begins[requests:],
            ends=self.ends[requests:],
            alike=found,
        )


def block_of(kept: Sequence[Kept], others: Sequence[Told] = ()) -> Block:
    """Lay requests that have ended down as columns, and other events behind them."""
    every = [*kept, *others]
    events = list(chain.from_iterable(each.events for each in every))
    rows: defaultdict[type[Event], list[int]] = defaultdict(list)
    for row, kind in enumerate(map(type, events)):
        rows[kind].append(row)
    places = array("Q")
    for each in every:
        places += each.places
    records = [each.record for each in kept]
    return Block(
        requests=array("q", (record.request for record in records)),
        records=columns_of(records) if records else {},
        places=places,
        begins=array("I", accumulate((len(each.events) for each in kept), initial=0)),
        ends=array("d", (each.events[-1].at for each in kept)),
        alike={kind: Alike(array("I", own), columns_of([events[row] for row in own])) for kind, own in rows.items()},
    )


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered at one moment; it can be read while more happens.

    ``latest`` are those requests that have ended of which no block is made yet, ``others`` all that is not of these.
    """

    sealed: Sequence[Block]
    latest: Sequence[Kept]
    others: Sequence[Told]

    def blocks(self) -> list[Block]:
        """Return everything as columns."""
        return [*self.sealed, block_of(self.latest, self.others)]

    def records(self) -> list[RequestRecord]:
        """Return the requests that have ended, in the order of their ends."""
        sealed = (facts_of(RequestRecord, block.records, len(block.requests)) for block in self.sealed)
        return [*chain.from_iterable(sealed), *(kept.record for kept in self.latest)]

    def events(self, *kinds: type[Event]) -> tuple[Event, ...]:
        """Return the events, or those of some kinds, oldest first."""
        wanted = kinds or (Event,)
        places, events = list[int](), list[Event]()
        for block in self.sealed:
            for kind, (rows, columns) in block.alike.items():
                if issubclass(kind, wanted):
                    places += [block.places[row] for row in rows]
                    events += facts_of(kind, columns, len(rows))
        for told in (*self.latest, *self.others):
            for place, event in zip(told.places, told.events, strict=True):
                if not kinds or isinstance(event, wanted):
                    places.append(place)
                    events.append(event)
        return tuple(events[index] for index in sorted(range(len(places)), key=places.__getitem__))

    def requests(self) -> set[int]:
        """Return the numbers of all requests, those under way included."""
        latest = {event.request for told in (*self.latest, *self.others) for event in told.events}
        return latest.union(*(block.requests for block in self.sealed)) - {0}  # which is of no request

    def of(self, request: int) -> tuple[Event, ...]:
        """Return the events of one request, oldest first."""
        having = replace(self, sealed=[block for block in self.sealed if request in block.requests])
        return tuple(event for event in having.events() if event.request == request)


class Archive:
    """The requests that have ended, in the order of their ends."""

    def __init__(self) -> None:
        self._sealed: deque[Block] = deque()
        self._gone = 0
        """How many requests of the oldest block are forgotten."""
        self._latest: deque[Kept] = deque()
        self._events = 0
        """How many events the latest have."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, kept: Kept) -> None:
        """Keep a request that has ended."""
        self._latest.append(kept)
        self._count += 1
        self._events += len(kept.events)
        if self._events >= 2 * EVENTS_PER_BLOCK:
            self._seal()

    def _seal(self) -> None:
        """Lay the older ones of the latest down as columns."""
        older = list[Kept]()
        while self._events > EVENTS_PER_BLOCK:
            older.append(self._latest.popleft())
            self._events -= len(older[-1].events)
        self._sealed.append(block_of(older))

    def forget_oldest(self) -> float:
        """Forget the request that ended first; return when."""
        self._count -= 1
        if not self._sealed:
            kept = self._latest.popleft()
            self._events -= len(kept.events)
            return kept.events[-1].at
        oldest, self._gone = self._sealed[0], self._gone + 1
        ended = oldest.ends[self._gone - 1]
        if self._gone == len(oldest.requests):
            self._sealed.popleft()
            self._gone = 0
        return ended

    def remembered(self, others: Sequence[Told]) -> Remembered:
        """Return what is kept, and others beside it."""
        sealed = list(self._sealed)
        if self._gone:
            sealed[0] = sealed[0].without(self._gone)
        return Remembered(sealed, list(self._latest), others)
