"""OpenAI's form as each service speaks it: what effort, schema, images and files become, and what is renamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llx_magic.backends.wires.wire import Wire, wire_named
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.message import File, Image, Message
from llx_magic.core.reply import ChatRequest
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.providers.table import PROVIDERS
from llx_magic.session.members import endpoint_of, wire_of

ASK = (Message("user", "Why?"),)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
PNG = Image(media_type="image/png", data=b"\x89PNG")
FAR = Image(url="https://pictures.example/cat.png")
PDF = File(media_type="application/pdf", data=b"%PDF", name="report.pdf")
FAR_PDF = File(url="https://files.example/report.pdf", name="report.pdf")
NAMED = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA}}
OBJECT = {"type": "json_object"}
BEHIND_A_GATEWAY = "https://gateway.example/v1"


def spoken_by(provider: str, base_url: str | None = BEHIND_A_GATEWAY) -> Wire:
    member = ModelProfile("m", provider, "some-model", connection=Connection(base_url=base_url, form="openai-chat"))
    endpoint = endpoint_of(member)
    assert endpoint is not None
    return wire_of(member, endpoint)


def sent(provider: str, *messages: Message, without: tuple[str, ...] = (), **more: Any) -> Any:
    request = ChatRequest(messages=messages or ASK, **more)
    return json.loads(spoken_by(provider).encode(request, "m", without).body)


def said(provider: str, **more: Any) -> dict[str, Any]:
    """Return what is sent beside the question."""
    return {name: value for name, value in sent(provider, **more).items() if name not in ("model", "messages")}


def part(provider: str, piece: Image | File) -> Any:
    return sent(provider, Message("user", ("Look:", piece)))["messages"][0]["content"][1]


# --- effort -----------------------------------------------------------------------------------------------------------

ON, OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}
UNREASONED = {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}


def level(word: str) -> dict[str, Any]:
    return {"reasoning_effort": word}


@pytest.mark.parametrize(
    ("provider", "none", "low", "high"),
    [
        ("openai", level("none"), level("low"), level("high")),
        ("groq", level("none"), level("low"), level("high")),
        ("xai", level("none"), level("low"), level("high")),
        ("lmstudio", level("none"), level("low"), level("high")),
        ("ollama", level("none"), level("low"), level("high")),
        ("gemini", level("none"), level("low"), level("high")),
        ("mistral", level("none"), level("high"), level("high")),
        ("cohere", level("none"), level("high"), level("high")),
        ("openrouter", {"reasoning": {"effort": "none"}}, {"reasoning": {"effort": "low"}},
         {"reasoning": {"effort": "high"}}),
        ("deepseek", OFF, {**ON, **level("low")}, {**ON, **level("high")}),
        ("zai", OFF, ON, ON),
        ("moonshot", OFF, ON, ON),
        ("qwen", {"enable_thinking": False}, {"enable_thinking": True, "thinking_budget": 1024},
         {"enable_thinking": True}),
        ("vllm", UNREASONED, level("low"), level("high")),
        ("sglang", UNREASONED, level("low"), level("high")),
        ("llamacpp", UNREASONED, {"chat_template_kwargs": level("low")}, {"chat_template_kwargs": level("high")}),
    ],
)  # fmt: skip
def test_each_service_is_told_the_effort_in_its_own_words(provider, none, low, high):
    found = [said(provider, streaming=False, effort=effort) for effort in ("none", "low", "high")]
    assert found == [none, low, high]


@pytest.mark.parametrize("name", [each for each, row in PROVIDERS.items() if row.problem == ""])
def test_every_provider_knows_all_efforts_or_none_and_a_note_says_so(name):
    accent = PROVIDERS[name].accent
    assert set(accent.effort) in ({"none", "low", "medium", "high"}, set())
    if not accent.effort:
        asked = wire_named("openai").accented(accent).encode(ChatRequest(messages=ASK, effort="low"), "m")
        assert asked.notes == ("the effort was left out: this model takes none",)


@pytest.mark.parametrize("provider", ["vllm", "sglang", "llamacpp"])
def test_variables_of_the_template_that_the_user_gives_stay_as_they_are(provider):
    given = {"chat_template_kwargs": {"enable_thinking": True, "mine": 1}}
    for effort in ("none", "high"):
        assert said(provider, params=given, effort=effort)["chat_template_kwargs"] == given["chat_template_kwargs"]


def test_a_parameter_of_the_services_own_wins_over_the_effort():
    assert said("openrouter", params={"reasoning": {"max_tokens": 5}}, effort="high")["reasoning"] == {"max_tokens": 5}
    assert said("openai", params=level("minimal"), effort="high")["reasoning_effort"] == "minimal"


REFUSALS = [
    "Unsupported value: 'reasoning_effort' does not support 'none' with this model.",
    "Model grok-4 does not support parameter reasoningEffort.",
    "`reasoning_effort` is not supported with this model",
    "Thinking is not enabled for this model",
    "This model does not support reasoning.",
    "thinking.type must be one of enabled",
    "parameter.enable_thinking must be set to false for non-streaming calls",
]


@pytest.mark.parametrize("words", REFUSALS)
def test_an_effort_that_a_model_refuses_is_left_out_with_a_note(words):
    wire, request = spoken_by("xai"), ChatRequest(messages=ASK, effort="low")
    refused = Failure(kind=FailureKind.BAD_REQUEST, message=f"400 Bad Request: {words}", status=400)
    conceded = wire.conceded(refused, request, ())
    assert conceded is not None
    assert conceded.extra == "reasoning_effort"
    again = wire.encode(request, "m", (conceded.extra,))
    assert "reasoning_effort" not in json.loads(again.body)
    assert again.notes == ("the effort was left out: this model takes none",)
    assert wire.conceded(refused, request, (conceded.extra,)) is None
    assert wire.conceded(refused, ChatRequest(messages=ASK), ()) is None


# --- a schema, and JSON -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "schema", "plain"),
    [
        *((each, NAMED, OBJECT) for each in ("openai", "mistral", "groq", "openrouter", "vllm", "sglang", "llamacpp",
                                             "xai", "ollama", "cohere", "gemini")),
        *((each, OBJECT, OBJECT) for each in ("deepseek", "zai", "moonshot")),
        *((each, NAMED, {"type": "json_schema", "json_schema": {"name": "reply", "schema": {"type": "object"}}})
          for each in ("lmstudio", "perplexity")),
        ("anthropic", None, None),
    ],
)  # fmt: skip
def test_each_service_is_asked_for_json_in_a_way_that_it_takes(provider, schema, plain):
    assert said(provider, schema=SCHEMA).get("response_format") == schema
    assert said(provider, json=True).get("response_format") == plain


@pytest.mark.parametrize("provider", ["deepseek", "zai", "moonshot", "anthropic"])
def test_a_schema_that_no_field_can_say_is_said_in_words(provider):
    first, *rest = sent(provider, schema=SCHEMA)["messages"]
    assert first["role"] == "system"
    assert first["content"].endswith(json.dumps(SCHEMA, separators=(",", ":")))
    assert rest == [{"role": "user", "content": "Why?"}]


def test_a_refused_schema_becomes_json_with_words_and_then_words_alone():
    wire, request = spoken_by("groq"), ChatRequest(messages=ASK, schema=SCHEMA)
    refused = Failure(kind=FailureKind.BAD_REQUEST, message="This model does not support response format json_schema")
    without: list[str] = []
    seen = []
    while True:
        document = json.loads(wire.encode(request, "m", without).body)
        seen.append((document.get("response_format", {}).get("type"), len(document["messages"])))
        conceded = wire.conceded(refused, request, without)
        if conceded is None:
            break
        without.append(conceded.extra)
    assert seen == [("json_schema", 1), ("json_object", 2), (None, 2)]


def test_a_form_of_reply_that_the_user_gives_wins_over_the_schema():
    given = {"response_format": {"type": "text"}}
    document = sent("deepseek", params=given, schema=SCHEMA)
    assert document["response_format"] == given["response_format"]
    assert len(document["messages"]) == 1


# --- images and files -------------------------------------------------------------------------------------------------

IMAGE_BYTES = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
IMAGE_ADDRESS = {"type": "image_url", "image_url": {"url": FAR.url}}
FILE_BYTES = "data:application/pdf;base64,JVBERg=="


@pytest.mark.parametrize("provider", ["openai", "mistral", "groq", "openrouter", "xai", "vllm", "llamacpp", "lmstudio"])
def test_an_image_goes_as_its_bytes(provider):
    assert part(provider, PNG) == IMAGE_BYTES
    assert spoken_by(provider).takes_images


@pytest.mark.parametrize("provider", ["openai", "mistral", "groq", "openrouter", "xai", "vllm", "llamacpp"])
def test_an_image_at_an_address_goes_as_its_address(provider):
    assert part(provider, FAR) == IMAGE_ADDRESS


@pytest.mark.parametrize("provider", ["lmstudio", "ollama", "moonshot"])
def test_a_service_that_reads_no_addresses_is_not_asked_to(provider):
    with pytest.raises(BackendFailed, match="does not take an image at an address: read it and give its bytes"):
        part(provider, FAR)


@pytest.mark.parametrize("provider", ["deepseek", "cerebras"])
def test_a_service_that_sees_nothing_says_so_without_being_asked(provider):
    assert not spoken_by(provider).takes_images
    with pytest.raises(BackendFailed, match="does not take images; nothing was sent"):
        part(provider, PNG)


@pytest.mark.parametrize(
    ("provider", "piece", "becomes"),
    [
        ("openai", PDF, {"type": "file", "file": {"filename": "report.pdf", "file_data": FILE_BYTES}}),
        ("openrouter", PDF, {"type": "file", "file": {"filename": "report.pdf", "file_data": FILE_BYTES}}),
        ("openrouter", FAR_PDF, {"type": "file", "file": {"filename": "report.pdf", "file_data": FAR_PDF.url}}),
        ("mistral", PDF, {"type": "document_url", "document_url": FILE_BYTES, "document_name": "report.pdf"}),
        ("mistral", FAR_PDF, {"type": "document_url", "document_url": FAR_PDF.url, "document_name": "report.pdf"}),
    ],
)
def test_a_file_goes_in_the_services_own_part(provider, piece, becomes):
    assert part(provider, piece) == becomes
    assert spoken_by(provider).takes_files


@pytest.mark.parametrize("provider", ["groq", "xai", "deepseek", "vllm", "sglang", "llamacpp", "lmstudio", "ollama"])
def test_a_service_that_reads_no_files_says_so_without_being_asked(provider):
    assert not spoken_by(provider).takes_files
    with pytest.raises(BackendFailed, match="does not take files; nothing was sent"):
        part(provider, PDF)


def test_openai_is_given_a_files_bytes_and_never_its_address():
    with pytest.raises(BackendFailed, match="does not take a file at an address: read it and give its bytes"):
        part("openai", FAR_PDF)


# --- names, and whose accent it is ------------------------------------------------------------------------------------


def test_mistral_has_its_own_names_and_is_not_asked_for_what_it_reports_unasked():
    document = said("mistral", params={"seed": 3, "max_completion_tokens": 5, "top_p": 0.5})
    assert document == {"random_seed": 3, "max_tokens": 5, "top_p": 0.5, "stream": True}
    assert said("mistral", params={"seed": 3, "random_seed": 4})["random_seed"] == 4


def test_a_reply_that_mistral_is_to_go_on_with_is_marked_so():
    """https://docs.mistral.ai/capabilities/completion/prefix: else it refuses a last turn of the assistant."""
    turns = (*ASK, Message("assistant", "Because"))
    assert sent("mistral", *turns)["messages"][-1] == {"role": "assistant", "content": "Because", "prefix": True}
    assert sent("openai", *turns)["messages"][-1] == {"role": "assistant", "content": "Because"}
    assert all("prefix" not in turn for turn in sent("mistral", *turns, Message("user", "Go on."))["messages"])


@pytest.mark.parametrize("provider", ["deepseek", "lmstudio", "ollama", "mistral", "cohere"])
def test_a_limit_of_tokens_has_the_one_name_that_the_service_knows(provider):
    found = said(provider, params={"max_completion_tokens": 5}, streaming=False)
    assert found == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("provider", "base_url"),
    [
        ("mistral", None),
        ("mistral", BEHIND_A_GATEWAY),
        ("Mistral AI", "http://localhost:4000/v1"),
        ("openai", "https://api.mistral.ai/v1"),
        ("my-own-word", "https://api.mistral.ai/v1"),
    ],
)
def test_an_accent_goes_with_the_name_and_with_the_host(provider, base_url):
    asked = spoken_by(provider, base_url).encode(ChatRequest(messages=ASK, params={"seed": 3}), "m")
    document = json.loads(asked.body)
    assert document["random_seed"] == 3
    assert "stream_options" not in document


def test_at_the_host_of_another_service_its_accent_counts():
    asked = spoken_by("mistral", "https://openrouter.ai/api/v1").encode(ChatRequest(messages=ASK, effort="low"), "m")
    document = json.loads(asked.body)
    assert document["reasoning"] == {"effort": "low"}
    assert "stream_options" in document
