"""What a dashboard is drawn from beside a snapshot: the recent past of each backend, and the latest prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from llx_magic.core.circuits import Period
from llx_magic.core.trace import Trace

Kind = Literal["answered", "failed", "cancelled"]
"""How a visit ended."""


class Visits(NamedTuple):
    """Visits that ended in one way within a short while, mostly one; ``reason`` is why they failed, in short.

    They ended from ``begin`` to ``end`` and took from ``low`` to ``high`` seconds.
    """

    kind: Kind
    begin: float
    end: float
    low: float
    high: float
    visits: int = 1
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """One backend in the view: what its row is drawn from, each oldest first.

    There is no period where nothing is known of the circuit. ``tpm`` pairs times with tokens per minute, None where
    they were unknown.
    """

    name: str
    periods: tuple[Period, ...]
    cool_downs: tuple[tuple[float, float], ...]
    visits: tuple[Visits, ...]
    tpm: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One of the latest prompts; ``is_slow`` says that it took much longer than most."""

    trace: Trace
    is_slow: bool = False


class Axis(NamedTuple):
    """A time that is drawn from left to right; ``epoch`` is the Unix time at which the profile's clock was zero."""

    since: float
    now: float
    epoch: float

    @property
    def is_simulated(self) -> bool:
        """Whether the clock is a simulated one, which has no time of day: its epoch is only for dates in tables."""
        return bool(self.epoch)

    @property
    def name(self) -> str:
        """What the words of its moments are."""
        return "seconds since the simulation began" if self.is_simulated else "time of day"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A profile's time from ``since`` to ``now``, where the data begins but at most ``span`` seconds back.

    There is a strip for each backend, and the latest prompts, newest first. ``epoch`` is the Unix time at which the
    profile's clock was zero.
    """

    now: float
    since: float
    span: float
    epoch: float
    strips: tuple[Strip, ...]
    prompts: tuple[Prompt, ...]

    @property
    def axis(self) -> Axis:
        """The axis of time that all rows share."""
        return Axis(self.since, self.now, self.epoch)
