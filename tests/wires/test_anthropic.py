"""Anthropic's Messages: what is sent, by the tables of the service, and what comes of it at a strict server."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

import llx_magic as llx
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.wires.anthropic import WIRE
from llx_magic.backends.wires.anthropic_schema import fitting
from llx_magic.backends.wires.wire import EFFORT_IGNORED, Asked, Wire
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import Answer, ChatRequest, Effort, Restart, Usage
from llx_magic.keys.secret import Secret
from llx_magic.profiles.headers import Header
from llx_magic.providers.find import provider
from llx_magic.session.members import credential_of, endpoint_of
from tests.faults.asking import KEY, FixedKey, Pieces, answer_of
from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks.anthropic import MODEL, Abilities, ClaudeServer

QUESTION = Message("user", "Why test?")
ASKED = [{"role": "user", "content": [{"type": "text", "text": "Why test?"}]}]
OWN = WIRE.configured("https://api.anthropic.com", {})
FOUNDRY = WIRE.configured("https://r.services.ai.azure.com/anthropic", {})
MANTLE = WIRE.configured("https://bedrock-mantle.us-east-1.api.aws/anthropic", {})
VERTEX = WIRE.configured("https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5", {})
DOORS = {"": OWN, "foundry": FOUNDRY, "mantle": MANTLE, "vertex": VERTEX}


def request(*messages: Message, effort: Effort | None = None, schema: Any = None, streaming: bool = True, **params):
    said = messages or (QUESTION,)
    return ChatRequest(messages=said, params=params, streaming=streaming, effort=effort, schema=schema)


def sent(*messages: Message, wire: Wire = OWN, without: tuple[str, ...] = (), **how) -> tuple[dict[str, Any], Asked]:
    """Return the body that is sent for a request, and the request."""
    asked = wire.encode(request(*messages, **how), "claude-x", without)
    return json.loads(asked.body), asked


def refused(*messages: Message, **how) -> str:
    with pytest.raises(BackendFailed) as caught:
        sent(*messages, **how)
    assert caught.value.failure.kind is FailureKind.BAD_REQUEST
    return str(caught.value)


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_plain_prompt_has_all_that_the_service_demands():
    body, asked = sent()
    assert body == {"model": "claude-x", "messages": ASKED, "max_tokens": 8192, "stream": True}
    assert asked.path == "/messages"
    assert asked.headers == {"anthropic-version": "2026-10-21"}
    assert asked.notes == ()


def test_one_that_is_not_streamed_does_not_say_so():
    assert sent(streaming=False)[0] == {"model": "claude-x", "messages": ASKED, "max_tokens": 8192}


def test_system_messages_stand_outside_of_the_turns_in_their_order():
    body, _ = sent(Message("system", "Be brief."), QUESTION, Message("system", "Be kind."))
    assert body["system"] == "Be brief.\n\nBe kind."
    assert body["messages"] == ASKED


def test_turns_of_one_role_are_joined_and_blank_ones_left_out():
    body, _ = sent(
        Message("user", "One."), Message("user", ("Two.", " \n")), Message("assistant", " "), Message("user", "Three.")
    )
    texts = [{"type": "text", "text": text} for text in ("One.", "Two.", "Three.")]
    assert body["messages"] == [{"role": "user", "content": texts}]


def test_the_beginning_of_a_reply_ends_in_no_white_space():
    body, _ = sent(QUESTION, Message("assistant", "Because \n"))
    assert body["messages"][-1] == {"role": "assistant", "content": [{"type": "text", "text": "Because"}]}


PNG = Image(media_type="image/png", data=b"\x89PNG")
PDF = File(media_type="application/pdf", data=b"%PDF-1.7", name="report.pdf")


def test_images_and_files_stand_where_the_prompt_has_them():
    body, _ = sent(Message("user", ("Compare", PNG, Image(url="https://h.example/a.jpg"), "with", PDF)))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Compare"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": encoded(PNG.data)}},
        {"type": "image", "source": {"type": "url", "url": "https://h.example/a.jpg"}},
        {"type": "text", "text": "with"},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": encoded(PDF.data)},
            "title": "report.pdf",
        },
    ]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("file", "source"),
    [
        (
            File(media_type="text/csv; charset=utf-8", data="a,ä".encode()),
            {"type": "text", "media_type": "text/plain", "data": "a,ä"},
        ),
        (
            File(media_type="application/json", data=b"{}"),
            {"type": "text", "media_type": "text/plain", "data": "{}"},
        ),
        (File(url="https://h.example/a.pdf"), {"type": "url", "url": "https://h.example/a.pdf"}),
    ],
)
def test_a_file_is_a_document_of_its_kind(file, source):
    body, _ = sent(Message("user", ("Read", file)))
    assert body["messages"][0]["content"][1] == {"type": "document", "source": source, "title": "file"}


def test_a_picture_that_came_as_a_file_is_a_picture():
    body, _ = sent(Message("user", (File(media_type="image/jpg", data=b"\xff\xd8", name="a.jpg"),)))
    source = {"type": "base64", "media_type": "image/jpeg", "data": encoded(b"\xff\xd8")}
    assert body["messages"][0]["content"] == [{"type": "image", "source": source}]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (Message("user", (Image(media_type="image/tiff", data=b"II"),)), "an image of the type image/tiff"),
        (Message("user", (File(media_type="application/zip", data=b"PK"),)), "a file of the type application/zip"),
        (Message("user", (File(data=b"?"),)), "a file of the type unknown"),
        (Message("assistant", "Hello."), "a conversation in which the user does not speak first"),
        (Message("system", ("See", PNG)), "an image or a file in a system prompt"),
    ],
)
def test_what_the_form_cannot_say_is_refused_before_anything_is_sent(message, said):
    text = refused(message)
    assert said in text
    assert "nothing was sent" in text


def test_common_parameters_get_the_names_of_the_form():
    body, asked = sent(stop=["END", "STOP"], max_tokens=50, seed=7)
    assert body["stop_sequences"] == ["END", "STOP"]
    assert body["max_tokens"] == 50
    assert not {"stop", "seed"} & body.keys()
    assert asked.notes == ("seed has no effect on this backend",)
    assert sent(stop="END")[0]["stop_sequences"] == ["END"]


def test_a_parameter_under_the_forms_own_name_goes_through_and_wins():
    own = {
        "stop_sequences": ["A"],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "cache_control": {"type": "ephemeral"},
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "output_config": {"effort": "max"},
    }
    body, _ = sent(Message("system", "Be long."), QUESTION, stop=["B"], effort="low", model="other", **own)
    assert {name: body[name] for name in own} == own
    assert body["max_tokens"] == 2000 + 8192
    assert body["model"] == "claude-x"


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_a_sampling_parameter_is_sent_under_the_version_that_takes_it(name):
    assert sent(**{name: 0})[1].headers == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    "url", ["http://localhost:4000", "https://gw.example/anthropic", "https://r.services.ai.azure.com/anthropic"]
)
def test_elsewhere_the_version_is_the_one_that_everybody_knows(url):
    assert sent(wire=WIRE.configured(url, {}))[1].headers == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_an_effort_is_a_word_and_thoughts_are_shown(effort):
    body, _ = sent(effort=effort)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": effort}
    assert body["max_tokens"] == 32_000


def test_no_effort_is_no_thinking():
    body, _ = sent(effort="none")
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body
    assert body["max_tokens"] == 8192


def test_a_schema_is_the_outputs_format():
    body, _ = sent(schema={"type": "object", "properties": {"n": {"type": "integer"}}}, effort="low")
    closed = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    assert body["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": closed}}


@pytest.mark.parametrize(
    ("schema", "taken"),
    [
        ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "description": "maxLength: 9"}),
        (
            {"type": "integer", "minimum": 0, "maximum": 9, "description": "A digit"},
            {"type": "integer", "description": "A digit (minimum: 0; maximum: 9)"},
        ),
        (
            {"type": "array", "items": {"type": "object", "properties": {}}, "minItems": 1, "maxItems": 3},
            {
                "type": "array",
                "items": {"type": "object", "properties": {}, "additionalProperties": False},
                "minItems": 1,
                "description": "maxItems: 3",
            },
        ),
        (
            {"oneOf": [{"type": "null"}, {"$ref": "#/$defs/a", "title": "A"}], "$defs": {"a": {"type": "string"}}},
            {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "string"}}},
        ),
        ({"enum": ["a", "b"], "default": "a"}, {"enum": ["a", "b"], "default": "a"}),
        (
            {"type": "object", "properties": {"minimum": {"type": "number"}}, "required": ["minimum"]},
            {
                "type": "object",
                "properties": {"minimum": {"type": "number"}},
                "required": ["minimum"],
                "additionalProperties": False,
            },
        ),
    ],
)
def test_a_schema_is_told_as_far_as_the_service_takes_it(schema, taken):
    """What it refuses becomes words of the description; the reply is checked against the whole schema all the same."""
    assert fitting(schema) == taken


@pytest.mark.parametrize(
    "inner",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        {"type": "object", "properties": {"a": {}}, "patternProperties": {"^x": {}}},
    ],
)
def test_a_schema_with_members_of_any_name_is_not_sent(inner):
    """A closed object could only be empty; the prompt and the check of the reply serve instead."""
    assert fitting(inner) is None
    assert fitting({"type": "array", "items": inner}) is None
    assert "output_config" not in sent(schema=inner)[0]


# --- the doors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "headers"),
    [
        (OWN, {"x-api-key": "k"}),
        (WIRE.configured("http://localhost:4000", {}), {"x-api-key": "k"}),
        (FOUNDRY, {"x-api-key": "k", "api-key": "k"}),
        (MANTLE, {"Authorization": "Bearer k"}),
        (VERTEX, {"Authorization": "Bearer k"}),
        (
            WIRE.configured("https://aiplatform.googleapis.com/v1/projects/p/locations/global", {}),
            {"Authorization": "Bearer k"},
        ),
        (WIRE.configured("https://claude.googleapis.com/v1/x", {}), {"Authorization": "Bearer k"}),
        (WIRE.configured("https://api.anthropic.com.evil.example", {}), {"x-api-key": "k"}),
    ],
)
def test_each_door_has_its_own_way_to_show_a_key(wire, headers):
    assert {name: key.reveal() for name, key in wire.proof(Secret("k")).items()} == headers


@pytest.mark.parametrize("name", ["x-api-key", "X-Api-Key", "Authorization"])
def test_a_key_in_a_header_of_the_profile_is_a_key(monkeypatch, name):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    header = Header(name, Secret("${CLAUDE_TEST_KEY}"))
    for headers, is_ready in (((), False), ((header,), True)):
        member = llx.ModelProfile("c", "anthropic", "claude-x", connection=llx.Connection(headers=headers))
        endpoint = endpoint_of(member)
        assert endpoint is not None
        assert credential_of(member, endpoint).key.needs_key is not is_ready


@pytest.mark.parametrize(("streaming", "verb"), [(True, "streamRawPredict"), (False, "rawPredict")])
def test_vertex_takes_the_model_in_the_path_and_the_version_in_the_body(streaming, verb):
    asked = VERTEX.encode(request(streaming=streaming), "claude-x@20261001")
    body = json.loads(asked.body)
    assert asked.path == f"/publishers/anthropic/models/claude-x@20261001:{verb}"
    assert "model" not in body
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert asked.headers == {}


def test_an_address_in_vertex_may_name_the_publisher():
    url = "https://europe-west1-aiplatform.googleapis.com/v1/projects/p/locations/europe-west1/publishers/anthropic"
    assert WIRE.configured(url, {}).encode(request(), "claude-x").path == "/models/claude-x:streamRawPredict"


@pytest.mark.parametrize("name", ["anthropic-azure", "claude-vertex", "anthropic-foundry"])
def test_each_door_is_a_provider_that_needs_its_address(name):
    found = provider(name)
    assert found.wire == "anthropic"
    assert found.base_url is None
    assert "--base-url" in found.note


# --- at a strict server -----------------------------------------------------------------------------------------------


def ask(server: ClaudeServer, *messages: Message, wire: Wire | None = None, **how) -> tuple[Answer | Failure, Pieces]:
    async def run() -> tuple[Answer | Failure, Pieces]:
        spoken = wire or DOORS[server.door]
        asked = HttpBackend("alpha", Endpoint(server.root, MODEL), FixedKey(), spoken)
        pieces = Pieces()
        try:
            return await answer_of(asked, request(*messages, **how), pieces), pieces
        except BackendFailed as failed:
            return failed.failure, pieces
        finally:
            await asked.aclose()

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("door", DOORS)
def test_a_prompt_is_answered_at_every_door(door, streaming):
    with ClaudeServer(door) as server:
        answer, pieces = ask(server, streaming=streaming)
        assert isinstance(answer, Answer), answer
        assert answer.text == server.text == "".join(pieces.text)
        assert answer.usage == Usage(12, 8)
        assert answer.model == MODEL
        assert len(server.requests) == 1


def test_everything_that_can_be_asked_for_is_asked_in_one_request():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    with ClaudeServer() as server:
        answer, pieces = ask(
            server,
            Message("system", "Be brief."),
            Message("user", ("Look", PNG, PDF, Image(url="https://h.example/a.png"))),
            Message("assistant", "I look."),
            QUESTION,
            effort="high",
            schema=schema,
            stop="END",
            cache_control={"type": "ephemeral"},
        )
        assert isinstance(answer, Answer), answer
        assert answer.reasoning == "Let me think." == "".join(pieces.reasoning)
        assert answer.notes == ()
        assert len(server.requests) == 1


def test_a_sampling_parameter_is_taken():
    with ClaudeServer() as server:
        assert isinstance(ask(server, temperature=0.5)[0], Answer)


def test_an_unknown_field_is_refused_in_the_services_words():
    with ClaudeServer() as server:
        failure, _ = ask(server, top_q=1)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.BAD_REQUEST
        assert "top_q: Extra inputs are not permitted" in failure.message


def test_a_wrong_key_is_an_access_problem_and_not_repeated():
    with ClaudeServer("foundry") as server:
        failure, _ = ask(server, wire=OWN)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.ACCESS
        assert KEY not in failure.message


def test_all_models_of_a_listing_are_named():
    document = {
        "data": [{"type": "model", "id": "claude-x"}, {"id": "claude-y", "lifecycle": "active"}],
        "has_more": False,
    }
    assert OWN.models(document) == ("claude-x", "claude-y")
    assert OWN.models_path == "/models?limit=1000"
    assert VERTEX.models_path == ""


# --- what is refused and can be done without --------------------------------------------------------------------------


def bodies(server: ClaudeServer) -> list[dict[str, Any]]:
    return [each.json for each in server.requests]


def test_a_reply_longer_than_the_model_can_write_is_asked_for_as_long_as_it_can():
    with ClaudeServer("", Abilities(max_tokens=4096)) as server:
        answer, _ = ask(server)
        assert isinstance(answer, Answer)
        assert [each["max_tokens"] for each in bodies(server)] == [8192, 4096]
        assert answer.notes == ()
        ask(server)
        assert bodies(server)[2]["max_tokens"] == 4096


def test_a_length_of_the_users_own_that_is_lowered_is_named():
    with ClaudeServer("", Abilities(max_tokens=4096)) as server:
        answer, _ = ask(server, max_tokens=100_000)
        assert isinstance(answer, Answer)
        assert answer.notes == ("max_tokens is 4096 instead of 100000, the most that the model writes",)


def test_a_long_prompt_leaves_less_room_for_this_reply_alone():
    with ClaudeServer("", Abilities(window=10_000)) as server:
        answer, _ = ask(server, Message("user", "word " * 2_000))
        assert isinstance(answer, Answer)
        first, second = (each["max_tokens"] for each in bodies(server))
        assert first == 8192
        assert 256 <= second < first
        ask(server)
        assert bodies(server)[2]["max_tokens"] == 8192


def test_a_prompt_that_leaves_no_room_is_too_long():
    with ClaudeServer("", Abilities(window=2_000)) as server:
        failure, _ = ask(server, Message("user", "word " * 2_000))
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.CONTEXT_LENGTH
        assert len(server.requests) == 1


def test_a_model_that_is_told_in_tokens_how_much_to_think_is_told_so():
    with ClaudeServer("", Abilities(adaptive=False)) as server:
        answer, _ = ask(server, effort="medium")
        assert isinstance(answer, Answer)
        assert answer.reasoning == "Let me think."
        assert bodies(server)[-1]["thinking"] == {"type": "enabled", "budget_tokens": 8192, "display": "summarized"}
        assert "output_config" not in bodies(server)[-1]
        assert len(server.requests) == 2
        ask(server, effort="low")
        assert bodies(server)[2]["thinking"]["budget_tokens"] == 2048


def test_thoughts_fit_into_the_length_of_the_reply():
    with ClaudeServer("", Abilities(adaptive=False, max_tokens=8192)) as server:
        answer, _ = ask(server, effort="high")
        assert isinstance(answer, Answer), answer
        assert bodies(server)[-1]["thinking"]["budget_tokens"] == 8191
        answer, _ = ask(server, effort="high", max_tokens=500)
        assert isinstance(answer, Answer), answer
        assert answer.notes == ("effort high has no effect: max_tokens leaves no room for thoughts",)


def test_a_model_that_cannot_think_answers_all_the_same_and_the_reply_says_so():
    with ClaudeServer("", Abilities(adaptive=False, thinks=False)) as server:
        answer, _ = ask(server, effort="high")
        assert isinstance(answer, Answer), answer
        assert answer.notes == (EFFORT_IGNORED,)
        assert not {"thinking", "output_config"} & bodies(server)[-1].keys()


def test_a_server_that_does_not_know_how_to_show_thoughts_is_asked_without():
    with ClaudeServer("", Abilities(display=False)) as server:
        answer, _ = ask(server, effort="low")
        assert isinstance(answer, Answer), answer
        assert answer.reasoning == "Let me think."
        assert bodies(server)[-1]["thinking"] == {"type": "adaptive"}


def test_a_model_without_structured_output_is_asked_without():
    with ClaudeServer("", Abilities(schema=False)) as server:
        assert isinstance(ask(server, schema={"type": "string"})[0], Answer)
        assert "output_config" not in bodies(server)[-1]


def test_a_server_that_knows_only_the_old_version_is_asked_in_that():
    with ClaudeServer("", Abilities(versions=("2023-06-01",))) as server:
        assert isinstance(ask(server)[0], Answer)
        assert [each.headers["anthropic-version"] for each in server.requests] == ["2026-10-21", "2023-06-01"]


def test_what_the_user_asks_for_by_name_is_not_taken_back():
    """A sampling parameter beside an effort is refused by name: which of the two counts is the user's to say."""

    def refuse(exchange: Exchange) -> None:
        said = "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode"
        inner = {"type": "invalid_request_error", "message": said}
        exchange.whole(400, json.dumps({"type": "error", "error": inner}).encode())

    with ClaudeServer("", Abilities(), refuse) as server:
        failure, _ = ask(server, effort="low", temperature=0.2)
        assert isinstance(failure, Failure)
        assert "`temperature` may only be set to 1" in failure.message
        assert len(server.requests) == 1


