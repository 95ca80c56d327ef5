"""The sentence on how a profile is: who does not answer, why, and what happens instead; calm where all is well."""

from __future__ import annotations

from collections.abc import Sequence

from llx_magic.observe.status.standing import Standing, State
from llx_magic.units import countdown, duration, in_time, number

MOST_NAMED = 3
"""How many backends are named at one place; the others are counted."""

NOTICEABLE = 1.5
"""From this ratio on one backend is said to be slower, or faster, than another."""


def sentence(standings: Sequence[Standing], *, in_order: bool) -> str:
    """Return what is going on.

    ``in_order`` says that the first backend that is well answers, so that what is before it in the order matters more
    than what is behind it.
    """
    well = [each for each in standings if each.is_well]
    if len(well) == len(standings):
        return f"{'; '.join([_all_well(well, in_order=in_order), *_slow(well)])}."
    if len(standings) == 1:
        return f"{_only_one(standings[0])}."
    begin = standings.index(well[0]) if well and in_order else len(standings)
    missed = [each for each in standings[:begin] if not each.is_well]
    behind = [each for each in standings[begin:] if not each.is_well]
    instead = _instead(missed, well, in_order=in_order) if well else _nobody(missed)
    slow = [] if in_order and missed else _slow(well)  # who answers instead of the first is compared already
    told = [*_clauses(missed), instead, *slow, *_clauses(behind, max(1, MOST_NAMED - len(missed)))]
    return " ".join(f"{part}." for part in told)


def _slow(standings: Sequence[Standing]) -> list[str]:
    """Return a clause about those that take much longer than the others; none where nobody does."""
    slow = [each for each in standings if each.is_slow]
    if len(slow) == 1:
        return [f"{slow[0].name} is {slow[0].why}"]
    return [f"{_named(slow)} are slow"] if slow else []


def _clauses(standings: Sequence[Standing], most: int = MOST_NAMED) -> list[str]:
    """Return a clause for each of the first, and one that counts the others."""
    shown, left = [_clause(each) for each in standings[:most]], len(standings) - most
    return (
        shown if left <= 0 else [*shown, f"{_count(left).capitalize()} more {'do' if left > 1 else 'does'} not answer"]
    )


def _clause(of: Standing) -> str:
    """Return how one backend is, such as ``fast is out: 503 three times, next try in 12 s``."""
    because = f": {of.why}" if of.why else ""
    later = f", next try {in_time(of.seconds_left)}" if of.seconds_left else ""
    match of.state:
        case State.OUT:
            how = f"is out{because}, {of.then}"
        case State.TRIED:
            how = f"is out{because}, a prompt is trying it again"
        case State.COOLING if not of.backend.cooling_down:
            how = "comes back from cooling down, one prompt goes first"
        case State.COOLING:
            how = f"is cooling down {of.why}{later}"
        case State.FULL:
            how = f"is {of.why}{later}"
        case State.BELOW:
            how = f"is below its floor ({of.why})"
        case _:
            how = f"{'' if of.state is State.UNUSABLE else 'is '}{of.state}{because}"
    return f"{of.name} {how}"


def _instead(missed: Sequence[Standing], well: Sequence[Standing], *, in_order: bool) -> str:
    """Return who answers in the place of those that are missed, and how much slower that is."""
    if not missed:
        return f"{well[0].name} answers" if well[0].has_answered else _all_well(well, in_order=in_order)
    answer = [each for each in well if each.has_answered]
    if not in_order and len(answer) > 1:
        return f"{_named(answer)} answer instead"
    one = well[0] if in_order or not answer else answer[0]
    if not one.has_answered:
        return f"{one.name} is asked instead; it has not answered yet"
    known = (each.backend.p50_latency for each in missed)
    return f"{one.name} answers instead{_compared(one.backend.p50_latency, next((p50 for p50 in known if p50), None))}"


def _compared(now: float | None, usual: float | None) -> str:
    """Return how long half the answers take at most, against those of the backend that is missed."""
    if now is None:
        return ""
    if usual is None:
        return f" (half within {duration(now)})"
    if duration(now) == duration(usual):
        return f", as fast ({duration(now)})"
    way = "slower" if now > NOTICEABLE * usual else "faster" if usual > NOTICEABLE * now else "about as fast"
    return f", {way} ({duration(now)} instead of {duration(usual)})"


def _nobody(wrong: Sequence[Standing]) -> str:
    """Return what a prompt meets where no backend is well."""
    for state in (State.FAILING, State.BELOW):
        if asked := [each for each in wrong if each.state is state]:
            return f"Nobody else answers, so {_named(asked)} {_are(asked)} asked all the same"
    later = [each for each in wrong if each.state in (State.OUT, State.COOLING, State.FULL)]
    if not later:
        return "Nobody answers"
    soonest = min(later, key=lambda each: each.seconds_left)
    if not soonest.seconds_left:
        return f"Nobody else answers, so the next prompt tries {soonest.name}"
    # An open circuit refuses at once; limits alone are waited for.
    limited = [each for each in later if each.state is not State.OUT and each.backend.is_waited_for]
    if limited:
        soonest = min(limited, key=lambda each: each.seconds_left)
        left = f" {countdown(soonest.seconds_left)}" if soonest.seconds_left else ""
        return f"Nobody else answers, so a prompt waits{left} for {soonest.name}"
    return f"Every prompt fails until {soonest.name} is tried {in_time(soonest.seconds_left)}"


def _only_one(of: Standing) -> str:
    """Return how the only backend is: it is asked all the same, and waited for where it limits its rate."""
    if of.state in (State.OUT, State.TRIED, State.FAILING, State.BELOW):
        state = State.OUT if of.state is State.TRIED else of.state
        because = f" ({of.why})" if of.why else ""
        return f"{of.name} is {state}{because} and asked all the same, since there is no other"
    return _clause(of)


def _all_well(well: Sequence[Standing], *, in_order: bool) -> str:
    """Return the calm sentence."""
    answered = [each for each in well if each.has_answered]
    rest = [each for each in well if each not in answered]
    if not answered and not in_order and len(well) > 1:
        return f"Nobody has been asked yet: there are {_named(well)}"
    if not answered:
        others = f", {_named(well[1:])} {_are(well[1:])} spare" if well[1:] else ""
        if not any(each.backend.requests for each in well):
            return f"Nobody has been asked yet: {well[0].name} is first{others}"
        return f"{well[0].name} has not answered yet{others}"
    if not rest:
        return {1: f"{well[0].name} answers", 2: "Both answer"}.get(len(well), f"All {_count(len(well))} answer")
    if in_order:
        answer = well[0]
        done = "answers" if answer.has_answered else "is asked next"
        return f"{answer.name} {done}, {_named(well[1:])} {_are(well[1:])} spare"
    return f"{_named(answered)} answer{'' if len(answered) > 1 else 's'}, {_named(rest)} {_are(rest)} not asked yet"


_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _count(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else number(count)


def _named(standings: Sequence[Standing]) -> str:
    """Join names: ``a``, ``a and b``, ``a, b and 38 more``."""
    names = [each.name for each in standings]
    if len(names) > MOST_NAMED:
        names = [*names[: MOST_NAMED - 1], f"{number(len(names) - MOST_NAMED + 1)} more"]
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


def _are(standings: Sequence[Standing]) -> str:
    return "are" if len(standings) > 1 else "is"
