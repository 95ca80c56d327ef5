"""The line under a prompt that is under way: a clock while nothing has come, against the limit that applies."""

from __future__ import annotations

import pytest

from llx_magic.core.events import (
    AttemptFailed,
    AttemptStarted,
    CoolDownWaitEnded,
    CoolDownWaitStarted,
    FirstTokenReceived,
    RetryScheduled,
)
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.reply import Delta
from llx_magic.notebook.status import Status
from llx_magic.notebook.view import CellView
from llx_magic.settings.layers import Layer, settings_of
from tests.notebook.test_view import Recorder

STARTED = AttemptStarted(at=100.0, request=1, backend="alpha", attempt=1, attempts=2)
FIRST = FirstTokenReceived(at=101.0, request=1, backend="alpha", seconds=1.0)
FAILED = AttemptFailed(
    at=101.0, request=1, backend="alpha", attempt=1, seconds=1.0,
    failure=Failure(kind=FailureKind.SERVER, message="503 busy", status=503),
)  # fmt: skip
RETRY = RetryScheduled(at=101.0, request=1, backend="alpha", attempt=1, delay=8.0, asked_by_server=True)


class Watched:
    """A status whose clock is set by the test, and the view that shows it."""

    def __init__(self, limit_ms: int | None = 120_000) -> None:
        self.now = 100.0
        self.screen = Recorder()
        self.status = Status({"alpha": limit_ms}, lambda: self.now)
        self.view = CellView(self.screen, status=self.status)

    def at(self, now: float, *parts) -> str:
        """Draw what came at a time, and return the line that stands there then."""
        self.now = now
        self.view.draw(parts)
        return self.screen.plain


def test_a_prompt_that_waits_counts_against_the_limit_that_applies():
    assert Watched().at(100.0, STARTED) == "asking alpha…"
    assert Watched().at(105.4, STARTED) == "asking alpha… 5 s of 120 s"
    assert Watched(500).at(101.0, STARTED) == "asking alpha… 1 s of 0.5 s"


def test_where_nothing_limits_the_wait_the_clock_counts_alone():
    assert Watched(None).at(105.4, STARTED) == "asking alpha… 5 s"


def test_the_clock_goes_on_by_itself_and_is_drawn_once_a_second_at_most():
    watched = Watched()
    watched.at(100.0, STARTED)
    for tenth in range(1, 101):
        watched.at(100.0 + tenth / 10)
    assert watched.screen.plain == "asking alpha… 10 s of 120 s"
    assert len(watched.screen.bundles) == 11


def test_two_minutes_of_waiting_send_little():
    watched = Watched()
    watched.at(100.0, STARTED)
    for second in range(1, 121):
        watched.at(100.0 + second)
    assert sum(len(part) for bundle in watched.screen.bundles for part in bundle.values()) < 30_000


def test_the_clock_stops_where_text_has_come():
    watched = Watched()
    watched.at(101.0, STARTED, FIRST, Delta("one"))
    assert watched.at(160.0) == "alpha is answering…"
    assert len(watched.screen.bundles) == 1


def test_while_only_reasoning_has_come_the_clock_counts_on_without_a_limit():
    watched = Watched()
    assert watched.at(101.0, STARTED, FIRST) == "alpha is answering… 1 s"
    assert watched.at(130.0) == "alpha is answering… 30 s"


def test_a_wait_before_another_attempt_counts_down():
    watched = Watched()
    assert watched.at(101.0, STARTED, FAILED, RETRY) == "alpha failed: 503 busy, asking again in 8 s"
    assert watched.at(107.5) == "alpha failed: 503 busy, asking again in 2 s"
    assert watched.at(120.0) == "alpha failed: 503 busy, asking again now"


def test_a_wait_for_a_rate_limit_counts_down():
    watched = Watched()
    waiting = CoolDownWaitStarted(at=100.0, request=1, backend="alpha", seconds=8.0)
    assert watched.at(100.0, waiting) == "waiting for the rate limit of alpha, asking in 8 s"
    assert watched.at(106.5) == "waiting for the rate limit of alpha, asking in 2 s"
    ended = CoolDownWaitEnded(at=108.0, request=1, backend="alpha", seconds=8.0)
    assert watched.at(108.0, ended, STARTED) == "asking alpha… 8 s of 120 s"


def test_a_wait_for_a_request_under_way_to_end_counts_up():
    watched = Watched()
    waiting = CoolDownWaitStarted(at=100.0, request=1, backend="alpha", seconds=None, limit="concurrency_limit")
    watched.at(100.0, waiting)
    assert watched.at(112.0) == "waiting for the concurrency_limit of alpha… 12 s"


def test_an_attempt_starts_the_clock_anew():
    watched = Watched()
    watched.at(150.0, STARTED)
    again = AttemptStarted(at=150.0, request=1, backend="alpha", attempt=2, attempts=2)
    assert watched.at(153.0, again) == "asking alpha, attempt 2… 3 s of 120 s"


@pytest.mark.parametrize(
    ("settings", "milliseconds"),
    [
        ({}, 120_000),
        ({"timeout_ms": 5000}, 5000),
        ({"first_token_timeout_ms": 3000, "timeout_ms": 5000}, 3000),
        ({"streaming": False, "first_token_timeout_ms": 3000, "timeout_ms": 5000}, 5000),
        ({"first_token_timeout_ms": None, "timeout_ms": None}, None),
    ],
)
def test_the_limit_is_the_least_of_those_that_hold_until_something_comes(settings, milliseconds):
    assert settings_of({Layer.CELL: settings}).first_word_limit_ms == milliseconds


def test_two_that_are_asked_at_once_are_both_named_until_one_of_them_fails():
    watched = Watched()
    watched.at(100.0, STARTED)
    second = AttemptStarted(at=103.0, request=1, backend="beta", attempt=1, attempts=2)
    assert watched.at(105.0, second) == "asking alpha and beta… 2 s"
    assert watched.at(106.0, FAILED) == "asking beta… 3 s"


def test_the_one_that_begins_is_named_alone():
    watched = Watched()
    second = AttemptStarted(at=103.0, request=1, backend="beta", attempt=1, attempts=2)
    first = FirstTokenReceived(at=104.0, request=1, backend="beta", seconds=1.0)
    assert watched.at(104.0, STARTED, second, first, Delta("one")).endswith("beta is answering…")
