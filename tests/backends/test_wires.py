"""A wire form is one module and a word in a provider's row: what the backend takes from it, and what it never does."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.reading.reader import Reader
from llx_magic.backends.wires.wire import Asked, Wire, json_body, wire_named
from llx_magic.core.failure import BackendFailed
from llx_magic.core.ports import Progress
from llx_magic.core.reply import ChatRequest
from llx_magic.keys.secret import Secret
from llx_magic.providers.table import PROVIDERS
from llx_magic.text.values import JsonValue
from tests.faults.asking import KEY, FixedKey, answer_of
from tests.faults.server import Exchange, FaultServer


class Telegrams(Reader):
    """Reads documents that hold a word each."""

    def take_document(self, document: dict[str, JsonValue]) -> None:
        if "said" in document:
            self.add_text(str(document["said"]))
        self.done = "stop" in document


class Telegram(Wire):
    """A form that nobody speaks: the model stands in the path, the key in a header of its own."""

    def encode(self, request: ChatRequest, model: str, without: Collection[str] = ()) -> Asked:
        said: list[JsonValue] = [each.text for each in request.messages]
        return Asked(f"/wire/{model}?alt=sse", json_body({"said": said}), {"x-form": "telegram"})

    def proof(self, key: Secret) -> Mapping[str, Secret]:
        return {"x-key": key}

    def reader(self, name: str, model: str, progress: Progress) -> Telegrams:
        return Telegrams(name, model, progress)


def telling(exchange: Exchange) -> None:
    exchange.whole(200, b'data: {"said": "One."}\n\ndata: {"stop": 1}\n\n', {"Content-Type": "text/event-stream"})


async def test_path_key_headers_and_body_are_the_forms_own():
    with FaultServer(telling) as server:
        asked = HttpBackend("alpha", Endpoint(server.base_url, "some-model"), FixedKey(), Telegram())
        answer = await answer_of(asked)
        await asked.aclose()
    (sent,) = server.requests
    assert (answer.text, answer.model) == ("One.", "some-model")
    assert (sent.path, sent.json) == ("/v1/wire/some-model?alt=sse", {"said": ["Why test?"]})
    assert (sent.headers["x-key"], sent.headers["x-form"]) == (KEY, "telegram")
    assert "authorization" not in sent.headers


async def test_a_form_without_a_version_is_asked_once_where_its_path_is_unknown():
    """Only a form that has one may be below ``/v1``."""
    with FaultServer("404") as server:
        asked = HttpBackend("alpha", Endpoint(server.base_url.removesuffix("/v1"), "m"), FixedKey(), Telegram())
        with pytest.raises(BackendFailed):
            await answer_of(asked)
        await asked.aclose()
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", sorted({each.wire for each in PROVIDERS.values()}))
def test_every_form_that_a_row_names_is_there(name):
    assert isinstance(wire_named(name), Wire)


@pytest.mark.parametrize(
    "document",
    [
        {"object": "list", "data": [{"id": "a"}, {"id": "b", "owned_by": "x"}, {"id": ""}, {"id": 3}, "c", {}]},
        [{"id": "a"}, {"id": "b"}],  # Together's
    ],
)
def test_the_names_in_a_list_of_models_are_read_past_what_is_odd(document):
    assert wire_named("openai").models(document) == ("a", "b")


@pytest.mark.parametrize("document", [None, [], {}, {"data": None}, {"data": "many"}, "none", 3])
def test_what_is_no_list_of_models_names_none(document):
    assert wire_named("openai").models(document) == ()
