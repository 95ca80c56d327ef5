"""Cached and reasoning tokens in every view, and what a reply cost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from llx_magic.commands.footer import footer
from llx_magic.core.reply import Reply, Usage
from llx_magic.errors import ProfileError
from llx_magic.observe.report import as_html
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.prices import estimated_cost, own_cost, priced_at
from tests.faults.server import Exchange, FaultServer

USAGE = {
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "prompt_tokens_details": {"cached_tokens": 600},
    "completion_tokens_details": {"reasoning_tokens": 40},
}


def counted(exchange: Exchange) -> None:
    exchange.whole(200, json.dumps({**exchange.completion("Yes."), "usage": USAGE}).encode())


def member(base_url: str | None = None, provider: str = "openai", **prices: Any) -> ModelProfile:
    return ModelProfile("m", provider, "gpt-4o", connection=Connection(base_url=base_url, **prices))


def asked(server: FaultServer, **prices: Any) -> tuple[Reply, LoadBalancer]:
    lb = LoadBalancer(Profile.single(member(server.base_url, **prices)))

    async def ask() -> Reply:
        async with lb:
            return await lb.ask("why", settings={"streaming": False})

    return asyncio.run(ask()), lb


def test_cached_and_reasoning_tokens_are_in_the_footer_the_statistics_and_the_frames():
    with FaultServer(counted) as server:
        reply, lb = asked(server)
    assert "1,000 + 100 tokens (600 cached, 40 reasoning)" in footer(reply)
    row = lb.stats().loc["m"]
    assert (row.cached_tokens, row.cache_written_tokens, row.reasoning_tokens) == (600, 0, 40)
    row = lb.history().iloc[0]
    assert (row.cached_tokens, row.reasoning_tokens) == (600, 40)
    events = lb.events()
    assert events[events.event == "VisitSucceeded"].cached_tokens.item() == 600
    assert ">600<" in as_html(lb.snapshot())


def test_views_have_no_column_for_what_no_backend_reports():
    with FaultServer("ok") as server:
        reply, lb = asked(server)
    assert "cached" not in footer(reply)
    assert "cached" not in as_html(lb.snapshot())
    assert lb.stats().loc["m"].cached_tokens == 0


def test_the_profiles_prices_come_first_and_cached_tokens_have_their_own():
    with FaultServer(counted, counted) as server:
        reply, _ = asked(server, price_input=2.0, price_output=10.0, price_cached=0.5)
    assert reply.cost == pytest.approx((400 * 2.0 + 600 * 0.5 + 100 * 10.0) / 1e6)
    assert not reply.cost_is_estimate
    assert "cost 0.0021" in footer(reply)


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        ({"price_input": 1.0, "price_output": 1.0}, 1100e-6),
        ({"price_input": 1.0, "price_output": 1.0, "price_cached": 0.0}, 500e-6),
        ({"price_input": 0.0, "price_output": 0.0}, 0.0),
        ({"price_input": 1.0}, None),
        ({"price_cached": 1.0}, None),
    ],
)
def test_without_a_price_of_their_own_cached_tokens_cost_as_all_others(prices, cost):
    assert own_cost(Connection(**prices), Usage(1000, 100, cached=600)) == (
        None if cost is None else pytest.approx(cost)
    )


def test_a_cached_price_that_is_none_is_refused():
    with pytest.raises(ProfileError, match="price-cached must be a price per million tokens"):
        Connection(price_cached=-1.0)


def test_a_known_provider_without_prices_is_estimated_in_dollars_with_cached_tokens_for_less():
    pytest.importorskip("genai_prices")
    url = priced_at(member())
    assert url is not None
    whole = estimated_cost(url, ("gpt-4o",), Usage(1000, 100))
    cheaper = estimated_cost(url, ("nobody-knows", "gpt-4o"), Usage(1000, 100, cached=600))
    assert whole is not None
    assert cheaper is not None
    assert 0 < cheaper < whole < 0.1
    reply = Reply(text="", backend="m", model="gpt-4o", usage=Usage(1, 1), attempts=1, seconds=1.0, ttft=None,
                  finish_reason="stop", cost=whole, cost_is_estimate=True)  # fmt: skip
    assert f"about {whole:.4f} USD" in footer(reply)


@pytest.mark.parametrize(
    ("url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-4o"),
        ("https://api.anthropic.com", "claude-sonnet-4-5"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-pro"),
    ],
)
@pytest.mark.parametrize(
    "usage",
    [
        Usage(1000, 100),
        Usage(1000, 100, cached=600, cache_written=100),
        Usage(900_000, 60_000, cached=300_000),
        Usage(10, 5, cached=20),
    ],
)
def test_an_estimate_is_what_the_library_says_of_the_same_tokens(url, model, usage):
    prices = pytest.importorskip("genai_prices")
    tokens = prices.Usage(
        input_tokens=usage.prompt_tokens,
        cache_read_tokens=usage.cached or None,
        cache_write_tokens=usage.cache_written or None,
        output_tokens=usage.completion_tokens,
    )
    try:
        said = float(prices.calc_price(tokens, model, provider_api_url=url).total_price)
    except ValueError:  # more cached than there are
        said = None
    assert estimated_cost(url, (model,), usage) == (None if said is None else pytest.approx(said))


def test_what_nobody_knows_has_no_price():
    pytest.importorskip("genai_prices")
    assert estimated_cost("https://models.example/v1", ("gpt-4o",), Usage(1, 1)) is None
    assert estimated_cost("https://api.openai.com/v1", ("nobody-knows",), Usage(1, 1)) is None


@pytest.mark.parametrize(
    "which",
    [
        member("http://localhost:8000/v1"),
        member("http://models.example/v1"),
        member(price_input=1.0, price_output=1.0),
        ModelProfile("m", "simulated", "m"),
    ],
)
def test_on_this_machine_and_with_the_profiles_own_prices_nothing_is_estimated(which):
    assert priced_at(which) is None


def test_prices_are_imported_at_their_first_use_and_not_before():
    code = "import sys, llx_magic; llx_magic.load('openai:gpt-4o'); print('genai_prices' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
