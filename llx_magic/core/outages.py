"""When a backend was out, as far as its attempts tell: between them it is drawn, as likely as they make it.

A backend is taken to be up or out at any moment, to go from one to the other at random, and to fail rarely while it is
up and mostly while it is out. How rarely, how mostly and for how long is what explains its attempts best
(a hidden Markov model of two states, fitted as by L. R. Rabiner: https://doi.org/10.1109/5.18626). Then one course of
states is drawn from all that fit the attempts: https://doi.org/10.1093/biomet/81.3.541.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

LASTING = (5.0, 30.0, 180.0, 1200.0, 7200.0)
"""Seconds after which the state of a backend says little of what it is by then; the best of these is taken."""

ROUNDS = 6
"""How often the rates are made better."""

MOST_FITTED = 2000
"""From how many of the latest attempts the rates are taken."""

_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class _Rates:
    """How often it fails while it is up and while it is out, how much of the time it is out, and for how long."""

    up: float
    out: float
    share: float
    lasts: float

    def stays(self, gap: float) -> tuple[float, float]:
        """Return how likely it is out after a gap: where it was up before, and where it was out."""
        kept = math.exp(-gap / self.lasts)
        return self.share * (1 - kept), self.share + (1 - self.share) * kept


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


def outages(times: Sequence[float], failed: Sequence[bool], draw: Callable[[], float]) -> Outages:
    """Return a course that fits the attempts, whose times rise; ``draw`` gives random numbers in [0, 1)."""
    count = sum(failed)
    if not count or count == len(failed):
        rate = 1.0 if count else 0.0
        return Outages((), begins_out=False, fails_up=rate, fails_out=rate)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    rates = _fitted(gaps[-MOST_FITTED + 1 :], failed[-MOST_FITTED:])
    states = _drawn(gaps, failed, rates, draw)
    changes = tuple(
        times[place] + draw() * gaps[place] for place in range(len(gaps)) if states[place] != states[place + 1]
    )
    return Outages(changes, states[0], rates.up, rates.out)


def _fitted(gaps: Sequence[float], failed: Sequence[bool]) -> _Rates:
    best, likeliest = None, -math.inf
    share = min(0.9, max(0.02, sum(failed) / len(failed)))
    for lasts in LASTING:
        rates = _Rates(share / 4, 0.95, share, lasts)
        for _ in range(ROUNDS):
            rates, likelihood = _better(gaps, failed, rates)
        if likelihood > likeliest:
            best, likeliest = rates, likelihood
    assert best is not None
    return best


def _better(gaps: Sequence[float], failed: Sequence[bool], rates: _Rates) -> tuple[_Rates, float]:
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
        _Rates(
            up=_share(fails_up, len(failed) - total),
            out=max(0.5, _share(fails_out, total)),
            share=_share(total, len(failed)),
            lasts=rates.lasts,
        ),
        likelihood,
    )


def _forward(gaps: Sequence[float], failed: Sequence[bool], rates: _Rates) -> tuple[list[float], float]:
    """Return for each attempt how likely the backend was out by what came until then, and the logarithm of the odds."""
    likely, found, likelihood = rates.share, [], 0.0
    for place, has_failed in enumerate(failed):
        if place:
            to_out_up, to_out_out = rates.stays(gaps[place - 1])
            likely = likely * to_out_out + (1 - likely) * to_out_up
        if_out, if_up = (rates.out, rates.up) if has_failed else (1 - rates.out, 1 - rates.up)
        seen = likely * if_out + (1 - likely) * if_up
        likely = likely * if_out / seen
        likelihood += math.log(seen)
        found.append(likely)
    return found, likelihood


def _drawn(gaps: Sequence[float], failed: Sequence[bool], rates: _Rates, draw: Callable[[], float]) -> list[bool]:
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
