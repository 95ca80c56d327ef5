"""A model that is asked as ``provider:model``, without a profile, and the list of what a service offers."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest

import llx_magic
from llx_magic.engine.background import BACKGROUND
from llx_magic.errors import AllBackendsFailed, LlxError, ProfileError, SettingError, UsageProblem
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile
from llx_magic.profiles.store import ProfileStore
from llx_magic.providers.table import PROVIDERS
from llx_magic.session.session import Session
from tests.faults.server import FaultServer
from tests.home import own_home
from tests.typed import Typed

models = Typed("models")
KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for each in PROVIDERS.values():
        monkeypatch.delenv(each.key_variable or "NONE", raising=False)
    return own_home(tmp_path, monkeypatch)


def write(home, name: str, **raw: object) -> None:
    path = home / "profiles" / f"{name}.json"
    path.write_text(json.dumps({"version": 1, **raw}))
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("typed", "provider", "model"),
    [
        ("anthropic:claude-x", "anthropic", "claude-x"),
        ("gemini:gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("ollama:llama3.2:1b", "ollama", "llama3.2:1b"),
        ("openrouter:meta-llama/llama-4", "openrouter", "meta-llama/llama-4"),
        ("Chutes.ai:Qwen/Qwen3", "chutes", "Qwen/Qwen3"),
        ("ChatGPT:gpt-x", "openai", "gpt-x"),
        ("local:smollm2-135m-instruct", "local", "smollm2-135m-instruct"),
        ("simulated:any", "simulated", "any"),
    ],
)
def test_provider_and_model_name_a_model_without_any_file(home, typed, provider, model):
    (member,) = ProfileStore().load(typed).members
    assert (member.provider, member.model) == (provider, model)
    assert not list((home / "profiles").iterdir())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("antropic:claude-x", "unknown provider 'antropic', did you mean 'anthropic'?"),
        ("anthropic:", "names no model"),
        ("anthropic: ", "names no model"),
        ("azure:gpt-x", "provider azure needs a base-url"),
        ("anthropic-vertex:claude-x", "needs a base-url"),
        ("codex:gpt-x", "subscription"),
        ("http://localhost:8000/v1", "an address is no profile"),
        ("anthropic:sk-ant-api03-abcdefghijklmnopqrstuvwxyz", "looks like a key"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(typed, said):
    with pytest.raises(ProfileError) as problem:
        llx_magic.load(typed)
    assert said in str(problem.value)
    assert "abcdefghijkl" not in str(problem.value)


@pytest.mark.parametrize("typed", ["work:", "work:gpt-5", "work: hello"])
def test_a_colon_behind_the_name_of_a_profile_is_told_as_that(home, typed):
    write(home, "work", kind="model", provider="simulated", model="any")
    with pytest.raises(ProfileError) as problem:
        llx_magic.load(typed)
    assert str(problem.value) == f"{typed!r}: work is a profile, and its name stands alone, without ':'"


def test_a_missing_key_is_named_by_its_variable():
    with pytest.raises(AllBackendsFailed, match="no key for anthropic: set ANTHROPIC_API_KEY"):
        asyncio.run(llx_magic.load("anthropic:claude-x").ask("why"))


def test_a_profiles_file_comes_first(home, tmp_path):
    write(home, "anthropic", provider="simulated", model="mine")
    assert ProfileStore().load("anthropic").members[0].model == "mine"
    folder = tmp_path / "openrouter:meta"
    folder.mkdir()
    (folder / "llama.json").write_text('{"version": 1, "provider": "simulated", "model": "of a file"}')
    assert ProfileStore().load("openrouter:meta/llama").members[0].model == "of a file"


def test_a_session_keeps_one_state_for_each_model_asked_so():
    session = Session()
    assert session.balancer("simulated:a") is session.balancer("simulated:a")
    assert session.balancer("simulated:a") is not session.balancer("simulated:b")
    session.load("simulated:a")
    assert session.balancer() is session.balancer("simulated:a")


def listing(exchange) -> None:
    known = {"big-1": 8192, "big-2": 4096}
    rows = [{"id": name, "max_model_len": window} for name, window in known.items()]
    found = urlsplit(exchange.request.path).path == "/v1/models"
    exchange.whole(200 if found else 404, json.dumps({"data": rows}).encode())


def test_the_models_of_a_profile_are_listed_with_their_windows_and_who_uses_them(home, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with FaultServer(listing) as server:
        settings = {"base-url": server.base_url, "auth-key-env": "MY_KEY"}
        write(home, "one", provider="openai", model="big-1", ephemeralSettings=settings)
        text = models.run(Session(), "one").text
        assert text.splitlines()[0].endswith(": 2 models")
        assert [line.split() for line in text.splitlines()[3:]] == [["big-1", "8,192", "one"], ["big-2", "4,096"]]
        assert "big-1" not in models.run(Session(), "one g-2").text


def test_one_service_that_does_not_answer_does_not_hide_the_others(home, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with FaultServer(listing) as up, FaultServer("401", "401") as down:
        for name, server in (("one", up), ("two", down)):
            settings = {"base-url": server.base_url, "auth-key-env": "MY_KEY"}
            write(home, name, provider="openai", model="big-1", ephemeralSettings=settings)
        write(home, "lb", type="loadbalancer", policy="failover", profiles=["one", "two"])
        text = models.run(Session(), "lb").text
        assert "big-2" in text
        assert ": 401" in text
        assert KEY not in text


def test_a_name_that_is_neither_profile_nor_provider_is_said_to_be_neither():
    with pytest.raises(UsageProblem, match=r"unknown profile 'antropic'.*nor is it a provider; .* provider anthropic"):
        models.run(Session(), "antropic")
    with pytest.raises(UsageProblem) as caught:
        models.run(Session(), "zzzzzz")
    assert str(caught.value).endswith("nor is it a provider; the Tab key completes both")


def test_the_embedded_model_is_listed_and_a_simulated_one_is_called_anything():
    assert "smollm2-135m-instruct" in models.run(Session(), "local").text
    with pytest.raises(LlxError, match="simulated: provider simulated has no list of models: it takes any name"):
        models.run(Session(), "simulated")


def test_a_service_of_several_members_that_lists_no_models_says_so_once():
    session = Session()
    for name in ("one", "two"):
        session.store.save(ModelProfile(name, "simulated", "m"))
    session.store.save(LoadBalancerProfile("both", "failover", ("one", "two")))
    with pytest.raises(LlxError) as refused:
        models.run(session, "both")
    assert str(refused.value).count("simulated: ") == 1


def test_a_backend_that_is_tried_once_is_not_said_to_be_asked_up_to_once():
    session = Session()
    session.store.save(ModelProfile("one", "simulated", "m", settings={"failover_retry_count": 1}))
    verdicts = BACKGROUND.run(session.balancer("one").explain(session.balancer("one").prepare("hello")))
    assert [verdict for _name, verdict in verdicts] == ["asked once"]


@pytest.mark.parametrize("given", ["10_000", "10,000", "10 000"])
def test_a_number_in_groups_is_told_as_it_is_to_be_written(given):
    with pytest.raises(SettingError, match="write 10000"):
        Session().set("timeout_ms", given)
