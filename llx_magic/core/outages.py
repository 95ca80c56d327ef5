"""When a backend was out, as far as its attempts tell: between them it is drawn, as likely as they make it.

A backend is taken to be up or out at any moment, to go from one to the other at random, and to fail rarely while it is
up and mostly while it is out. How rarely, how mostly and for how long is what explains its attempts best
(a hidden Markov model of two states, fitted as by L. R. Rabiner: https://doi.org/10.1109/5.18626). Then one course of
states is drawn from all that fit the attempts: https://doi.org/10.1093/biomet/81.3.541. Where nobody asked for long, it
may have been out as often as at other times; one that was never seen to be out as often as the others were, less the
longer it was seen to be up.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from itertools import chain, pairwise
from statistics import mean

LASTING = (5.0, 30.0, 180.0, 1200.0, 7200.0)
"""Seconds after which the state of a backend says little of what it is by then; the best of these is taken."""

ROUNDS = 6
"""How often the rates are made better."""

MOST_FITTED = 2000
"""From how many of the latest attempts the rates are taken."""

MOST_UNSEEN = 500
"""At how many moments at most, between attempts, the state is drawn too."""

MOST_COUNTED = 100
"""Of more outages than these it is certain enough how often they come."""

MOST_OUT = 0.9
"""No backend is taken to be out for more than this part of the time."""

_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Rates:
    """How often it fails while it is up and while it is out, how much of the time it is out, and for how long."""

    up: float
    out: float
    share: float
    lasts: float

    def stays(self, gap: float) -> tuple[float, float]:
        """Return how likely it is out after a gap: where it was up before, and where it was out."""
        kept = math.exp(-gap / self.lasts)
        return self.share * (1 - kept), self.share + (1 - self.share) * kept

    def as_likely(self, seconds: float, draw: Callable[[], float]) -> Rates:
        """Return the rates as they may be as well: in so many seconds it went out a few times only, as chance had it.

        How often it goes out is drawn from what fits as many outages: from Erlang's law.
        """
        begun = max(1, round(min(MOST_COUNTED, self.share * (1 - self.share) * seconds / self.lasts)))
        oftener = -sum(math.log(1 - draw()) for _ in range(begun)) / begun
        return replace(self, share=min(MOST_OUT, self.share * oftener))


@dataclass(frozen=True, slots=True)
class Outages:
    """The course of one backend: at each of the moments it changes between up and out, and how often it fails then."""

    changes: tuple[float, ...]
    begins_out: bool
    fails_up: float
    fails_out: float

    def failing(self, at: float) -> float:
        """Return how likely an attempt fails that is sent then."""
        return self.fails_out if self.is_out(at) else self.fails_up

    def is_out(self, at: float) -> bool:
        """Return whether it is out then."""
        return self.begins_out ^ (bisect_right(self.changes, at) % 2 == 1)


class Seen:
    """What was seen of a backend: the moments of its attempts, which rise, and which of them failed."""

    def __init__(self, times: Sequence[float] = (), failed: Sequence[bool] = ()) -> None:
        self.times = times
        self.failed = failed

    @cached_property
    def rates(self) -> Rates | None:
        """What explains the attempts best; None where all or none of them failed."""
        if not 0 < sum(self.failed) < len(self.failed):
            return None
        return _fitted(_gaps(self.times)[-MOST_FITTED + 1 :], self.failed[-MOST_FITTED:])


def usual_of(every: Iterable[Seen]) -> Rates | None:
    """Return what is usual of backends; None where nothing is known of any."""
    known = [astuple(each.rates) for each in every if each.rates is not None]
    return Rates(*map(mean, zip(*known, strict=True))) if known else None


def outages(
    seen: Seen,
    draw: Callable[[], float],
    usual: Rates | None = None,
    span: tuple[float, float] | None = None,
) -> Outages:
    """Return a course that fits the attempts; ``draw`` gives random numbers in [0, 1).

    ``usual`` is what is usual of other backends, and ``span`` the time that the course is about.
    """
    times, failed, rates = seen.times, seen.failed, seen.rates
    if times and all(failed):
        return Outages((), begins_out=False, fails_up=1.0, fails_out=1.0)
    fails_up = 0.0 if rates is None else rates.up
    begin, end = span or (times[0], times[-1])
    if rates is None and usual is not None:
        usual = usual.as_likely(end - begin, draw)
        seconds = sum(min(gap, usual.lasts) for gap in _gaps(times))
        rates = replace(usual, up=_LEAST, share=usual.share / (1 + usual.share * seconds / usual.lasts))
    if rates is None:
        return Outages((), begins_out=False, fails_up=0.0, fails_out=0.0)
    step = max(rates.lasts / 4, (end - begin) / MOST_UNSEEN)
    moments, seen_as = _with_unseen(times, failed, (begin, end), step)
    gaps = _gaps(moments)
    states = _drawn(gaps, seen_as, rates, draw)
    changes = tuple(
        moments[place] + draw() * gaps[place] for place in range(len(gaps)) if states[place] != states[place + 1]
    )
    return Outages(changes, states[0], fails_up, rates.out)


def _gaps(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(times)]


def _with_unseen(
    times: Sequence[float], failed: Sequence[bool], span: tuple[float, float], step: float
) -> tuple[list[float], list[bool | None]]:
    """Return the attempts' times with moments between them where they lie far apart, and what was seen at each."""
    moments, seen = list[float](), list[bool | None]()
    begin, end = span
    last = begin
    for at, has_failed in chain(zip(times, failed, strict=True), [(max(end, *times, begin), None)]):
        unseen = int((at - last) / step) if step > 0 else 0
        for number in range(1, unseen + 1):
            moments.append(last + (at - last) * number / (unseen + 1))
            seen.append(None)
        moments.append(at)
        seen.append(has_failed)
        last = at
    return moments, seen


