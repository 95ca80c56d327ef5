"""Which models a service offers: asked with the key of a prompt, page by page, and kept for a day without it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from llx_magic.backends.reading.listing import Listed, next_page, with_limits
from llx_magic.commands.completion import completions
from llx_magic.commands.here import Here
from llx_magic.commands.where import Where
from llx_magic.engine.background import BACKGROUND
from llx_magic.errors import LlxError
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import ModelProfile
from llx_magic.session.model_lists import KEPT_SECONDS, ModelLists
from llx_magic.session.session import Session
from tests.faults.server import Exchange, FaultServer
from tests.home import own_home
from tests.wires.mocks import cohere, gemini, ollama
from tests.wires.mocks.anthropic import MODEL as CLAUDE
from tests.wires.mocks.anthropic import ClaudeServer

KEY = "sk-test-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LLX_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MY_KEY", KEY)
    return own_home(tmp_path, monkeypatch)


def serving(pages: dict[str, Any]) -> Callable[[Exchange], None]:
    """Answer each path with its document, and everything else with 404."""

    def answer(exchange: Exchange) -> None:
        page = pages.get(exchange.request.path)
        exchange.whole(404 if page is None else 200, json.dumps(page or {"error": "no such path"}).encode())

    return answer


def member(server: FaultServer, provider: str = "openai", root: str = "", **connection: Any) -> ModelProfile:
    given = {"auth_key_env": "MY_KEY", **connection}
    return ModelProfile("m", provider, "big", connection=Connection(base_url=root or server.base_url, **given))


def completed(line: str) -> list[str]:
    return completions(Here(Where.SHELL, Session), line)


def asked(lists: ModelLists, which: ModelProfile) -> tuple[Listed, ...]:
    return BACKGROUND.run(lists.ask(which))


ROWS = [
    ({"data": [{"id": "big", "max_model_len": 8192}]}, Listed("big", 8192)),  # vLLM, SGLang
    ({"data": [{"id": "big", "context_length": 131072, "top_provider": {"max_completion_tokens": 4096}}]},
     Listed("big", 131072, 4096)),  # OpenRouter
    ({"data": [{"id": "big", "context_window": 131072, "max_completion_tokens": 32768}]},
     Listed("big", 131072, 32768)),  # Groq
    ({"data": [{"id": "big", "max_context_length": 32768}]}, Listed("big", 32768)),  # Mistral
    ({"data": [{"id": "big", "metadata": {"context_length": 4096, "max_tokens": 4096}}]},
     Listed("big", 4096, 4096)),  # DeepInfra
    ([{"id": "big", "context_length": 4096}], Listed("big", 4096)),  # Together
    ({"models": [{"name": "models/big", "inputTokenLimit": 1048576, "outputTokenLimit": 65536}]},
     Listed("big", 1048576, 65536)),  # Gemini
    ({"data": [{"id": "big", "max_input_tokens": 200000, "max_tokens": 64000}]}, Listed("big", 200000, 64000)),
    ({"data": [{"id": "big", "context_length": True, "context_window": -1}]}, Listed("big")),
    ({"data": 3}, Listed("big")),
]  # fmt: skip


@pytest.mark.parametrize(("page", "found"), ROWS)
def test_each_service_has_its_words_for_a_window_and_for_the_longest_reply(page, found):
    assert tuple(with_limits(("big",), page)) == (found,)


@pytest.mark.parametrize(
    ("page", "path"),
    [
        ({"nextPageToken": "a b"}, "/models?pageToken=a%20b"),
        ({"next_page_token": "x"}, "/models?page_token=x"),
        ({"nextToken": "x/="}, "/models?nextToken=x%2F%3D"),
        ({"has_more": True, "last_id": "m-9"}, "/models?after_id=m-9"),
        ({"has_more": False, "last_id": "m-9"}, None),
        ({"nextPageToken": ""}, None),
        ([], None),
    ],
)
def test_each_service_names_the_next_page_in_its_way(page, path):
    assert next_page("/models", page) == path


def test_all_pages_are_asked_for_with_the_key_and_by_get():
    pages = {
        "/v1/models": {"data": [{"id": "a"}, {"id": "b"}], "has_more": True, "last_id": "b"},
        "/v1/models?after_id=b": {"data": [{"id": "c"}], "has_more": False, "last_id": "c"},
    }
    with FaultServer(serving(pages)) as server:
        found = asked(ModelLists(), member(server))
        assert [each.name for each in found] == ["a", "b", "c"]
        assert {request.method for request in server.requests} == {"GET"}
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("transport", ["direct", "httpx"])
def test_a_page_that_brings_nothing_new_is_the_last(monkeypatch, transport):
    monkeypatch.setenv("LLX_HTTP_TRANSPORT", transport)
    page = {"data": [{"id": "a"}], "nextPageToken": "for ever"}
    pages = {"/v1/models": page, "/v1/models?pageToken=for%20ever": page}
    with FaultServer(serving(pages)) as server:
        assert asked(ModelLists(), member(server)) == (Listed("a"),)
        assert len(server.requests) == 2


def test_a_server_whose_list_is_below_a_version_is_asked_there():
    with FaultServer(serving({"/v1/models": {"data": [{"id": "a"}]}})) as server:
        assert asked(ModelLists(), member(server, root=server.base_url.removesuffix("/v1"))) == (Listed("a"),)
        assert [urlsplit(request.path).path for request in server.requests] == ["/models", "/v1/models"]


def test_the_mocks_of_gemini_cohere_ollama_and_anthropic_list_their_models(monkeypatch):
    for mock, provider in ((gemini, "gemini"), (cohere, "cohere"), (ollama, "ollama")):
        monkeypatch.setenv("MY_KEY", getattr(mock, "KEY", KEY))
        with mock.serve() as server:
            found = asked(ModelLists(), member(server, provider, mock.root_of(server)))
            assert mock.MODEL in [each.name for each in found], provider
    monkeypatch.setenv("MY_KEY", KEY)
    with ClaudeServer() as server:
        found = asked(ModelLists(), member(server, "anthropic", server.root))
        assert [each.name for each in found] == [CLAUDE, "claude-y"]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("401", "401"),
        ("503", "503"),
        (lambda exchange: exchange.whole(200, b"<html>Hello</html>"), "no list of models"),
        (lambda exchange: exchange.reset(), "connection"),
    ],
)
def test_a_list_that_cannot_be_had_is_one_line_without_the_key(mode, said):
    with FaultServer(mode, mode, mode) as server, pytest.raises(LlxError) as problem:
        asked(ModelLists(), member(server))
    assert said in str(problem.value)
    assert KEY not in str(problem.value)


def test_a_list_is_kept_for_a_day_without_the_key(tmp_path):
    now = [1_000_000.0]
    with FaultServer(serving({"/v1/models": {"data": [{"id": "big", "max_model_len": 4096}]}})) as server:
        which = member(server)
        lists = ModelLists(lambda: now[0])
        asked(lists, which)
        again = ModelLists(lambda: now[0])
        assert again.kept(which) == (Listed("big", 4096),)
        assert again.window(which) == 4096
        (file,) = (tmp_path / "cache" / "models").glob("*.json")
        assert KEY not in file.read_text()
        now[0] += KEPT_SECONDS
        assert again.kept(which) == ()
        assert again.window(which) is None


def test_a_broken_file_counts_as_no_list(tmp_path):
    with FaultServer(serving({"/v1/models": {"data": [{"id": "big"}]}})) as server:
        which = member(server)
        asked(ModelLists(), which)
        (file,) = (tmp_path / "cache" / "models").glob("*.json")
        file.write_text('{"at": "now"')
        assert ModelLists().kept(which) == ()


def test_completion_does_not_wait_for_a_slow_service_and_has_its_list_the_next_time():
    let_go, ended = threading.Event(), threading.Event()

    def slow(exchange: Exchange) -> None:
        let_go.wait(30)
        exchange.whole(200, b'{"data": [{"id": "slow-model"}]}')
        ended.set()

    with FaultServer(slow) as server:
        lists, which = ModelLists(), member(server)
        assert lists.soon(which) == ()
        let_go.set()
        assert ended.wait(30)
        while not (found := lists.soon(which)):
            pass
        assert found == (Listed("slow-model"),)
        assert len(server.requests) == 1


def test_a_model_and_a_provider_behind_a_colon_are_completed_from_the_list():
    with FaultServer(serving({"/v1/models": {"data": [{"id": "llama-a"}, {"id": "llama-b"}]}})) as server:
        options = f"--provider openai --base-url {server.base_url} --key-env MY_KEY"
        found = completed(f"llx profile save model x {options} --model llama")
        assert found == ["llama-a", "llama-b"]


def test_a_provider_is_completed_with_its_colon():
    assert "anthropic:" in completed("llx -p anth")
    assert completed("llx models anth")[0] == "anthropic"
