"""What the tokens of a prompt and its reply cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from llx_magic.core.reply import Usage
from llx_magic.text.values import JsonValue

USUAL_COMPLETION = 500
"""How many tokens a reply is thought to take before a backend has given any."""

TOKENS_A_PIECE = 1_000
"""How many tokens an image or a page of a file is thought to take; each service counts them in its own way."""

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens", "num_predict")
"""The names by which services take the most tokens that a reply may have."""


class Cost(NamedTuple):
    """What something cost: in the currency of the profile's prices, as an estimate in US dollars."""

    amount: float
    is_estimate: bool = False


class Spent(NamedTuple):
    """What has been spent: by prices of profiles, and by the published ones; and what is held for what is under way."""

    own: float = 0.0
    estimated: float = 0.0
    held: float = 0.0

    @property
    def amount(self) -> float:
        """Both together."""
        return self.own + self.estimated


class Price(NamedTuple):
    """What a million tokens of a prompt, and of a reply, cost."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Return what so many tokens cost."""
        return (prompt_tokens * self.prompt + completion_tokens * self.completion) / 1e6


class Tariff(Protocol):
    """What one backend takes for tokens, as far as that is known."""

    @property
    def price(self) -> Price | None:
        """The price by which a cost is told beforehand; None where it is not known."""

    def of(self, usage: Usage | None, model: str = "") -> Cost | None:
        """Return what it takes for the tokens of a reply of ``model``; None where that is not known."""


class Unpriced:
    """The tariff of a backend whose prices nobody knows."""

    price: Price | None = None

    def of(self, usage: Usage | None, model: str = "") -> Cost | None:
        """Return that it is not known."""
        return None


UNPRICED = Unpriced()


def total(costs: Iterable[Cost | None]) -> Cost | None:
    """Return the sum; None where one is not known, or one is an estimate and another is not."""
    known = list(costs)
    paid = [cost for cost in known if cost is not None]
    if not paid or len(paid) < len(known) or len({cost.is_estimate for cost in paid}) > 1:
        return None
    return Cost(sum(cost.amount for cost in paid), paid[0].is_estimate)


def likely_completion(params: Mapping[str, JsonValue], mean: float | None) -> float:
    """Return how many tokens a reply will probably take: as many as others did, but no more than it may."""
    usual = USUAL_COMPLETION if mean is None else mean
    limits = [value for name in _LIMITS if isinstance(value := params.get(name), int) and value > 0]
    return min([usual, *limits])
