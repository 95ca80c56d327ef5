"""What became of the rows of a map, one by one and all together."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from math import isnan, nan
from typing import Literal, NamedTuple, get_args

import msgspec

Status = Literal["answered", "stored", "shared", "failed", "not asked"]
"""What became of a row.

Nothing was asked for one that is ``stored``, whose reply was in the store before the run, and for one that is
``shared``, whose prompt is that of another row, or of one that another run asked at the same time.
"""

STATUSES: tuple[Status, ...] = get_args(Status)
_CODES = {status: code for code, status in enumerate(STATUSES)}
_NOT_ASKED = _CODES["not asked"]
_FREE = frozenset((_CODES["stored"], _CODES["shared"]))
_REPLIED = _FREE | {_CODES["answered"]}
_UNKNOWN = -1
_SPARE = 1_000
"""How many places are made beyond the one that is needed."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of one row; ``place`` is its position among the rows, from 0.

    ``text`` is the whole reply, and of a row that failed for what it replied, that reply. ``value`` is what the reply
    is where a schema was given. Of a stored reply, ``attempts``, ``seconds``, tokens and ``cost`` are those of the run
    that asked for it. What is unknown is None.
    """

    place: int
    status: Status
    text: str | None = None
    value: object = None
    error: str | None = None
    backend: str | None = None
    model: str | None = None
    attempts: int | None = None
    seconds: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None

    @property
    def is_answered(self) -> bool:
        """Whether there is a reply, new or not."""
        return _CODES[self.status] in _REPLIED

    def shared_with(self, place: int) -> Outcome:
        """Return the outcome of a row with the same prompt: nothing was asked for it."""
        status: Status = "shared" if self.status == "answered" else self.status
        return msgspec.structs.replace(self, place=place, status=status)


class Spent(NamedTuple):
    """What a run used; ``cost`` is None where no price is known."""

    tokens_in: int
    tokens_out: int
    cost: float | None


class Outcomes:
    """The outcomes of a run by their place, kept by columns: 70 bytes a row beside the texts.

    A value is not kept: the text from which it was read is. A row of which nothing was heard is ``not asked``.
    """

    def __init__(self) -> None:
        self._length = 0
        self.statuses = bytearray()
        self.texts: list[str | None] = []
        self.errors: list[str | None] = []
        self.backends: list[str | None] = []
        self.models: list[str | None] = []
        self._attempts, self._tokens_in, self._tokens_out = array("q"), array("q"), array("q")
        self._seconds, self._costs = array("d"), array("d")

    def __len__(self) -> int:
        """One more than the last place of which something was heard."""
        return self._length

    def __iter__(self) -> Iterator[Outcome]:
        """Every outcome in the order of the rows."""
        return map(self.at, range(len(self)))

    def put(self, outcome: Outcome) -> None:
        """Take an outcome in the place of an earlier one of its row."""
        at = outcome.place
        if at >= self._length:
            self._reach(at + 1)
        self.statuses[at] = _CODES[outcome.status]
        self.texts[at] = outcome.text
        self.errors[at] = outcome.error
        self.backends[at] = outcome.backend
        self.models[at] = outcome.model
        self._attempts[at] = _UNKNOWN if outcome.attempts is None else outcome.attempts
        self._tokens_in[at] = _UNKNOWN if outcome.tokens_in is None else outcome.tokens_in
        self._tokens_out[at] = _UNKNOWN if outcome.tokens_out is None else outcome.tokens_out
        self._seconds[at] = nan if outcome.seconds is None else round(outcome.seconds, 6)  # no clock tells more
        self._costs[at] = nan if outcome.cost is None else outcome.cost

    def at(self, place: int) -> Outcome:
        """Return the outcome of a row, without the value."""
        if place >= len(self):
            return Outcome(place=place, status="not asked")
        return Outcome(
            place=place,
            status=STATUSES[self.statuses[place]],
            text=self.texts[place],
            error=self.errors[place],
            backend=self.backends[place],
            model=self.models[place],
            attempts=_count(self._attempts[place]),
            seconds=_figure(self._seconds[place]),
            tokens_in=_count(self._tokens_in[place]),
            tokens_out=_count(self._tokens_out[place]),
            cost=_figure(self._costs[place]),
        )

    def count(self, status: Status) -> int:
        """Return how many rows came to this, of those up to the last of which something was heard."""
        return self.statuses.count(_CODES[status], 0, self._length)

    def places(self, status: Status) -> list[int]:
        """Return the places of the rows that came to this."""
        code = _CODES[status]
        return [place for place, each in enumerate(self.statuses[: self._length]) if each == code]

    @property
    def spent(self) -> Spent:
        """What this run used; nothing was paid for what was stored or shared."""
        paid = [place for place, code in enumerate(self.statuses) if code not in _FREE]
        costs = [cost for place in paid if not isnan(cost := self._costs[place])]
        return Spent(
            tokens_in=sum(max(0, self._tokens_in[place]) for place in paid),
            tokens_out=sum(max(0, self._tokens_out[place]) for place in paid),
            cost=sum(costs) if costs else None,
        )

    def replies(self, places: Sequence[int]) -> list[str | None]:
        """Return the replies of some rows; None for a row without one, whatever text it failed for."""
        self._reach(max(places, default=-1) + 1)
        return [self.texts[place] if self.statuses[place] in _REPLIED else None for place in places]

    def columns(self, places: Sequence[int]) -> dict[str, list[object]]:
        """Return the columns that tell of some rows, by the names they have in a table."""
        self._reach(max(places, default=-1) + 1)
        return {
            "llx_status": [STATUSES[self.statuses[place]] for place in places],
            "llx_error": [self.errors[place] for place in places],
            "llx_backend": [self.backends[place] for place in places],
            "llx_model": [self.models[place] for place in places],
            "llx_attempts": [_count(self._attempts[place]) for place in places],
            "llx_seconds": [_figure(self._seconds[place]) for place in places],
            "llx_tokens_in": [_count(self._tokens_in[place]) for place in places],
            "llx_tokens_out": [_count(self._tokens_out[place]) for place in places],
            "llx_cost": [_figure(self._costs[place]) for place in places],
        }

    def _reach(self, length: int) -> None:
        """Have a place for so many rows at least; further places are made many at a time."""
        self._length = max(length, self._length)
        more = self._length - len(self.statuses)
        if more <= 0:
            return
        more += _SPARE
        self.statuses.extend(bytes((_NOT_ASKED,)) * more)
        for texts in (self.texts, self.errors, self.backends, self.models):
            texts.extend([None] * more)
        for counts in (self._attempts, self._tokens_in, self._tokens_out):
            counts.extend(array("q", (_UNKNOWN,)) * more)
        for figures in (self._seconds, self._costs):
            figures.extend(array("d", (nan,)) * more)


def _count(stored: int) -> int | None:
    return None if stored == _UNKNOWN else stored


def _figure(stored: float) -> float | None:
    return None if isnan(stored) else stored
