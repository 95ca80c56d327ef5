"""People read times in their own zone; what is no time stays as it is."""

from __future__ import annotations

import time

import pytest

from llx_magic.commands.localtime import day_and_time, time_of_day


@pytest.fixture(params=[("Asia/Kolkata", "05:30:00.250", "2026-01-01 05:30:00"),
                        ("America/New_York", "19:00:00.250", "2025-12-31 19:00:00"),
                        ("UTC", "00:00:00.250", "2026-01-01 00:00:00")], ids=lambda case: case[0])  # fmt: skip
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param[0])
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_times_are_those_of_the_machines_zone(zone):
    _name, of_day, moment = zone
    assert time_of_day(1_767_225_600.25) == of_day
    assert day_and_time("2026-01-01T00:00:00.250+00:00") == moment


@pytest.mark.parametrize("text", ["", "yesterday", "9999-99-99T00:00:00"])
def test_what_is_no_time_is_shown_as_it_is(text):
    assert day_and_time(text) == text
