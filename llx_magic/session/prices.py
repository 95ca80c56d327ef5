"""What a reply cost: by the profile's own prices, else by the prices that are known of its provider."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import threading
import time
from collections.abc import Callable
from functools import cache, cached_property, lru_cache, partial
from typing import NamedTuple

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
    minute = int(time.time() / 60)
    costs = (_pricing(url, model, minute)(usage) for model in dict.fromkeys(models))
    return next((cost for cost in costs if cost is not None), None)


@lru_cache(maxsize=256)
def _pricing(url: str, model: str, _minute: int) -> Callable[[Usage], float | None]:
    """Return what tells the price of a model's tokens in this minute, since some cost less at some hours.

    The library takes longer for one reply than all else that is done here for it, so it is asked for one token of each
    kind; for every reply only where that does not tell what many of all kinds cost.
    """
    calculated = partial(_calculated, url, model)
    costs = [cost for each in _ONE_OF_EACH if (cost := calculated(each)) is not None]
    if not costs:
        return lambda _usage: None
    if len(costs) == len(_ONE_OF_EACH):
        request, *tokens = costs
        rates = _Rates(request, *(cost - request for cost in tokens))
        if math.isclose(rates.of(_MANY_OF_ALL) or 0.0, calculated(_MANY_OF_ALL) or 0.0, rel_tol=1e-9):
            return rates.of
    return calculated


class _Rates(NamedTuple):
    """What a model takes for a request and for a token of each kind, in US dollars."""

    request: float
    prompt: float
    cached: float
    written: float
    completion: float

    def of(self, usage: Usage) -> float | None:
        """Return what it takes for the tokens; None where more are cached than there are."""
        plain = usage.prompt_tokens - usage.cached - usage.cache_written
        if plain < 0:
            return None
        prompt = plain * self.prompt + usage.cached * self.cached + usage.cache_written * self.written
        return self.request + prompt + usage.completion_tokens * self.completion


_ONE_OF_EACH = (Usage(0, 0), Usage(1, 0), Usage(1, 0, cached=1), Usage(1, 0, cache_written=1), Usage(0, 1))
_MANY_OF_ALL = Usage(30_000_000, 10_000_000, cached=10_000_000, cache_written=10_000_000)
"""So many that they are dearer, or cheaper, where a price depends on how many there are."""


def _calculated(url: str, model: str, usage: Usage) -> float | None:
    from genai_prices import Usage as Tokens
    from genai_prices import calc_price

    tokens = Tokens(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached or None,
        cache_write_tokens=usage.cache_written or None,
        output_tokens=usage.completion_tokens,
    )
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
