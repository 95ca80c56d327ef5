"""Which few settings would have served a past best: each is tried by itself, then the best together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, cast, get_args

from llx_magic.core.routing import ROUTINGS
from llx_magic.core.totals import FEWEST_PROMPTS, WORDS, Totals, claim_in_words
from llx_magic.errors import UsageProblem, brief
from llx_magic.profiles.document import SINGLE
from llx_magic.session.replaying import Change, Replayer, Trial
from llx_magic.settings.kinds import SettingValue
from llx_magic.units import duration, number, percent, plural

Aim = Literal["success", "latency", "cost"]
"""What is to become better."""

BEST = 3
"""How many are told, at most."""

COMBINED = 4
"""How many of the best single changes are tried in pairs."""

COMPARED, COURSES = 4, 5
"""How many of the best are tried again, and in how many courses, since one may have had luck in its draws."""

_STANDS_ON: Mapping[Aim, tuple[str, ...]] = {
    "success": ("answered",),
    "latency": ("answered", "p95"),
    "cost": ("answered", "cost"),
}
"""The claims on which a recommendation stands: where too little is known of a backend to tell one, there is none."""

HARM = 0.005
"""By how much the share of answered prompts may fall for the sake of another aim."""

GAIN = 0.02
"""By which part of itself a time or a cost must fall to count as better."""


def read_aim(given: str) -> Aim:
    """Return what is to become better, checked.

    Raises:
        UsageProblem: for a word that is none.
    """
    if given not in get_args(Aim):
        raise UsageProblem(f"--for must be one of {', '.join(get_args(Aim))}; got {brief(given)}")
    return cast("Aim", given)


@dataclass(frozen=True, slots=True)
class Advice:
    """A change and why: in one sentence."""

    trial: Trial
    sentence: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """What the settings in force come to in a replay, and the changes that surely come to better, best first.

    Others that are ``doubtful`` seemed better, but too little is known of a backend; ``doubts`` says of which.
    """

    now: Trial
    best: tuple[Advice, ...]
    tried: int
    doubtful: tuple[Trial, ...] = ()
    doubts: str = ""


def tune(replayer: Replayer, aim: Aim) -> Tuned:
    """Try changes and return the best; nothing is changed. All are compared with a replay of the settings in force.

    Raises:
        UsageProblem: of so few prompts that nothing can be concluded.
    """
    if (count := len(replayer.asked)) < FEWEST_PROMPTS:
        raise UsageProblem(
            f"{plural(count, 'prompt')} cannot tell which setting is better; ask {FEWEST_PROMPTS} or more first"
        )
    now = replayer.try_out(Change({}))
    every = list(_changes(replayer, now.totals))
    found = [trial for change in every if _is_better(trial := replayer.try_out(change, 1), now, aim)]
    found.sort(key=lambda trial: _order(trial, aim))
    tried = len(every)
    for one, other in combinations(found[:COMBINED], 2):
        if (both := _both(one.change, other.change)) is not None:
            tried += 1
            trial = replayer.try_out(both, 1)
            is_more = all(_rank(trial.totals, aim) < _rank(each.totals, aim) for each in (one, other))
            if is_more and _is_better(trial, now, aim):
                found.append(trial)
    surest = sorted(_surest(replayer, found, now, aim), key=lambda trial: _order(trial, aim))
    doubtful = tuple(trial for trial in surest if replayer.is_groundless(trial, *_STANDS_ON[aim]))
    best = [trial for trial in surest if trial not in doubtful][:BEST]
    advice = tuple(Advice(trial, _sentence(trial, now)) for trial in best)
    return Tuned(now, advice, tried, doubtful, replayer.why_untold(doubtful[0]) if doubtful else "")


def _surest(replayer: Replayer, found: Iterable[Trial], now: Trial, aim: Aim) -> list[Trial]:
    """Return the best of what was found better in one course, as far as it is not worse in any other."""
    best = dict[Totals, Trial]()
    for trial in sorted(found, key=lambda trial: _order(trial, aim)):
        best.setdefault(trial.totals, trial)  # of those that come to the same, one is enough
    again = [replayer.try_out(trial.change, COURSES) for trial in list(best.values())[:COMPARED]]
    return [trial for trial in again if _is_better(trial, now, aim) and _is_sure(trial, now, aim)]


def _changes(replayer: Replayer, now: Totals) -> Iterator[Change]:
    """Yield the single changes that are worth a try: those of what is not in force already."""
    record = replayer.record
    in_force = record.settings()[record.members[0]]
    for key, values in _values(now).items():
        for value in values:
            if getattr(in_force, key) != value:
                yield Change({key: value})
    if record.profile.policy != SINGLE and len(record.members) > 1:
        for policy in ROUTINGS:
            if policy != record.profile.policy:
                yield Change({}, policy)


def _values(now: Totals) -> Mapping[str, tuple[SettingValue, ...]]:
    """Return what each setting is tried with; times by the slow ones among the replies."""
    slow = now.p95 or 10.0
    times = tuple(max(1000, round(slow * by) * 1000) for by in (1, 2, 4))
    return {
        "timeout_ms": times,
        "first_token_timeout_ms": times[:2],
        "hedge_after_ms": (max(500, round(slow * 500)), max(1000, round(slow * 1000))),
        "failover_retry_count": (1, 2, 3),
        "failover_retry_delay_ms": (200, 1000, 3000),
        "circuit_breaker_failure_threshold": (1, 2, 3, 5),
        "circuit_breaker_recovery_timeout_ms": (10_000, 30_000, 120_000),
    }


def _rank(found: Totals, aim: Aim) -> tuple[float, float]:
    failing, slow = 1 - (found.success_rate or 0.0), found.p95 or 0.0
    if aim == "success":
        return round(failing, 4), slow
    return (slow if aim == "latency" else found.cost or 0.0), failing


def _order(trial: Trial, aim: Aim) -> tuple[tuple[float, float], float]:
    return _rank(trial.totals, aim), trial.told.typical.drawn_share


def _is_better(trial: Trial, now: Trial, aim: Aim) -> bool:
    was, would = now.totals, trial.totals
    before, after = was.success_rate or 0.0, would.success_rate or 0.0
    if aim == "success":
        return after > before
    if after < before - HARM:
        return False
    old, new = (was.p95, would.p95) if aim == "latency" else (was.cost, would.cost)
    return old is not None and new is not None and new < old * (1 - GAIN)


def _is_sure(trial: Trial, now: Trial, aim: Aim) -> bool:
    """Return whether no course of the draws comes to worse than the settings in force."""
    worst = max(trial.expected.courses, key=lambda each: _rank(each, aim))
    return _rank(worst, aim)[0] <= _rank(now.totals, aim)[0]


def _both(one: Change, other: Change) -> Change | None:
    """Return two changes together, or None where they are of the same thing."""
    if one.settings.keys() & other.settings.keys() or (one.policy and other.policy):
        return None
    return Change({**one.settings, **other.settings}, one.policy or other.policy)


def _sentence(trial: Trial, now: Trial) -> str:
    def claim(name: str, words: Callable[[float | None], str], of_it: str = "") -> str:
        would, was = (claim_in_words(each.expected, name, words) for each in (trial, now))
        return f"{would}{of_it} (now {was})"

    costs = "" if None in (trial.totals.cost, now.totals.cost) else f", cost {claim('cost', number)}"
    known = 1 - trial.told.typical.drawn_share
    return (
        f"{trial.change}: {claim('answered', percent, ' answered')}, {WORDS['p95']} {claim('p95', duration)}{costs}; "
        f"{percent(known)} of that is known."
    )
