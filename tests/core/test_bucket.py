"""What is left of the limits that services tell of, between their replies."""

from __future__ import annotations

from statistics import median

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.core.admission import Applicant
from llx_magic.core.bucket import Bucket
from llx_magic.core.load import NOTHING, Expected, Load
from llx_magic.core.rate_facts import DAY, MINUTE, Allowance, Measure
from llx_magic.core.reply import Usage
from llx_magic.core.traffic import MANY_ANSWERS, Traffic
from tests.core.rows_simulation import Rate, Rows, lengths
from tests.engine.kit import settings_with

ONE = Load(1.0, 1000.0, 200.0)


def requests(**figures) -> Allowance:
    return Allowance(**{"measure": Measure.REQUESTS, "window": MINUTE, **figures})


def bucket_of(*told: Allowance, at: float = 0.0) -> Bucket:
    bucket = Bucket()
    bucket.learn(told, NOTHING, at, at)
    return bucket


def as_openai_tells(rate: Rate) -> tuple[Allowance, ...]:
    wait = (rate.burst - rate.saved) / rate.rate
    return (requests(limit=60 * rate.rate, remaining=float(int(rate.saved)), resets_in=wait),)


@pytest.mark.parametrize("latency", [0.05, 0.25])
def test_a_server_that_tells_of_its_rate_never_refuses_and_is_used_in_full(latency):
    """100 a second and 20 saved up: ideally 5.8 s and the last reply."""
    runs = [Rows(Rate(100, 20, tells=as_openai_tells), 600, lengths(seed, latency, 0.12)).run() for seed in (1, 2, 3)]
    assert [(len(run.answers), len(run.refusals)) for run in runs] == [(600, 0)] * 3
    assert median(run.now for run in runs) <= 6.5


def test_a_request_that_was_held_up_and_refused_slows_nothing_down_where_the_service_tells_its_rate():
    traffic, settings = Traffic(), settings_with()
    traffic.admit(Applicant(1, is_row=True), 0.0)
    traffic.learn_rates((requests(limit=6000, remaining=19, resets_in=0.1),), None, 0.0, 0.1)
    for _ in range(MANY_ANSWERS):
        traffic.answered(1.0, settings)
    for _ in range(2):
        traffic.refused(0.9, 1.1, 1.0)
    assert traffic.flow.per_second == 0.0
    assert traffic.paused_until == 2.1


def test_what_is_refused_again_in_spite_of_what_the_service_says_is_spaced():
    """Some say how many a minute, and count in each second."""
    traffic = Traffic()
    for _ in range(64):
        traffic.admit(Applicant(1, is_row=True), 0.0)
    traffic.learn_rates((requests(limit=500, remaining=499, resets_in=0.12),), None, 0.0, 0.1)
    traffic.refused(0.0, 0.1, 1.0)
    assert traffic.flow.per_second > 0.0


def test_what_fills_up_bit_by_bit_gives_the_next_place_as_soon_as_there_is_one():
    bucket = bucket_of(requests(limit=600, remaining=0, resets_in=60))
    places, at = bucket.places(ONE, 0.0)
    assert places == 0
    assert at is not None
    assert at < 1.0


def test_what_is_set_back_at_once_gives_nothing_before_and_everything_then():
    bucket = bucket_of(requests(limit=600, remaining=590, resets_in=50))
    bucket.learn((requests(limit=600, remaining=0, resets_in=40),), NOTHING, 10.0, 10.0)
    assert bucket.places(ONE, 20.0) == (0, 50.0)
    assert bucket.places(ONE, 50.0)[0] > 500
    bucket.take(ONE, 50.0)
    assert bucket.places(ONE, 51.0)[0] > 500


def test_of_what_is_set_back_at_once_all_is_used_and_no_more_until_the_service_tells_again():
    """Nothing is kept back: the count alone tells."""
    bucket = bucket_of(requests(limit=20, remaining=15, resets_in=50))
    for _ in range(20):
        assert bucket.places(ONE, 50.0)[0] > 0
        bucket.take(ONE, 50.0)
    assert bucket.places(ONE, 50.0) == (0, 50.0 + MINUTE)


