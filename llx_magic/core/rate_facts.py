"""What a service tells of its limits with a reply: how much may be sent, how much of that is left, when there is more.

Each limit that is told is one `Allowance`. A service often tells several of one measure, such as requests of a minute
and requests of a day, and all of them hold.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

MINUTE, HOUR, DAY, MONTH = 60.0, 3600.0, 86_400.0, 2_592_000.0
"""The windows for which services count, in seconds; a month as 30 days."""


class Measure(enum.StrEnum):
    """What a limit counts; ``TOKENS`` are those of prompts and of replies together."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT = "input tokens"
    OUTPUT = "output tokens"


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of a service as it stood when a reply's head came; what the service did not tell is None.

    At most ``limit`` may be sent in ``window`` seconds, and ``remaining`` of it is left. After ``resets_in`` seconds
    the whole limit is left again, if nothing is sent meanwhile: some services fill it up bit by bit until then, others
    at once at the end. Figures that services round are given as they came.
    """

    measure: Measure
    limit: float | None = None
    remaining: float | None = None
    resets_in: float | None = None
    window: float | None = None


RateFacts = tuple[Allowance, ...]
"""Everything that one reply tells of limits; never empty where it is passed on."""

Windows = Mapping[Measure, float]
"""For how many seconds a service counts, by what it counts, where it does not say so itself."""

BY_MINUTE: Windows = dict.fromkeys(Measure, MINUTE)


def longest_wait(told: RateFacts) -> float | None:
    """Return the seconds until every limit has something left again; None where nothing is used up."""
    return max((each.resets_in for each in told if each.remaining == 0 and each.resets_in is not None), default=None)
