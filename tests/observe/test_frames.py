"""Statistics, history and events as DataFrames: their rows, their types, and their agreement with the report."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sqlite3

import msgspec
import pandas as pd
import pytest

from llx_magic.core import events as facts
from llx_magic.core.breaker import Cause
from llx_magic.core.events import BackendEvent, Event
from llx_magic.core.ledger import Ledger
from llx_magic.core.routing import ROUTINGS
from llx_magic.engine.clocks import ManualClock
from llx_magic.errors import AllBackendsFailed, UsageProblem
from llx_magic.observe.frames.columns import COLUMN_OF, EVENTS
from llx_magic.observe.frames.frames import circuit_frame
from llx_magic.observe.frames.remembered import attempts_frame, events_frame
from tests.engine.kit import Bench, Scripted, balancer, block, circuit_changed, clock_of, simulated

FRAMES = ("stats", "history", "attempts", "events", "tpm", "circuit", "cool_downs")


def busy():
    lb = balancer(
        simulated("a", "503,cut:2,ok", latency_ms=500, prompt_tokens=5, completion_tokens=7),
        simulated("b", "ok,ok,429:60,ok"),
    )

    async def main() -> None:
        for _ in range(3):
            await lb.ask("why")
        with contextlib.suppress(AllBackendsFailed):
            await lb.ask("why", backend="b")

    asyncio.run(main())
    return lb


def test_there_is_a_row_per_backend_in_priority_order_indexed_by_name():
    lb = balancer(simulated("z"), simulated("a"))
    stats = lb.stats()
    assert list(stats.index) == ["z", "a"]
    assert stats.index.name == "backend"
    assert {"state", "requests", "successes", "failures", "cancelled", "tokens", "tpm"} <= set(stats.columns)


@pytest.mark.parametrize("name", FRAMES)
def test_an_empty_frame_has_the_columns_and_types_of_a_full_one(name):
    empty, full = (getattr(lb, name)() for lb in (balancer(simulated("a"), simulated("b")), busy()))
    assert len(full) > 0
    assert len(empty) == (2 if name == "stats" else 0)
    assert list(empty.columns) == list(full.columns)
    assert list(empty.dtypes) == list(full.dtypes)
    assert empty.index.dtype == full.index.dtype


@pytest.mark.parametrize("name", FRAMES)
def test_nothing_missing_is_none_and_every_time_is_in_utc(name):
    frame = getattr(busy(), name)()
    for column in frame.columns:
        assert not any(value is None for value in frame[column]), column
        if isinstance(frame[column].dtype, pd.DatetimeTZDtype):
            assert str(frame[column].dt.tz) == "UTC"
        assert frame[column].dtype != object


@pytest.mark.parametrize("name", FRAMES)
def test_every_column_is_explained(name):
    """In the docstring of the method, or for the many columns of events in that of the frame."""
    lb = busy()
    said = (getattr(lb, name).__doc__ or "") + (events_frame.__doc__ if name == "events" else "")
    words = set(said.replace("`", " ").replace(",", " ").replace(".", " ").replace(":", " ").replace(";", " ").split())
    assert set(getattr(lb, name)().columns) <= words


@pytest.mark.parametrize(
    ("name", "column", "words"),
    [
        ("stats", "state", ["closed", "open", "half-open", "disabled"]),
        ("history", "outcome", ["answered", "failed", "cancelled", "put back"]),
        ("history", "policy", list(ROUTINGS)),
        ("attempts", "outcome", ["answered", "failed", "cancelled", "running"]),
        ("circuit", "state", ["closed", "open", "half-open", "disabled"]),
    ],
)
def test_a_column_of_fixed_words_knows_them_all(name, column, words):
    assert list(getattr(busy(), name)()[column].cat.categories) == words


def test_counts_agree_with_the_snapshot():
    lb = busy()
    stats = lb.stats()
    for backend in lb.snapshot().backends:
        row = stats.loc[backend.name]
        assert (row.requests, row.failures, row.tokens) == (backend.requests, backend.failures, backend.tokens)
    assert (stats.requests == stats.successes + stats.failures + stats.cancelled + stats.in_flight).all()


def test_history_has_a_row_per_request_with_times_in_utc():
    history = busy().history()
    assert list(history.request) == [1, 2, 3, 4]
    assert list(history.outcome) == ["answered"] * 3 + ["failed"]
    assert list(history.restarts) == [0, 1, 0, 0]
    assert str(history.started.dtype).startswith("datetime64")
    assert str(history.started.dt.tz) == "UTC"


async def test_a_failed_request_is_in_the_history_with_its_error_and_every_reason():
    lb = balancer(simulated("a", "503"), simulated("b", "refused"))

    for _ in range(2):
        try:
            await lb.ask("why")
        except AllBackendsFailed:
            continue
        raise AssertionError
    row = lb.history().iloc[0]
    assert row.outcome == "failed"
    assert "no backend could answer" in row.error
    assert row.decisions == "a: 503 Service Unavailable; b: connection refused"
    assert pd.isna(row.prompt_tokens)


def test_events_are_oldest_first_with_their_kind_and_a_message_where_there_is_one():
    events = busy().events()
    assert events["at"].is_monotonic_increasing
    assert events.iloc[0].event == "RequestStarted"
    failed = events[events.event == "AttemptFailed"]
    assert "503 Service Unavailable" in set(failed.message)


def kinds_of_event(kind: type[Event] = Event) -> set[type[Event]]:
    return {kind} | {deeper for below in kind.__subclasses__() for deeper in kinds_of_event(below)}


def test_every_field_of_every_event_has_a_column():
    fields = {field.name for kind in kinds_of_event() for field in msgspec.structs.fields(kind)} - {"failure"}
    assert {COLUMN_OF.get(name, name) for name in fields} <= set(EVENTS)
    assert facts.CircuitChanged in kinds_of_event(BackendEvent)


def test_an_event_of_the_frame_holds_what_the_event_holds():
    lb = busy()
    frame = lb.events()
    for event, (_, row) in zip(lb.decisions(), frame.iterrows(), strict=True):
        assert row.event == type(event).__name__
        if isinstance(event, facts.VisitSucceeded):
            assert row.completion_tokens == event.completion_tokens
            assert (row.model, row.seconds) == (event.model, event.seconds)
        if isinstance(event, facts.AttemptFailed):
            assert (row.kind, row.message) == (event.failure.kind, event.failure.message)


def test_there_is_a_row_per_attempt_with_what_became_of_it():
    attempts = busy().attempts()
    told = list(zip(attempts.request, attempts.backend, attempts.outcome, strict=True))
    assert told == [
        (1, "a", "failed"), (1, "b", "answered"), (2, "a", "failed"), (2, "b", "answered"), (3, "a", "answered"),
        (4, "b", "failed"),
    ]  # fmt: skip
    first, cut = attempts.iloc[0], attempts.iloc[2]
    assert (first.kind, first.status, first.message) == ("server error", 503, "503 Service Unavailable")
    assert pd.isna(first.ttft_seconds)
    assert first.seconds == pytest.approx(0.5)
    assert cut.kind == "network"
    assert cut.ttft_seconds == pytest.approx(0.5)
    assert pd.isna(attempts.iloc[4].kind)
    assert (attempts.attempt == 1).all()


async def test_attempts_of_requests_at_the_same_time_are_told_apart():
    lb = balancer(simulated("a", latency_ms=100), simulated("b"))
    await asyncio.gather(*(lb.ask("why") for _ in range(5)))
    attempts = lb.attempts()
    assert list(attempts.request) == [1, 2, 3, 4, 5]
    assert attempts.seconds.tolist() == pytest.approx([0.1] * 5)


async def test_an_attempt_under_way_has_no_end_and_a_stopped_one_is_cancelled():
    async def never(_request, _progress):
        await asyncio.Event().wait()

    bench = Bench(Scripted("a", never), clock=ManualClock())
    task = asyncio.ensure_future(bench.ask())
    await bench.pass_time(3)
    running = attempts_frame(bench.live.with_ledger(Ledger.remembered).blocks(), 0.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stopped = attempts_frame(bench.live.with_ledger(Ledger.remembered).blocks(), 0.0)
    assert list(running.outcome) == ["running"]
    assert running.seconds.isna().all()
    assert list(stopped.outcome) == ["cancelled"]
    assert stopped.seconds.tolist() == [3.0]


def test_an_attempt_whose_beginning_is_forgotten_is_left_out():
    events = busy().decisions()
    begun = next(index for index, event in enumerate(events) if isinstance(event, facts.AttemptStarted))
    assert len(attempts_frame([block(events[begun + 1 :])], 0.0)) == len(attempts_frame([block(events)], 0.0)) - 1


def test_tokens_per_minute_end_at_what_the_statistics_show():
    lb = busy()
    last = lb.tpm().groupby("backend").last()
    assert last.loc["a", "tpm"] == pytest.approx(lb.stats().loc["a", "tpm"])


def test_tokens_per_minute_follow_the_basis_in_force():
    async def main(basis: str) -> pd.DataFrame:
        lb = balancer(simulated("a", latency_ms=1000, completion_tokens=10, prompt_tokens=0), tpm_basis=basis,
                      order="roundrobin", clock=None)  # fmt: skip
        await lb.ask("why")
        clock_of(lb).advance(58)
        await lb.ask("why")
        return lb.tpm()

    assert asyncio.run(main("elapsed")).tpm.tolist() == pytest.approx([600, 20])
    assert asyncio.run(main("busy")).tpm.tolist() == pytest.approx([600, 600])


async def test_intervals_of_a_circuit_follow_each_other_without_a_gap():
    lb = balancer(simulated("a", "503,503,ok"), simulated("b"), circuit_breaker_failure_threshold=2)

    for _ in range(3):
        await lb.ask("why")
        clock_of(lb).advance(31)
    of_a = lb.circuit().query("backend == 'a'")
    assert list(of_a.state) == ["closed", "open", "half-open", "closed"]
    assert list(of_a.cause) == [
        "first remembered", "2 failures in the window", "the recovery time had passed", "the backend has recovered",
    ]  # fmt: skip
    assert list(of_a.ended[:-1]) == list(of_a.began[1:])
    assert pd.isna(of_a.ended.iloc[-1])
    assert of_a.seconds.tolist() == pytest.approx([31, 31, 0, 31])
    assert list(lb.circuit().query("backend == 'b'").state) == ["closed"]


def test_a_circuit_set_by_hand_says_so():
    lb = balancer(simulated("a"), simulated("b"))
    lb.open_circuit("b")
    clock_of(lb).advance(5)
    lb.close_circuit("b")
    of_b = lb.circuit().query("backend == 'b'")
    assert list(zip(of_b.state, of_b.cause, strict=True)) == [("open", "by hand"), ("closed", "by hand")]
    assert of_b.seconds.tolist() == [5, 0]
    assert lb.trace().events == ()


def asked(lb, times: int = 1) -> None:
    async def main() -> None:
        for _ in range(times):
            with contextlib.suppress(AllBackendsFailed):
                await lb.ask("why")

    asyncio.run(main())


def test_a_close_by_hand_that_is_the_oldest_change_remembered_tells_what_was_before():
    lb = balancer(simulated("a"), simulated("b"), history_limit=1)
    asked(lb)
    clock_of(lb).advance(5)
    lb.close_circuit("a")
    assert list(lb.circuit().query("backend == 'a'").state) == ["closed", "closed"]


def test_with_the_breaker_off_the_interval_that_lasts_is_disabled_as_the_statistics_say():
    lb = balancer(simulated("a"), simulated("b"), circuit_breaker_enabled=False)
    asked(lb)
    lb.open_circuit("a")
    assert list(lb.circuit().groupby("backend").state.last()) == list(lb.stats().state) == ["disabled"] * 2


async def test_a_removed_backend_ends_when_it_was_removed_and_a_fresh_one_begins_when_it_was_added():
    bench = Bench(Scripted("a"), Scripted("b"), clock=ManualClock())

    await bench.ask()
    await bench.pass_time(10)
    bench.replace(fresh=["c"], kept=["a"])
    await bench.pass_time(10)
    live = bench.live
    found = circuit_frame(
        live.with_ledger(Ledger.remembered).events(),
        {"a": "closed", "c": "closed"},
        live.with_ledger(lambda ledger: ledger.since),
        20.0,
        0.0,
    )
    frame = found.set_index("backend")
    assert frame.seconds.to_dict() == {"a": 20, "b": 10, "c": 10}
    assert pd.isna(frame.ended["a"])
    assert frame.ended["b"] == pd.Timestamp(10, unit="s", tz="UTC")
    assert frame.cause["c"] == "the backend was added"


def test_nothing_is_told_of_a_circuit_before_everything_is_remembered():
    lb = balancer(simulated("a"), simulated("b"), history_limit=2)
    for _ in range(5):
        asked(lb)
        clock_of(lb).advance(10)
    assert list(lb.circuit().seconds) == [30, 30]
    lb.reset_statistics()
    assert lb.circuit().empty


def test_tokens_per_minute_are_what_was_measured_whatever_is_forgotten_later():
    lb = balancer(simulated("a", latency_ms=1000, prompt_tokens=0, completion_tokens=10, cycle=True), simulated("b"))
    asked(lb, 60)
    rate = lb.stats().loc["a", "tpm"]
    lb.reset_statistics()
    asked(lb)
    assert lb.tpm().tpm.tolist() == pytest.approx([rate])


def test_a_cool_down_is_a_row_from_its_beginning_to_its_end():
    lb = balancer(simulated("a", "429:30,ok"), simulated("b"))
    asked(lb)
    (row,) = lb.cool_downs().itertuples()
    assert (row.backend, row.seconds) == ("a", 30)
    clock_of(lb).advance(31)
    asked(lb)
    assert lb.cool_downs().seconds.tolist() == [30]


def test_a_speed_is_in_the_history_where_it_can_be_told():
    slow = simulated("a", reply="w " * 20, tokens_per_second=4, completion_tokens=20)
    lb = balancer(slow, simulated("b"))
    asked(lb)
    assert lb.history().tokens_per_second.tolist() == pytest.approx([4])
    assert lb.stats().loc["a", "tokens_per_second"] == pytest.approx(4)


def test_what_a_circuit_was_before_the_oldest_change_kept_is_told_by_that_change():
    events = (
        facts.RequestStarted(at=0, request=8, policy="failover", order=("a", "b")),
        circuit_changed(4, Cause.RECOVERY_TIME, request=9),
    )
    frame = circuit_frame(events, {"a": "half-open", "b": "open"}, 0, 10, 0.0)
    assert list(frame.state) == ["open", "half-open", "open"]
    assert frame.seconds.tolist() == [4, 6, 10]


def test_the_trace_of_a_request_that_is_not_remembered_is_an_error_that_says_which_are():
    lb = busy()
    assert (lb.trace().request, lb.trace(2).request) == (4, 2)
    with pytest.raises(UsageProblem, match="no request 9 is remembered of lb; there are 1 to 4"):
        lb.trace(9)
    with pytest.raises(UsageProblem, match="there is none yet"):
        balancer(simulated("a"), simulated("b")).trace(1)


async def test_no_more_requests_are_kept_than_the_setting_says():
    lb = balancer(simulated("a"), simulated("b"), history_limit=3)

    for _ in range(8):
        await lb.ask("why")
    assert list(lb.history().request) == [6, 7, 8]
    assert list(lb.events().request.unique()) == [6, 7, 8]
    assert len(lb.events()) == 18


FRAMES_IN_DATABASES = (*FRAMES, "empty history")


@pytest.mark.parametrize("name", FRAMES_IN_DATABASES)
def test_every_frame_goes_into_a_database_as_it_is(name):
    frame = balancer(simulated("a")).history() if name == "empty history" else getattr(busy(), name)()
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        assert frame.to_sql("frame", database) in (len(frame), None)
        found = pd.read_sql("select * from frame", database)
    assert list(found.columns)[-len(frame.columns) :] == list(frame.columns)
    for column in frame.columns:
        kept = frame[column].notna()
        assert found[column].notna().tolist() == kept.tolist(), column
        if frame[column].dtype == pd.StringDtype("python"):
            assert found[column][kept.to_numpy()].tolist() == frame[column][kept].tolist()


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_comes_back_from_a_csv_file(name):
    frame = getattr(busy(), name)().reset_index()
    times = [column for column in frame if isinstance(frame[column].dtype, pd.DatetimeTZDtype)]
    types = {column: kind for column, kind in frame.dtypes.items() if column not in times}
    text = io.StringIO(frame.to_csv(index=False))
    found = pd.read_csv(text, dtype=types, keep_default_na=False, na_values=[""])
    for column in times:
        found[column] = pd.to_datetime(found[column], utc=True, format="ISO8601")
    for column in frame:
        known = frame[column].notna() & (frame[column].astype("string") != "")  # a file knows no empty text
        assert found[column][known].astype(frame[column].dtype).tolist() == frame[column][known].tolist(), column


@pytest.mark.parametrize("name", FRAMES)
def test_every_frame_comes_back_from_a_parquet_file(name):
    pytest.importorskip("pyarrow.parquet", exc_type=ImportError)
    frame = getattr(busy(), name)()
    found = pd.read_parquet(io.BytesIO(frame.to_parquet(engine="pyarrow")))
    pd.testing.assert_frame_equal(
        found, pd.DataFrame(frame), check_dtype=False, check_index_type=False, check_categorical=False
    )
