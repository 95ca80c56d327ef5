"""What a reply tells of a service's limits, in its headers or in the body of a refusal: figures to `RateFacts`.

A header says by the words of its name which figure of which limit it is. So those of a service that is not known are
read too, and only what a name leaves open is known by service (``Windows``) or told from the figures themselves.
Documentation: https://platform.openai.com/docs/guides/rate-limits, https://platform.claude.com/docs/en/api/rate-limits,
https://console.groq.com/docs/rate-limits, https://inference-docs.cerebras.ai/support/rate-limits,
https://openrouter.ai/docs/api-reference/limits, https://docs.together.ai/docs/rate-limits,
https://ai.google.dev/gemini-api/docs/rate-limits and https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from llx_magic.backends.reading.waits import until_reset
from llx_magic.core.rate_facts import DAY, HOUR, MINUTE, MONTH, Allowance, Measure, RateFacts, Windows

if TYPE_CHECKING:
    from llx_magic.backends.reading.errors import ServerError

NO_WINDOWS: Windows = {}

_FAMILIES = {
    "ratelimit": Measure.REQUESTS,
    "ratelimitbysize": Measure.TOKENS,  # Mistral
    "tokenlimit": Measure.TOKENS,  # Together
    "endpoint": Measure.REQUESTS,  # Cohere, which counts calls
}
"""The words by which a header is known to be about a limit, and what that limit counts unless another word says so."""

_PARTS = {
    "limit": "limit",
    "remaining": "remaining",
    "reset": "reset",
    "resets": "reset",
    "timeremaining": "reset",
    "renewalperiod": "window",
    "status": "status",
}
_MEASURES = {
    **dict.fromkeys(("requests", "request", "req", "rpm", "rpd"), Measure.REQUESTS),
    **dict.fromkeys(("tokens", "token", "tpm", "tpd"), Measure.TOKENS),
    **dict.fromkeys(("input", "prompt"), Measure.INPUT),
    **dict.fromkeys(("output", "generated", "completion"), Measure.OUTPUT),
}
_WINDOWS = {
    **dict.fromkeys(("second", "seconds", "sec", "1s"), 1.0),
    **dict.fromkeys(("minute", "minutes", "min", "1m", "rpm", "tpm", "trial"), MINUTE),
    **dict.fromkeys(("hour", "hours", "hourly", "1h"), HOUR),
    **dict.fromkeys(("day", "days", "daily", "1d", "rpd", "tpd"), DAY),
    **dict.fromkeys(("month", "months", "monthly"), MONTH),
}
_OF_SOMETHING_ELSE = frozenset((
    "images", "image", "audio", "video", "characters", "bytes", "credits", "cost", "spend", "budget", "concurrent",
    "concurrency", "connections", "overage",
))  # fmt: skip
"""Words of limits that are not about text, or (``overage``) do not keep a request from being answered."""

_NAME = re.compile(r"rate[-_]limit")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,18})?")
_PERIOD = re.compile(r";\s*w=(\d{1,9})")
_ITEM = re.compile(r'\s*"?([^;",]{0,80})"?((?:\s*;[^,;]{0,80})*)')
_PER = re.compile(r"per[-_ ]?(second|sec|minute|min|hour|day|month)", re.IGNORECASE)
_NEARLY = 0.02


class _Place(NamedTuple):
    """What a header's name says: which figure (``part``) it is of which limit (``group``)."""

    group: str
    part: str
    measure: Measure
    window: float | None
    names_measure: bool