# --- beside other forms -----------------------------------------------------------------------------------------------


def overloaded_half_way(exchange: Exchange) -> None:
    """Begin a reply, then say that the service is overloaded and close the connection, as the service does."""
    exchange.begin_stream()
    begun = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": {}}
    error = {"type": "overloaded_error", "message": "Overloaded"}
    for event in (
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Half of"}},
        {"type": "error", "error": error},
    ):
        exchange.chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    exchange.end_stream()


def test_a_reply_that_breaks_off_is_answered_anew_by_a_backend_of_another_form(monkeypatch):
    monkeypatch.setenv("CLAUDE_TEST_KEY", KEY)

    def member(name: str, speaks: str, url: str) -> llx.ModelProfile:
        return llx.ModelProfile(
            name, speaks, MODEL, connection=llx.Connection(base_url=url, auth_key_env="CLAUDE_TEST_KEY")
        )

    async def run(first: ClaudeServer, second: FaultServer):
        members = [member("claude", "anthropic", first.root), member("other", "openai", second.base_url)]
        async with llx.load(llx.Profile.failover("forms", members, {"failover_retry_count": 1})) as made:
            return [part async for part in made.stream("Why test?")]

    with ClaudeServer("", Abilities(), overloaded_half_way) as first, FaultServer("ok") as second:
        parts = asyncio.run(asyncio.wait_for(run(first, second), 30))
        restart = next(part for part in parts if isinstance(part, Restart))
        assert restart.failed == "claude"
        assert "Overloaded" in restart.reason
        reply = parts[-1]
        assert isinstance(reply, llx.Reply)
        assert reply.text == second.text
        assert reply.backend == "other"
        assert first.requests[0].path == "/v1/messages"


@pytest.mark.parametrize("path", ["", "/", "/anthropic", "/anthropic/v1"])
def test_a_resource_of_azure_is_asked_below_anthropic_whether_its_address_says_so_or_not(path):
    url = f"https://r.services.ai.azure.com{path}"
    wire = WIRE.configured(url, {})
    version = "" if wire.root_is_versioned(path) else wire.version
    assert f"{path.rstrip('/')}{version}".removesuffix("/v1") == "/anthropic"
