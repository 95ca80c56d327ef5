"""What a run would ask and take is told beforehand, and nothing is sent for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pandas as pd
import pytest

from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.estimate import Estimate
from llx_magic.session.mapping import MapRun
from llx_magic.session.options import MapOptions
from tests.engine.kit import balancer, simulated

ROWS = [f"row {number}" for number in range(20)]
TEMPLATE = "say {{ row }}"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "replies.sqlite"


def options_with(**options: Any) -> MapOptions:
    return cast("MapOptions", options)


def estimated(store, data=ROWS, template=TEMPLATE, *, members=None, **options) -> Estimate:
    lb = balancer(*(members or [simulated("a")]))
    told = MapRun(lb, data, template, options_with(store=store, **options)).estimate()
    assert not sum(backend.attempts for backend in lb.snapshot().backends)
    return told


def priced(name: str, prompt: float, completion: float):
    return replace(simulated(name), connection=Connection(price_input=prompt, price_output=completion))


def test_the_first_prompts_are_shown_as_they_will_be_sent(store):
    told = estimated(store)
    assert told.first == ("say row 0", "say row 1", "say row 2")
    assert str(told).startswith("[row 0]\nsay row 0\n\n[row 1]\n")
    assert str(told).endswith("\nnothing was sent")


@pytest.mark.parametrize(
    ("data", "label"),
    [(pd.DataFrame({"row": ["x"]}, index=["r0"]), "r0"), (pd.Series(["x"], index=[7]), "7"), (["x"], "0")],
)
def test_a_row_is_called_as_its_index_calls_it(store, data, label):
    assert str(estimated(store, data, "{{ row }}")).startswith(f"[row {label}]\n")


RATING = {"sentiment": ["pos", "neg"], "score": int}


def test_what_a_reply_is_to_be_is_told(store):
    told = str(estimated(store, schema={**RATING, "why": str, "tags": [str]}))
    assert (
        "each reply is to be JSON: sentiment (neg or pos), score (a whole number), why (a text), tags (a list)" in told
    )
    assert "each reply" not in str(estimated(store))


@pytest.mark.parametrize(
    "schema", [RATING, {"good": bool}, {"inner": {"share": float, "good": bool}}, {"code": ["a" * 20, "b" * 30]}]
)
def test_a_schema_without_free_texts_bounds_the_replies(store, schema):
    told = estimated(store, schema=schema)
    assert 20 * 3 <= told.tokens_out.least < told.tokens_out.most < 20 * 60
    assert "assumed" not in str(told)


@pytest.mark.parametrize("options", [{}, {"schema": {"why": str}}, {"schema": RATING, "effort": "high"}])
def test_where_nothing_tells_how_long_replies_are_the_assumption_is_told(store, options):
    told = estimated(store, **options)
    assert told.tokens_out.likely == 20 * 500
    assert "nothing tells how long replies are: 500 tokens a row are assumed" in str(told)


async def test_nothing_is_assumed_where_other_replies_are_known(store):
    lb = balancer(simulated("a", completion_tokens=40))
    await lb.ask("x")
    told = MapRun(lb, ROWS, TEMPLATE, options_with(store=store)).estimate()
    assert (told.tokens_out.likely, told.assumed) == (800, None)


def test_no_part_of_a_token_is_told(store):
    assert "about 1 tokens in, 500 (150 to 1,000) out" in str(estimated(store, ["!"], "{{ row }}"))


async def test_what_is_stored_and_what_is_the_same_is_not_counted_as_to_ask(store):
    await balancer(simulated("a")).map(ROWS[:5], TEMPLATE, store=store)
    told = estimated(store, [*ROWS, "row 7", "row 8"])
    assert (told.rows, told.stored, told.shared, told.to_ask) == (22, 5, 2, 15)
    assert "22 rows: 15 to ask, 5 in the store, 2 with the same prompt as another" in str(told)
    assert "(in the store)" in told.first[0]
    assert estimated(store, fresh=True).to_ask == 20


def test_rows_that_cannot_be_asked_are_told_with_their_reason(store):
    told = estimated(store, [{"a": "x"}, {"a": None}], "{{ a.upper() }}")
    assert told.to_ask == 1
    assert told.problems[0][1] == 1
    assert "2 rows: 1 to ask, 1 that cannot be asked" in str(told)


def test_samples_and_limit_count(store):
    assert (estimated(store, samples=3).to_ask, estimated(store, limit=4).to_ask) == (60, 4)
    assert estimated(store, ["x"] * 5).to_ask == 1
    assert estimated(store, ["x"] * 5, dedupe=False).to_ask == 5


def test_tokens_come_with_their_spread(store):
    tokens = estimated(store, ["x" * 3_000], "{{ row }}").tokens_in
    assert tokens.likely == 1_000
    assert tokens.least < tokens.likely < tokens.most
    assert tokens.in_words() == "1,000 (750 to 1,400)"


def test_the_cost_is_told_for_each_backend(store):
    members = [priced("cheap", 1, 2), priced("dear", 10, 20)]
    told = estimated(store, ["x" * 3_000] * 2, "{{ row }}", members=members)
    cheap, dear = told.prices
    assert cheap.cost.likely == pytest.approx(1_000e-6 + 500 * 2e-6)
    assert dear.cost.likely == pytest.approx(10 * cheap.cost.likely)
    assert cheap.cost.least < cheap.cost.likely < cheap.cost.most
    assert "about 0.002 (0.001 to 0.0034) if cheap answers all" in str(told)


def test_the_embedded_model_is_free(store):
    lb = LoadBalancer(Profile.single(ModelProfile("here", "local", "smollm2-135m-instruct")))
    assert "here is free" in str(MapRun(lb, ROWS, TEMPLATE, options_with(store=store)).estimate())


def test_a_price_that_nobody_knows_is_said(store):
    told = estimated(store, members=[priced("a", 1, 2), simulated("b")])
    assert "no price is known for b: a profile says it with --price-input and --price-output (0 is free)" in str(told)


def test_no_reply_is_thought_longer_than_it_may_be(store):
    told = estimated(store, ROWS[:1], params={"max_tokens": 7})
    assert (told.tokens_out.likely, told.tokens_out.most) == (7, 7)


async def test_replies_that_are_stored_tell_how_long_others_will_be(store):
    before = estimated(store)
    await balancer(simulated("a")).map(ROWS[:5], TEMPLATE, store=store)
    after = estimated(store)
    spread = [(told.tokens_out.most / told.tokens_out.least) for told in (before, after)]
    assert spread[1] < spread[0]


def test_of_an_iterator_only_what_is_shown_is_read(store):
    numbers = iter(range(100))
    told = estimated(store, numbers)
    assert (told.rows, len(told.first)) == (None, 3)
    assert next(numbers) == 3
    assert "an iterator" in str(told)


def test_nothing_to_ask_is_said(store):
    assert "0 rows: nothing to ask" in str(estimated(store, []))