@dataclass(slots=True)
class _Figures:
    """The figures of one limit as far as they have come; ``is_void`` says that its service does not know it."""

    measure: Measure
    window: float | None
    names_measure: bool
    limit: float | None = None
    remaining: float | None = None
    resets_in: float | None = None
    in_units: bool = False
    """Whether the time until the reset is a duration in words, such as ``1m2.5s``."""
    is_void: bool = False

    def settled(self, windows: Windows) -> Allowance | None:
        """Return the limit, or None where it says nothing."""
        if self.is_void or (self.limit is None and self.remaining is None):
            return None
        window = self.window or windows.get(self.measure) or (self._likely_window() if self.names_measure else None)
        return Allowance(
            measure=self.measure,
            limit=self.limit,
            remaining=self.remaining,
            resets_in=self.resets_in,
            window=window,
        )

    def _likely_window(self) -> float | None:
        """Return the window of a service that follows OpenAI: a minute, unless the time until the reset is too long.

        OpenAI fills a limit up bit by bit, so the share that is gone and the time until it is back tell the window.
        Its requests may be those of a day, which comes back so slowly that no other window is mistaken for it.
        """
        wait, limit, left = self.resets_in, self.limit, self.remaining
        if wait is None:
            return MINUTE
        if self.in_units and limit is not None and left is not None and left < limit:
            whole = wait * limit / (limit - left)
            if abs(whole - DAY) <= _NEARLY * DAY:
                return DAY
        return next((window for window in (MINUTE, HOUR, DAY, MONTH) if wait <= window * (1 + _NEARLY)), None)


def told_by_headers(headers: Mapping[str, str], wall_clock: float, windows: Windows = NO_WINDOWS) -> RateFacts:
    """Return what the headers tell; empty where they tell nothing.

    ``headers`` has names in lower case. ``wall_clock`` is Unix time, for a reset that is a date where the response has
    no ``Date`` of its own. What a service gives as unknown (-1, or a limit of 0) is left out. Where it tells several
    limits of one measure and window (a project's beside an organisation's), the tightest is given.
    """
    names = [name for name in headers if "limit" in name or "remaining" in name]
    if not names:
        return ()
    limits: dict[str, _Figures] = {}
    for name in names:
        if (place := _place(name)) is not None:
            _take(place, headers[name], limits, headers, wall_clock)
    _share_resets(limits)
    allowances = [each for figures in limits.values() if (each := figures.settled(windows)) is not None]
    return _tightest([*allowances, *_by_items(headers)])


def told_by_error(
    error: ServerError, headers: Mapping[str, str], wall_clock: float, windows: Windows = NO_WINDOWS
) -> RateFacts:
    """Return what the body of a refusal tells: the headers that OpenRouter quotes there, the quotas that Google names.

    A quota that Google names is used up. The wait that it adds is that of a quota of a minute, whichever it names.
    """
    told: list[Allowance] = []
    if error.headers:
        quoted = {**error.headers, **({"date": headers["date"]} if "date" in headers else {})}
        found = _PER.search(error.text)
        named = _WINDOWS[found[1].lower()] if found else None
        known = told_by_headers(quoted, wall_clock, windows)
        told += [msgspec.structs.replace(each, window=each.window or named) for each in known]
    soon = next((wait for each in error.waits if (wait := until_reset(each, headers, wall_clock)) is not None), None)
    told += [each for name, value in error.quotas.items() if (each := _quota(name, value, soon)) is not None]
    return _tightest(told)


@functools.lru_cache(maxsize=512)
def _place(name: str) -> _Place | None:
    words = [word for word in re.split("[-_]", _NAME.sub("ratelimit", name[:200])) if word]
    family = next((word for word in words if word in _FAMILIES), None)
    if family is None or not _OF_SOMETHING_ELSE.isdisjoint(words):
        return None
    part = next((word for word in words if word in _PARTS), None)
    if part is None:
        return None
    named = [_MEASURES[word] for word in words if word in _MEASURES]
    measure = next((each for each in named if each is not Measure.TOKENS), named[0] if named else None)
    window = next((_WINDOWS[word] for word in words if word in _WINDOWS), None)
    group = "-".join(word for word in words if word not in (part, "x"))
    return _Place(group, _PARTS[part], measure or _FAMILIES[family], window, measure is not None)


def _take(
    place: _Place, value: str, limits: dict[str, _Figures], headers: Mapping[str, str], wall_clock: float
) -> None:
    """Add one header's figure to its limit."""
    figures = limits.setdefault(place.group, _Figures(place.measure, place.window, place.names_measure))
    match place.part:
        case "limit":
            figures.limit = _amount(value)
            figures.is_void = figures.is_void or not figures.limit
            if figures.window is None and (period := _PERIOD.search(value)):
                figures.window = float(period[1]) or None
        case "remaining":
            figures.remaining = _amount(value)
        case "reset":
            figures.resets_in = until_reset(value, headers, wall_clock)
            figures.in_units = value.strip()[-1:].isalpha() and figures.resets_in is not None
        case "window":
            figures.window = _amount(value) or None
        case "status" if value.strip().casefold() == "rejected":  # a subscription at Anthropic gives no figures
            figures.remaining = 0.0


