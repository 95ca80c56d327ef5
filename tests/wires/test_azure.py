"""OpenAI's forms at Azure: its addresses, its header for the key, and what it says where either is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llx_magic import LoadBalancer, ModelProfile, Profile
from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.wires.azure import Azure
from llx_magic.backends.wires.wire import Wire, wire_named
from llx_magic.core.failure import BackendFailed, FailureKind
from llx_magic.core.message import Message
from llx_magic.core.reply import Answer, ChatRequest, Usage
from llx_magic.errors import ProfileError
from llx_magic.keys.secret import Secret
from llx_magic.profiles.codec import read_document
from llx_magic.profiles.connection import Connection
from llx_magic.session.members import endpoint_of, wire_of
from tests.faults.asking import answer_at
from tests.faults.server import FaultServer
from tests.wires.mocks.azure import DEPLOYMENT, KEY, TEXT, TOKEN, root_of, serve

ROOT = "https://res.openai.azure.com"
DATED = {"api-version": "2024-10-21"}
ASK = ChatRequest(messages=(Message("user", "Why?"),))


def member(url: str | None, model: str = "gpt-x", provider: str = "azure", **keys: Any) -> ModelProfile:
    return ModelProfile("a", provider, model, connection=Connection(base_url=url, **keys))


def asked_at(given: str, provider: str = "azure", **keys: Any) -> tuple[str, str]:
    """Return the address that a prompt goes to, and the model in its body."""
    profile = member(given, provider=provider, **keys)
    endpoint = endpoint_of(profile)
    assert endpoint is not None
    wire = wire_of(profile, endpoint)
    version = "" if wire.root_is_versioned(endpoint.path) else wire.version
    asked = wire.encode(ASK, endpoint.model)
    return endpoint.url(f"{version}{asked.path}"), json.loads(asked.body)["model"]


# --- the address ------------------------------------------------------------------------------------------------------

STABLE = f"{ROOT}/openai/v1/chat/completions"
OLD = f"{ROOT}/openai/deployments/{{}}/chat/completions?api-version=2024-10-21"
BOTH = {"api_version": "2024-10-21", "deployment": "our-gpt"}


@pytest.mark.parametrize(
    ("given", "keys", "address", "model"),
    [
        (ROOT, {}, STABLE, "gpt-x"),
        (f"{ROOT}/", {}, STABLE, "gpt-x"),
        (f"{ROOT}/openai", {}, STABLE, "gpt-x"),
        (f"{ROOT}/openai/v1/", {}, STABLE, "gpt-x"),
        (STABLE, {}, STABLE, "gpt-x"),
        (ROOT, {"deployment": "our-gpt"}, STABLE, "our-gpt"),
        (ROOT, {"form": "responses"}, f"{ROOT}/openai/v1/responses", "gpt-x"),
        ("https://res.services.ai.azure.com", {}, "https://res.services.ai.azure.com/openai/v1/chat/completions",
         "gpt-x"),
        (ROOT, {"api_version": "2024-10-21"}, OLD.format("gpt-x"), "gpt-x"),
        (ROOT, BOTH, OLD.format("our-gpt"), "our-gpt"),
        (f"{ROOT}/openai", BOTH, OLD.format("our-gpt"), "our-gpt"),
        (OLD.format("our-gpt"), {}, OLD.format("our-gpt"), "our-gpt"),
        (f"AZURE={OLD.format('our-gpt')}", {}, OLD.format("our-gpt"), "our-gpt"),
        (f"{ROOT}/openai/deployments/our-gpt", {"api_version": "2024-10-21"}, OLD.format("our-gpt"), "our-gpt"),
        (f"{ROOT}/openai/deployments/our-gpt/chat/completions", {},
         f"{ROOT}/openai/deployments/our-gpt/chat/completions", "gpt-x"),
        (f"{ROOT}/openai/responses?api-version=2025-03-01-preview", {"form": "responses"},
         f"{ROOT}/openai/responses?api-version=2025-03-01-preview", "gpt-x"),
        (f"{ROOT}/openai/v1?api-version=preview", {}, f"{STABLE}?api-version=preview", "gpt-x"),
        (ROOT, {"api_version": "preview"}, f"{STABLE}?api-version=preview", "gpt-x"),
        (f"{ROOT}/openai/v1", {"api_version": "2024-10-21"}, STABLE, "gpt-x"),
        ("https://gateway.example/team", BOTH,
         "https://gateway.example/team/openai/deployments/our-gpt/chat/completions?api-version=2024-10-21", "our-gpt"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("provider", ["azure", "openai", "our-own"])
def test_an_address_of_azure_is_understood_as_its_portal_shows_it(provider, given, keys, address, model):
    assert asked_at(given, provider, **keys) == (address, model)


def test_an_address_that_names_version_and_deployment_is_saved_as_their_keys():
    connection = member(OLD.format("our-gpt")).connection
    assert (connection.base_url, connection.api_version, connection.deployment) == (ROOT, "2024-10-21", "our-gpt")


def test_a_key_of_the_profile_outweighs_what_a_pasted_address_names():
    connection = member(OLD.format("our-gpt"), deployment="other", api_version="preview").connection
    assert (connection.api_version, connection.deployment) == ("preview", "other")


def test_the_keys_stand_in_a_profiles_file():
    text = json.dumps({
        "version": 1, "provider": "azure", "model": "gpt-x", "modelParams": {},
        "ephemeralSettings": {"base-url": ROOT, "api-version": "2024-10-21", "deployment": "our-gpt"},
    })  # fmt: skip
    read = read_document(text, "a")
    assert isinstance(read, ModelProfile)
    assert (read.connection.api_version, read.connection.deployment) == ("2024-10-21", "our-gpt")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"api_version": "last year"}, "api-version must be a version of Azure's service, such as 2024-10-21; got"),
        ({"deployment": "a/b"}, "deployment must be the name of a deployment: letters, digits"),
        ({"deployment": "sk-proj-0123456789abcdefghijABCDEFGHIJ"}, "looks like a key itself"),
    ],
)
def test_what_is_no_version_or_deployment_is_refused_in_a_line(keys, said):
    with pytest.raises(ProfileError, match=said):
        member(ROOT, **keys)


@pytest.mark.parametrize(
    "query", ["?api-version=", "?api-version=2024-10-21&key=x", "?key=2024-10-21", "?api-version=x"]
)
def test_any_other_query_in_an_address_is_refused(query):
    with pytest.raises(ProfileError, match="must not hold a query"):
        member(f"{ROOT}/openai/deployments/d/chat/completions{query}")


# --- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "url", "keys", "key", "header"),
    [
        ("openai", ROOT, {}, KEY, ("api-key", KEY)),
        ("openai", ROOT, DATED, KEY, ("api-key", KEY)),
        ("responses", ROOT, {}, KEY, ("api-key", KEY)),
        ("openai", ROOT, {}, TOKEN, ("Authorization", f"Bearer {TOKEN}")),
        ("openai", ROOT, {"auth": "entra"}, "opaque", ("Authorization", "Bearer opaque")),
        ("openai", "https://res.cognitiveservices.azure.us", {}, KEY, ("api-key", KEY)),
        ("openai", "https://gateway.example", DATED, KEY, ("api-key", KEY)),
        ("openai", "https://gateway.example", {"api-version": "1"}, KEY, ("Authorization", f"Bearer {KEY}")),
        ("openai", "https://api.openai.com/v1", DATED, KEY, ("Authorization", f"Bearer {KEY}")),
        ("openai", "https://api.openai.com/v1", {}, KEY, ("Authorization", f"Bearer {KEY}")),
        ("openai", "https://openai.azure.com.example.org", {}, KEY, ("Authorization", f"Bearer {KEY}")),
    ],
)
def test_a_key_stands_in_the_header_that_azure_reads_and_a_token_is_a_bearers(form, url, keys, key, header):
    shown = wire_named(form).configured(url, keys).proof(Secret(key))
    assert [(name, secret.reveal()) for name, secret in shown.items()] == [header]


def test_what_could_be_deployed_is_not_listed_as_if_it_were():
    assert wire_named("openai").configured(ROOT, {}).models_path == ""


# --- against a strict server ------------------------------------------------------------------------------------------


async def ask(
    server: FaultServer, wire: Wire, model: str = DEPLOYMENT, key: str = KEY, *, below: str = "", **more: Any
) -> Answer:
    request = ChatRequest(messages=ASK.messages, **more)
    return await answer_at(Endpoint(f"{root_of(server)}{below}", model), wire, request, key)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("key", [KEY, TOKEN])
@pytest.mark.parametrize("keys", [{}, DATED])
@pytest.mark.parametrize("form", ["openai", "responses"])
async def test_a_strict_resource_answers_in_both_forms_at_both_addresses(form, keys, key, streaming):
    wire = wire_named(form).configured(ROOT, keys)
    assert isinstance(wire, Azure)
    with serve() as server:
        answer = await ask(server, wire, key=key, streaming=streaming)
    assert answer.text == TEXT
    assert len(server.requests) == 1
    if streaming and form == "openai":
        assert answer.usage == Usage(9, 5)


@pytest.mark.parametrize(
    ("keys", "model", "key", "kind", "message"),
    [
        (DATED, "gpt-x", KEY, FailureKind.ACCESS, "deployment must be the name of the deployment, which need not be"),
        ({}, "gpt-x", KEY, FailureKind.ACCESS, "deployment must be the name of the deployment, which need not be"),
        ({"api-version": "2020-01-01"}, DEPLOYMENT, KEY, FailureKind.BAD_REQUEST, "API version not supported"),
        (DATED, DEPLOYMENT, "wrong", FailureKind.ACCESS, "invalid subscription key"),
    ],
)
async def test_what_a_resource_refuses_says_where_to_look(keys, model, key, kind, message):
    with serve() as server, pytest.raises(BackendFailed) as refused:
        await ask(server, wire_named("openai").configured(ROOT, keys), model, key)
    assert refused.value.failure.kind is kind
    assert message in refused.value.failure.message


async def test_an_address_without_its_version_is_said_to_want_one():
    below = f"/openai/deployments/{DEPLOYMENT}"
    wire = wire_named("openai").configured(ROOT + below, {})
    with serve() as server, pytest.raises(BackendFailed) as refused:
        await ask(server, wire, below=below)
    assert "it may want an api-version" in refused.value.failure.message


@pytest.mark.parametrize("below", ["", "/openai"])
async def test_a_resource_behind_an_address_of_its_owners_is_asked_where_azure_answers(below):
    with serve() as server:
        asked = Connection(base_url=root_of(server) + below, auth_key=Secret(KEY))
        profile = Profile.single(ModelProfile("a", "azure", DEPLOYMENT, connection=asked))
        async with LoadBalancer(profile, isolated=True) as lb:
            assert (await lb.ask("Why?")).text == TEXT
    assert [each.path for each in server.requests] == ["/openai/v1/chat/completions"]


def test_a_gateway_that_says_its_version_is_asked_as_it_stands():
    address = "https://gateway.example/v1/chat/completions"
    assert asked_at("https://gateway.example/v1") == (address, "gpt-x")


async def test_what_azure_does_not_answer_another_form_does():
    with serve() as ours, FaultServer("ok", text="From elsewhere.") as other:
        asked = Connection(base_url=root_of(ours), auth_key=Secret(KEY), api_version="2024-10-21", deployment="gone")
        members = (
            ModelProfile("a", "azure", "gpt-x", connection=asked),
            ModelProfile("b", "openai", "m", connection=Connection(base_url=other.base_url)),
        )
        async with LoadBalancer(Profile.failover("both", members), isolated=True) as lb:
            reply = await lb.ask("Why?")
    assert ours.requests[0].path == "/openai/deployments/gone/chat/completions?api-version=2024-10-21"
    assert (reply.text, reply.backend) == ("From elsewhere.", "b")
