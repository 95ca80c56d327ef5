"""What a service refuses is left out, or asked for in another way, and the reply says so: in every form alike."""

from __future__ import annotations

import json

import pytest

from llx_magic.backends.wires.wire import EFFORT_IGNORED, wire_named
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.message import Message
from llx_magic.core.reply import ChatRequest

SCHEMA = {"type": "object", "properties": {"the-name-of-a-field": {"type": "string"}}}
EFFORTLESS = {
    "openai": ["reasoning_effort"], "responses": ["reasoning"], "anthropic": ["thinking"], "gemini": ["thinkingConfig"],
    "bedrock": ["outputConfig"], "ollama": ["think"], "cohere": ["thinking"],
}  # fmt: skip
SCHEMALESS = {
    "openai": ["json_schema", "response_format"], "responses": ["text.format"], "anthropic": ["output_config.format"],
    "gemini": ["responseJsonSchema"], "bedrock": ["outputConfig"], "cohere": ["json_schema", "response_format"],
}  # fmt: skip


def request(*, schema=None, effort=None, **params) -> ChatRequest:
    said = (Message("user", "Why?"),)
    return ChatRequest(messages=said, params=params, streaming=True, schema=schema, effort=effort)


def refusal(words: str) -> Failure:
    return Failure(kind=FailureKind.BAD_REQUEST, message=words, status=400)


@pytest.mark.parametrize("form", EFFORTLESS)
def test_an_effort_that_is_left_out_is_noted(form):
    asked = wire_named(form).encode(request(effort="high"), "m", EFFORTLESS[form])
    assert asked.notes == (EFFORT_IGNORED,)
    assert "high" not in asked.body.decode()


@pytest.mark.parametrize("form", SCHEMALESS)
def test_a_schema_that_is_refused_is_told_in_words(form):
    body = wire_named(form).encode(request(schema=SCHEMA), "m", SCHEMALESS[form]).body.decode()
    assert "the-name-of-a-field" in body
    assert "Answer with one JSON value" in body


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("anthropic", "max_tokens: 90000 > 4096, which is the maximum allowed number of output tokens for claude-x"),
        ("bedrock", "The maximum tokens you requested exceeds the model limit of 4096. Try again with a lower value."),
        ("bedrock", "max_tokens: 90000 > 4096, which is the maximum"),
        ("gemini", "maxOutputTokens value of 90000 but the supported range is from 1 (inclusive) to 4097 (exclusive)"),
        ("openai", "max_tokens is too large: 90000. This model supports at most 4096 completion tokens"),
        ("responses", "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 4096"),
    ],
)  # fmt: skip
def test_a_reply_longer_than_the_model_writes_is_asked_for_as_long_as_it_does(form, words):
    wire, asked = wire_named(form), request(max_tokens=90_000)
    conceded = wire.conceded(refusal(words), asked, ())
    assert conceded is not None
    again = wire.encode(asked, "m", [conceded.extra])
    assert "4096" in json.dumps(json.loads(again.body))
    assert again.notes == ("max_tokens is 4096 instead of 90000, the most that the model writes",)
    assert wire.conceded(refusal(words), asked, [conceded.extra]) is None
