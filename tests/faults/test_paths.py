"""Addresses that lack ``/v1``, and what is said where nothing is at the path that was asked."""

from __future__ import annotations

import json

import pytest

from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.reply import Answer
from tests.faults.asking import FixedKey, ask
from tests.faults.modes import ok
from tests.faults.server import Exchange, FaultServer, Mode


def served_at(path: str, otherwise: Mode) -> Mode:
    """A server that answers at one path and fails at all others."""

    def act(exchange: Exchange) -> None:
        if exchange.request.path == path:
            ok(exchange)
        else:
            otherwise(exchange)

    return act


def no_such_path(exchange: Exchange) -> None:
    exchange.whole(404, json.dumps({"detail": "Not Found"}).encode())


def no_such_method(exchange: Exchange) -> None:
    exchange.whole(405, b"Method Not Allowed", {"Content-Type": "text/plain"})


def as_lm_studio(exchange: Exchange) -> None:
    exchange.whole(200, b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}')


def front_page(exchange: Exchange) -> None:
    exchange.whole(200, b"<html><title>Gateway</title></html>", {"Content-Type": "text/html"})


def unknown_model(exchange: Exchange) -> None:
    exchange.whole(404, json.dumps({"error": {"message": "The model `m` does not exist"}}).encode())


def root_of(server: FaultServer) -> str:
    return server.base_url.removesuffix("/v1")


@pytest.mark.parametrize("otherwise", [no_such_path, no_such_method, as_lm_studio, front_page])
@pytest.mark.parametrize("under", ["", "/gateway"])
def test_an_address_without_v1_is_asked_again_under_it_and_the_place_is_remembered(otherwise, under):
    with FaultServer(served_at(f"{under}/v1/chat/completions", otherwise)) as server:
        for _ in range(2):
            answer, _ = ask(root_of(server) + under, key=FixedKey(None))
            assert isinstance(answer, Answer)
        paths = [request.path for request in server.requests]
    assert paths == [f"{under}/chat/completions", *[f"{under}/v1/chat/completions"] * 2]


def test_a_server_that_answers_without_v1_is_asked_there_alone():
    with FaultServer(served_at("/chat/completions", no_such_path)) as server:
        answer, _ = ask(root_of(server), key=FixedKey(None))
        assert isinstance(answer, Answer)
        assert [request.path for request in server.requests] == ["/chat/completions"]


def test_where_neither_path_is_there_both_are_named_and_the_second_is_not_asked_again():
    with FaultServer(no_such_path) as server:
        for _ in range(2):
            failure, _ = ask(root_of(server), key=FixedKey(None))
            assert isinstance(failure, Failure)
            assert failure.message == "404 Not Found (there is neither /chat/completions nor /v1/chat/completions)"
        assert len(server.requests) == 3


@pytest.mark.parametrize("base", ["/v1", "/api/paas/v4", "/v1beta/openai"])
def test_an_address_with_a_version_is_not_asked_elsewhere_and_its_path_is_named(base):
    with FaultServer(unknown_model) as server:
        failure, _ = ask(root_of(server) + base, key=FixedKey(None))
        assert failure.kind is FailureKind.ACCESS
        assert failure.message == (f"404 Not Found: The model `m` does not exist (asked for {base}/chat/completions)")
        assert len(server.requests) == 1


def test_another_failure_under_v1_is_the_one_that_counts():
    def refuse(exchange: Exchange) -> None:
        if exchange.request.path.startswith("/v1"):
            exchange.whole(401, json.dumps({"error": {"message": "no key"}}).encode())
        else:
            no_such_path(exchange)

    with FaultServer(refuse) as server:
        failure, _ = ask(root_of(server), key=FixedKey(None))
        assert failure.message == "401 Unauthorized: no key"
