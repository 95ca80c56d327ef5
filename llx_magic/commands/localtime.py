"""Moments as people read them: in the time zone of this machine. Frames and files have UTC."""

from __future__ import annotations

import datetime as dt


def time_of_day(unix_seconds: float) -> str:
    """Return the time of day to the millisecond."""
    return dt.datetime.fromtimestamp(unix_seconds, dt.UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]


def day_and_time(at: str) -> str:
    """Return a moment in ISO 8601 as local day and time; a text that is none as it is."""
    try:
        moment = dt.datetime.fromisoformat(at)
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return at


def day_and_minute(unix_seconds: float) -> str:
    """Return a moment as day and time, to the minute."""
    return dt.datetime.fromtimestamp(unix_seconds, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M")
