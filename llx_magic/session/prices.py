"""What a reply cost: by the profile's own prices, else by the prices that are known of its provider."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import threading
from functools import cache, cached_property

from llx_magic.core.money import Cost, Price
from llx_magic.core.reply import Usage
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.session.members import endpoint_of

_MANY = 10_000
"""For how many tokens a price is asked: prices of some models are others for very long prompts."""


def own_cost(prices: Connection, usage: Usage) -> float | None:
    """Return what the profile's prices make of the tokens, in the user's currency; None where it names none.

    Cached tokens have their own price where the profile says one, and that of all others where it does not.
    """
    if prices.price_input is None or prices.price_output is None:
        return None
    for_cached = prices.price_input if prices.price_cached is None else prices.price_cached
    cached = min(usage.cached, usage.prompt_tokens)
    paid = (usage.prompt_tokens - cached) * prices.price_input + cached * for_cached
    return (paid + usage.completion_tokens * prices.price_output) / 1e6


def priced_at(member: ModelProfile) -> str | None:
    """Return the address by which the prices of the member's provider are found.

    None where the profile has its own, on this machine, and without TLS.
    """
    endpoint = None if member.connection.price_input is not None else endpoint_of(member)
    return endpoint.base_url if endpoint is not None and endpoint.is_encrypted and not endpoint.is_loopback else None


def estimated_cost(url: str, models: tuple[str, ...], usage: Usage) -> float | None:
    """Return what the provider at an address takes for the tokens by the data of ``genai-prices``, in US dollars.

    None where that extra is not installed, or does not know the host or a model. Nothing is sent for it. The first of
    the ``models`` counts whose price is known.
    """
    if not _is_installed():
        return None
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached or None,
        cache_write_tokens=usage.cache_written or None,
        output_tokens=usage.completion_tokens,
    )
    for model in dict.fromkeys(models):
        with contextlib.suppress(LookupError, ValueError):
            return float(calc_price(tokens, model, provider_api_url=url).total_price)
    return None


class Costs:
    """What one member takes for tokens; ``url`` is set where its provider's known prices stand in for its profile's."""

    def __init__(self, member: ModelProfile) -> None:
        self._member = member
        self.url = priced_at(member)
        self._is_known = self.url is not None or member.connection.price_input is not None

    @cached_property
    def price(self) -> Price | None:
        """The price by which a cost is told beforehand; None where it is not known. The embedded model is free."""
        if self._member.provider == "local":
            return Price(0.0, 0.0)
        prompt, completion = self.of(Usage(_MANY, 0)), self.of(Usage(0, _MANY))
        if prompt is None or completion is None:
            return None
        return Price(prompt.amount * 1e6 / _MANY, completion.amount * 1e6 / _MANY)

    def of(self, usage: Usage | None, model: str = "") -> Cost | None:
        """Return what it takes for a reply of ``model``; None where it is not known."""
        if usage is None or not self._is_known:
            return None
        if (cost := own_cost(self._member.connection, usage)) is not None:
            return Cost(cost)
        estimate = None if self.url is None else estimated_cost(self.url, (model, self._member.model), usage)
        return None if estimate is None else Cost(estimate, is_estimate=True)


def get_ready() -> None:
    """Import the prices in a thread of their own: it takes half a second, in which a reply comes and is not held up."""
    if _is_installed():
        _import()


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("genai_prices") is not None


@cache
def _import() -> None:
    threading.Thread(target=importlib.import_module, args=("genai_prices",), name="llx-prices", daemon=True).start()
