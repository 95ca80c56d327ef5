"""What a run's progress says of its speed, its end and its price."""

from __future__ import annotations

from typing import Any

import pytest

from llx_magic.core.progress import MapProgress


def progress(**facts: Any) -> MapProgress:
    return MapProgress(**({"at": 110.0, "began": 100.0, "total": 100} | facts))


def test_the_rate_counts_only_rows_that_were_asked() -> None:
    assert progress(done=60, stored=40).rate == 2.0


def test_rows_that_failed_are_done_and_count_in_the_rate() -> None:
    assert progress(done=20, failed=10).rate == 2.0


def test_a_run_that_only_found_rows_in_the_store_has_no_rate_and_no_time_left_yet() -> None:
    assert progress(done=40, stored=40).rate is None
    assert progress(done=40, stored=40).seconds_left is None


def test_the_time_left_is_that_of_the_rows_that_are_not_done() -> None:
    assert progress(done=60, stored=40).seconds_left == 20.0


def test_nothing_is_left_when_all_rows_are_done() -> None:
    assert progress(done=100, stored=100).seconds_left == 0.0


def test_a_time_left_that_has_passed_without_a_row_is_no_longer_told() -> None:
    rows = {"at": 160.0, "done": 99}  # 0.6 s were left
    assert progress(**rows, latest=159.5).seconds_left == pytest.approx(1 / progress(**rows).rate - 0.5)
    assert progress(**rows, latest=130.0).seconds_left is None
    assert progress(at=160.0, done=100, latest=130.0).seconds_left == 0.0


def test_the_end_of_an_iterator_is_not_foretold() -> None:
    assert progress(total=None, done=60).seconds_left is None


def test_a_rate_since_an_earlier_moment_leaves_out_what_was_before() -> None:
    earlier = progress(at=105.0, done=10)
    assert progress(done=60).rate_since(earlier) == 10.0


def test_the_cost_to_expect_is_that_of_the_rows_that_are_not_stored() -> None:
    assert progress(done=60, stored=40, cost=0.2).cost_expected == pytest.approx(0.6)


def test_no_cost_is_expected_where_no_price_is_known() -> None:
    assert progress(done=60, stored=40).cost_expected is None
