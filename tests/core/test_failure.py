"""What a failure leads to: the wait before the same backend again, the next backend, the circuit breaker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.admission import outcome_of
from llx_magic.core.breaker import Outcome
from llx_magic.core.failure import FailureKind, Limit, may_fail_over, retry_delay
from tests.engine.kit import DOWN, LIMITED, REFUSED, failure, settings_with

SETTINGS = settings_with(failover_retry_count=10)
NETWORK = failure(FailureKind.NETWORK, "connection refused")
LISTED = sorted(settings_with().failover_status_codes)


def of_status(status: int, kind: FailureKind = FailureKind.OTHER_STATUS, **facts):
    return failure(kind, f"{status}", status=status, **facts)


def test_the_delay_is_one_second_and_doubles_up_to_eight():
    assert [retry_delay(DOWN, n, SETTINGS, 0.0) for n in range(1, 7)] == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_a_first_delay_beyond_eight_seconds_is_kept_and_not_doubled():
    slow = settings_with(failover_retry_count=10, failover_retry_delay_ms=20_000)
    assert [retry_delay(DOWN, n, slow, 0.0) for n in (1, 2, 3)] == [20.0, 20.0, 20.0]


@given(attempt=st.integers(1, 9), jitter=st.floats(0, 1, exclude_max=True))
def test_jitter_lengthens_the_delay_by_at_most_a_quarter_and_never_shortens_it(attempt, jitter):
    plain = retry_delay(DOWN, attempt, SETTINGS, 0.0)
    assert plain <= retry_delay(DOWN, attempt, SETTINGS, jitter) <= plain * 1.25


def test_the_attempts_of_a_backend_are_counted_in_all():
    twice = settings_with(failover_retry_count=2)
    assert retry_delay(DOWN, 1, twice, 0.0) is not None
    assert retry_delay(DOWN, 2, twice, 0.0) is None
    assert retry_delay(DOWN, 1, settings_with(failover_retry_count=1), 0.0) is None


def test_retry_after_up_to_five_seconds_replaces_the_delay_without_jitter():
    for seconds in (0.0, 0.3, 5.0):
        assert retry_delay(failure(retry_after=seconds), 3, SETTINGS, 0.9) == seconds


def test_a_longer_retry_after_ends_the_visit():
    assert retry_delay(failure(retry_after=5.1), 1, SETTINGS, 0.0) is None


def test_retry_after_holds_for_any_status():
    assert retry_delay(of_status(409, FailureKind.CONFLICT, retry_after=2.0), 1, SETTINGS, 0.0) == 2.0


@pytest.mark.parametrize("status", LISTED)
def test_a_listed_status_is_tried_again(status):
    assert retry_delay(of_status(status), 1, SETTINGS, 0.0) == 1.0


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422, 451, 501, 599])
def test_a_status_that_is_not_listed_is_not_tried_again(status):
    assert retry_delay(of_status(status), 1, SETTINGS, 0.0) is None


def test_the_list_is_the_users_to_choose():
    mine = settings_with(failover_status_codes="401,400", failover_retry_count=2)
    assert retry_delay(of_status(401, FailureKind.ACCESS), 1, mine, 0.0) == 1.0
    assert retry_delay(REFUSED, 1, mine, 0.0) == 1.0
    assert retry_delay(DOWN, 1, mine, 0.0) is None


@pytest.mark.parametrize("kind", [FailureKind.CONTEXT_LENGTH, FailureKind.CONTENT_FILTER], ids=str)
def test_a_prompt_that_is_too_long_or_filtered_is_never_sent_again_to_the_same_backend(kind):
    mine = settings_with(failover_status_codes="400", failover_retry_count=2)
    assert retry_delay(of_status(400, kind), 1, mine, 0.0) is None


def test_the_servers_own_word_is_obeyed_both_ways():
    assert retry_delay(of_status(503, FailureKind.SERVER, should_retry=False), 1, SETTINGS, 0.0) is None
    assert retry_delay(of_status(401, FailureKind.ACCESS, should_retry=True), 1, SETTINGS, 0.0) == 1.0


def test_network_errors_are_tried_again_unless_the_flag_is_off():
    assert retry_delay(NETWORK, 1, SETTINGS, 0.0) == 1.0
    off = settings_with(failover_retry_count=10, failover_on_network_errors=False)
    assert retry_delay(NETWORK, 1, off, 0.0) is None
    assert NETWORK.counts
    assert may_fail_over(NETWORK, off)


def test_an_unusable_reply_is_tried_again_like_a_server_error():
    assert retry_delay(failure(FailureKind.BAD_REPLY, "empty reply"), 1, SETTINGS, 0.0) == 1.0


@pytest.mark.parametrize("kind", [FailureKind.TLS, FailureKind.TIMEOUT, FailureKind.TOO_LARGE], ids=str)
def test_tls_time_outs_and_endless_replies_are_never_tried_again_whatever_the_server_says(kind):
    assert retry_delay(failure(kind, "no", should_retry=True, status=503), 1, SETTINGS, 0.0) is None


def test_an_exhausted_quota_is_not_tried_again():
    assert retry_delay(failure(FailureKind.RATE_LIMIT, "429", quota_exhausted=True), 1, SETTINGS, 0.0) is None


def test_a_reply_that_broke_off_after_text_was_seen_is_not_asked_for_again_here():
    assert retry_delay(failure(FailureKind.NETWORK, "reset", words=1), 1, SETTINGS, 0.0) is None


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind is not FailureKind.CONTENT_FILTER], ids=str)
def test_every_failure_but_a_content_filter_goes_to_the_next_backend(kind):
    assert may_fail_over(failure(kind, "no"), SETTINGS)


def test_a_content_filter_goes_on_only_if_asked():
    filtered = failure(FailureKind.CONTENT_FILTER, "filtered by a")
    assert not may_fail_over(filtered, SETTINGS)
    assert may_fail_over(filtered, settings_with(failover_on_content_filter=True))


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (FailureKind.ACCESS, Outcome.COUNTED_FAILURE),
        (FailureKind.SERVER, Outcome.COUNTED_FAILURE),
        (FailureKind.REDIRECT, Outcome.COUNTED_FAILURE),
        (FailureKind.NETWORK, Outcome.COUNTED_FAILURE),
        (FailureKind.TLS, Outcome.COUNTED_FAILURE),
        (FailureKind.TIMEOUT, Outcome.COUNTED_FAILURE),
        (FailureKind.BAD_REPLY, Outcome.COUNTED_FAILURE),
        (FailureKind.TOO_LARGE, Outcome.COUNTED_FAILURE),
        (FailureKind.BAD_REQUEST, Outcome.REFUSAL),
        (FailureKind.CONTEXT_LENGTH, Outcome.REFUSAL),
        (FailureKind.CONTENT_FILTER, Outcome.REFUSAL),
        (FailureKind.RATE_LIMIT, Outcome.GIVEN_BACK),
        (FailureKind.CONFLICT, Outcome.UNCOUNTED_FAILURE),
        (FailureKind.OTHER_STATUS, Outcome.UNCOUNTED_FAILURE),
    ],
    ids=str,
)
def test_what_each_kind_says_about_the_backend(kind, outcome):
    assert outcome_of(failure(kind, "no")) is outcome


def test_every_kind_has_a_verdict_and_every_limit_is_a_setting():
    settings = settings_with()
    assert all(isinstance(outcome_of(failure(kind, "no")), Outcome) for kind in FailureKind)
    assert all(hasattr(settings, limit) for limit in Limit)
    assert outcome_of(LIMITED) is Outcome.GIVEN_BACK
