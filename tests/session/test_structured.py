"""Structured replies from Python: sent by the form, checked, asked for again, and what all of it took."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from llx_magic.core.reply import Delta, Restart
from llx_magic.engine.clocks import LoopClock
from llx_magic.errors import UsageProblem
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.balancer import LoadBalancer
from llx_magic.text.blocks import ReplyFormatError
from llx_magic.text.values import JsonValue
from tests.faults.modes import answers
from tests.faults.server import FaultServer, status

SHORT = {"label": ["bug", "billing"], "urgent": bool}
GOOD = '{"label": "bug", "urgent": true}'
BAD = '{"label": "praise", "urgent": true}'
TOKENS = 20


@pytest.fixture
def first() -> Iterator[FaultServer]:
    with FaultServer("ok", text=GOOD) as server:
        yield server


@pytest.fixture
def second() -> Iterator[FaultServer]:
    with FaultServer("ok", text=GOOD) as server:
        yield server


def balancer(*servers: FaultServer, **settings) -> LoadBalancer:
    members = [
        ModelProfile(
            f"m{number}", "openai", "m", connection=Connection(base_url=server.base_url, price_input=1, price_output=2)
        )
        for number, server in enumerate(servers)
    ]
    wanted = {"failover_retry_count": 1, **settings}
    profile = Profile.failover("lb", members, wanted) if len(members) > 1 else Profile.single(members[0])
    return LoadBalancer(profile, clock=LoopClock())


def ask(lb: LoadBalancer, **options):
    async def run():
        async with lb:
            return await lb.ask("Sort this ticket.", **options)

    return asyncio.run(run())


def test_the_value_is_what_the_schema_says(first):
    reply = ask(balancer(first), schema=SHORT)
    assert reply.value == {"label": "bug", "urgent": True}
    assert first.requests[0].json["response_format"]["type"] == "json_schema"


def test_a_reply_that_does_not_fit_is_asked_again_with_the_error_on_the_same_backend(first, second):
    answers(first, BAD, GOOD)
    reply = ask(balancer(first, second), schema=SHORT)
    assert reply.value["label"] == "bug"
    asked = first.requests[1].json["messages"]
    assert [each["role"] for each in asked] == ["user", "assistant", "user"]
    assert asked[1]["content"] == BAD
    assert "Invalid enum value 'praise' - at `$.label`" in asked[2]["content"]
    assert not second.requests


def test_what_all_tries_took_is_in_attempts_notes_and_cost(first):
    once = ask(balancer(first), schema=SHORT)
    answers(first, BAD, "no JSON", GOOD)
    lb = balancer(first)
    reply = ask(lb, schema=SHORT)
    assert reply.attempts == 3
    assert [each.text for each in reply.misfits] == [BAD, "no JSON"]
    assert "asked again: 2 replies were not of the schema; they took 40 tokens" in reply.notes
    assert reply.cost == pytest.approx(3 * once.cost)
    row = lb.history().iloc[-1]
    assert (row["attempts"], row["prompt_tokens"] + row["completion_tokens"]) == (3, 3 * TOKENS)


def test_the_next_backend_is_asked_from_the_start_when_the_tries_are_used_up(first, second):
    first.text = BAD
    reply = ask(balancer(first, second), schema=SHORT)
    assert (reply.backend, len(first.requests)) == ("m1", 3)
    assert [each["role"] for each in second.requests[0].json["messages"]] == ["user"]


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (1, 2), (5, 6)])
def test_schema_retries_says_how_often(first, retries, requests):
    first.text = BAD
    reply = ask(balancer(first), schema=SHORT, settings={"schema_retries": retries})
    assert len(first.requests) == requests
    with pytest.raises(ReplyFormatError, match="does not fit the schema"):
        _ = reply.value


def test_a_reply_that_never_fits_is_kept_and_no_failure_of_the_backend(first):
    first.text = BAD
    lb = balancer(first)
    reply = ask(lb, schema=SHORT)
    assert reply.text == BAD
    assert lb.stats().loc["m0", "failures"] == 0
    assert lb.stats().loc["m0", "state"] == "closed"


def test_the_reply_that_does_not_fit_is_kept_where_the_next_backends_fail(first, second):
    answers(first, BAD)
    first.set_default("503")
    second.set_default("text-then-reset")
    second.release()  # it resets when it is released, and falls silent until then
    reply = ask(balancer(first, second), schema=SHORT)
    assert (reply.text, reply.backend) == (BAD, "m0")
    assert any(note.startswith("m1 ") for note in reply.notes)


def test_a_reply_that_was_cut_is_not_asked_again(first):
    first.set_default("length")
    reply = ask(balancer(first), schema=SHORT)
    assert (len(first.requests), reply.finish_reason) == (1, "length")
    with pytest.raises(ReplyFormatError, match="the reply is broken JSON"):
        _ = reply.value


def test_a_form_that_refuses_the_schema_is_told_it_in_words(first):
    error = {"message": "Unsupported parameter: response_format", "param": "response_format"}
    first.script(status(400, body={"error": error}))
    assert ask(balancer(first), schema=SHORT).value["urgent"] is True
    assert "response_format" in first.requests[0].json
    assert "billing" in json.dumps(first.requests[-1].json["messages"])


def test_a_stream_withdraws_what_does_not_fit(first):
    answers(first, BAD, GOOD)

    async def parts():
        async with balancer(first) as lb:
            return [part async for part in lb.stream("Sort this ticket.", schema=SHORT)]

    *came, reply = asyncio.run(parts())
    kinds = [type(part) for part in came]
    assert kinds == [Delta, Restart, Delta]
    assert came[1].line.startswith("m0 is asked again: the reply does not fit")
    assert reply.text == GOOD


def test_a_stream_shows_the_last_reply_again_where_no_other_fits(first, second):
    answers(first, BAD)
    first.set_default("503")
    second.set_default("text-then-reset")

    async def parts():
        async with balancer(first, second, stall_timeout_ms=300) as lb:
            return [part async for part in lb.stream("Sort this ticket.", schema=SHORT)]

    *came, reply = asyncio.run(parts())
    assert came[-2] == Restart("m0", "no other fits", "", again=True)
    assert came[-2].line == "the reply of m0 stands: no other fits"
    assert came[-1] == Delta(BAD) == Delta(reply.text)


def test_why_a_backend_was_passed_over_is_in_the_history(first, second):
    first.text = BAD
    lb = balancer(first, second)
    ask(lb, schema=SHORT)
    assert "m0: the reply does not fit the schema" in str(lb.history().iloc[-1]["decisions"])


def test_what_is_no_schema_is_refused_before_anything_is_sent(first):
    with pytest.raises(UsageProblem, match="a schema must be"):
        ask(balancer(first), schema=3)
    assert not first.requests


def test_without_a_schema_the_value_says_so(first):
    reply = ask(balancer(first))
    with pytest.raises(ReplyFormatError, match="no schema was given"):
        _ = reply.value


def test_effort_goes_to_the_form_and_another_word_is_refused(first):
    ask(balancer(first), effort="low")
    assert first.requests[0].json["reasoning_effort"] == "low"
    with pytest.raises(UsageProblem, match="effort must be one of none, low, medium, high; got 'lots'"):
        ask(balancer(first), effort="lots")


SAVED = [
    {"reasoning_effort": "low"},
    {"reasoning.effort": "low"},
    {"reasoning": {"effort": "low", "max_tokens": 99, "enabled": False}},
    {"reasoning": False},
    {"thinking": {"type": "disabled"}},
    {"thinking_budget": 9, "enable_thinking": False},
    {"think": "low"},
    {"thinkingConfig": {"thinkingBudget": 9}},
    {"generationConfig": {"thinkingConfig": {"thinkingBudget": 9}}},
    {"output_config": {"effort": "low"}},
    {"chat_template_kwargs": {"enable_thinking": False}},
    {"additionalModelRequestFields": {"thinking": {"type": "disabled"}}},
]
"""Parameters by which a profile says that a model is to reason little."""


def saved_with(server: FaultServer, params: dict[str, JsonValue], provider: str = "openai") -> LoadBalancer:
    member = ModelProfile("m", provider, "m", params=params, connection=Connection(base_url=server.base_url))
    return LoadBalancer(Profile.single(member), isolated=True)


@pytest.mark.parametrize("params", SAVED, ids=str)
def test_the_effort_of_a_prompt_outweighs_a_saved_one_in_whatever_words(first, params):
    ask(saved_with(first, {**params, "seed": 7}), effort="high")
    sent = first.requests[0].json
    assert (sent["reasoning_effort"], sent["seed"]) == ("high", 7)
    assert not (params.keys() - {"reasoning_effort"}) & sent.keys()


@pytest.mark.parametrize("params", SAVED, ids=str)
def test_a_prompt_without_an_effort_sends_the_saved_one(first, params):
    ask(saved_with(first, params))
    assert params.items() <= first.requests[0].json.items()


def test_a_parameter_of_the_prompt_itself_outweighs_its_effort(first):
    ask(saved_with(first, {"reasoning_effort": "low"}), effort="high", params={"reasoning_effort": "medium"})
    assert first.requests[0].json["reasoning_effort"] == "medium"


@pytest.mark.parametrize(
    ("provider", "saved", "sent"),
    [
        ("openrouter", {"reasoning": {"effort": "low", "exclude": True}}, {"effort": "high", "exclude": True}),
        (
            "llamacpp",
            {"chat_template_kwargs": {"enable_thinking": False, "x": 1}},
            {"reasoning_effort": "high", "x": 1},
        ),
    ],
)
def test_what_else_a_saved_object_says_goes_beside_the_effort_of_the_prompt(first, provider, saved, sent):
    ask(saved_with(first, saved, provider), effort="high")
    assert first.requests[0].json[next(iter(saved))] == sent
