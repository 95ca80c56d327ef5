"""Statistics, history and events as DataFrames: their rows, their types, and their agreement with the report."""

from __future__ import annotations

import asyncio

import pandas as pd

from llx_magic.errors import AllBackendsFailed
from tests.unit.kit import balancer, simulated


def busy():
    lb = balancer(
        simulated("a", "503,cut:2,ok", latency_ms=500, prompt_tokens=5, completion_tokens=7),
        simulated("b"),
    )

    async def main() -> None:
        for _ in range(3):
            await lb.ask("why")

    asyncio.run(main())
    return lb


def test_there_is_a_row_per_backend_in_priority_order_indexed_by_name():
    lb = balancer(simulated("z"), simulated("a"))
    stats = lb.stats()
    assert list(stats.index) == ["z", "a"]
    assert stats.index.name == "backend"
    assert {"state", "requests", "successes", "failures", "cancelled", "tokens", "tpm"} <= set(stats.columns)


def test_an_empty_profile_has_frames_of_the_same_types_as_a_busy_one():
    empty, full = balancer(simulated("a"), simulated("b")), busy()
    for name in ("stats", "history"):
        before, after = getattr(empty, name)(), getattr(full, name)()
        numeric = [column for column in after.columns if pd.api.types.is_numeric_dtype(after[column])]
        assert numeric
        assert list(before.columns) == list(after.columns)
        assert all(before[column].dtype == after[column].dtype for column in numeric)
    assert len(empty.history()) == 0
    assert len(empty.events()) == 0


def test_counts_agree_with_the_snapshot():
    lb = busy()
    stats = lb.stats()
    for backend in lb.snapshot().backends:
        row = stats.loc[backend.name]
        assert (row.requests, row.failures, row.tokens) == (backend.requests, backend.failures, backend.tokens)
    assert (stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight).all()


def test_history_has_a_row_per_request_with_times_in_utc():
    history = busy().history()
    assert list(history.request) == [1, 2, 3]
    assert list(history.outcome) == ["answered"] * 3
    assert list(history.restarts) == [0, 1, 0]
    assert str(history.started.dtype).startswith("datetime64")
    assert str(history.started.dt.tz) == "UTC"


def test_a_failed_request_is_in_the_history_with_its_error_and_every_reason():
    lb = balancer(simulated("a", "503"), simulated("b", "refused"))

    async def main() -> None:
        for _ in range(2):
            try:
                await lb.ask("why")
            except AllBackendsFailed:
                continue
            raise AssertionError

    asyncio.run(main())
    row = lb.history().iloc[0]
    assert row.outcome == "failed"
    assert "no backend could answer" in row.error
    assert list(row.decisions) == ["a: 503 Service Unavailable", "b: connection refused"]
    assert pd.isna(row.prompt_tokens)


def test_events_are_oldest_first_with_their_kind_and_a_message_where_there_is_one():
    events = busy().events()
    assert events["at"].is_monotonic_increasing
    assert events.iloc[0].event == "RequestStarted"
    failed = events[events.event == "AttemptFailed"]
    assert "503 Service Unavailable" in set(failed.message)
