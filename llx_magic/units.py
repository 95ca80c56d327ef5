"""Writes figures as text: in readable units for people, and as plain numbers for debug lines.

For people, a duration, a count or a share that is not zero never reads 0, and a share below the whole never reads
100%. Debug lines have no separators and no powers of ten. A figure beside the limit that it missed has as many
digits as are needed to tell them apart. Durations are in seconds.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache
from typing import Final

NOTHING: Final = "N/A"
"""The text for a figure that is not known."""

CURRENCY: Final = "USD"
"""The currency of prices that a profile does not say."""

_EVERY_DIGIT: Final = Context(prec=700)
"""Enough digits for every float."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_FINE: Final = (
    (Decimal(1), Decimal(1000), "ms", Decimal(1)),
    (Decimal(10), Decimal(1), "s", Decimal("0.01")),
    (Decimal(60), Decimal(1), "s", Decimal("0.1")),
)
"""For durations below a number of seconds: how many of the unit make a second, the unit, and the smallest step
shown.
"""

_COARSE: Final = (
    (_HOUR, _MINUTE, "min", 1, "s"),
    (_DAY, _HOUR, "h", _MINUTE, "min"),
    (math.inf, _DAY, "d", _HOUR, "h"),
)
"""For durations below a number of seconds: length and name of the larger unit, and of the smaller one beside it."""


_MEASURED: Final = re.compile(r"\d (?:(?:min|h|d) \d+ (?:s|min|h)|ms|s|min|h|d|tokens?)\b")
"""What a person reads as one: a number and its unit, and both parts of a duration that has two."""


def duration(seconds: float | None) -> str:
    """Return a duration to about three digits: ``0.2 ms``, ``1.52 s``, ``12 s``, ``1 min 25 s``, ``2 h 5 min``."""
    return _duration(seconds, ROUND_HALF_EVEN)


def duration_ceil(seconds: float | None) -> str:
    """Return a duration, rounded up, to stand beside a limit that was exceeded."""
    return _duration(seconds, ROUND_CEILING)


def countdown(seconds: float | None) -> str:
    """Return the time left in whole seconds, rounded up: "1 s" while any is left, ``now`` when none is."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    return "now" if seconds <= 0 else duration_ceil(math.ceil(_rounded(_exact(seconds), Decimal("1e-6"))) or 1)


def in_time(seconds: float | None) -> str:
    """Return when something will happen, for use in a sentence: ``in 12 s`` or ``now``."""
    left = countdown(seconds)
    return left if left in ("now", NOTHING) else f"in {left}"


def limit(limit_ms: int) -> str:
    """Return a limit in milliseconds, as its setting is written, or from a minute on as a duration: ``2 h 5 min``."""
    return f"{limit_ms} ms" if limit_ms < 1000 * _MINUTE else duration(limit_ms / 1000)


def milliseconds(seconds: float | None) -> str:
    """Return a duration in milliseconds as the statistics' fixed layout has it: ``1456ms``, ``0.2ms``, ``N/A``."""
    return NOTHING if seconds is None else f"{whole(seconds * 1000)}ms"


def count(number: float | None) -> str:
    """Return a number in short, for axes and narrow places: ``999``, ``1.2 k``, ``3.4 M``, ``2 G``."""
    if number is None or not math.isfinite(number):
        return NOTHING
    size = abs(_exact(number))
    sign = "-" if number < 0 else ""
    for unit, letter in ((1, ""), (1000, " k"), (1_000_000, " M"), (1_000_000_000, " G")):
        short = _to_digits(size / unit, 2 if size / unit < 10 and unit > 1 else 3)
        if short < 1000 or letter == " G":
            return f"{sign}{_text(short, ',')}{letter}"
    raise AssertionError("the largest unit takes every number")


def number(value: float | int | None, digits: int = 3) -> str:
    """Return a number with thousands separators; one that is not whole has ``digits`` digits (``1,234``, ``0.42``)."""
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or not math.isfinite(value):
        return NOTHING
    return _text(_to_digits(_exact(value), digits), ",")


def money(cost: float, *, is_estimate: bool) -> str:
    """Return a cost: ``cost 0.42`` in the user's own currency, or ``about 0.42 USD`` by published prices."""
    shown = number(cost, 4)
    return f"about {shown} {CURRENCY}" if is_estimate else f"cost {shown}"


