"""Histories as files: written, read again, and refused in one line."""

from __future__ import annotations

import pandas as pd
import pytest

from llx_magic.errors import UsageProblem
from llx_magic.replay.history import load
from llx_magic.session.balancer import LoadBalancer
from tests.replay.profiles import asked, member, profile

ENDED = '{"kernel": "k", "event": "CoolDownEnded", "facts": {"at": 1.0, "request": 1, "backend": "a"}}'


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
async def test_a_saved_history_is_replayed_as_the_session_itself(tmp_path, ending):
    balancer = await asked(profile(member("a", "ok, 503, 429:2"), member("b")))
    balancer.save_history(tmp_path / f"week.{ending}")
    other = LoadBalancer(profile(member("a"), member("b")), isolated=True)

    told, own = other.replay(history=tmp_path / f"week.{ending}"), balancer.replay()
    pd.testing.assert_frame_equal(told, own, check_exact=False, atol=1e-5)


async def test_parquet_has_the_columns_of_the_events(tmp_path):
    balancer = await asked(profile(member("a"), member("b")), 2)
    balancer.save_history(tmp_path / "week.parquet")
    saved = pd.read_parquet(tmp_path / "week.parquet")
    assert list(saved.columns) == [*balancer.events().columns, "line"]


async def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    balancer = await asked(profile(member("a"), member("b")), 1)
    balancer.save_history(tmp_path / "week.jsonl")
    with pytest.raises(UsageProblem, match="is there already and is not overwritten"):
        balancer.save_history(tmp_path / "week.jsonl")


async def test_another_ending_is_refused(tmp_path):
    balancer = await asked(profile(member("a"), member("b")), 1)
    with pytest.raises(UsageProblem, match=r"must end in \.parquet or \.jsonl"):
        balancer.save_history(tmp_path / "week.csv")


async def test_kernels_of_one_file_have_requests_of_their_own(tmp_path):
    balancer = await asked(profile(member("a"), member("b")), 2)
    balancer.save_history(tmp_path / "one.jsonl")
    text = (tmp_path / "one.jsonl").read_text()
    kernel = text.split('"kernel":"', 1)[1].split('"', 1)[0]
    both = tmp_path / "both.jsonl"
    both.write_text(text + text.replace(f'"kernel":"{kernel}"', '"kernel":"another"'))
    assert [{event.request for event in events} - {0} for events in load(both)] == [{1, 2}, {3, 4}]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "there is no event in it"),
        ("hello\n{}\n", "line 1 is no event of a history"),
        ('{"kernel": "k", "event": "Nonsense", "facts": {}}\n\n', "line 1 is no event of a history"),
        ('{"kernel": "k", "event": "CoolDownEnded", "facts": {"at": -1, "request": 1, "backend": "a"}}\nx\n', "line 1"),
        (
            '{"kernel": "k", "event": "CoolDownEnded", "facts": {"at": 1e300, "request": 1, "backend": "a"}}\nx\n',
            "line 1",
        ),
    ],
)
def test_what_is_no_history_is_refused_in_one_line(tmp_path, content, says):
    (tmp_path / "week.jsonl").write_text(content)
    with pytest.raises(UsageProblem, match=says):
        load(tmp_path / "week.jsonl")


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path):
    (tmp_path / "week.jsonl").write_text(f"{ENDED}\n{ENDED[:30]}")
    assert len(load(tmp_path / "week.jsonl")[0]) == 1


@pytest.mark.parametrize(
    ("between", "found"),
    [
        (f"{ENDED[:30]}\n", 2),
        (f"{ENDED[:5]}\n", 2),
        (f"{ENDED[:-3]}{ENDED}\n", 3),
        ("\0\0\0\n", 2),
        ("\n", 2),
        (ENDED[:30], 2),
    ],
)
def test_a_line_that_was_cut_off_by_a_killed_process_or_a_full_disk_costs_nothing_but_itself(tmp_path, between, found):
    """Whoever goes on writing may have begun its line right behind it."""
    (tmp_path / "week.jsonl").write_text(f"{ENDED}\n{between}{ENDED}\n")
    assert len(load(tmp_path / "week.jsonl")[0]) == found


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageProblem, match=r"gone\.jsonl: cannot be read"):
        load(tmp_path / "gone.jsonl")