def test_a_days_quota_that_is_used_up_is_waited_for_until_the_day_is_over():
    bucket = bucket_of(requests(limit=50, remaining=49, resets_in=30_000, window=DAY))
    bucket.learn((requests(limit=50, remaining=0, resets_in=29_000, window=DAY),), NOTHING, 1000.0, 1000.0)
    assert bucket.places(ONE, 1001.0) == (0, 30_000.0)


def test_requests_of_a_day_that_come_back_one_by_one_are_not_waited_for_until_all_are_there():
    bucket = bucket_of(requests(limit=14_400, remaining=0, resets_in=86_400, window=DAY))
    _, at = bucket.places(ONE, 0.0)
    assert at is not None
    assert at < 60


def test_the_tightest_of_several_limits_holds():
    tokens = Allowance(measure=Measure.TOKENS, limit=60_000, remaining=13_000, resets_in=47, window=MINUTE)
    assert bucket_of(requests(limit=600, remaining=500, resets_in=10), tokens).places(ONE, 0.0)[0] == 9


def test_prompts_and_replies_count_for_their_own_limits():
    told = (
        Allowance(measure=Measure.INPUT, limit=100_000, remaining=50_000, resets_in=30, window=MINUTE),
        Allowance(measure=Measure.OUTPUT, limit=8_000, remaining=2_000, resets_in=45, window=MINUTE),
    )
    assert bucket_of(*told).places(ONE, 0.0)[0] == 9


def test_a_request_larger_than_the_limit_goes_when_all_of_it_is_there():
    told = Allowance(measure=Measure.TOKENS, limit=600, remaining=300, resets_in=30, window=MINUTE)
    bucket = bucket_of(told)
    assert bucket.places(ONE, 1.0)[0] == 0
    assert bucket.places(ONE, 31.0)[0] == 1
    bucket.take(ONE, 31.0)
    assert bucket.places(ONE, 90.0)[0] == 0


def test_a_limit_of_which_nobody_knows_when_there_is_more_holds_nothing_back():
    assert bucket_of(requests(remaining=0, window=None)).places(ONE, 0.0)[0] > 0


def test_rows_that_went_since_the_request_are_taken_off_what_its_reply_tells():
    bucket = Bucket()
    bucket.learn((requests(limit=60, remaining=30, resets_in=30),), Load(10.0), 0.0, 0.1)
    assert bucket.places(ONE, 0.1)[0] < 20


def test_a_prompts_tokens_are_told_by_its_length_and_a_replys_by_others():
    expected = Expected()
    for _ in range(60):
        expected.learn(100.0, Usage(150, 40, cached=30))
    load = expected.load(200.0)
    assert load.prompt == pytest.approx(240, rel=0.05)
    assert load.completion == pytest.approx(40)
    assert expected.load(0.0).prompt == pytest.approx(120)


figures = st.one_of(st.none(), st.floats(0, 1e6))
facts = st.builds(
    Allowance,
    measure=st.sampled_from(Measure),
    limit=figures,
    remaining=figures,
    resets_in=figures,
    window=st.sampled_from([None, 1.0, MINUTE, DAY]),
)


@given(st.lists(st.tuples(st.floats(0, 100), facts), max_size=20))
def test_whatever_is_told_a_time_to_ask_again_lies_ahead_and_reads_back_equal(steps):
    bucket, now = Bucket(), 0.0
    for passed, told in steps:
        now += passed
        bucket.learn((told,), Load(1.0), max(0.0, now - 1.0), now)
        places, at = bucket.places(ONE, now)
        assert (places > 0) is (at is None)
        if at is None:
            bucket.take(ONE, now)
        else:
            assert at >= now
    assert msgspec.json.decode(msgspec.json.encode(bucket), type=Bucket) == bucket
