"""The scales of the dashboard: one axis of time, and logarithms for seconds and for tokens."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator

from llx_magic.dashboard.view import Axis
from llx_magic.units import number

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)

_MOST_TICKS = 4
"""So many times of day stand below each other's plots at most, on the narrowest page."""

_FASTEST = 1e-4
"""Seconds below which what took no time at all, as on virtual time, is drawn."""


def clock(at: float, axis: Axis, *, seconds: bool = True) -> str:
    """Return the time of day at a moment of the axis, in the time zone of this machine; simulated time is seconds."""
    if axis.is_simulated:
        return f"{number(math.floor(at))} s"
    moment = dt.datetime.fromtimestamp(at, dt.UTC).astimezone()
    return moment.strftime("%H:%M:%S" if seconds else "%H:%M")


def ticks(axis: Axis) -> Iterator[tuple[float, str]]:
    """Yield the round times within the axis, each with its words."""
    length = axis.now - axis.since
    step = next((each for each in _STEPS if length / each <= _MOST_TICKS), _STEPS[-1])
    local = axis.since if axis.is_simulated else _local(axis.since)
    at = axis.since + math.ceil(local / step) * step - local
    while at < axis.now:
        yield at, clock(at, axis, seconds=step < 60)
        at += step


def _local(unix_seconds: float) -> float:
    zone = dt.datetime.fromtimestamp(unix_seconds, dt.UTC).astimezone().utcoffset() or dt.timedelta()
    return unix_seconds + zone.total_seconds()


class LogScale:
    """A logarithmic scale from a power of ten below the least to one above the most; at least one power long."""

    def __init__(self, values: Iterable[float]) -> None:
        known = [max(value, _FASTEST) for value in values if value > 0] or [1.0]
        self._low = math.floor(math.log10(min(known)) + 1e-9)
        self._high = max(self._low + 1, math.ceil(math.log10(max(known)) - 1e-9))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogScale) and self.powers == other.powers

    def __hash__(self) -> int:
        return hash(self.powers)

    @property
    def powers(self) -> range:
        """The powers of ten on the scale."""
        return range(self._low, self._high + 1)

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the most that the scale holds."""
        return float(10.0**self._low), float(10.0**self._high)

    def share(self, value: float) -> float:
        """Return where a value stands, from 0 to 1."""
        power = math.log10(value) if value > _FASTEST else self._low
        return min(1.0, max(0.0, (power - self._low) / (self._high - self._low)))


_LENGTHS = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 18_000.0, 36_000.0, 86_400.0)


def nice_ceiling(seconds: float) -> float:
    """Return the next of 1, 2, 5 and 10 times a power of ten of seconds, or of minutes and hours; seldom another."""
    if seconds <= 0:
        return 1.0
    if seconds > 50:
        return next((length for length in _LENGTHS if length >= seconds), seconds)
    power = 10.0 ** math.floor(math.log10(seconds))
    return next(step * power for step in (1.0, 2.0, 5.0, 10.0, 20.0) if step * power >= seconds * (1 - 1e-9))
