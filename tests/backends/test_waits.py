"""How long a server asks to wait: in its headers, in its error, in its words, or by its limits' resets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.backends.reading.waits import LONGEST_WAIT, duration, wait_in_words
from llx_magic.backends.wires.openai_reader import ReplyReader
from llx_magic.core.failure import FailureKind
from tests.backends.kit import NOON, read, read_whole, refusal
from tests.faults.asking import Pieces


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("38s", 38.0), ("1.5s", 1.5), ("120ms", 0.12), ("6m0s", 360.0), ("1m23.4s", 83.4), ("1h2m3s", 3723.0),
        ("20 seconds", 20.0), ("1 minute", 60.0), ("2 hours", 7200.0), ("1 day", 86400.0),
        ("1 minute and 20 seconds", 80.0),
        ("500 milliseconds", 0.5), ("0s", 0.0), ("soon", None), ("", None), ("20", None),
        ("20 apples", None), ("s", None), ("1s of it", None), ("00:01:23", 83.0), ("12:34:56", 45296.0),
        ("1:99:00", None), ("12:34", None),
    ],
)  # fmt: skip
def test_a_duration_is_read_in_every_spelling(text, seconds):
    """Of Go, of Google, of people."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached for x on requests per min. Limit: 3. Please try again in 20s. Visit", 20.0),
        ("Limit 30000, Used 29000, Requested 2000. Please try again in 6.57s.", 6.57),
        ("Please try again in 1m23.4s. Need more tokens?", 83.4),
        ("Please try again in 120ms.", 0.12),
        ("exceeded token rate limit. Please retry after 26 seconds. Please go to", 26.0),
        ("Please wait 30 seconds and try again", 30.0),
        ("Please retry in 38.225s.", 38.225),
        ("Try again in 5 minutes", 300.0),
        ("limit resets in 2 hours", 7200.0),
        ("Out of call volume quota. Quota will be replenished in 00:12:30.", 750.0),
        ("Retry after: 20", 20.0),
        ("retry_after=20", 20.0),
        ("retry after 20 times", None),
        ("Please try again later. The limit is 5 minutes of audio.", None),
        ("try again", None),
        ("slow down", None),
        ("Your limit resets at 14:30:00.", None),
        ("Available again from 14:30:00 UTC", None),
        ("Please wait until 9:00:00 AM", None),
    ],
)
def test_a_wait_in_words_is_heeded(words, seconds):
    """On a 429, on a 503, and inside a success; a time of day is no wait, since nobody knows of which day."""
    assert wait_in_words(words) == seconds
    assert refusal(429, {"error": {"message": words}}).retry_after == seconds
    assert refusal(503, {"error": {"message": words}}).retry_after == seconds
    assert read({"error": {"message": words, "code": 429}})[0].retry_after == seconds


@pytest.mark.parametrize(
    "words",
    [
        "You will regain access on 2023-11-14 at 22:14 UTC.", "Your limit resets at 2023-11-14T22:14:00Z",
        "Please try again after 2023-11-14 22:14:00 UTC", "retry at 2023-11-14T23:14:00.5+01:00",
    ],
)  # fmt: skip
def test_a_date_in_words_that_names_its_zone_is_waited_for(words):
    assert refusal(429, {"error": {"message": words}}).retry_after == 40.0


def test_a_date_in_words_without_a_zone_is_none():
    """Nobody knows whose clock is meant."""
    assert refusal(429, {"error": {"message": "Your limit will reset at 2023-11-14 22:14:00"}}).retry_after is None


GOOGLE = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "38s"}]


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        ({"status": "RESOURCE_EXHAUSTED", "details": GOOGLE}, 38.0),
        ({"code": 429, "retry_after": 7}, 7.0),
        ({"code": 429, "retry_after_ms": 250}, 0.25),
        (
            {
                "code": 429,
                "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000030000"}},
            },
            30.0,
        ),
        ({"code": 429, "metadata": {"headers": {"Retry-After": "9"}}}, 9.0),
        ({"code": 429, "retry_after": -1}, None),
        ({"code": 429, "retry_after": None}, None),
        ({"code": 429, "retry_after": 1e300}, LONGEST_WAIT),
    ],
)
def test_a_wait_in_the_error_itself_is_heeded(error, seconds):
    """With a status and without one."""
    assert refusal(429, {"error": {"message": "x", **error}}).retry_after == seconds
    reader = ReplyReader("alpha", "m", Pieces())
    reader.came_with({}, NOON)
    failure = read_whole({"error": {"message": "x", **error}}, reader)
    assert (failure.kind, failure.retry_after) == (FailureKind.RATE_LIMIT, seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "6m0s"}, 360.0),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "120ms"}, 0.12),
        ({"x_ratelimit_remaining_requests": "5", "x_ratelimit_reset_requests": "6m0s"}, None),
        ({"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1s",
          "x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "9s"}, 9.0),
        ({"anthropic_ratelimit_tokens_remaining": "0",
          "anthropic_ratelimit_tokens_reset": "2023-11-14T22:13:50Z"}, 30.0),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1700000012000"}, 12.0),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1700000012"}, 12.0),
        ({"ratelimit_remaining": "0", "ratelimit_reset": "12"}, 12.0),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "1600000000"}, 0.0),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "whenever"}, None),
        ({"x_ratelimit_remaining": "0"}, None),
        ({"retry_after": "3", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "12"}, 3.0),
        ({"retry_after": "1m2s"}, 62.0),
        ({"retry_after": "1700000012"}, 12.0),
        ({"retry_after": "1699999999"}, 0.0),
        ({"retry_after": "1699999999500"}, 0.0),
    ],
)  # fmt: skip
def test_the_reset_of_a_limit_that_has_nothing_left_is_waited_for(headers, seconds):
    """Durations, seconds, dates of RFC 3339 and Unix times; one with something left does not matter."""
    assert refusal(429, {"error": {"message": "x"}}, **headers).retry_after == seconds


def test_the_reset_of_a_limit_is_no_wait_where_the_rate_was_not_limited():
    """A server that is down says nothing of it."""
    headers = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "12"}
    assert refusal(503, {"error": {"message": "x"}}, **headers).retry_after is None


def test_the_order_is_headers_then_field_then_words_then_resets():
    """The most exact first."""
    document = {"error": {"message": "try again in 3s", "details": [{"retryDelay": "2s"}]}}
    reset = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": "4"}
    assert refusal(429, document, retry_after="1", **reset).retry_after == 1.0
    assert refusal(429, document, **reset).retry_after == 2.0
    assert refusal(429, {"error": {"message": "try again in 3s"}}, **reset).retry_after == 3.0


@given(st.text(st.sampled_from("try again in0123456789.smhd wait \n"), max_size=80), st.floats(), st.text(max_size=30))
def test_no_wait_whatsoever_is_anything_but_finite(words, number, reset):
    """Whatever a server writes."""
    error = {"message": words, "retry_after": number if math.isfinite(number) else None}
    found = refusal(429, {"error": error}, x_ratelimit_remaining="0", x_ratelimit_reset=reset).retry_after
    assert found is None or (math.isfinite(found) and 0 <= found <= LONGEST_WAIT)
