"""Members whose window is too small for a prompt are passed over, with the reason and without a visit."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from llx_magic.core.message import Message
from llx_magic.core.window import window_problem
from llx_magic.errors import AllBackendsFailed, ProfileError
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.model_lists import MODEL_LISTS
from tests.engine.kit import balancer, simulated
from tests.faults.server import Exchange, FaultServer

LONG = "nine letters " * 2077  # 27,001 bytes


def small(name: str, window: int | None = 8192, **params: Any) -> ModelProfile:
    return replace(simulated(name, **params), connection=Connection(context_window=window))


def run(lb: LoadBalancer, prompt: str, **how: Any):
    return asyncio.run(lb.ask(prompt, **how))


@pytest.mark.parametrize(
    ("tokens", "window", "why"),
    [
        (9_012.4, 8_192, "prompt of about 9,000 tokens, window of 8,192"),
        (123_456, 100_000, "prompt of about 120,000 tokens, window of 100,000"),
        (7, 5, "prompt of about 7 tokens, window of 5"),
        (8_192, 8_192, None),
        (10**9, None, None),
    ],
)
def test_a_window_is_too_small_only_for_more_tokens_than_it_has(tokens, window, why):
    assert window_problem(tokens, window) == why


def test_a_member_whose_window_is_too_small_is_passed_over_without_a_visit():
    lb = balancer(small("a"), small("b", None))
    reply = run(lb, LONG)
    assert reply.backend == "b"
    assert "a skipped: prompt of about 9,000 tokens, window of 8,192" in reply.notes
    assert lb.stats().loc["a"].requests == 0
    assert run(lb, "short").backend == "a"


def test_chinese_counts_three_bytes_a_character():
    lb = balancer(small("a", 100), small("b", None))
    assert run(lb, "字" * 101).backend == "b"
    assert run(lb, "字" * 100).backend == "a"


def test_where_all_are_too_small_one_line_says_so_of_each():
    lb = balancer(small("a"), small("b", 4096))
    with pytest.raises(AllBackendsFailed) as failed:
        run(lb, LONG)
    said = str(failed.value)
    assert said.startswith("no backend can be used, nothing was sent")
    assert "a: prompt of about 9,000 tokens, window of 8,192" in said
    assert "b: prompt of about 9,000 tokens, window of 4,096" in said
    assert "\n" not in said
    assert lb.snapshot().total_requests == 0


def test_a_lone_member_and_a_pinned_one_judge_the_length_themselves():
    assert run(balancer(small("a")), LONG).backend == "a"
    assert run(balancer(small("a"), small("b")), LONG, backend="a").backend == "a"


def test_a_dry_run_says_it():
    lb = balancer(small("a"), small("b", None))
    verdicts = dict(asyncio.run(lb.explain(lb.prepare(LONG))))
    assert verdicts["a"] == "skipped: prompt of about 9,000 tokens, window of 8,192"
    assert verdicts["b"].startswith("asked")


def test_what_a_conversations_last_prompt_was_counted_as_takes_the_estimates_place():
    lb = balancer(small("a", prompt_tokens=1_000), small("b", None, prompt_tokens=1_000))
    first = msgspec.structs.replace(lb.prepare("nine letters " * 700), conversation="c")  # 9,100 bytes, 9.1 a token
    assert asyncio.run(lb.run(first)).backend == "a"
    second = msgspec.structs.replace(lb.prepare(LONG), conversation="c")
    assert asyncio.run(lb.run(second)).backend == "a"
    assert run(lb, LONG).backend == "b"


def test_all_turns_of_a_conversation_count():
    lb = balancer(small("a"), small("b", None))
    turns = (Message("user", LONG[:14_000]), Message("assistant", LONG[:13_000]), Message("user", "and?"))
    assert run(lb, turns).backend == "b"


def test_a_window_stands_in_the_profiles_file(tmp_path):
    document = read_document(
        '{"version": 1, "provider": "openai", "model": "m", "ephemeralSettings": {"context-window": 8192}}', "a"
    )
    assert document.connection.context_window == 8192
    assert json.loads(write_document(document))["ephemeralSettings"] == {"context-window": 8192}


@pytest.mark.parametrize("given", ["0", "-1", '"many"', "1.5", "true"])
def test_a_window_that_is_none_is_refused_in_one_line(given):
    text = f'{{"version": 1, "provider": "openai", "model": "m", "ephemeralSettings": {{"context-window": {given}}}}}'
    with pytest.raises(ProfileError, match="context-window must be a number"):
        read_document(text, "a")


def test_a_window_that_the_service_lists_counts_where_the_profile_names_none(tmp_path, monkeypatch):
    monkeypatch.setenv("LLX_CACHE_HOME", str(tmp_path))

    def answer(exchange: Exchange) -> None:
        if exchange.request.method == "GET":
            return exchange.whole(200, b'{"data": [{"id": "m", "max_model_len": 8192}]}')
        return exchange.whole(200, json.dumps(exchange.completion("Yes.")).encode())

    with FaultServer(answer) as one, FaultServer(answer) as two:
        members = [
            ModelProfile("a", "openai", "m", connection=Connection(base_url=one.base_url)),
            ModelProfile("b", "openai", "m", connection=Connection(base_url=two.base_url, context_window=100_000)),
        ]
        lb = LoadBalancer(Profile.failover("lb", members), isolated=True)

        async def ask(prompt: str) -> str:
            async with lb:
                return (await lb.ask(prompt, settings={"streaming": False})).backend

        assert asyncio.run(ask(LONG)) == "a"
        asyncio.run(MODEL_LISTS.ask(members[0]))
        assert asyncio.run(ask(LONG)) == "b"
        assert asyncio.run(ask("short")) == "a"
