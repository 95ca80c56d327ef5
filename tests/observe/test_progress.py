"""What a person is told while rows are asked: on a line, in a file, in a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llx_magic.core.progress import MapProgress, Share
from llx_magic.observe.progress import Pace, as_html, bar_line, facts, still_line

FAST = Share(name="fast", answered=300, in_flight=12, level=16, state="closed")
DEEP = Share(name="deep", answered=100, in_flight=0, level=None, state="open, probe in 12 s")


def progress(**given: Any) -> MapProgress:
    usual: dict[str, Any] = {
        "at": 140.0,
        "began": 100.0,
        "total": 1000,
        "done": 443,
        "stored": 40,
        "failed": 3,
        "tokens_in": 18204,
        "tokens_out": 9112,
        "shares": (FAST, DEEP),
    }
    return MapProgress(**(usual | given))


def line(**given: Any) -> str:
    return still_line(progress(**given), 10.0)


def test_a_line_tells_everything_that_is_known():
    assert line(cost=0.021, cost_is_estimate=True) == (
        "443 of 1,000 rows · 56 s left · 3 failed · 10 rows/s · 40 from the store · about 0.021 USD, 0.05 at the end"
        " · 18,204 + 9,112 tokens · fast 75.0% of the replies, 12 of 16 in flight"
        " · deep 25.0% of the replies, 0 in flight, open, probe in 12 s"
    )


def test_a_line_leaves_out_what_is_not_known():
    first = MapProgress(at=100.0, began=100.0, total=None)
    assert still_line(first, None) == "0 rows · 0 failed"


def test_what_is_waited_for_comes_right_behind_the_count():
    assert list(facts(progress(waiting_for="the rate limit of fast, 12 s"), None))[:2] == [
        "443 of 1,000 rows",
        "waiting for the rate limit of fast, 12 s",
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"done": 999, "in_flight": 1}, "waiting for the last row, at fast"),
        ({"done": 997, "in_flight": 3}, "waiting for the last 3 rows, at fast"),
        ({"done": 990, "in_flight": 3}, "3 failed"),  # some are not sent yet
        ({"done": 999, "in_flight": 1, "latest": 139.95}, " left"),
    ],
)
def test_last_rows_that_take_longer_than_was_foretold_are_waited_for_at_a_backend_by_name(given, told):
    shown = list(facts(progress(**({"latest": 110.0} | given)), 10.0))
    assert shown[1].endswith(told)


def test_a_cost_in_the_users_own_currency_is_told_without_one():
    assert "cost 0.021, 0.05 at the end" in line(cost=0.021)


def test_at_the_end_no_cost_is_expected_and_no_time_is_left():
    told = line(done=1000, cost=0.021)
    assert "at the end" not in told
    assert "left" not in told


def test_a_rate_below_one_a_second_is_told_by_the_minute():
    assert "15 rows/min" in still_line(progress(), 0.25)


@pytest.mark.parametrize("width", [0, 20, 40, 80, 120, 200, 500])
def test_a_bar_is_never_wider_than_the_terminal_and_tells_only_whole_facts(width: int):
    shown = bar_line(progress(), 10.0, width)
    assert len(shown) <= width
    if width > 50:
        told = shown.partition("| ")[2].partition("| ")[2] or shown.rpartition("| ")[2]
        everything = still_line(progress(), 10.0)
        assert everything.startswith(told)
        assert everything[len(told) :][:3] in ("", " · ")


WAITS = "waiting for limited: cooling down after a rate limit, 2 s"


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("width", range(0, 200, 7))
def test_what_is_waited_for_is_told_at_every_width(width: int, *, ascii_only: bool):
    """The bar makes room for it, then what is less important; on a narrow terminal its end is cut."""
    waits = progress(done=8, total=20, waiting_for=WAITS.removeprefix("waiting for "))
    shown = bar_line(waits, 3.9, width, ascii_only=ascii_only)
    separator, mark = (" - ", "...") if ascii_only else (" · ", "…")
    told = f"8 of 20 rows{separator}{WAITS}"
    assert len(shown) <= width
    if width >= len(told):
        assert told in shown
        assert ("40%" in shown) == (width >= len(told) + 5)
    else:
        assert shown == f"{told[: max(0, width - len(mark))]}{mark[:width]}"


def test_the_bar_makes_room_for_what_is_waited_for_in_a_terminal_of_ninety_places():
    waits = progress(done=8, total=20, waiting_for=WAITS.removeprefix("waiting for "))
    assert bar_line(waits, 3.9, 89, ascii_only=True) == f" 40% |###      | 8 of 20 rows - {WAITS}"


def test_characters_that_take_two_places_count_as_two():
    named = Share(name="快速", answered=1, in_flight=0, level=None, state="closed")
    whole = bar_line(progress(shares=(named,)), None, 200)
    assert "快速" in whole
    assert "快速" not in bar_line(progress(shares=(named,)), None, len(whole) + 1)
    assert "快速" in bar_line(progress(shares=(named,)), None, len(whole) + 2)


def test_a_bar_is_as_long_as_the_share_that_is_done():
    drawn = [bar_line(progress(done=done), None, 80)[:27] for done in (40, 443, 1000)]
    assert drawn == ["  4% |▊                   |", " 44% |████████▊           |", "100% |████████████████████|"]


def test_a_terminal_without_unicode_gets_a_bar_in_ascii():
    assert bar_line(progress(), 10.0, 200, ascii_only=True).isascii()


def test_a_run_of_unknown_length_has_no_bar():
    assert bar_line(progress(total=None), None, 80).startswith("443 rows · 3 failed")


def test_names_of_backends_cannot_bring_markup_or_control_characters_into_a_view():
    named = Share(name="<b>\x1b[2J", answered=1, in_flight=0, level=None, state="<i>")
    shown = progress(shares=(named,))
    assert "<b>" not in as_html(shown, None)
    assert "<i>" not in as_html(shown, None)
    assert "\x1b" not in as_html(shown, None) + still_line(shown, None) + bar_line(shown, None, 500)


def test_a_cell_has_a_row_for_each_backend_with_its_share_level_and_circuit():
    shown = as_html(progress(), 10.0)
    for told in ("fast", "75.0%", ">12<", ">16<", "deep", "25.0%", "open, probe in 12 s"):
        assert told in shown


def test_the_bar_of_a_cell_says_its_share_to_a_screen_reader():
    assert 'role="progressbar" aria-valuenow="44"' in as_html(progress(), None)


def test_the_rate_is_that_of_the_last_minute():
    pace = Pace()
    for second in range(60):
        pace.take(MapProgress(at=float(second), began=0.0, total=None, done=second))
    fast = [
        pace.take(MapProgress(at=60.0 + second, began=0.0, total=None, done=60 + 10 * second)) for second in range(70)
    ]
    assert fast[-1] == pytest.approx(10, rel=0.02)


def test_the_rate_of_a_run_whose_rows_take_longer_than_that_is_the_mean():
    pace = Pace()
    for second in range(121):
        rate = pace.take(MapProgress(at=float(second), began=0.0, total=None, done=second // 60))
    assert rate == pytest.approx(2 / 120)


@pytest.mark.parametrize("draw", [still_line, as_html, lambda moment, rate: bar_line(moment, rate, 200)])
def test_what_is_not_known_of_a_backend_has_no_words(draw):
    first = (Share(name="fast", answered=0, in_flight=0, level=None, state="closed"),)
    assert "N/A" not in draw(progress(done=0, stored=0, failed=0, shares=first), None)


def test_a_backend_whose_circuit_is_open_has_the_failure_beside_it():
    down = (replace(DEEP, trouble="connection refused by 127.0.0.1:80"),)
    told = "open, probe in 12 s: connection refused by 127.0.0.1:80"
    assert told in line(shares=down)
    assert told in as_html(progress(shares=down), 10.0)
    assert "refused" not in line(shares=(replace(FAST, trouble="connection refused"),))


@pytest.mark.parametrize(
    ("seconds", "asked", "is_told"), [(4.9, 100, False), (5, 9, False), (5, 10, True), (59, 3, False), (60, 3, True)]
)
def test_the_time_left_is_told_when_enough_is_done_to_tell_it(seconds, asked, is_told):
    moment = MapProgress(at=100.0 + seconds, began=100.0, total=1000, done=asked, latest=100.0 + seconds)
    assert (" left" in still_line(moment, moment.rate)) == is_told


def test_the_time_left_does_not_jump_where_rows_come_once_in_a_minute_all_together():
    """As under a limit of twenty a minute that is used up at once."""
    pace, told = Pace(), []
    for second in range(1800):
        done = 20 * (1 + second // 60)
        moment = MapProgress(at=float(second), began=0.0, total=2000, done=done, latest=second - second % 60.0)
        rate = pace.take(moment)
        if second > 180:
            told.append(second + moment.seconds_left_at(rate))
    assert max(told) - min(told) < 60


WORKERS = (Share("10.0.0.1:4000", 100, 4, 6, "asking"), Share("10.0.0.2:4000", 300, 0, None, "lost"))


def test_a_row_for_each_worker_of_a_cluster_stands_below_the_backends_with_the_busiest_first():
    shown = as_html(progress(workers=WORKERS), 2.0)
    assert shown.index("deep") < shown.index("10.0.0.2:4000") < shown.index("10.0.0.1:4000")
    assert "<th" in shown.partition("worker")[0]
    assert still_line(progress(workers=WORKERS), 2.0).endswith(
        "10.0.0.2:4000 75.0% of the replies, lost · 10.0.0.1:4000 25.0% of the replies, asking"
    )
