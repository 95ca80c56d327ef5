"""Gemini's form: what is sent, word by word, and what comes of it against a server as strict as the service."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.wires.gemini import WIRE, Gemini
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.keys.secret import Secret
from llx_magic.profiles.connection import Connection
from llx_magic.providers.table import PROVIDERS
from llx_magic.session.members import endpoint_of, wire_of
from tests.faults.asking import FixedKey, Pieces, answer_at, answer_of
from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks.gemini import KEY, MODEL, MODELS, OLDER, PLAIN, TEXT, TOKEN, root_of, serve

THOUGHTS = {"thinkingConfig": {"includeThoughts": True}}
ASK = (Message("user", "Why?"),)
PNG = Image(media_type="image/png", data=b"\x89PNG")
PDF = File(media_type="application/pdf", data=b"%PDF", name="report.pdf")
WEST = "https://europe-west4-aiplatform.googleapis.com"
PROJECT = f"{WEST}/v1/projects/p/locations/europe-west4"


def request(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(messages=messages or ASK, **more)


def body(*messages: Message, without: tuple[str, ...] = (), **more: Any) -> Any:
    return json.loads(WIRE.encode(request(*messages, **more), "gemini-x", without).body)


def config(**more: Any) -> Any:
    return body(**more).get("generationConfig")


# --- the request ------------------------------------------------------------------------------------------------------


def test_roles_are_the_services_own_and_the_systems_words_stand_apart():
    sent = body(
        Message("system", "Be brief."), Message("user", "One?"), Message("assistant", "1"), Message("user", "Two?")
    )
    assert sent == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "One?"}]},
            {"role": "model", "parts": [{"text": "1"}]},
            {"role": "user", "parts": [{"text": "Two?"}]},
        ],
        "generationConfig": THOUGHTS,
    }


def test_equal_roles_in_a_row_are_one_turn_and_an_empty_text_is_none():
    sent = body(Message("user", "One?"), Message("user", ""), Message("user", ("Two?", "")))
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "One?"}, {"text": "Two?"}]}]


def test_the_systems_words_alone_are_a_turn():
    """Contents must not be empty."""
    sent = body(Message("system", "Say hello."))
    assert sent["contents"] == [{"role": "user", "parts": [{"text": "Say hello."}]}]
    assert "systemInstruction" not in sent


def test_images_and_files_stand_in_their_place_with_their_type():
    address = "https://files.example/a/report.pdf?x=1"
    sent = body(Message("user", ("What?", PNG, PDF, Image(url="gs://b/cat.jpg"), File(url=address), Image(url="x:y"))))
    assert sent["contents"][0]["parts"] == [
        {"text": "What?"},
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "gs://b/cat.jpg"}},
        {"fileData": {"mimeType": "application/pdf", "fileUri": address}},
        {"fileData": {"fileUri": "x:y"}},
    ]


def test_neutral_parameters_are_translated():
    params = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "stop": "END", "seed": 4}
    assert config(params=params) == {
        "maxOutputTokens": 7, "temperature": 0.5, "topP": 0.9, "topK": 3, "stopSequences": ["END"], "seed": 4,
        **THOUGHTS,
    }  # fmt: skip
    assert config(params={"stop": ["a", "b"]})["stopSequences"] == ["a", "b"]


def test_a_parameter_under_the_services_own_name_goes_where_it_belongs_and_wins():
    params = {
        "max_tokens": 7, "maxOutputTokens": 8, "generationConfig": {"topP": 0.1}, "topP": 0.2, "safetySettings": [],
        "labels": {"a": "b"}, "thinkingConfig": {"thinkingBudget": -1}, "contents": [], "model": "m", "stream": True,
    }  # fmt: skip
    sent = body(params=params)
    assert sent["generationConfig"] == {
        "maxOutputTokens": 8, "topP": 0.1, "thinkingConfig": {"thinkingBudget": -1}
    }  # fmt: skip
    assert set(sent) == {"contents", "generationConfig", "safetySettings", "labels"}


def test_a_parameter_that_is_null_is_left_out():
    assert "generationConfig" not in body(params={"thinkingConfig": None, "max_tokens": None})


def test_json_and_a_schema_are_asked_for_natively():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert config(json=True) == {"responseMimeType": "application/json", **THOUGHTS}
    assert config(schema=schema) == {
        "responseMimeType": "application/json", "responseJsonSchema": schema, **THOUGHTS
    }  # fmt: skip


@pytest.mark.parametrize("refused", ["responseMimeType", "responseJsonSchema"])
def test_a_schema_that_a_model_refuses_is_said_in_words(refused):
    sent = body(schema={"type": "object"}, without=(refused,))
    assert '{"type":"object"}' in sent["systemInstruction"]["parts"][0]["text"]
    assert ("responseMimeType" in sent["generationConfig"]) == (refused == "responseJsonSchema")
    assert "responseJsonSchema" not in sent["generationConfig"]


@pytest.mark.parametrize(
    ("effort", "without", "thinking"),
    [
        ("low", (), {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("high", (), {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        ("none", (), {"thinkingBudget": 0}),
        ("low", ("thinkingLevel",), {"includeThoughts": True, "thinkingBudget": 1024}),
        ("medium", ("thinkingLevel",), {"includeThoughts": True, "thinkingBudget": 8192}),
        ("none", ("thinkingLevel",), {"thinkingLevel": "MINIMAL"}),
    ],
)
def test_the_effort_is_a_level_or_for_older_models_a_budget(effort, without, thinking):
    assert config(effort=effort, without=without) == {"thinkingConfig": thinking}


@pytest.mark.parametrize(
    ("url", "model", "path"),
    [
        ("https://generativelanguage.googleapis.com", "gemini-x", "/models/gemini-x"),
        ("https://generativelanguage.googleapis.com", "models/gemini-x", "/models/gemini-x"),
        ("https://generativelanguage.googleapis.com", "tunedModels/mine-1", "/tunedModels/mine-1"),
        ("https://generativelanguage.googleapis.com", "a b?key=c#d", "/models/a%20b%3Fkey%3Dc%23d"),
        (PROJECT, "gemini-x", "/publishers/google/models/gemini-x"),
        (PROJECT, "models/gemini-x", "/publishers/google/models/gemini-x"),
        (PROJECT, "endpoints/123", "/endpoints/123"),
        (f"{PROJECT}/publishers/google", "gemini-x", "/models/gemini-x"),
        ("https://aiplatform.googleapis.com", "gemini-x", "/publishers/google/models/gemini-x"),
    ],
)
def test_the_model_stands_in_the_path_as_its_door_wants_it(url, model, path):
    wire = WIRE.configured(url, {})
    assert wire.encode(request(), model).path == f"{path}:streamGenerateContent?alt=sse"
    assert wire.encode(request(streaming=False), model).path == f"{path}:generateContent"


@pytest.mark.parametrize(
    ("url", "keys", "key", "header"),
    [
        ("https://generativelanguage.googleapis.com", {}, "AIza1", ("x-goog-api-key", "AIza1")),
        ("https://generativelanguage.googleapis.com", {"auth": "google"}, "t", ("Authorization", "Bearer t")),
        ("https://generativelanguage.googleapis.com", {}, "ya29.t", ("Authorization", "Bearer ya29.t")),
        (PROJECT, {}, "t", ("Authorization", "Bearer t")),
        ("https://gw.example/v1beta1/projects/p/locations/global", {}, "t", ("Authorization", "Bearer t")),
        ("https://aiplatform.googleapis.com", {}, "AQ.1", ("x-goog-api-key", "AQ.1")),
        ("https://aiplatform.us.rep.googleapis.com", {}, "AQ.1", ("x-goog-api-key", "AQ.1")),
    ],
)
def test_a_key_stands_in_the_header_that_its_door_reads(url, keys, key, header):
    shown = WIRE.configured(url, keys).proof(Secret(key))
    assert [(name, secret.reveal()) for name, secret in shown.items()] == [header]


@pytest.mark.parametrize(
    ("url", "version", "listing"),
    [
        ("https://generativelanguage.googleapis.com", "/v1beta", "/models?pageSize=1000"),
        ("https://aiplatform.googleapis.com", "/v1beta1", "/publishers/google/models"),
        (PROJECT, "/v1beta1", ""),
    ],
)
def test_each_door_has_its_version_and_its_list_of_models(url, version, listing):
    wire = WIRE.configured(url, {})
    assert (wire.version, wire.models_path) == (version, listing)
    assert wire.root_is_versioned("/v1/projects/p/locations/l")
    assert not wire.root_is_versioned("")


def test_the_models_of_a_page_are_those_that_generate_content():
    assert WIRE.models(MODELS) == (MODEL, OLDER)
    assert WIRE.models({"publisherModels": [{"name": "publishers/google/models/gemini-x"}]}) == ("gemini-x",)
    assert [WIRE.models(each) for each in (None, [], {"models": 3}, {"models": [3, {}]})] == [()] * 4


def test_a_profile_is_asked_natively_and_at_the_compatible_endpoint_in_openais_form():
    def asked(base_url: str | None, form: str | None = None) -> tuple[str, str]:
        member = ModelProfile("a", "google", "m", connection=Connection(base_url=base_url, form=form))
        endpoint = endpoint_of(member)
        assert endpoint is not None
        return type(wire_of(member, endpoint)).__name__, endpoint.base_url

    root = PROVIDERS["gemini"].base_url
    assert asked(None) == ("Gemini", root)
    assert asked(f"{root}/v1beta/openai/") == ("OpenAIChat", f"{root}/v1beta/openai")
    assert asked(None, "openai-chat") == ("OpenAIChat", f"{root}/v1beta/openai")


# --- the reply --------------------------------------------------------------------------------------------------------


def test_text_after_a_finish_reason_is_taken():
    """Some gateways send it before the text."""
    reader, pieces = WIRE.reader("a", "m", shown := Pieces()), []
    for text, reason in (("Two is", "STOP"), (" a prime.", "STOP")):
        pieces.append({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]})
    for each in pieces:
        reader.feed(f"data: {json.dumps(each)}\r\n\r\n".encode())
    reader.flush()
    assert reader.end().text == "".join(shown.text) == TEXT


def test_an_array_is_shown_while_it_comes():
    """That is how a stream comes where ``alt=sse`` got lost."""
    reader = WIRE.reader("a", "m", shown := Pieces())
    reader.feed(b'[{"candidates": [{"content": {"parts": [{"text": "Two"}]}}]}\r\n')
    assert shown.text == ["Two"]


# --- against a strict server ------------------------------------------------------------------------------------------


async def ask(server: FaultServer, asked: ChatRequest, model: str = MODEL, key: str = KEY, below: str = "") -> Answer:
    url = f"{root_of(server)}{below}"
    return await answer_at(Endpoint(url, model), WIRE.configured(url, {}), asked, key)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_strict_server_answers_a_request_with_everything_in_it(streaming):
    asked = request(
        Message("system", "Be brief."), Message("user", ("What is this?", PNG, PDF)), Message("assistant", "A file."),
        Message("user", "Why?"), streaming=streaming, schema={"type": "object"}, effort="high",
        params={"max_tokens": 100, "temperature": 1, "top_p": 0.5, "stop": ["END"], "seed": 1, "safetySettings": []},
    )  # fmt: skip
    with serve() as server:
        answer = await ask(server, asked)
    assert (answer.text, answer.reasoning, answer.finish_reason) == (TEXT, "Let me see.", "stop")
    assert (answer.model, answer.usage, answer.response_id) == (f"{MODEL}-001", Usage(9, 17, reasoning=12), "r-1")
    assert len(server.requests) == 1


async def test_a_server_that_streams_an_array_is_read():
    class Bare(Gemini):
        def encode(self, request: ChatRequest, model: str, without: Any = ()) -> Any:
            asked = super().encode(request, model, without)
            return msgspec.structs.replace(asked, path=asked.path.removesuffix("?alt=sse"))

    with serve() as server:
        backend = HttpBackend("alpha", Endpoint(root_of(server), MODEL), FixedKey(KEY), Bare())
        assert (await answer_of(backend, request())).text == TEXT
        await backend.aclose()


async def test_vertex_takes_a_token():
    with serve() as server:
        answer = await ask(server, request(), key=TOKEN, below="/v1/projects/p/locations/l")
        assert answer.text == TEXT
        assert server.requests[-1].path.startswith("/v1/projects/p/locations/l/publishers/google/models/gemini-x:")


@pytest.mark.parametrize(
    ("model", "more", "sent"),
    [
        (OLDER, {"effort": "low"}, {"thinkingConfig": {"includeThoughts": True, "thinkingBudget": 1024}}),
        (OLDER, {"effort": "none"}, {"thinkingConfig": {"thinkingBudget": 0}}),
        (MODEL, {"effort": "none"}, {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}),
        (PLAIN, {}, None),
        (PLAIN, {"effort": "high"}, None),
        (MODEL, {"params": {"max_tokens": 10**6}}, {"maxOutputTokens": 65536, **THOUGHTS}),
    ],
)
async def test_what_a_model_refuses_is_asked_in_its_own_way_at_once_and_remembered(model, more, sent):
    with serve() as server:
        first, second = await ask(server, request(**more), model), await ask(server, request(**more), model)
        assert (first.text, second.text) == (TEXT, TEXT)
        assert server.requests[-1].json.get("generationConfig") == sent
        assert server.requests[-1].json == server.requests[-2].json
        assert bool(first.notes) == ("max_tokens" in str(more) or (model == PLAIN and "effort" in more))


async def test_a_model_without_a_place_for_the_systems_words_gets_them_first():
    with serve() as server:
        answer = await ask(server, request(Message("system", "Be brief."), *ASK), PLAIN)
        assert answer.text == TEXT
        assert server.requests[-1].json == {
            "contents": [{"role": "user", "parts": [{"text": "Be brief."}, {"text": "Why?"}]}]
        }


@pytest.mark.parametrize(
    ("asked", "model", "key", "kind", "message"),
    [
        (request(), MODEL, "AIza-wrong", FailureKind.ACCESS, "API key not valid"),
        (request(), "gemini-y", KEY, FailureKind.ACCESS, "models/gemini-y is not found"),
        (request(params={"foo": 1}), MODEL, KEY, FailureKind.BAD_REQUEST, 'Unknown name "foo"'),
        (
            request(params={"thinkingConfig": {"thinkingBudget": 9}}),
            PLAIN,
            KEY,
            FailureKind.BAD_REQUEST,
            "Thinking is not enabled",
        ),
    ],
)
async def test_what_is_refused_says_why(asked, model, key, kind, message):
    with serve() as server, pytest.raises(BackendFailed) as refused:
        await ask(server, asked, model, key)
    assert refused.value.failure.kind is kind
    assert message in refused.value.failure.message
    assert key not in refused.value.failure.message


async def test_what_gemini_does_not_answer_another_form_does():
    with serve() as ours, FaultServer("ok", text="From elsewhere.") as other:
        members = (
            ModelProfile(
                "a", "gemini", "gemini-y", connection=Connection(base_url=root_of(ours), auth_key=Secret(KEY))
            ),
            ModelProfile("b", "openai", "m", connection=Connection(base_url=other.base_url)),
        )
        async with LoadBalancer(Profile.failover("both", members), isolated=True) as lb:
            reply = await lb.ask("Why?")
    assert (reply.text, reply.backend) == ("From elsewhere.", "b")
    assert any("models/gemini-y is not found" in note for note in reply.notes), reply.notes


@pytest.mark.parametrize("word", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT"])
async def test_a_reply_that_is_withheld_is_said_with_the_services_reason(word):
    def withhold(exchange: Exchange) -> None:
        parts = {"role": "model", "parts": [{"text": "Two"}]}
        document = {"candidates": [{"content": parts, "index": 0, "finishReason": word}]}
        exchange.whole(200, json.dumps(document).encode())

    with FaultServer(withhold) as server, pytest.raises(BackendFailed) as failed:
        await ask(server, request(streaming=False))
    assert failed.value.failure.kind is FailureKind.CONTENT_FILTER
    assert failed.value.failure.message == f"filtered by alpha: {word}"
