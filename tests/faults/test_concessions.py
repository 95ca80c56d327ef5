"""What a server refuses of the things that a reply can do without: asked again at once without it, and remembered."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest

from llx_magic.backends.endpoint import Endpoint
from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.wires.wire import wire_named
from llx_magic.core.failure import BackendFailed, Failure, FailureKind
from llx_magic.core.reply import Answer, ChatRequest
from tests.faults.asking import QUESTION, FixedKey, Pieces, answer_of
from tests.faults.modes import ok
from tests.faults.server import Exchange, FaultServer, Mode

NUMBERS = itertools.count()


def refusing(name: str, document: object, code: int = 400) -> Mode:
    """Return a server that refuses every request with this field and answers all others."""

    def answer(exchange: Exchange) -> None:
        if exchange.request.json.get(name):
            exchange.whole(code, json.dumps(document).encode())
        else:
            ok(exchange)

    return answer


def error(message: str, **more: object) -> dict[str, object]:
    return {"error": {"message": message, **more}}


def ask_twice(mode: Mode, request: ChatRequest) -> tuple[list[Answer | Failure], list[Mapping[str, Any]], Pieces]:
    """Ask the same question twice and return the outcomes, the bodies that the server got, and the first pieces."""
    pieces = Pieces()

    async def run() -> list[Answer | Failure]:
        outcomes: list[Answer | Failure] = []
        for progress in (pieces, Pieces()):
            asked = HttpBackend(
                "alpha", endpoint, FixedKey(), wire_named("openai")
            )  # a new one each time: the process remembers
            try:
                outcomes.append(await answer_of(asked, request, progress))
            except BackendFailed as failed:
                outcomes.append(failed.failure)
            finally:
                await asked.aclose()
        return outcomes

    with FaultServer(mode) as server:
        endpoint = Endpoint(server.base_url, f"model-{next(NUMBERS)}")  # ports come back, with what is known
        outcomes = asyncio.run(asyncio.wait_for(run(), 30))
        return outcomes, [each.json for each in server.requests], pieces


STREAM_OPTIONS = {
    "OpenAI": error("Unrecognized request argument supplied: stream_options", type="invalid_request_error"),
    "by parameter": error("Unknown parameter.", param="stream_options", code="unknown_parameter"),
    "Azure": error("Unsupported parameter: 'stream_options.include_usage'", code="unsupported_parameter"),
    "Mistral": {"object": "error", "message": {"detail": [
        {"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}},
    "Go": {"error": 'json: unknown field "stream_options"'},
    "FastAPI, without a place": {"detail": [{"loc": ["body"], "msg": "Extra inputs are not permitted"}]},
    "plain": {"message": "stream_options is not supported"},
}  # fmt: skip


@pytest.mark.parametrize("document", STREAM_OPTIONS.values(), ids=STREAM_OPTIONS)
@pytest.mark.parametrize("code", [400, 422, 200])
def test_a_server_that_refuses_stream_options_is_asked_without_once_and_for_all(document, code):
    """The first answer takes one more request, the second none; neither knows anything of it."""
    outcomes, bodies, pieces = ask_twice(refusing("stream_options", document, code), ChatRequest(messages=QUESTION))
    assert [each.text for each in outcomes if isinstance(each, Answer)] == [FaultServer.DEFAULT_TEXT] * 2, outcomes
    assert ["stream_options" in body for body in bodies] == [True, False, False]
    assert all(body["stream"] for body in bodies)
    assert "".join(pieces.text) == FaultServer.DEFAULT_TEXT


@pytest.mark.parametrize(
    "document",
    [
        error("Your organization must be verified to stream this model.", param="stream", code="unsupported_value"),
        error("Streaming is not supported for this model"),
        error("This model does not support streaming"),
    ],
)
def test_a_server_that_refuses_to_stream_is_asked_for_the_whole(document):
    """The reply comes at once, whole."""
    outcomes, bodies, _ = ask_twice(refusing("stream", document), ChatRequest(messages=QUESTION))
    assert all(isinstance(each, Answer) for each in outcomes), outcomes
    assert ["stream" in body for body in bodies] == [True, False, False]
    assert "stream_options" not in bodies[-1]


@pytest.mark.parametrize(
    ("document", "remembered"),
    [
        (error("Unknown parameter: 'response_format'", param="response_format"), True),
        (error("'response_format.type' must be 'json_schema' or 'text'"), True),
        (error("response_format of type json_object is not supported with this model"), True),
        (error("'messages' must contain the word 'json' to use 'response_format' of type 'json_object'."), False),
    ],
)
def test_a_server_that_refuses_a_json_mode_is_asked_without(document, remembered):
    """What hangs on the prompt is tried again with the next one."""
    request = ChatRequest(messages=QUESTION, json=True, streaming=False)
    outcomes, bodies, _ = ask_twice(refusing("response_format", document), request)
    assert all(isinstance(each, Answer) for each in outcomes), outcomes
    assert ["response_format" in body for body in bodies] == [True, False, *([] if remembered else [True]), False]


def test_a_model_that_wants_its_own_name_for_the_limit_of_tokens_gets_it():
    """Reasoning models of OpenAI refuse the old one."""
    document = error("Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                     "'max_completion_tokens' instead.", param="max_tokens", code="unsupported_parameter")  # fmt: skip
    request = ChatRequest(messages=QUESTION, params={"max_tokens": 7})
    outcomes, bodies, _ = ask_twice(refusing("max_tokens", document), request)
    assert all(isinstance(each, Answer) for each in outcomes), outcomes
    assert [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in bodies] == [
        (7, None), (None, 7), (None, 7)
    ]  # fmt: skip


def test_several_things_may_be_refused_one_after_the_other():
    """Each once, in one attempt."""

    def answer(exchange: Exchange) -> None:
        sent = exchange.request.json
        for name in ("stream_options", "response_format"):
            if name in sent:
                exchange.whole(400, json.dumps(error(f"unknown field {name}")).encode())
                return
        ok(exchange)

    outcomes, bodies, _ = ask_twice(answer, ChatRequest(messages=QUESTION, json=True))
    assert all(isinstance(each, Answer) for each in outcomes), outcomes
    assert len(bodies) == 4


@pytest.mark.parametrize(
    ("params", "document"),
    [
        ({"top_k": 3}, error("max_tokens must be at least 1")),
        ({"stream_options": {"include_usage": True}}, error("unknown field stream_options")),
        ({"response_format": {"type": "text"}}, error("unknown field response_format")),
        ({"top_k": 3}, error("Unknown parameter: 'top_k'")),
    ],
)
def test_what_the_user_asked_for_is_not_taken_away(params, document):
    """The refusal is the user's to read."""
    name = next(iter(params))
    outcomes, bodies, _ = ask_twice(refusing(name, document), ChatRequest(messages=QUESTION, params=params, json=True))
    assert all(isinstance(each, Failure) and each.kind is FailureKind.BAD_REQUEST for each in outcomes), outcomes
    assert [name in body for body in bodies] == [True, True]