def _share_resets(limits: Mapping[str, _Figures]) -> None:
    """Let a reset without a limit of its own belong to the shortest of those that have none."""
    for alone in limits.values():
        if alone.resets_in is None or alone.limit is not None or alone.remaining is not None:
            continue
        without = [each for each in limits.values() if each.measure is alone.measure and each.resets_in is None]
        if without:
            nearest = min(without, key=lambda each: each.window or 0.0)
            nearest.resets_in, nearest.in_units = alone.resets_in, alone.in_units


def _tightest(told: Iterable[Allowance]) -> RateFacts:
    kept: dict[tuple[Measure, float | None], Allowance] = {}
    for each in told:
        known = kept.setdefault((each.measure, each.window), each)
        if _looseness(each) < _looseness(known):
            kept[each.measure, each.window] = each
    return tuple(kept.values())


def _looseness(each: Allowance) -> tuple[float, float]:
    return (
        float("inf") if each.remaining is None else each.remaining,
        float("inf") if each.limit is None else each.limit,
    )


def _amount(value: str) -> float | None:
    """Return the number that a header begins with; None for what is none, or below 0."""
    text = value.strip()
    if whole := _THOUSANDS.fullmatch(text):
        return float(whole[0].replace(",", ""))
    number = _NUMBER.match(text)
    return float(number[0]) if number else None


def _by_items(headers: Mapping[str, str]) -> Iterator[Allowance]:
    """Read the standard's way to tell several limits in one header each: what is left, and the policies they follow.

    https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-ratelimit-headers-10#section-4
    """
    if "ratelimit" not in headers:
        return
    policies = dict(_items(headers.get("ratelimit-policy", "")))
    whole: dict[str, float] = {}
    for name, terms in _items(headers["ratelimit"]):
        if "=" in name:  # the draft's older form: limit=100, remaining=50, reset=5
            whole |= _terms(name)
            continue
        policy = policies.get(name, {})
        yield _request_limit(policy.get("q"), terms.get("r"), terms.get("t"), policy.get("w"))
    if whole:
        policy = next(iter(policies.values()), {})
        yield _request_limit(whole.get("limit"), whole.get("remaining"), whole.get("reset"), policy.get("w"))


def _request_limit(limit: float | None, left: float | None, wait: float | None, window: float | None) -> Allowance:
    return Allowance(
        measure=Measure.REQUESTS, limit=limit or None, remaining=left, resets_in=wait, window=window or None
    )


def _items(value: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Give the items of a list, each with its terms that are numbers."""
    for item in value[:2000].split(","):
        if (found := _ITEM.match(item)) is not None and found[1].strip():
            yield found[1].strip().casefold(), _terms(found[2])


def _terms(text: str) -> dict[str, float]:
    pairs = (term.partition("=") for term in text.split(";"))
    read = {name.strip().casefold(): _amount(value.strip('" ')) for name, _, value in pairs}
    return {name: amount for name, amount in read.items() if amount is not None}


def _quota(name: str, value: str, soon: float | None) -> Allowance | None:
    """Return a quota of Google that is used up, by its name: ``GenerateRequestsPerDayPerProjectPerModel-FreeTier``."""
    words = name.casefold()
    measure = next(
        (
            measure
            for word, measure in (
                ("inputtoken", Measure.INPUT),
                ("outputtoken", Measure.OUTPUT),
                ("token", Measure.TOKENS),
                ("request", Measure.REQUESTS),
            )
            if word in words
        ),
        None,
    )
    found = _PER.search(words)
    if measure is None or found is None:
        return None
    window = _WINDOWS[found[1]]
    wait = soon if window < DAY else None
    return Allowance(measure=measure, limit=_amount(value) or None, remaining=0.0, resets_in=wait, window=window)
