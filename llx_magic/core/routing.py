"""The ways in which a load balancer orders its backends for a request.

Each is one row of ``ROUTINGS``. What a profile may name as its ``policy``, the JSON schema, completion, help, messages
and the categories of tables are made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from llx_magic.errors import ProfileError, brief
from llx_magic.text.wording import listed, nearest


class Standing(NamedTuple):
    """What a routing may know of one backend when a request begins.

    ``latency`` is the mean of its visits in seconds, None before the first has ended.
    """

    name: str
    in_flight: int
    latency: float | None
    weight: float = 1.0


class Routing(NamedTuple):
    """One way of ordering backends; ``help`` completes "asks its backends …".

    ``order`` gets a standing for each place of the profile, in priority order, and the number of requests before this
    one; it returns the places in the order in which they are asked. None keeps the priority order.
    """

    name: str
    least_members: int
    help: str
    order: Callable[[Sequence[Standing], int], Sequence[int]] | None = None

    def members_problem(self, members: Sequence[str]) -> str | None:
        """Return why this cannot work with the members, as a sentence, or None."""
        if len(members) >= self.least_members:
            return None
        least = ("one member", "two members", "three members")[self.least_members - 1]
        return f"{self.name} needs at least {least}, got {listed(members) or 'none'}"


def _in_turn(standings: Sequence[Standing], turn: int) -> Sequence[int]:
    first = turn % len(standings)
    return (*range(first, len(standings)), *range(first))


FAILOVER = Routing("failover", 2, "by priority each time")

ROUTINGS: dict[str, Routing] = {each.name: each for each in (FAILOVER, Routing("roundrobin", 1, "in turn", _in_turn))}
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
