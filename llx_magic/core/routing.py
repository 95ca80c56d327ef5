"""The ways in which a load balancer orders its backends for a request.

Each is one row of ``ROUTINGS``. What a profile may name as its ``policy``, the JSON schema, completion, help, messages
and the categories of tables are made from it. Whatever the order, circuits, cool-downs, limits and the second pass
decide who is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from llx_magic.errors import ProfileError, brief
from llx_magic.text.wording import listed, nearest

LARGEST_WEIGHT = 1_000_000
"""No weight is larger."""

LONGEST_CYCLE = 1_000
"""After so many turns at most every backend has had its share; weights that would take more are rounded."""

TURNS_COMPARED = 12
"""From how many requests in a row it is told whose turn it was."""


class Standing(NamedTuple):
    """What a routing may know of one place of a profile when a request begins.

    ``in_flight`` are the requests under way at its backend, and those that are about to ask it first. ``is_known`` says
    that a visit there has ended, whether it was answered or not. ``first_text`` is how long its first text took
    of late, in seconds, None before it has given any. ``cost`` is about what this prompt will cost there, None where
    that is not known or the routing does not ask for it.
    """

    name: str
    in_flight: int
    is_known: bool = False
    weight: float = 1.0
    first_text: float | None = None
    cost: float | None = None


Order = Callable[[Sequence[Standing], int], Sequence[int]]
"""Gets a standing for each place of the profile, in priority order, and the number of requests before this one.

Returned are the places in the order in which they are asked.
"""


class Routing(NamedTuple):
    """One way of ordering backends; ``help`` completes "asks its backends …". No ``order`` keeps the priority order.

    ``turn`` completes "asked …" for one backend; there is none where that depends on the backends before it.
    ``weighs`` says that the profile's weights count, ``wants_costs`` that the standings have costs. Of all requests
    the share ``explores`` asks another backend than the order's first.
    """

    name: str
    least_members: int
    help: str
    order: Order | None = None
    turn: str = ""
    weighs: bool = False
    wants_costs: bool = False
    explores: float = 0.0

    def members_problem(self, members: Sequence[str]) -> str | None:
        """Return why this cannot work with the members, as a sentence, or None."""
        if len(members) >= self.least_members:
            return None
        least = ("one member", "two members", "three members")[self.least_members - 1]
        return f"{self.name} needs at least {least}, got {listed(members) or 'none'}"


def exploring(order: Order, share: float, draw: float) -> Order:
    """Return the order with another place in front, where ``draw``, from [0, 1), is among the share that explores."""
    if draw >= share:
        return order

    def another_first(standings: Sequence[Standing], turn: int) -> Sequence[int]:
        first, *others = order(standings, turn)
        if not others:
            return (first,)
        chosen = others.pop(int(draw / share * len(others)))
        return (chosen, first, *others)

    return another_first


def turn_of(order: Order, standings: Sequence[Standing], orders: Sequence[Sequence[str]]) -> int:
    """Return the turn with which recorded orders began, told by the first of each; 0 where none explains them."""
    firsts = [names[0] for names in orders[:TURNS_COMPARED]]

    def explains(turn: int) -> bool:
        return all(standings[order(standings, turn + at)[0]].name == first for at, first in enumerate(firsts))

    return next(filter(explains, range(LONGEST_CYCLE)), 0) if firsts else 0


def _in_turn(standings: Sequence[Standing], turn: int) -> Sequence[int]:
    first = turn % len(standings)
    return (*range(first, len(standings)), *range(first))


def _by_weight(standings: Sequence[Standing], turn: int) -> Sequence[int]:
    """Give each place its share of the turns; what one cannot take goes to the others by their shares."""
    left, order = list(range(len(standings))), []
    while left:
        shares = _shares(tuple(standings[place].weight for place in left))
        rounds, at = divmod(turn, sum(shares))
        chosen, had = _cycle(shares)[at]
        turn = rounds * shares[chosen] + had
        order.append(left.pop(chosen))
    return order


def _least_busy(standings: Sequence[Standing], _turn: int) -> Sequence[int]:
    return sorted(range(len(standings)), key=lambda place: standings[place].in_flight / standings[place].weight)


def _fastest(standings: Sequence[Standing], _turn: int) -> Sequence[int]:
    """Put first what nobody knows yet, last what has only failed."""

    def rank(place: int) -> tuple[int, float]:
        its = standings[place]
        if its.first_text is not None:
            return 1, its.first_text
        return (2, 0.0) if its.is_known else (0, its.in_flight)

    return sorted(range(len(standings)), key=rank)


def _cheapest(standings: Sequence[Standing], _turn: int) -> Sequence[int]:
    def rank(place: int) -> float:
        cost = standings[place].cost
        return math.inf if cost is None else cost

    return sorted(range(len(standings)), key=rank)


@lru_cache(maxsize=256)
def _shares(weights: tuple[float, ...]) -> tuple[int, ...]:
    """Return the weights as whole numbers, as small as they can be."""
    parts = [Fraction(weight).limit_denominator(LONGEST_CYCLE) for weight in weights]
    scale = math.lcm(*(part.denominator for part in parts))
    whole = [int(part * scale) for part in parts]
    if min(whole) < 1 or sum(whole) // math.gcd(*whole) > LONGEST_CYCLE:
        whole = [max(1, round(weight / sum(weights) * LONGEST_CYCLE)) for weight in weights]
    return tuple(each // math.gcd(*whole) for each in whole)


@lru_cache(maxsize=256)
def _cycle(shares: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return for each turn of a cycle which place has it, and how many it has had before; spread as evenly as can be.

    The rule is nginx's smooth weighted round robin:
    https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server
    """
    due, had, cycle = [0] * len(shares), [0] * len(shares), []
    for _ in range(sum(shares)):
        due = [each + share for each, share in zip(due, shares, strict=True)]
        chosen = due.index(max(due))
        due[chosen] -= sum(shares)
        cycle.append((chosen, had[chosen]))
        had[chosen] += 1
    return tuple(cycle)