def _fitted(gaps: Sequence[float], failed: Sequence[bool]) -> Rates:
    best, likeliest = None, -math.inf
    share = min(MOST_OUT, max(0.02, sum(failed) / len(failed)))
    for lasts in LASTING:
        rates = Rates(share / 4, 0.95, share, lasts)
        for _ in range(ROUNDS):
            rates, likelihood = _better(gaps, failed, rates)
        if likelihood > likeliest:
            best, likeliest = rates, likelihood
    assert best is not None
    return best


def _better(gaps: Sequence[float], failed: Sequence[bool], rates: Rates) -> tuple[Rates, float]:
    """Return rates that explain the attempts better, and how well the given ones do."""
    forward, likelihood = _forward(gaps, failed, rates)
    out = list(forward)
    later = forward[-1]
    for place in range(len(gaps) - 1, -1, -1):  # what comes later tells of what was before (the backward pass)
        to_out_up, to_out_out = rates.stays(gaps[place])
        was = forward[place]
        will = was * to_out_out + (1 - was) * to_out_up
        given_out = was * to_out_out / will if will else 0.0
        given_up = was * (1 - to_out_out) / (1 - will) if will < 1 else 0.0
        later = out[place] = later * given_out + (1 - later) * given_up
    total = sum(out)
    fails_out = sum(each for each, has in zip(out, failed, strict=True) if has)
    fails_up = sum(failed) - fails_out
    return (
        Rates(
            up=_share(fails_up, len(failed) - total),
            out=max(0.5, _share(fails_out, total)),
            share=_share(total, len(failed)),
            lasts=rates.lasts,
        ),
        likelihood,
    )


def _forward(gaps: Sequence[float], failed: Sequence[bool | None], rates: Rates) -> tuple[list[float], float]:
    """Return at each moment how likely the backend was out by what came until then, and the logarithm of the odds.

    None in ``failed`` is a moment at which nobody asked.
    """
    likely, found, likelihood = rates.share, [], 0.0
    for place, has_failed in enumerate(failed):
        if place:
            to_out_up, to_out_out = rates.stays(gaps[place - 1])
            likely = likely * to_out_out + (1 - likely) * to_out_up
        if has_failed is None:
            found.append(likely)
            continue
        if_out, if_up = (rates.out, rates.up) if has_failed else (1 - rates.out, 1 - rates.up)
        seen = likely * if_out + (1 - likely) * if_up
        likely = likely * if_out / seen
        likelihood += math.log(seen)
        found.append(likely)
    return found, likelihood


def _drawn(gaps: Sequence[float], failed: Sequence[bool | None], rates: Rates, draw: Callable[[], float]) -> list[bool]:
    """Draw whether it was out at each attempt, from the last to the first."""
    forward, _ = _forward(gaps, failed, rates)
    states = [draw() < forward[-1]]
    for place in range(len(gaps) - 1, -1, -1):
        to_out_up, to_out_out = rates.stays(gaps[place])
        if not states[-1]:
            to_out_up, to_out_out = 1 - to_out_up, 1 - to_out_out
        was = forward[place]
        seen = was * to_out_out + (1 - was) * to_out_up
        states.append(draw() < (was * to_out_out / seen if seen else was))
    return states[::-1]


def _share(part: float, whole: float) -> float:
    return min(1 - _LEAST, max(_LEAST, part / whole)) if whole > 0 else _LEAST