@lru_cache(maxsize=1024)
def percent(part: float | None, whole: float = 1) -> str:
    """Return a share with one decimal: ``99.7%`` for 299 of 300. Only none reads 0.0%, and only all reads 100.0%."""
    if part is None or not whole or not math.isfinite(part):
        return NOTHING
    share = 100 * _exact(part) / _exact(whole)
    for decimals in range(1, 16):
        shown = _rounded(share, Decimal(1).scaleb(-decimals))
        if (shown != 0 or share == 0) and (shown != 100 or share == 100):
            break
    return f"{shown:f}%"


def plural(number: int, noun: str, several: str | None = None) -> str:
    """Return a counted noun: ``1 failure``, ``1,200 failures``; ``several`` is an irregular plural."""
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def unbroken(text: str) -> str:
    """Return the text with no-break spaces within durations and before units, for a page that breaks its lines."""
    return _MEASURED.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


# These write numbers for debug lines, without separators; with ``separator``, for people


def exact(value: float, separator: str = "") -> str:
    """Return a number with all its digits and, below 10**15, no power of ten: ``1000000``, ``0.5``."""
    if abs(value) >= 1e15 and not isinstance(value, int):
        return repr(value).removesuffix(".0")
    return _text(_exact(value), separator)


def whole(value: float, separator: str = "") -> str:
    """Return a number without decimals, or with two digits if it would read 0 otherwise."""
    shown = _rounded(_exact(value), Decimal(1))
    return _text(shown if shown or not value else _to_digits(_exact(value), 2), separator)


def below(value: float, limit: float, separator: str = "") -> str:
    """Return ``value``, which is less than ``limit``, without decimals if it still reads as less."""
    top, size = _exact(limit), _exact(value)
    if _rounded(size, Decimal(1)) < top:
        return whole(value, separator)
    for decimals in range(1, 16):
        shown = _rounded(size, Decimal(1).scaleb(-decimals))
        if shown < top:
            return _text(shown, separator)
    return exact(value, separator)


def ceil_milliseconds(seconds: float) -> int:
    """Return whole milliseconds, rounded up, except for the rounding error of a difference of two clock readings."""
    return math.ceil(round(seconds * 1000, 6))


@lru_cache(maxsize=1024)  # views are redrawn often, mostly with the same figures
def _duration(seconds: float | None, rounding: str) -> str:
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 0:
        return f"-{_duration(-seconds, rounding)}"
    time = _exact(seconds)
    if not time:
        return "0 s"
    if time < Decimal("0.01"):
        split, least = time * 1000, Decimal("0.001")
        return f"<{least} ms" if split < least else f"{_text(_to_digits(split, 2, rounding))} ms"
    for bound, per_second, unit, step in _FINE:
        shown = _rounded(time * per_second, step, rounding)
        if shown < bound * per_second:
            return f"{_text(shown)} {unit}"
    for limit, larger, name, smaller, beside in _COARSE:
        parts = int(_rounded(_EVERY_DIGIT.divide(time, Decimal(smaller)), Decimal(1), rounding))
        if parts * smaller < limit:
            several, rest = divmod(parts * smaller, larger)
            return f"{several:,} {name}" + (f" {rest // smaller} {beside}" if rest else "")
    raise AssertionError("the largest unit takes every duration")


def _exact(value: float) -> Decimal:
    """Return the number as Python writes it and not as it is stored: 0.1 is exactly a tenth."""
    return Decimal(value) if isinstance(value, int) else Decimal(repr(float(value)))


def _rounded(value: Decimal, step: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    return value.quantize(step, rounding, _EVERY_DIGIT)


def _to_digits(value: Decimal, digits: int, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Round to a number of significant digits; digits before the decimal point are never rounded."""
    if value == value.to_integral_value():
        return value
    last = min(0, value.adjusted() - digits + 1)
    return _rounded(value, Decimal(1).scaleb(last), rounding)


def _text(value: Decimal, separator: str = "") -> str:
    """Return the digits without trailing zeros after the point and without a power of ten."""
    text = f"{value:{separator}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
