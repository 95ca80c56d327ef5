"""Bedrock's Converse: what is asked, what its strict mock and the official client make of each other, and the doors."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

import llx_magic as llx
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.reading.frames import FrameDecoder
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import ChatRequest
from llx_magic.profiles.document import ModelProfile
from llx_magic.providers.address import base_url
from llx_magic.providers.find import provider, provider_at
from llx_magic.session.members import endpoint_of, wire_of
from llx_magic.session.session import Session
from tests.faults.asking import FixedKey, answer_of, obstacle, question
from tests.faults.server import FaultServer
from tests.home import own_home
from tests.logins import without_logins
from tests.notebook.kit import write_balancer, write_model
from tests.wires import bedrock_goldens
from tests.wires.mocks import bedrock as mock

WIRE = wire_named("bedrock")
ROOT = "https://bedrock-runtime.us-east-1.amazonaws.com"
PICTURE = Image(media_type="image/png", data=b"picture")
PAPER = File(media_type="application/pdf", data=b"paper", name="My paper_v2 (final).pdf")


@pytest.fixture
def home(tmp_path, monkeypatch):
    without_logins(tmp_path, monkeypatch.setenv)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", mock.ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", mock.SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    return own_home(tmp_path, monkeypatch)


def request(*messages: Message, **more) -> ChatRequest:
    return ChatRequest(messages=messages or (Message("user", "Why test?"),), **more)


def body_of(*messages: Message, without=(), **more) -> dict:
    return json.loads(WIRE.encode(request(*messages, **more), "m", without).body)


async def answer_from(server: FaultServer, asked: ChatRequest | None = None, model: str = mock.MODEL, **key):
    endpoint = Endpoint(mock.root_of(server), model)
    backend = HttpBackend("alpha", endpoint, FixedKey(key.get("key", mock.KEY)), WIRE)
    try:
        return await answer_of(backend, asked)
    finally:
        await backend.aclose()


# --- what is asked --------------------------------------------------------------------------------------------------


def test_the_least_request_holds_the_prompt_alone():
    asked = WIRE.encode(request(), "anthropic.claude-x:0")
    assert asked.path == "/model/anthropic.claude-x%3A0/converse-stream"
    assert json.loads(asked.body) == {"messages": [{"role": "user", "content": [{"text": "Why test?"}]}]}


@pytest.mark.parametrize(("model", "path"), [
    ("arn:aws:bedrock:eu:1:inference-profile/us.x", "arn%3Aaws%3Abedrock%3Aeu%3A1%3Ainference-profile%2Fus.x"),
    ("a model/ä", "a%20model%2F%C3%A4"),
])  # fmt: skip
def test_the_name_of_a_model_is_one_part_of_the_path(model, path):
    assert WIRE.encode(request(streaming=False), model).path == f"/model/{path}/converse"


def test_turns_of_one_role_are_merged_and_what_is_blank_is_left_out():
    body = body_of(
        Message("system", "Be brief."), Message("user", "One"), Message("user", " \n"), Message("user", "two"),
        Message("assistant", "Three."), Message("system", "Be kind."), Message("user", "Four"),
    )  # fmt: skip
    assert body == {
        "system": [{"text": "Be brief."}, {"text": "Be kind."}],
        "messages": [
            {"role": "user", "content": [{"text": "One"}, {"text": "two"}]},
            {"role": "assistant", "content": [{"text": "Three."}]},
            {"role": "user", "content": [{"text": "Four"}]},
        ],
    }


def test_images_and_documents_are_blocks_with_their_bytes():
    content = body_of(Message("user", ("Look", PICTURE, PAPER)))["messages"][0]["content"]
    assert content == [
        {"text": "Look"},
        {"image": {"format": "png", "source": {"bytes": "cGljdHVyZQ=="}}},
        {"document": {"format": "pdf", "name": "My paper v2 (final)", "source": {"bytes": "cGFwZXI="}}},
    ]


@pytest.mark.parametrize(("file", "kind", "name"), [
    (File(media_type="text/plain", name="notes.md"), "md", "notes"),
    (File(media_type="", name="C:\\data\\table.csv"), "csv", "table"),
    (File(media_type="text/html; charset=utf-8", name="page"), "html", "page"),
    (File(media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", name="s"), "xlsx", "s"),
    (File(media_type="application/pdf", name="../äö__.pdf"), "pdf", "file"),
    (File(media_type="application/pdf", name="a.b  c.pdf"), "pdf", "a b c"),
    (File(media_type="application/pdf", name="x" * 300), "pdf", "x" * 190),
])  # fmt: skip
def test_a_document_has_a_format_and_a_legal_name(file, kind, name):
    (block,) = body_of(Message("user", ("Read", file)))["messages"][0]["content"][1:]
    assert (block["document"]["format"], block["document"]["name"]) == (kind, name)


def test_two_documents_of_one_name_are_told_apart_and_a_text_stands_beside_them():
    content = body_of(Message("user", (PAPER, PAPER)))["messages"][0]["content"]
    assert content[0] == {"text": "My paper v2 (final)"}
    assert [each["document"]["name"] for each in content[1:]] == ["My paper v2 (final)", "My paper v2 (final) 2"]


@pytest.mark.parametrize("piece", [
    Image(url="https://x.example/a.png"), Image(media_type="image/tiff", data=b"x"), File(url="https://x.example/a.pdf"),
    File(media_type="application/zip", data=b"x", name="a.zip"),
])  # fmt: skip
def test_what_converse_has_no_word_for_is_refused_before_anything_is_sent(piece):
    with pytest.raises(BackendFailed, match=r"this backend does not take .*; nothing was sent"):
        body_of(Message("user", ("Look", piece)))


def test_usual_parameters_are_translated_and_others_are_the_models():
    body = body_of(params={"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "stop": "END", "top_k": 40, "n": None})
    assert body["inferenceConfig"] == {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]}
    assert body["additionalModelRequestFields"] == {"top_k": 40}


def test_a_parameter_under_the_services_own_name_wins():
    body = body_of(params={
        "max_tokens": 5, "maxTokens": 6, "top_p": 0.5, "stop": ["a"], "inferenceConfig": {"topP": 0.7}, "top_k": 1,
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        "guardrailConfig": {"guardrailIdentifier": "g"}, "serviceTier": {"type": "flex"}, "stream": True,
        "messages": [],
    })  # fmt: skip
    assert body["inferenceConfig"] == {"maxTokens": 6, "topP": 0.7, "stopSequences": ["a"]}
    assert body["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 1024
    assert body["additionalModelRequestFields"]["top_k"] == 1
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g"}
    assert body["serviceTier"] == {"type": "flex"}
    assert body["messages"][0]["content"] == [{"text": "Why test?"}]
    assert "stream" not in body


def test_a_schema_stands_in_the_request_as_a_text_and_effort_beside_it():
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    config = body_of(schema=schema, effort="low")["outputConfig"]
    assert config["effort"] == "low"
    assert config["textFormat"]["type"] == "json_schema"
    assert json.loads(config["textFormat"]["structure"]["jsonSchema"]["schema"]) == schema


def test_what_cannot_be_said_is_a_note():
    asked = WIRE.encode(request(params={"seed": 1}, effort="none"), "m")
    assert "outputConfig" not in json.loads(asked.body)
    assert [note.partition(":")[0] for note in asked.notes] == [
        "seed has no effect on this backend", "Converse has no word for no reasoning at all",
    ]  # fmt: skip


# --- what the mock makes of it --------------------------------------------------------------------------------------


async def test_a_reply_is_streamed_with_a_key():
    with mock.serve() as server:
        answer = await answer_from(server)
    assert (answer.text, answer.finish_reason, answer.model, answer.response_id) == (
        mock.TEXT, "stop", mock.MODEL, "0a1b-2c",
    )  # fmt: skip
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)


async def test_everything_that_can_be_said_is_taken_by_the_service():
    said = request(
        Message("system", "Be brief."),
        Message("user", ("Look", PICTURE, PAPER, PAPER)),
        Message("user", "Again"),
        Message("assistant", "Yes."),
        Message("user", (PAPER,)),
        params={"max_tokens": 5, "temperature": 0.5, "top_p": 1, "stop": "END", "seed": 3, "top_k": 2},
        schema={"type": "object"},
        effort="high",
        streaming=False,
    )
    with mock.serve() as server:
        answer = await answer_from(server, said)
    assert answer.text == mock.TEXT
    assert answer.notes == ("seed has no effect on this backend",)


async def test_what_one_model_does_not_take_is_left_out_at_once_and_from_then_on():
    said = request(
        Message("system", "Be brief."), Message("user", "Why?"), params={"max_tokens": 500}, schema={"type": "object"}
    )
    with mock.serve() as server:
        answer = await answer_from(server, said, mock.PLAIN)
        asked_once = len(server.requests)
        await answer_from(server, said, mock.PLAIN)
        last = server.requests[-1]
        assert (asked_once, len(server.requests)) == (5, 6)
    assert answer.text == mock.TEXT
    assert answer.notes == ("max_tokens is 100 instead of 500, the most that the model writes",)
    assert last.path.endswith("/converse")
    in_words, *said_too = last.json["messages"][0]["content"]
    assert "JSON schema" in in_words["text"]
    assert last.json == {
        "messages": [{"role": "user", "content": [in_words, *said_too]}],
        "inferenceConfig": {"maxTokens": 100},
    }
    assert said_too == [{"text": "Be brief."}, {"text": "Why?"}]


@pytest.mark.parametrize(("model", "key", "kind", "said"), [
    ("us.example.unknown", mock.KEY, FailureKind.ACCESS, "model identifier is invalid"),
    (mock.BARE, mock.KEY, FailureKind.ACCESS, "; name an inference profile: us., eu. … or global. before it"),
    (mock.MODEL, "another-key-0123456789", FailureKind.ACCESS, "Invalid API Key format"),
])  # fmt: skip
async def test_a_refusal_has_its_kind_and_says_what_to_do(model, key, kind, said):
    with mock.serve() as server, pytest.raises(BackendFailed) as caught:
        await answer_from(server, model=model, key=key)
    assert caught.value.failure.kind is kind
    assert said in caught.value.failure.message


def test_the_official_client_and_the_mock_understand_each_other(home):
    """The signature, the frames and the fields of both are those of botocore."""
    import botocore.session

    session = botocore.session.Session()
    with mock.serve() as server:
        client = session.create_client("bedrock-runtime", region_name=mock.REGION, endpoint_url=mock.root_of(server))
        turns = [{"role": "user", "content": [{"text": "Why?"}]}]
        streamed = client.converse_stream(modelId=mock.MODEL, messages=turns)
        pieces = [
            event["contentBlockDelta"]["delta"]["text"] for event in streamed["stream"] if "contentBlockDelta" in event
        ]
        whole = client.converse(modelId=mock.MODEL, messages=turns, inferenceConfig={"maxTokens": 5})
        listed = session.create_client("bedrock", region_name=mock.REGION, endpoint_url=mock.root_of(server))
        profiles = listed.list_inference_profiles()["inferenceProfileSummaries"]
    assert "".join(pieces) == whole["output"]["message"]["content"][0]["text"] == mock.TEXT
    assert profiles[0]["inferenceProfileId"] == mock.MODEL


def test_the_services_lists_name_what_can_be_asked():
    paths = [path.partition("?")[0] for path in (WIRE.models_path, *WIRE.more_models_paths)]
    names = [WIRE.models(mock.LISTS[path]) for path in paths]
    assert names == [(mock.PLAIN,), (mock.MODEL,)]
    assert WIRE.models_root(ROOT) == "https://bedrock.us-east-1.amazonaws.com"
    assert WIRE.models({"modelSummaries": "many"}) == WIRE.models([]) == ()


# --- a profile of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streaming", ["enabled", "disabled"])
def test_a_profile_asks_with_awss_credentials_as_they_are_in_the_environment(home, streaming):
    with mock.serve() as server:
        _write(home, "work", mock.root_of(server), streaming=streaming)
        reply = asyncio.run(Session().balancer("work").ask("Why?"))
        assert "AWS4-HMAC-SHA256" in server.requests[-1].headers["authorization"]
    assert reply.text == mock.TEXT


def _write(home, name: str, url: str, **settings: object) -> None:
    write_model(home, name, provider="bedrock", base_url=url, auth="sigv4", aws_region=mock.REGION, **settings)
    path = home / "profiles" / f"{name}.json"
    path.write_text(path.read_text().replace(f"{name}-model", mock.MODEL))


def test_a_stream_that_breaks_off_fails_over_to_another_form_and_the_reply_is_whole(home):
    def breaks_off(exchange):
        exchange.begin_stream({"Content-Type": bedrock_goldens.STREAM})
        exchange.chunk(bedrock_goldens.GOLDENS["error-after-text"][1])
        exchange.end_stream()

    with FaultServer(breaks_off) as bedrock, FaultServer("ok", text="Whole.") as other:
        _write(home, "first", mock.root_of(bedrock))
        write_model(home, "second", base_url=other.base_url)
        write_balancer(home, "both", ["first", "second"], failover_retry_count=1)
        reply = asyncio.run(llx.load("both").ask("Why?"))
    assert (reply.text, reply.backend) == ("Whole.", "second")


def test_without_botocore_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.eventstream", None)
    said = obstacle(HttpBackend("alpha", Endpoint(ROOT, "m"), FixedKey(), WIRE))
    assert said.startswith("Bedrock's streams need a package that is not installed; type ")
    assert "install" in said


@pytest.mark.parametrize(("given", "root", "form"), [
    (ROOT, "", "bedrock"),
    (f"{ROOT}/model/anthropic.claude-x%3A0/converse-stream", "", "bedrock"),
    (f"{ROOT}/model/m/invoke", "", "bedrock"),
    (f"{ROOT}/openai/v1/chat/completions", "/openai/v1", "openai"),
    (f"{ROOT}/openai/v1", "/openai/v1", "openai"),
])  # fmt: skip
def test_a_pasted_address_means_its_door(given, root, form):
    found = base_url(given, provider("bedrock"))
    assert found == f"{ROOT}{root}"
    assert provider("bedrock").form_at(found) == form


def test_the_openai_form_is_asked_beside_the_root(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    member = ModelProfile("a", "bedrock", "m", connection=llx.Connection(form="openai-chat"))
    endpoint = endpoint_of(member)
    assert endpoint.base_url == f"{ROOT}/openai/v1"
    assert type(wire_of(member, endpoint)) is type(wire_named("openai"))


@pytest.mark.parametrize(("name", "url"), [
    ("bedrock-mantle", "https://bedrock-mantle.us-east-1.api.aws/v1"),
    ("anthropic-bedrock", "https://bedrock-mantle.us-east-1.api.aws/anthropic"),
])  # fmt: skip
def test_bedrocks_other_doors_are_providers_of_their_own(name, url):
    known = provider(name)
    assert known.url_in("us-east-1") == url
    assert base_url("https://bedrock-mantle.us-east-1.api.aws", known) == url
    assert provider_at(url) is not None
    assert known.own_host(url)


# --- frames ---------------------------------------------------------------------------------------------------------


def test_the_goldens_are_those_that_are_written_here_in_words():
    for name, (head, body) in bedrock_goldens.GOLDENS.items():
        for ending, content in bedrock_goldens.files_of(head, body).items():
            assert (bedrock_goldens.FOLDER / f"{name}{ending}").read_bytes() == content


def test_reading_frames_takes_time_in_proportion_to_their_bytes():
    """A megabyte in a frame that comes byte by byte is copied once."""
    decoder = FrameDecoder()
    body = bedrock_goldens.said("x" * 1_000_000)
    events = [event for at in range(0, len(body), 16) for event in decoder.feed(body[at : at + 16])]
    assert len(events) == 1


async def test_a_key_that_is_wrong_costs_no_more_than_one_question():
    with mock.serve() as server:
        with pytest.raises(BackendFailed):
            await answer_from(server, question(), key="another-key-0123456789")
        assert len(server.requests) == 1