FAILOVER = Routing("failover", 2, "by priority each time")

_ROWS = (
    FAILOVER,
    Routing("roundrobin", 1, "in turn", _in_turn, "in turn"),
    Routing(
        "weighted", 1, "in turn, each as often as its weight says", _by_weight, "in turn, by its weight", weighs=True
    ),
    Routing(
        "leastbusy",
        1,
        "by the requests under way there for its weight, fewest first",
        _least_busy,
        "when least busy",
        weighs=True,
    ),
    Routing(
        "fastest",
        1,
        "by how long their first text took of late, quickest first (one request in twenty tries another)",
        _fastest,
        "when fastest",
        explores=0.05,
    ),
    Routing(
        "cheapest",
        1,
        "by what the prompt costs there, the unknown last",
        _cheapest,
        "when cheapest",
        wants_costs=True,
    ),
)

ROUTINGS: dict[str, Routing] = {each.name: each for each in _ROWS}
"""Every routing by its name."""


def routing_named(word: str) -> Routing:
    """Return the routing that a profile names.

    Raises:
        ProfileError: for a word that names none; the nearest is offered.
    """
    if found := ROUTINGS.get(word):
        return found
    said = f"unknown policy {brief(word)}" if word else "policy is missing"
    raise ProfileError(said + nearest(word, ROUTINGS))


def check_weights(members: Sequence[str], weights: Mapping[str, float]) -> None:
    """Refuse weights that are none, and those of nobody.

    Raises:
        ProfileError: one line that names the weight and what is allowed.
    """
    for name, weight in weights.items():
        if name not in members:
            raise ProfileError(f"weights: {brief(name)} is no member{nearest(name, members)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= LARGEST_WEIGHT:
            raise ProfileError(
                f"the weight of {name} must be a number above 0, at most {LARGEST_WEIGHT:,}; got {brief(weight)}"
            )


def without_weights(policy: str) -> str | None:
    """Return why weights mean nothing with a policy, as a sentence, or None where they count."""
    if routing_named(policy).weighs:
        return None
    return f"{policy} looks at no weights; {' and '.join(each.name for each in ROUTINGS.values() if each.weighs)} do"
