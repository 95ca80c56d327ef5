"""Cohere's form: what is sent, word by word, and what comes of it against a server as strict as the service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.wires.cohere import WIRE, CohereChat
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.keys.secret import Secret
from llx_magic.profiles.connection import Connection
from llx_magic.session.members import endpoint_of, wire_of
from tests.faults.asking import Pieces, answer_at
from tests.faults.server import FaultServer
from tests.wires.mocks.cohere import KEY, MODEL, MODELS, PLAIN, TEXT, root_of, serve

ASK = (Message("user", "Why?"),)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ALWAYS = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
ROOT = "https://api.cohere.com"
NO_EFFORT = "the effort was left out: this model takes none"


def body(*messages: Message, without: tuple[str, ...] = (), **more: Any) -> Any:
    return json.loads(WIRE.encode(ChatRequest(messages=messages or ASK, **more), "m", without).body)


# --- the request ------------------------------------------------------------------------------------------------------


def test_roles_stand_as_they_are_and_whether_to_stream_is_always_said():
    assert WIRE.encode(ChatRequest(messages=ASK), "m").path == "/v2/chat"
    assert body() == {**ALWAYS, "stream": True}
    sent = body(Message("system", "Be brief."), Message("user", "1?"), Message("assistant", "1"), streaming=False)
    assert [turn["role"] for turn in sent["messages"]] == ["system", "user", "assistant"]
    assert sent["stream"] is False


def test_parameters_have_coheres_names_and_its_own_win():
    given = {"max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "stop": "END", "seed": 4,
             "k": 5, "safety_mode": "NONE", "stream_options": {"include_usage": True}, "stream": False, "model": "x",
             "messages": []}  # fmt: skip
    assert body(params=given) == {
        **ALWAYS, "stream": True, "max_tokens": 7, "temperature": 0.5, "p": 0.9, "k": 5, "stop_sequences": ["END"],
        "seed": 4, "safety_mode": "NONE",
    }  # fmt: skip


def test_images_are_parts_by_bytes_or_address_and_files_cannot_be_given():
    png, far = Image(media_type="image/png", data=b"\x89PNG"), Image(url="https://pictures.example/a.png")
    assert body(Message("user", ("What?", png, far)))["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "image_url", "image_url": {"url": far.url}},
    ]
    with pytest.raises(BackendFailed, match="does not take files; nothing was sent"):
        body(Message("user", ("Read:", File(media_type="application/pdf", data=b"%PDF"))))
    assert (WIRE.takes_images, WIRE.takes_files) == (True, False)


@pytest.mark.parametrize(
    ("effort", "thinking"),
    [
        ("none", {"type": "disabled"}),
        ("low", {"type": "enabled", "token_budget": 1024}),
        ("medium", {"type": "enabled", "token_budget": 4096}),
        ("high", {"type": "enabled"}),
    ],
)
def test_the_effort_is_a_budget_of_thinking_tokens(effort, thinking):
    assert body(effort=effort)["thinking"] == thinking
    assert body(effort=effort, params={"thinking": {"type": "enabled"}})["thinking"] == {"type": "enabled"}
    refused = WIRE.encode(ChatRequest(messages=ASK, effort=effort), "m", ("thinking",))
    assert "thinking" not in json.loads(refused.body)
    assert refused.notes == (NO_EFFORT,)


def test_a_schema_is_sent_natively_then_in_words_with_json_then_in_words_alone():
    native, worded, bare = (body(schema=SCHEMA, without=each) for each in
                            ((), ("json_schema",), ("json_schema", "response_format")))  # fmt: skip
    assert native["response_format"] == {"type": "json_object", "json_schema": SCHEMA}
    assert native["messages"] == ALWAYS["messages"]
    assert worded["response_format"] == {"type": "json_object"}
    assert "response_format" not in bare
    for sent in (worded, bare):
        assert sent["messages"][0]["role"] == "system"
        assert json.dumps(SCHEMA, separators=(",", ":")) in sent["messages"][0]["content"]
    assert body(json=True)["response_format"] == {"type": "json_object"}


def test_the_list_holds_the_models_that_can_chat_of_one_page():
    assert WIRE.models_path.startswith("/v1/models?endpoint=chat")
    assert WIRE.models(MODELS) == (MODEL, PLAIN)
    assert WIRE.models({"models": None}) == WIRE.models([]) == WIRE.models({"models": [3, {"name": 1}]}) == ()


@pytest.mark.parametrize(
    ("provider", "given", "form", "asked_at", "is_native"),
    [
        ("cohere", None, None, ROOT, True),
        ("cohere", f"{ROOT}/v2/chat", None, ROOT, True),
        ("cohere", "https://gw.example/co/v2", None, "https://gw.example/co", True),
        ("cohere", f"{ROOT}/compatibility/v1", None, f"{ROOT}/compatibility/v1", False),
        ("cohere", "https://api.cohere.ai/compatibility/v1", None, "https://api.cohere.ai/compatibility/v1", False),
        ("cohere", None, "openai-chat", f"{ROOT}/compatibility/v1", False),
        ("cohere", f"{ROOT}/compatibility/v1", "cohere", ROOT, True),
        ("openai", f"{ROOT}/v2/chat", None, f"{ROOT}/compatibility/v1", False),
    ],
)
def test_name_address_and_form_of_a_profile_say_how_it_is_asked(provider, given, form, asked_at, is_native):
    member = ModelProfile("m", provider, "x", connection=Connection(base_url=given, form=form))
    endpoint = endpoint_of(member)
    assert endpoint is not None
    assert endpoint.base_url == asked_at
    assert isinstance(wire_of(member, endpoint), CohereChat) is is_native


# --- against the strict server ----------------------------------------------------------------------------------------


async def ask(server: FaultServer, model: str = MODEL, key: str = KEY, **more: Any) -> tuple[Answer, Pieces]:
    request, pieces = ChatRequest(messages=more.pop("messages", ASK), **more), Pieces()
    return await answer_at(Endpoint(root_of(server), model), WIRE, request, key, pieces), pieces


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_good_request_is_answered_whole(streaming):
    params = {"max_tokens": 7, "stop": "END", "temperature": 0, "top_p": 0.5}
    with serve() as server:
        answer, pieces = await ask(server, streaming=streaming, params=params, effort="low", schema=SCHEMA)
    assert (answer.text, answer.reasoning, answer.usage) == (TEXT, "Let me see.", Usage(9, 5, cached=2))
    assert (answer.model, answer.finish_reason, answer.notes, answer.response_id) == (MODEL, "stop", (), "c-1")
    assert "".join(pieces.text) == TEXT


async def test_what_a_model_refuses_is_left_out_one_thing_after_another_and_remembered():
    with serve() as server:
        answer, _ = await ask(server, PLAIN, effort="high", schema=SCHEMA)
        await ask(server, PLAIN, effort="high", schema=SCHEMA)
        sent = [(("thinking" in each.json), each.json["response_format"]) for each in server.requests]
    assert (answer.text, answer.reasoning, answer.notes) == (TEXT, "", (NO_EFFORT,))
    native, plain = {"type": "json_object", "json_schema": SCHEMA}, {"type": "json_object"}
    assert sent == [(True, native), (False, native), (False, plain), (False, plain)]


@pytest.mark.parametrize(
    ("more", "kind", "message"),
    [
        ({"key": "co-wrong"}, FailureKind.ACCESS, "invalid api token"),
        ({"model": "command-y"}, FailureKind.ACCESS, "model 'command-y' not found"),
        ({"params": {"n": 2}}, FailureKind.BAD_REQUEST, "parameter 'n' is not a valid field"),
        ({"messages": (Message("user", "word " * 2_000),)}, FailureKind.CONTEXT_LENGTH, "too many tokens"),
        ({"params": {"thinking": {"type": "enabled"}}, "model": PLAIN}, FailureKind.BAD_REQUEST, "not supported"),
    ],
)
async def test_what_is_refused_says_why(more, kind, message):
    with serve() as server, pytest.raises(BackendFailed) as refused:
        await ask(server, **more)
    assert refused.value.failure.kind is kind
    assert message in refused.value.failure.message
    assert "co-" not in refused.value.failure.message


async def test_what_cohere_does_not_answer_another_form_does():
    with serve() as ours, FaultServer() as other:
        connection = Connection(base_url=root_of(ours), auth_key=Secret(KEY))
        members = [
            ModelProfile("a", "cohere", "command-y", connection=connection),
            ModelProfile("b", "openai", "m", connection=Connection(base_url=other.base_url)),
        ]
        async with LoadBalancer(Profile.failover("both", members), isolated=True) as balancer:
            reply = await balancer.ask("Why?")
    assert (reply.backend, reply.text) == ("b", other.text)
    assert any("model 'command-y' not found" in note for note in reply.notes), reply.notes
