"""How long a server asks to wait, wherever it says so."""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from typing import TYPE_CHECKING

from llx_magic.keys.redaction import LONGEST_READ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.backends.reading.errors import ServerError

LONGEST_WAIT = 1e9
"""The largest wait that is told apart from a larger one, in seconds."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds of a unit, by the first letter of its name."""

_SMALL = {"milli": 1e-3, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
"""Seconds of a unit below a second, by how its name begins; Go's are https://pkg.go.dev/time#Duration.String."""

_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"
_UNIT = r"(?:milliseconds?|millis|msecs?|[mnuµμ]s|[smhd])[a-z]{0,8}"
_PART = re.compile(rf"({_NUMBER})\s{{0,2}}({_UNIT})", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(r"(\d{1,4}):([0-5]\d):([0-5]\d)", re.ASCII)
_AS_A_DURATION = rf"(?<!\bat )(?<!until ){_CLOCK.pattern}(?!:)(?!\s{{0,2}}(?:UTC|GMT|Z\b|[ap]\.?m\b|o'clock|[+-]\d))"
"""Hours, minutes and seconds that are a duration: ``at 14:30:00`` and ``14:30:00 UTC`` are times of a day."""

_IN_WORDS = re.compile(
    r"(?:try(?:ing)? again|retry(?:ing)?|wait|reset(?:s)?|available|resume|replenished)[^\d.;]{0,40}?"
    rf"({_AS_A_DURATION}|(?:{_NUMBER}\s{{0,2}}{_UNIT}[\s,]{{0,2}}(?:and\s)?){{1,5}})",
    re.IGNORECASE | re.ASCII,  # else a long s is a letter s in the other case, and no unit
)
_AGAIN_ON = re.compile(
    r"(?:regain access|try(?:ing)? again|retry(?:ing)?|reset(?:s)?|available|resume)[^\d.;]{0,40}?"
    r"(\d{4}-\d\d-\d\d)(?: at |[ T])(\d\d:\d\d(?::\d\d)?)(?:\.\d{1,9})? ?(UTC|GMT|Z|[+-]\d\d:\d\d)",
    re.IGNORECASE | re.ASCII,
)
"""A date with its zone, such as Anthropic's where a limit of spending is reached, which holds until a month ends."""

_IN_SECONDS = re.compile(rf"retry[-_ ]after[:= ]{{1,3}}({_NUMBER})(?!\s{{0,2}}[a-z\d.])", re.IGNORECASE | re.ASCII)
_LONGEST_AGO = 1e9
"""Seconds since 1970 that are certainly a date, and thousand times as many certainly one in milliseconds."""


def wait_asked_for(headers: Mapping[str, str], error: ServerError, wall_clock: float) -> float | None:
    """Return the seconds that the server asks to wait, or None where it names no usable time.

    Looked at are, in this order: ``retry-after-ms``, ``retry-after``, the error's own field (``retryDelay: "38s"``,
    https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto) and
    its words ("try again in 1m23.4s", "regain access on 2026-12-01 at 00:00 UTC").
    """
    found = retry_after(headers, wall_clock)
    if found is None:
        found = retry_after(error.headers, wall_clock)
    if found is None:
        found = next((wait for each in error.waits if (wait := _seconds(each)) is not None), None)
    if found is None:
        found = wait_in_words(error.text)
    if found is None and (due := _date_in_words(error.text)) is not None:
        found = _until(due, headers, wall_clock)
    return found


def retry_after(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Return the seconds that the headers ask to wait, or None where they name no usable time.

    Reads ``retry-after-ms``, then ``retry-after`` as seconds or as a date, some gateways' Unix time too, which is
    taken relative to the response's own ``date`` so that a wrong clock on either side does not matter. A date that has
    passed means 0, a negative number nothing, and what is too large to count is kept as a large finite number.
    Where the header came more than once, which lists its values, the first that can be read counts.
    The header: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    """
    in_ms = _number(headers.get("retry-after-ms"))
    if in_ms is not None:
        return min(in_ms / 1000, LONGEST_WAIT)
    value = headers.get("retry-after", "")
    for each in (value, *value.split(",")):
        if (seconds := until_reset(each.strip(' "'), headers, wall_clock)) is not None:
            return seconds
    return None


def duration(text: str) -> float | None:
    """Return the seconds of a duration such as ``1m23.4s``, ``20 seconds`` or ``00:01:23``; None where it is none."""
    text = text.strip()[:80]
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = map(float, clock.groups())
        return hours * 3600 + minutes * 60 + seconds
    parts = list(_PART.finditer(text))
    if not parts or _PART.sub("", text).replace("and", "").strip(" ,."):
        return None
    seconds = 0.0
    for number, unit in (part.group(1, 2) for part in parts):
        small = next((size for name, size in _SMALL.items() if unit.lower().startswith(name)), None)
        seconds += float(number) * (small or _UNITS[unit[0].lower()])
    return min(seconds, LONGEST_WAIT)


def wait_in_words(text: str) -> float | None:
    """Return the wait that a message names: "try again in 6.57s", "retry after 20 seconds"."""
    found = _IN_WORDS.search(text[:LONGEST_READ])
    if found:
        return duration(found[1].strip(" ,\t\n").removesuffix(" and"))
    bare = _IN_SECONDS.search(text[:LONGEST_READ])
    return float(bare[1]) if bare else None


def _date_in_words(text: str) -> float | None:
    found = _AGAIN_ON.search(text[:LONGEST_READ])
    return _rfc3339(f"{found[1]}T{found[2]}{found[3] if found[3][0] in '+-' else 'Z'}") if found else None


def _seconds(value: str | float | None) -> float | None:
    """Return the seconds of a number, or of a text that is a number or a duration."""
    number = _number(value)
    if number is None:
        return duration(value) if isinstance(value, str) else None
    return min(number, LONGEST_WAIT)


def until_reset(value: str | float, headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Return the seconds until a limit is reset: a duration, seconds, or a date as text or as a Unix time in s or ms.

    A date counts from the response's own. As a text it is one of https://www.rfc-editor.org/rfc/rfc3339#section-5.6, as
    Anthropic has it, or of https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7.
    """
    if (number := _number(value)) is None:
        text = str(value)
        if (seconds := duration(text)) is not None:
            return seconds
        due = _rfc3339(text) or _http_date(text)
        return None if due is None else _until(due, headers, wall_clock)
    if number < _LONGEST_AGO:
        return number
    return _until(number / 1000 if number >= 1000 * _LONGEST_AGO else number, headers, wall_clock)


def _until(due: float, headers: Mapping[str, str], wall_clock: float) -> float:
    sent = _http_date(headers.get("date"))
    return min(max(0.0, due - (wall_clock if sent is None else sent)), LONGEST_WAIT)


def _number(value: str | float | None) -> float | None:
    try:
        number = float("" if value is None else value)
    except ValueError:
        return None
    return number if number >= 0 else None


def _http_date(value: str | None) -> float | None:
    try:
        return _timestamp(email.utils.parsedate_to_datetime(value or ""))
    except (ValueError, OverflowError, OSError, TypeError):
        return None


def _rfc3339(value: str) -> float | None:
    try:
        return _timestamp(dt.datetime.fromisoformat(value))
    except (ValueError, OverflowError, OSError):
        return None


def _timestamp(when: dt.datetime) -> float:
    """A date without a zone is in UTC, as in asctime's form of https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7."""
    return (when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp()
