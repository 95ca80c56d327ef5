"""A run whose rows the workers of a cluster ask: what is the same as without them, and what they are told."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pandas as pd
import pytest
from distributed import Client

import llx_magic as llx
from llx_magic.consent.trust import Foreign, Trust
from llx_magic.errors import UsageProblem
from tests.cluster.kit import TEMPLATE, Watched, after, asked, counts, profile_of, rows, simulated
from tests.faults.server import FaultServer


def test_every_row_is_answered_in_its_place(client, store):
    frame = pd.DataFrame({"word": ["a", "b c", "d e f"]}, index=["x", "y", "z"])
    result = llx.map(frame, "{{ word }}", profile=simulated(), client=client, store=store)
    assert list(result.frame.index) == ["x", "y", "z"]
    assert [text.split()[-2] for text in result.frame.reply] == ["1", "2", "3"]
    assert set(result.frame.llx_status) == {"answered"}


def test_every_worker_has_its_share_and_the_progress_tells_it(client, store):
    run = Watched(simulated(latency_ms=50), rows(60), client=client, store=store).start()
    assert counts(run.end()) == {"answered": 60}
    workers = run.told[-1].workers
    assert sorted(each.name for each in workers) == sorted(
        address.removeprefix("tcp://") for address in client.nthreads()
    )
    assert sum(each.answered for each in workers) == 60
    assert all(each.answered for each in workers)


def test_when_all_rows_are_done_no_worker_is_said_to_be_lost_and_no_backend_to_have_none(client, store):
    run = Watched(simulated(latency_ms=50), rows(20), client=client, store=store).start()
    run.end()
    last = run.told[-1]
    assert [each.state for each in last.workers] == ["done", "done"]
    assert [(each.state, each.in_flight) for each in last.shares] == [("closed", 0)]


def test_where_all_rows_are_stored_no_worker_is_said_to_be_missing_or_to_have_done_anything(client, store):
    Watched(simulated(), rows(4), store=store).start().end()
    again = Watched(simulated(), rows(4), client=client, store=store).start()
    assert counts(again.end()) == {"stored": 4}
    last = again.told[-1]
    assert {each.state for each in last.shares} == {"not asked"}
    assert {each.state for each in last.workers} <= {"not needed"}


def test_the_same_call_again_asks_nothing_with_or_without_a_cluster(client, store):
    with FaultServer() as server:
        profile = profile_of(server)
        llx.map(rows(20), TEMPLATE, profile=profile, client=client, store=store)
        for whoever in (client, None):
            again = llx.map(rows(20), TEMPLATE, profile=profile, client=whoever, store=store)
            assert counts(again) == {"stored": 20}
        assert set(asked(server).values()) == {1}


def test_equal_prompts_are_asked_once(client, store):
    with FaultServer(after(0.05)) as server:
        result = llx.map(["same", "other"] * 20, TEMPLATE, profile=profile_of(server), client=client, store=store)
        assert counts(result) == {"answered": 2, "shared": 38}
        assert set(asked(server).values()) == {1}


def test_replies_are_typed(client, store):
    profile = simulated(reply='{"label": "bug", "urgent": true}')
    schema = {"label": ["bug", "billing"], "urgent": bool}
    result = llx.map(rows(4), TEMPLATE, profile=profile, schema=schema, client=client, store=store)
    assert result.frame[["label", "urgent"]].dtypes.astype(str).to_dict() == {"label": "category", "urgent": "boolean"}


def test_a_reply_that_does_not_fit_is_asked_again_by_the_worker(client, store):
    profile = simulated(reply="no JSON")
    result = llx.map(["x"], TEMPLATE, profile=profile, schema={"n": int}, client=client, store=store)
    assert counts(result) == {"failed": 1}
    assert result.frame.llx_attempts[0] == 3


def test_a_row_that_is_refused_for_what_it_is_has_failed_and_is_kept(client, store):
    with FaultServer("400") as server:
        result = llx.map(rows(3), TEMPLATE, profile=profile_of(server), client=client, store=store)
        assert counts(result) == {"failed": 3}
        again = llx.map(rows(3), TEMPLATE, profile=profile_of(server), client=client, store=store)
        assert (counts(again), len(server.requests)) == ({"failed": 3}, 3)


def test_a_row_that_takes_too_long_is_given_up_and_its_connection_closed(client, store):
    with FaultServer("no-headers") as server:
        profile = profile_of(server, row_timeout_ms=300)
        result = llx.map(["x"], TEMPLATE, profile=profile, client=client, store=store)
        assert result.frame.llx_error[0] == "no reply within 300 ms (row_timeout_ms)"
        assert server.requests[0].disconnected.wait(10)


def test_virtual_time_of_the_workers_costs_none_here(client, store):
    profile = simulated(latency_ms=60_000, virtual_time=True)
    result = llx.map(rows(40), TEMPLATE, profile=profile, client=client, store=store, give_up_after=30)
    assert counts(result) == {"answered": 40}


async def test_an_asynchronous_client_on_the_callers_own_loop_serves_as_well(two_workers, home, store):
    address = two_workers.scheduler_address
    async with Client(address, asynchronous=True, set_as_default=False) as client, llx.load(simulated()) as lb:
        result = await lb.map(rows(10), TEMPLATE, client=client, store=store)
    assert counts(result) == {"answered": 10}


async def test_a_call_that_waits_is_refused_where_the_client_works_on_the_loop_that_would_wait(
    two_workers, home, store
):
    async with Client(two_workers.scheduler_address, asynchronous=True, set_as_default=False) as client:
        with pytest.raises(
            UsageProblem, match=r"^client: .*; use `await lb\.map\(…, client=client\)`.*nothing was sent$"
        ):
            llx.map(rows(2), TEMPLATE, profile=simulated(), client=client, store=store)


async def test_asking_again_is_refused_in_the_same_way(two_workers, home, store):
    address = two_workers.scheduler_address
    async with Client(address, asynchronous=True, set_as_default=False) as client:
        async with llx.load(simulated(script="400")) as lb:
            result = await lb.map(rows(2), TEMPLATE, client=client, store=store)
        with pytest.raises(UsageProblem, match=r"use `await lb\.map"):
            result.retry()


def test_a_call_that_waits_is_refused_where_the_loop_of_the_client_has_stopped(two_workers, home, store):
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(connected(two_workers.scheduler_address))
    try:
        with pytest.raises(UsageProblem, match=r"use `await lb\.map"):
            llx.map(rows(2), TEMPLATE, profile=simulated(), client=client, store=store)
    finally:
        loop.run_until_complete(client.close())
        loop.close()


async def connected(address: str) -> Client:
    return await Client(address, asynchronous=True, set_as_default=False)


async def test_a_client_with_a_thread_of_its_own_may_be_waited_for_on_a_loop(client, store):
    result = llx.map(rows(2), TEMPLATE, profile=simulated(), client=client, store=store)
    assert counts(result) == {"answered": 2}


async def test_rows_come_as_they_end(two_workers, home, store):
    with Client(two_workers, set_as_default=False) as client:
        async with llx.load(simulated()) as lb:
            places = [row.place async for row in lb.map_rows(iter(rows(10)), TEMPLATE, client=client, store=store)]
    assert sorted(places) == list(range(10))


def test_a_budget_ends_the_run_where_it_would_end_without_a_cluster(client, store):
    with FaultServer(after(0.02), usage=(2, 8)) as server:
        connection = llx.Connection(base_url=server.base_url, price_input=1000.0, price_output=1000.0)
        member = llx.ModelProfile("a", "openai", "m", connection=connection, params={"max_tokens": 8})
        options = {"profile": llx.Profile.single(member), "client": client, "store": store, "budget": 0.2}
        result = llx.map(rows(40), TEMPLATE, **options)
    assert "budget" in result.summary.stopped
    assert 0.1 < result.summary.spent.cost <= 0.2


def test_what_is_no_client_is_refused_in_one_line(home, store):
    with pytest.raises(UsageProblem, match=r"^client must be a dask.distributed.Client; got 'tcp://here:8786'$"):
        llx.map(rows(2), TEMPLATE, profile=simulated(), client="tcp://here:8786", store=store)


def test_a_profile_from_elsewhere_whose_host_cannot_be_allowed_goes_to_no_worker(client, home, store, tmp_path):
    """A worker could not tell where it is from, and would send the key that is refused here."""
    elsewhere = Foreign(tmp_path / "a.json", "is elsewhere", Trust(tmp_path, None))
    connection = llx.Connection(base_url="https://mod\\le.example/v1", auth_key_env="ANY_KEY")
    member = llx.ModelProfile("a", "openai", "m", connection=connection, foreign=elsewhere)
    with pytest.raises(UsageProblem, match=r"^a is from elsewhere and its host cannot be allowed, so it goes to no"):
        llx.map(rows(2), TEMPLATE, profile=llx.Profile.single(member), client=client, store=store)


def test_a_client_that_is_closed_is_refused_in_one_line(two_workers, home, store):
    with Client(two_workers, set_as_default=False) as client:
        pass
    with pytest.raises(UsageProblem, match="client: it is closed; nothing was sent"):
        llx.map(rows(2), TEMPLATE, profile=simulated(), client=client, store=store)


def test_dask_is_not_imported_where_nobody_asks_for_it(home, store):
    code = (
        "import sys, llx_magic as llx\n"
        "member = llx.ModelProfile('a', 'simulated', 'm')\n"
        f"llx.map(['x'], 'say {{{{ row }}}}', profile=llx.Profile.single(member), store={str(store)!r})\n"
        "print([name for name in ('dask', 'distributed', 'llx_magic.cluster.fleet') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    assert done.stdout.strip() == "[]"
