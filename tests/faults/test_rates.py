"""What a service tells of its limits is reported as soon as it is read, from replies and from refusals."""

from __future__ import annotations

import pytest

from llx_magic.core.rate_facts import Measure
from tests.faults.asking import ask
from tests.faults.server import FaultServer, status

SPENT = {
    "x-ratelimit-limit-requests": "60",
    "x-ratelimit-remaining-requests": "0",
    "X-RateLimit-Reset-Requests": "50s",
}
GOOD = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize("answer", [status(200, SPENT, GOOD), status(429, {**SPENT, "retry-after": "1"}, {})])
def test_headers_are_told_once_whether_the_service_answers_or_refuses(answer):
    with FaultServer(answer) as server:
        _, pieces = ask(server.base_url)
    assert [[(each.measure, each.remaining, each.resets_in) for each in facts] for facts in pieces.rates] == [
        [(Measure.REQUESTS, 0, 50)]
    ]


def test_a_body_that_quotes_headers_is_told():
    error = {"code": 429, "message": "x", "metadata": {"headers": {"X-RateLimit-Limit": "20"}}}
    for answer in (status(429, {}, {"error": error}), status(200, {}, {"error": error})):
        with FaultServer(answer) as server:
            _, pieces = ask(server.base_url)
        assert [[each.limit for each in facts] for facts in pieces.rates] == [[20]]


def test_a_reply_without_such_headers_tells_nothing():
    with FaultServer("ok") as server:
        _, pieces = ask(server.base_url)
    assert pieces.rates == []
