"""Ollama's form: what is sent, word by word, and what comes of it against a server as strict as the service."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.wires.ollama import WIRE, OllamaChat
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.profiles.connection import Connection
from llx_magic.session.members import endpoint_of, facts_of, wire_of
from tests.faults.asking import Pieces, answer_at
from tests.faults.server import FaultServer
from tests.wires.mocks.ollama import MODEL, OLDER, PLAIN, TAGS, TEXT, root_of, serve

ASK = (Message("user", "Why?"),)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
ALWAYS = {"model": "m", "messages": [{"role": "user", "content": "Why?"}], "truncate": False}


def body(*messages: Message, without: tuple[str, ...] = (), **more: Any) -> Any:
    return json.loads(WIRE.encode(ChatRequest(messages=messages or ASK, **more), "m", without).body)


def notes(**more: Any) -> tuple[str, ...]:
    return WIRE.encode(ChatRequest(messages=ASK, **more), "m").notes


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_chat_is_streamed_or_not_and_a_prompt_that_is_too_long_is_not_cut():
    assert WIRE.encode(ChatRequest(messages=ASK), "m").path == "/api/chat"
    assert body() == {**ALWAYS, "stream": True}
    assert body(streaming=False) == {**ALWAYS, "stream": False}


def test_content_is_text_and_images_stand_beside_it_as_bare_base64():
    png = Image(media_type="image/png", data=b"\x89PNG")
    sent = body(Message("system", "Be brief."), Message("user", ("What?", png, "And this?", png)))
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What?\n\nAnd this?", "images": ["iVBORw==", "iVBORw=="]},
    ]


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        (Image(url="https://pictures.example/a.png"), "an image at an address: read it and give its bytes"),
        (File(media_type="application/pdf", data=b"%PDF"), "files"),
        (File(url="https://files.example/a.pdf"), "files"),
    ],
)
def test_what_ollama_cannot_be_given_is_refused_before_anything_is_sent(piece, said):
    with pytest.raises(BackendFailed, match=f"does not take {said}; nothing was sent") as caught:
        body(Message("user", ("Look:", piece)))
    assert caught.value.failure.kind is FailureKind.BAD_REQUEST
    assert WIRE.takes_images
    assert not WIRE.takes_files


def test_parameters_are_put_where_ollama_looks_for_them_under_its_own_names():
    params = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "stop": "END", "seed": 4, "num_ctx": 8192,
              "keep_alive": "5m", "shift": False}  # fmt: skip
    assert body(params=params) == {
        **ALWAYS,
        "stream": True,
        "options": {"num_predict": 7, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 4, "num_ctx": 8192},
        "keep_alive": "5m",
        "shift": False,
    }
    assert notes(params=params) == ()


def test_a_parameter_under_ollamas_own_name_wins():
    given = {"max_tokens": 7, "num_predict": 8, "options": {"seed": 1, "num_gpu": 2}, "seed": 3, "truncate": True}
    sent = body(params=given)
    assert sent["options"] == {"num_predict": 8, "seed": 1, "num_gpu": 2}
    assert sent["truncate"] is True
    assert body(params={"think": True}, effort="none")["think"] is True
    assert body(params={"format": "json"}, schema=SCHEMA)["format"] == "json"


def test_model_messages_and_whether_to_stream_are_the_requests_own():
    sent = body(params={"model": "x", "messages": [], "stream": False, "stream_options": {"include_usage": True}})
    assert sent == {**ALWAYS, "stream": True}


def test_what_ollama_ignores_without_a_word_is_named_in_a_note():
    assert notes(params={"n": 2, "logit_bias": {}, "seed": 1}) == (
        "Ollama knows no n, logit_bias and ignores what it does not know",
    )


@pytest.mark.parametrize(
    ("given", "format_"),
    [
        ({"type": "json_object"}, "json"),
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}, SCHEMA),
        ({"type": "json_object", "schema": SCHEMA}, SCHEMA),
        ({"type": "text"}, ""),
    ],
)
def test_a_form_of_reply_as_openai_has_it_is_translated(given, format_):
    """So a profile that was made for the compatible endpoint goes on."""
    assert body(params={"response_format": given})["format"] == format_


def test_a_schema_is_the_format_and_json_its_name():
    assert body(schema=SCHEMA)["format"] == SCHEMA
    assert body(json=True)["format"] == "json"
    assert "format" not in body()


@pytest.mark.parametrize(
    ("effort", "without", "think"),
    [
        ("none", (), False),
        ("low", (), "low"),
        ("high", (), "high"),
        ("medium", ("think level",), True),
        ("none", ("think level",), False),
        ("high", ("think", "think level"), None),
    ],
)
def test_the_effort_is_a_level_of_thinking_or_thinking_at_all_or_a_note(effort, without, think):
    assert body(effort=effort, without=without).get("think") == think
    asked = WIRE.encode(ChatRequest(messages=ASK, effort=effort), "m", without)
    assert asked.notes == (("the effort was left out: this model takes none",) if think is None else ())


def test_an_effort_in_openais_words_is_translated_too():
    assert body(params={"reasoning_effort": "none"})["think"] is False
    assert body(params={"reasoning_effort": "low"})["think"] == "low"


@pytest.mark.parametrize("odd", [None, [], {}, {"models": None}, {"models": ["a", {}, {"model": 3}]}])
def test_what_is_no_list_of_models_names_none(odd):
    assert WIRE.models(odd) == ()


def test_the_list_holds_what_has_been_pulled():
    assert WIRE.models_path == "/api/tags"
    assert WIRE.models(TAGS) == (MODEL, OLDER, PLAIN)


# --- whose form it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "given", "form", "asked_at", "is_native"),
    [
        ("ollama", None, None, "http://localhost:11434", True),
        ("ollama", "http://gpu-box:11434", None, "http://gpu-box:11434", True),
        ("ollama", "http://gpu-box:11434/api/chat", None, "http://gpu-box:11434", True),
        ("ollama", "https://ollama.com", None, "https://ollama.com", True),
        ("ollama", "http://gpu-box:11434/v1", None, "http://gpu-box:11434/v1", False),
        ("ollama", "http://gpu-box:11434/v1/", "ollama", "http://gpu-box:11434", True),
        ("ollama", None, "openai-chat", "http://localhost:11434/v1", False),
        ("ollama", "http://gpu-box:11434/api/chat", "openai-chat", "http://gpu-box:11434/v1", False),
        ("openai", "http://gpu-box:11434/api/chat", None, "http://gpu-box:11434/v1", False),
        ("openai", "http://gpu-box:11434", None, "http://gpu-box:11434/v1", False),
        ("my-box", "http://gpu-box:11434/api/chat", None, "http://gpu-box:11434/v1", False),
        ("my-box", "http://gpu-box:11434/api/chat", "ollama", "http://gpu-box:11434", True),
    ],
)
def test_name_address_and_form_of_a_profile_say_how_it_is_asked(provider, given, form, asked_at, is_native):
    member = ModelProfile("m", provider, "x", connection=Connection(base_url=given, form=form))
    endpoint = endpoint_of(member)
    assert endpoint is not None
    assert endpoint.base_url == asked_at
    assert isinstance(wire_of(member, endpoint), OllamaChat) is is_native


def test_only_its_cloud_needs_a_key(monkeypatch):
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    cloud = Connection(base_url="https://ollama.com")
    facts = facts_of([ModelProfile("here", "ollama", "m"), ModelProfile("cloud", "ollama", "m", connection=cloud)])
    assert facts["here"].is_ready
    assert not facts["cloud"].is_ready
    assert "set OLLAMA_API_KEY" in facts["cloud"].key


# --- against the strict server ----------------------------------------------------------------------------------------


async def ask(server: FaultServer, model: str = MODEL, **more: Any) -> tuple[Answer, Pieces]:
    request, pieces = ChatRequest(messages=more.pop("messages", ASK), **more), Pieces()
    return await answer_at(Endpoint(root_of(server), model), WIRE, request, None, pieces), pieces


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_good_request_is_answered_whole(streaming):
    params = {"max_tokens": 7, "stop": "END", "temperature": 0, "num_ctx": 8192}
    with serve() as server:
        answer, pieces = await ask(server, streaming=streaming, params=params, effort="low", schema=SCHEMA)
    assert (answer.text, answer.reasoning, answer.usage) == (TEXT, "Let me see.", Usage(9, 5))
    assert (answer.model, answer.finish_reason, answer.notes) == (MODEL, "stop", ())
    assert "".join(pieces.text) == TEXT


@pytest.mark.parametrize(
    ("model", "reasoning", "said"),
    [(OLDER, "Let me see.", ()), (PLAIN, "", ("the effort was left out: this model takes none",))],
)
async def test_an_effort_that_the_model_refuses_is_asked_for_again_in_words_that_it_takes(model, reasoning, said):
    with serve() as server:
        answer, _ = await ask(server, model, effort="high")
        again, _ = await ask(server, model, effort="high")
        asked = [each.json.get("think") for each in server.requests]
    assert (answer.text, answer.reasoning, answer.notes) == (TEXT, reasoning, said)
    assert again == answer
    assert len(asked) == {OLDER: 3, PLAIN: 3}[model], "what it refuses is remembered"


async def test_a_model_that_is_not_there_says_how_to_fetch_it():
    with serve() as server, pytest.raises(BackendFailed) as caught:
        await ask(server, "other:1b")
    assert caught.value.failure.kind is FailureKind.ACCESS
    assert "model 'other:1b' not found" in caught.value.failure.message
    assert "; `ollama pull other:1b` fetches it" in caught.value.failure.message


async def test_a_prompt_beyond_the_window_is_refused_and_not_cut_and_a_larger_window_takes_it():
    long = (Message("user", "word " * 5_000),)
    with serve() as server:
        with pytest.raises(BackendFailed) as caught:
            await ask(server, messages=long)
        answer, _ = await ask(server, messages=long, params={"num_ctx": 8192})
    assert caught.value.failure.kind is FailureKind.CONTEXT_LENGTH
    assert "6250 tokens of prompt, window of 4096" in caught.value.failure.message
    assert caught.value.failure.message.endswith("--param num_ctx=N gives the model a larger window")
    assert answer.text == TEXT


async def test_its_failure_fails_over_to_another_form():
    with serve() as native, FaultServer() as other:
        members = [
            ModelProfile("here", "ollama", "other:1b", connection=Connection(base_url=root_of(native))),
            ModelProfile("there", "openai", "m", connection=Connection(base_url=other.base_url)),
        ]
        async with LoadBalancer(Profile.failover("both", members)) as balancer:
            reply = await balancer.ask("Why?")
    assert (reply.backend, reply.text) == ("there", other.text)
    assert any("ollama pull other:1b" in str(event) for event in reply.trace)


async def test_another_forms_failure_fails_over_to_it():
    with serve() as native, FaultServer("503") as other:
        members = [
            ModelProfile("there", "openai", "m", connection=Connection(base_url=other.base_url)),
            ModelProfile("here", "ollama", MODEL, connection=Connection(base_url=f"{root_of(native)}/api/chat")),
        ]
        settings = {"failover_retry_count": 1}
        async with LoadBalancer(Profile.failover("both", members, settings)) as balancer:
            reply = await balancer.ask("Why?")
    assert (reply.backend, reply.text, reply.reasoning) == ("here", TEXT, "Let me see.")
