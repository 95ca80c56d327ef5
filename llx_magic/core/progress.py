"""How far a run over many rows has come, at one moment: what every bar, line and summary is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Standing(NamedTuple):
    """How a backend, or a worker of a cluster, stands: as in ``Share``."""

    in_flight: int = 0
    level: int | None = None
    state: str = "closed"


TELLING_SECONDS, TELLING_ROWS, LONG_SECONDS = 5.0, 10, 60.0
"""From how many seconds and rows on a rate foretells anything; after the longer time any row does."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one backend, or one worker of a cluster, has done for the run, and how it stands."""

    name: str
    answered: int
    """Rows of this run that it answered."""
    in_flight: int
    """Rows that it has now."""
    level: int | None
    """How many rows it may have at once as far as is known; None before the first."""
    state: str
    """Its circuit and its waits in words, as they were at the moment: ``closed``, ``open, probe in 12 s``."""
    trouble: str = ""
    """Why its circuit is open, where that is known: the latest failure that it met since it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapProgress:
    """A run over rows at one moment. Times are seconds of the profile's clock.

    ``done`` counts the rows that need nothing more: those that were answered, ``stored``, ``shared`` and
    ``failed`` together.
    """

    at: float
    began: float
    total: int | None
    """How many rows there are; None where that shows only at the end, as with an iterator."""
    done: int = 0
    failed: int = 0
    stored: int = 0
    """Rows whose reply was in the store before the run: nothing was asked."""
    shared: int = 0
    """Rows with the prompt of another row of the run: nothing was asked."""
    in_flight: int = 0
    latest: float | None = None
    """When a row that was asked was last done; None before the first."""
    tokens_in: int = 0
    tokens_out: int = 0
    """Tokens of this run alone; nothing was paid for what was stored."""
    cost: float | None = None
    """What this run has cost so far; None where no price is known."""
    cost_is_estimate: bool = False
    waiting_for: str | None = None
    """Where no row can be sent now, for what and how long: ``the rate limit of beta, 12 s``."""
    shares: tuple[Share, ...] = ()
    workers: tuple[Share, ...] = ()
    """The same rows by the workers of a cluster that asked for them; none where they were asked from here."""

    @property
    def seconds(self) -> float:
        """How long the run has taken."""
        return self.at - self.began

    @property
    def asked(self) -> int:
        """The rows that are done because a backend was asked."""
        return self.done - self.stored - self.shared

    @property
    def rest(self) -> int | None:
        """The rows that are not done; None where it is not known how many there are."""
        return None if self.total is None else max(0, self.total - self.done)

    @property
    def is_telling(self) -> bool:
        """Whether enough has been done to tell how long the rest takes: the first rows take longer than any others."""
        return self.seconds >= (TELLING_SECONDS if self.asked >= TELLING_ROWS else LONG_SECONDS)

    @property
    def rate(self) -> float | None:
        """Rows asked and done in a second, since the beginning; None before the first."""
        return self.rate_since(None)

    def rate_since(self, earlier: MapProgress | None) -> float | None:
        """Return the rows asked and done in a second since an earlier moment; None where there were none."""
        asked, since = (0, self.began) if earlier is None else (earlier.asked, earlier.at)
        if self.asked <= asked or self.at <= since:
            return None
        return (self.asked - asked) / (self.at - since)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at the rate since the beginning; None where it cannot be told."""
        return self.seconds_left_at(self.rate)

    def seconds_left_at(self, rate: float | None) -> float | None:
        """Return how long the rest takes at a rate, if every row of it has to be asked; None where it is overdue."""
        if self.rest is None or self.is_overdue_at(rate):
            return None
        if not self.rest:
            return 0.0
        return self.rest / rate - self._silence if rate else None

    def is_overdue_at(self, rate: float | None) -> bool:
        """Return whether no row has been done for longer than all the rest should take at a rate."""
        return bool(rate and self.rest and self.rest / rate < self._silence)

    @property
    def _silence(self) -> float:
        """For how long no row that was asked has been done."""
        return 0.0 if self.latest is None else self.at - self.latest

    @property
    def cost_expected(self) -> float | None:
        """What the run will have cost if every row that is left costs as much as the mean so far."""
        if self.cost is None or self.total is None or not self.asked:
            return None
        return self.cost * (self.total - self.stored - self.shared) / self.asked
