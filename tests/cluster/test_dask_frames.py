"""A DataFrame of Dask as the rows of a run: partition by partition in, lazy out."""

from __future__ import annotations

import asyncio

import dask.dataframe as dd
import pandas as pd
import pytest
from dask.delayed import delayed
from distributed import Client, get_client

import llx_magic as llx
from llx_magic.errors import LlxError, UsageProblem
from tests.cluster.kit import counts, simulated

TABLE = pd.DataFrame({"text": [f"text {number}" for number in range(10)], "n": range(10)}, index=list("abcdefghij"))
TEMPLATE = "{{ n }}: {{ text }}"


def frame() -> dd.DataFrame:
    return dd.from_pandas(TABLE, npartitions=3)


def counted(calls: list[int], *heights: int) -> dd.DataFrame:
    """A frame whose partitions note when they are computed."""

    def part(number: int) -> pd.DataFrame:
        calls.append(number)
        return TABLE.iloc[: heights[number]]

    return dd.from_delayed([delayed(part)(number) for number in range(len(heights))], meta=TABLE.iloc[:0])


@pytest.mark.parametrize("with_cluster", [False, True])
def test_it_is_asked_row_by_row_and_comes_back_lazy_with_its_own_columns(request, home, store, with_cluster):
    client = request.getfixturevalue("client") if with_cluster else None
    result = llx.map(frame(), TEMPLATE, profile=simulated(), client=client, store=store)
    assert isinstance(result.frame, dd.DataFrame)
    assert result.frame.npartitions == 3
    computed = result.frame.compute(scheduler="synchronous")
    pd.testing.assert_frame_equal(computed[["text", "n"]], frame().compute(scheduler="synchronous"))
    assert computed.reply.notna().all()
    assert computed.dtypes.equals(result.frame.dtypes)
    assert counts(result) == {"answered": 10}


def test_a_column_is_rows_of_single_values(home, store):
    result = llx.map(frame().text, "say {{ row }}", profile=simulated(), store=store)
    assert list(result.frame.columns[:2]) == ["text", "reply"]
    assert counts(result) == {"answered": 10}


def test_a_partition_is_computed_when_its_rows_are_asked_for_and_the_others_are_not(home, store):
    calls: list[int] = []
    result = llx.map(counted(calls, 10, 10, 10), TEMPLATE, profile=simulated(), store=store, limit=4)
    assert calls == [0]
    table = result.frame.compute(scheduler="synchronous")
    assert table.llx_status.value_counts().to_dict() == {
        "answered": 4,
        "not asked": 26,
        "stored": 0,
        "shared": 0,
        "failed": 0,
    }


def test_showing_the_result_computes_nothing_again(home, store):
    calls: list[int] = []
    result = llx.map(counted(calls, 6, 6), TEMPLATE, profile=simulated(), store=store)
    seen = len(calls)
    assert "text 0" in repr(result)
    assert len(calls) == seen


def test_the_rows_that_failed_are_a_lazy_frame_too(home, store):
    profile = simulated(script="ok,ok,ok,400")
    result = llx.map(frame(), TEMPLATE, profile=profile, store=store)
    failed = result.failed.compute(scheduler="synchronous")
    whole = result.frame.compute(scheduler="synchronous")
    assert list(failed.index) == list(whole.index[whole.llx_status == "failed"])
    assert len(failed) == 7  # which of those that are asked at once come first is left open
    assert failed.llx_error.notna().all()


def test_samples_repeat_each_row(home, store):
    result = llx.map(frame(), TEMPLATE, profile=simulated(), store=store, samples=2)
    assert list(result.frame.compute(scheduler="synchronous").index) == [
        each for each in "abcdefghij" for _ in range(2)
    ]


def test_data_that_is_another_the_next_time_is_told_and_not_mixed_up(home, store):
    lengths = iter([3, 4])

    def part() -> pd.DataFrame:
        return TABLE.iloc[: next(lengths)]

    data = dd.from_delayed([delayed(part, pure=False)()], meta=TABLE.iloc[:0])
    result = llx.map(data, TEMPLATE, profile=simulated(), store=store)
    with pytest.raises(LlxError, match="a partition has 4 rows now and had 3 when it was asked"):
        result.frame.compute(scheduler="synchronous")


def test_the_same_frame_again_asks_nothing(home, store):
    llx.map(frame(), TEMPLATE, profile=simulated(), store=store)
    assert counts(llx.map(frame(), TEMPLATE, profile=simulated(), store=store)) == {"stored": 10}


async def test_without_a_client_a_call_that_waits_is_refused_where_dasks_own_works_on_the_loop_that_would_wait(
    two_workers, home, store
):
    async with Client(two_workers.scheduler_address, asynchronous=True):
        run = {"profile": simulated(), "store": store}
        with pytest.raises(UsageProblem, match=r"^data: the client by which Dask computes it .*`await lb\.map\(…\)`"):
            llx.map(frame(), TEMPLATE, **run)
        elsewhere = await asyncio.to_thread(llx.map, frame(), TEMPLATE, **run)
        async with llx.load(simulated()) as lb:
            awaited = await lb.map(frame(), TEMPLATE, store=store)
    assert (counts(elsewhere), counts(awaited)) == ({"answered": 10}, {"stored": 10})


def ask_in_a_task(number: int, folder: str, *, by_cluster: bool) -> dict[str, int]:
    """Ask the rows of a frame in a task of a worker, with the cluster of that worker or without."""
    table = TABLE.assign(text=TABLE.text + f" of {number}")
    data = dd.from_pandas(table, npartitions=2)
    client, store = get_client() if by_cluster else None, f"{folder}/{number}"
    result = llx.map(data, TEMPLATE, profile=simulated(), client=client, store=store, progress=False)
    return counts(result)


@pytest.mark.parametrize("by_cluster", [False, True])
def test_as_many_tasks_as_there_are_workers_wait_for_each_others_workers_and_all_end(client, tmp_path, by_cluster):
    tasks = [
        client.submit(ask_in_a_task, number, str(tmp_path), by_cluster=by_cluster, workers=[worker], pure=False)
        for number, worker in enumerate(client.nthreads())
    ]
    assert client.gather(tasks) == [{"answered": 10}] * 2
