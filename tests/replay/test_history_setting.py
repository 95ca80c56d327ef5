"""The setting ``history_file``: every event is appended as it happens."""

from __future__ import annotations

import gc
import stat
import sys

import pytest

from llx_magic.core.trace import trace_of
from llx_magic.replay.history import load
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.history_file import flush_histories
from tests.replay.profiles import asked, member, profile


async def test_events_are_written_as_they_happen(tmp_path):
    balancer = await asked(profile(member("a", "ok, 503"), member("b"), history_file=str(tmp_path / "week.jsonl")), 4)
    flush_histories(30.0)
    (events,) = load(tmp_path / "week.jsonl")
    assert [type(event) for event in events] == [type(event) for event in balancer.decisions()]
    assert balancer.replay(history=tmp_path / "week.jsonl")["request"].tolist() == [1, 2, 3, 4]


async def test_another_profile_goes_on_in_the_same_file_as_another_kernel(tmp_path):
    for _ in range(2):
        await asked(profile(member("a"), member("b"), history_file=str(tmp_path / "week.jsonl")), 2)
    flush_histories(30.0)
    assert len(load(tmp_path / "week.jsonl")) == 2


@pytest.mark.parametrize("left", ['{"kernel":"dead","event":"Reque', "", "\0"])
async def test_what_is_written_behind_a_line_that_was_cut_off_is_read(tmp_path, left):
    """As a killed process or a full disk leaves one."""
    (tmp_path / "week.jsonl").write_text(left)
    balancer = await asked(profile(member("a"), member("b"), history_file=str(tmp_path / "week.jsonl")), 2)
    flush_histories(30.0)
    (events,) = load(tmp_path / "week.jsonl")
    assert len(events) == len(balancer.decisions())


async def test_what_is_not_written_yet_is_waited_for_though_nobody_has_the_profile_any_more(tmp_path):
    for number in range(5):
        await asked(profile(member("a"), member("b"), history_file=str(tmp_path / f"{number}.jsonl")), 1)
    gc.collect()
    flush_histories(30.0)
    assert [len(load(tmp_path / f"{number}.jsonl")) for number in range(5)] == [1] * 5


async def test_prompts_of_another_profile_in_the_same_file_are_left_out(tmp_path):
    file = str(tmp_path / "week.jsonl")
    balancer = await asked(profile(member("a"), member("b"), history_file=file), 2)
    await asked(profile(member("c"), member("d"), history_file=file), 3)
    flush_histories(30.0)
    assert len(balancer.replay(history=file)) == 2


async def test_the_session_can_switch_it_on_and_off(tmp_path):
    values: dict[str, object] = {}
    pair = profile(member("a"), member("b"))
    balancer = LoadBalancer(pair, isolated=True, session=lambda: values)
    await balancer.ask("not written")
    values = {"history_file": str(tmp_path / "week.jsonl")}
    await balancer.ask("written")
    values = {}
    await balancer.ask("not written any more")
    flush_histories(30.0)
    (events,) = load(tmp_path / "week.jsonl")
    assert [event.request for event in events] == [2] * len(trace_of(balancer.decisions(), 2))


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
async def test_nobody_else_may_read_it(tmp_path):
    await asked(profile(member("a"), member("b"), history_file=str(tmp_path / "deep" / "week.jsonl")), 1)
    flush_histories(30.0)
    assert stat.S_IMODE((tmp_path / "deep" / "week.jsonl").stat().st_mode) == 0o600


async def test_a_file_that_cannot_be_written_is_told_once_and_nothing_is_lost(tmp_path, caplog):
    (tmp_path / "week.jsonl").mkdir()
    balancer = await asked(profile(member("a"), member("b"), history_file=str(tmp_path / "week.jsonl")), 5)
    flush_histories(30.0)
    assert len(balancer.history()) == 5
    assert sum("the history file cannot be written" in line for line in caplog.messages) == 1
