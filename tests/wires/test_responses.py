"""OpenAI's Responses: what is sent, word by word, and what comes of it against a server as strict as the service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.wires.responses import WIRE
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.keys.secret import Secret
from llx_magic.profiles.connection import Connection
from tests.faults.asking import answer_at
from tests.faults.server import FaultServer
from tests.wires.mocks.responses import GATED, KEY, MODEL, PLAIN, TEXT, serve

ASK = (Message("user", "Why?"),)
PNG = Image(media_type="image/png", data=b"\x89PNG")
PDF = File(media_type="application/pdf", data=b"%PDF", name="report.pdf")
ALWAYS = {"model": "gpt-x", "store": False, "reasoning": {"summary": "auto"}}
STREAMED = {"stream": True, "stream_options": {"include_obfuscation": False}}
ASKED = [{"role": "user", "content": "Why?"}]


def request(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(messages=messages or ASK, **more)


def body(*messages: Message, without: tuple[str, ...] = (), **more: Any) -> Any:
    return json.loads(WIRE.encode(request(*messages, **more), "gpt-x", without).body)


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_prompt_is_streamed_and_stored_nowhere():
    assert body() == {**ALWAYS, **STREAMED, "input": ASKED}
    assert body(streaming=False) == {**ALWAYS, "input": ASKED}


def test_what_the_system_says_first_is_the_instructions_and_later_a_turn():
    turns = (Message("user", "One?"), Message("system", "Be brief."), Message("assistant", "1"))
    sent = body(Message("system", "Be kind."), Message("system", "Be exact."), *turns)
    assert sent["instructions"] == "Be kind.\n\nBe exact."
    assert sent["input"] == [{"role": each.role, "content": each.text} for each in turns]


def test_the_systems_words_alone_are_a_turn():
    """The input must not be empty."""
    sent = body(Message("system", "Say hello."))
    assert sent["input"] == [{"role": "system", "content": "Say hello."}]
    assert "instructions" not in sent


def test_images_and_files_are_parts_of_their_own_types():
    sent = body(
        Message("user", ("What?", PNG, Image(url="https://h/a.png"), PDF, File(url="https://h/a.pdf"))),
        Message("assistant", ("This", "that")),
    )
    assert sent["input"][0]["content"] == [
        {"type": "input_text", "text": "What?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw=="},
        {"type": "input_image", "image_url": "https://h/a.png"},
        {"type": "input_file", "filename": "report.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
        {"type": "input_file", "file_url": "https://h/a.pdf"},
    ]
    assert [part["type"] for part in sent["input"][1]["content"]] == ["output_text", "output_text"]


def test_an_image_in_the_assistants_own_words_cannot_be_said():
    with pytest.raises(BackendFailed, match="does not take an image or a file in the assistant's own words"):
        body(Message("assistant", (PNG,)), *ASK)


def test_neutral_parameters_are_translated_and_what_has_no_word_is_noted():
    params = {"max_tokens": 70, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 3}
    asked = WIRE.encode(request(params=params), "gpt-x")
    assert json.loads(asked.body) == {
        **ALWAYS, **STREAMED, "input": ASKED, "max_output_tokens": 70, "temperature": 0.5, "top_p": 0.9
    }  # fmt: skip
    assert asked.notes == ("stop has no effect on this backend", "seed has no effect on this backend")


def test_a_parameter_under_the_services_own_name_goes_through_and_wins():
    params = {
        "max_tokens": 70, "max_output_tokens": 80, "store": True, "reasoning": {"effort": "low"}, "input": "x",
        "text": {"verbosity": "low"}, "stream_options": {"include_obfuscation": True}, "instructions": "Mine.",
        "model": "other", "stream": False, "metadata": {"a": "b"},
    }  # fmt: skip
    sent = body(Message("system", "Be brief."), *ASK, params=params, json=True, effort="high")
    assert sent == {
        "model": "gpt-x", "input": ASKED, "instructions": "Mine.", "max_output_tokens": 80, "store": True,
        "reasoning": {"effort": "low", "summary": "auto"}, "stream": True, "metadata": {"a": "b"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "stream_options": {"include_obfuscation": True},
    }  # fmt: skip


def test_what_is_null_is_left_out():
    assert body(params={"reasoning": None, "text": None, "stream_options": None}, json=True) == {
        "model": "gpt-x", "store": False, "input": ASKED, "stream": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "field", "value"),
    [
        ({"json": True}, "text", {"format": {"type": "json_object"}}),
        ({"schema": {"type": "object"}}, "text",
         {"format": {"type": "json_schema", "name": "reply", "schema": {"type": "object"}}}),
        ({"schema": {"type": "object"}, "without": ("text.format",)}, "text", None),
        ({"effort": "high"}, "reasoning", {"effort": "high", "summary": "auto"}),
        ({"effort": "none"}, "reasoning", {"effort": "none"}),
        ({"effort": "low", "without": ("reasoning.summary",)}, "reasoning", {"effort": "low"}),
        ({"without": ("reasoning.summary",)}, "reasoning", None),
        ({"effort": "low", "without": ("reasoning",)}, "reasoning", None),
        ({"without": ("stream",)}, "stream", None),
        ({"without": ("stream",)}, "stream_options", None),
        ({"without": ("stream_options",)}, "stream_options", None),
    ],
)  # fmt: skip
def test_a_schema_and_the_effort_are_the_services_own_and_a_concession_leaves_out(more, field, value):
    assert body(**more).get(field) == value


def test_a_schema_that_a_server_refuses_is_said_in_words():
    assert '{"type":"object"}' in body(schema={"type": "object"}, without=("text.format",))["instructions"]


# --- against a strict server ------------------------------------------------------------------------------------------


async def ask(server: FaultServer, asked: ChatRequest, model: str = MODEL, key: str = KEY) -> Answer:
    return await answer_at(Endpoint(server.base_url, model), WIRE, asked, key)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_strict_server_answers_a_request_with_everything_in_it(streaming):
    asked = request(
        Message("system", "Be brief."), Message("user", ("What is this?", PNG, PDF)),
        Message("assistant", ("A file.",)), Message("user", "Why?"),
        streaming=streaming, schema={"type": "object"}, effort="high",
        params={"max_tokens": 100, "temperature": 1, "top_p": 0.5},
    )  # fmt: skip
    with serve() as server:
        answer = await ask(server, asked)
    assert (answer.text, answer.reasoning, answer.finish_reason) == (TEXT, "Let me see.", "stop")
    assert (answer.model, answer.usage, answer.response_id) == (f"{MODEL}-001", Usage(9, 17, reasoning=12), "resp_1")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("model", "more", "reasoning", "stream"),
    [
        (PLAIN, {}, None, True),
        (PLAIN, {"effort": "high"}, None, True),
        (GATED, {}, None, None),
        (GATED, {"effort": "low"}, {"effort": "low"}, None),
    ],
)
async def test_what_a_model_or_an_organization_may_not_is_left_out_at_once_and_from_then_on(
    model, more, reasoning, stream
):
    """OpenAI streams some models, and sums up their reasoning, for verified organizations only."""
    with serve() as server:
        first, second = await ask(server, request(**more), model), await ask(server, request(**more), model)
        assert (first.text, second.text) == (TEXT, TEXT)
        sent = server.requests[-1].json
    assert (sent.get("reasoning"), sent.get("stream")) == (reasoning, stream)
    is_without = "effort" in more and reasoning is None
    assert second.notes == (("the effort was left out: this model takes none",) if is_without else ())
    assert server.requests[-2].json == sent


async def test_the_wish_for_json_is_left_out_for_a_prompt_that_does_not_speak_of_it():
    with serve() as server:
        assert (await ask(server, request(json=True))).text == TEXT
        assert "text" not in server.requests[-1].json
        await ask(server, request(Message("user", "Why? As JSON."), json=True))
        assert server.requests[-1].json["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("asked", "model", "key", "kind", "message"),
    [
        (request(), MODEL, "sk-wrong", FailureKind.ACCESS, "Incorrect API key provided"),
        (request(), "gpt-z", KEY, FailureKind.ACCESS, "The model does not exist"),
        (request(params={"response_format": {}}), MODEL, KEY, FailureKind.BAD_REQUEST, "has moved to 'text.format'"),
        (request(params={"max_tokens": 3}), MODEL, KEY, FailureKind.BAD_REQUEST, "below the minimum of 16"),
        (
            request(params={"reasoning": {"effort": "high"}}),
            PLAIN,
            KEY,
            FailureKind.BAD_REQUEST,
            "'reasoning.effort' is not supported",
        ),
    ],
)
async def test_what_is_refused_says_why(asked, model, key, kind, message):
    with serve() as server, pytest.raises(BackendFailed) as refused:
        await ask(server, asked, model, key)
    assert refused.value.failure.kind is kind
    assert message in refused.value.failure.message
    assert key not in refused.value.failure.message


async def test_a_profile_names_the_form_and_another_form_answers_what_it_does_not():
    with serve() as ours, FaultServer("ok", text="From elsewhere.") as other:
        asked = Connection(base_url=ours.base_url, auth_key=Secret(KEY), form="responses")
        members = (
            ModelProfile("a", "openai", "gpt-z", connection=asked),
            ModelProfile("b", "openai", "m", connection=Connection(base_url=other.base_url)),
        )
        async with LoadBalancer(Profile.failover("both", members), isolated=True) as lb:
            reply = await lb.ask("Why?")
    assert ours.requests[0].path == "/v1/responses"
    assert (reply.text, reply.backend) == ("From elsewhere.", "b")
