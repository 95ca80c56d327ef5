"""Workers that die, come, are refused a key, have another version: what that costs a run, and what it is told."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

import llx_magic as llx
from llx_magic.cluster.fleet import GIVEN_UP
from llx_magic.engine.card import whoami
from tests.cluster.kit import (
    QUIET,
    TEMPLATE,
    Apart,
    Watched,
    after,
    asked,
    counts,
    look_first_in,
    only_with,
    pids,
    profile_of,
    rows,
    simulated,
    wait_until_ready,
    workers_with,
)
from tests.faults.server import FaultServer

KEY, RIGHT, WRONG = "CLUSTER_TEST_KEY", "sk-right-0123456789abcdefghij", "sk-wrong-0123456789abcdefghij"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Iterator[Client]:
    """Four workers over TCP: with the right key, with a wrong one, without one, and of another version."""
    home = {"LLXPRT_CONFIG_HOME": str(tmp_path_factory.mktemp("worker"))}
    other = tmp_path_factory.mktemp("other")
    facts = other / "llx_magic-9.9.dist-info" / "METADATA"
    facts.parent.mkdir()
    facts.write_text("Metadata-Version: 2.1\nName: llx-magic\nVersion: 9.9\n")
    environments = [{**home, KEY: RIGHT}, {**home, KEY: WRONG}, home, {**home, KEY: RIGHT, "OLD": "yes"}]
    with workers_with(*environments) as cluster, Client(cluster, set_as_default=False) as client:
        wait_until_ready(client, 4)
        old = [address for address, said in client.run(os.getenv, "OLD").items() if said]
        client.run(look_first_in, str(other), workers=old)
        yield client


def test_each_worker_uses_its_own_key_and_those_without_a_right_one_are_named(mixed, home, store):
    with FaultServer(only_with(RIGHT)) as server:
        profile = profile_of(server, KEY, concurrency=8)
        result = llx.map(rows(160), TEMPLATE, profile=profile, client=mixed, store=store)
        shown = {each.headers["authorization"].removeprefix("Bearer ") for each in server.requests}
    assert counts(result) == {"answered": 160}
    assert shown <= {RIGHT, WRONG}
    note = result.summary.note
    assert f"set the environment variable {KEY}" in note
    assert "llx-magic 9.9, and here is" in note
    assert "401" in note
    assert note.count(" is not used: ") == 3


def test_where_no_worker_has_a_key_the_run_ends_and_says_so(client, store):
    with FaultServer() as server:
        result = llx.map(rows(4), TEMPLATE, profile=profile_of(server, KEY), client=client, store=store)
        assert server.requests == []
    assert counts(result) == {"not_asked": 4}
    assert f"set the environment variable {KEY}" in result.summary.stopped


def test_a_worker_that_lacks_what_asks_is_named_with_its_reason_and_the_run_ends(home, store, tmp_path):
    """It has the same version, so that this shows only when the first connection is made."""
    (tmp_path / "httptools.py").write_text("raise ImportError('libfoo.so.1: cannot open shared object file')\n")
    environment = {"LLXPRT_CONFIG_HOME": str(tmp_path)}
    with FaultServer() as server, workers_with(environment) as cluster, Client(cluster, set_as_default=False) as one:
        one.wait_for_workers(1, timeout=60)
        one.run(look_first_in, str(tmp_path))
        result = Watched(profile_of(server), rows(4), client=one, store=store).start().end()
    assert counts(result) == {"not_asked": 4}
    assert "it cannot get ready: ImportError: libfoo.so.1: cannot open shared object file" in result.summary.stopped


def test_a_worker_that_is_a_part_of_this_process_is_refused_in_one_line_and_this_process_keeps_its_name(home, store):
    with (
        dask.config.set(QUIET),
        LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as threads,
    ):
        before = whoami()
        result = llx.map(rows(4), TEMPLATE, profile=simulated(), client=threads, store=store)
    assert counts(result) == {"not_asked": 4}
    assert "a part of this very process" in result.summary.stopped
    assert "leave out client, or start the cluster with processes=True" in result.summary.stopped
    assert "\n" not in result.summary.stopped
    assert whoami() == before


def test_a_key_of_the_user_is_in_nothing_that_is_sent(monkeypatch, mixed, home, store):
    """It is set here, and is not used there: a worker without the variable stays without it."""
    monkeypatch.setenv(KEY, "sk-here-0123456789abcdefghij")
    with FaultServer(only_with(RIGHT)) as server:
        llx.map(rows(8), TEMPLATE, profile=profile_of(server, KEY), client=mixed, store=store)
        assert all("sk-here" not in str(each.headers) for each in server.requests)


def killed_once(client: Client, store: Path, seed: int, count: int = 300) -> tuple[int, llx.MapResult, int]:
    """Kill a worker at a random moment; return how many rows were asked again, the result, and the level."""
    level = 24
    with FaultServer(after(0.15)) as server:
        profile = profile_of(server, concurrency=level)
        run = Watched(profile, rows(count, f"row {seed}"), client=client, store=store, fresh=True).start()
        assert server.wait_for_requests(random.Random(seed).randint(10, count - 10), 60)
        os.kill(random.Random(seed).choice(list(pids(client).values())), signal.SIGKILL)
        result = run.end()
        assert set(asked(server)) == {f"say {row}" for row in rows(count, f"row {seed}")}
        return asked(server).total() - count, result, level


def test_a_worker_that_is_killed_costs_at_most_the_rows_that_it_had_under_way(client, store):
    again, result, level = killed_once(client, store, 1)
    assert counts(result) == {"answered": 300}
    assert again <= level
    lost = "1 worker lost, ", "it cannot get ready"  # the latter where it was killed while it was made ready
    assert any(said in str(result.summary) for said in lost)


def test_a_worker_that_comes_during_a_run_takes_part(home, store):
    environment = {"LLXPRT_CONFIG_HOME": str(home)}
    with workers_with(environment) as cluster, Client(cluster, set_as_default=False) as client:
        profile = llx.Profile.single(
            llx.ModelProfile("a", "simulated", "m", params={"latency_ms": 200}, settings={"concurrency": 4})
        )
        run = Watched(profile, rows(160), client=client, store=store).start()
        cluster.scale(2)
        assert counts(run.end()) == {"answered": 160}
    assert sum(each.answered > 0 for each in run.told[-1].workers) == 2


def test_a_restart_of_all_workers_loses_no_row(home, store):
    made = workers_with({"LLXPRT_CONFIG_HOME": str(home)})
    with made as cluster, Client(cluster, set_as_default=False) as client, FaultServer(after(0.2)) as server:
        run = Watched(profile_of(server, concurrency=8), rows(60), client=client, store=store).start()
        assert server.wait_for_requests(20, 60)
        client.restart(wait_for_workers=False)
        assert counts(run.end()) == {"answered": 60}


def half_done(server: FaultServer, client: Client, store: Path) -> Watched:
    run = Watched(profile_of(server, concurrency=8), rows(60), client=client, store=store).start()
    while not any(each.done >= 8 for each in run.told):
        time.sleep(0.02)
    return run


def test_a_scheduler_that_is_killed_ends_the_run_in_one_line_and_the_same_call_goes_on(home, store):
    with FaultServer(after(0.2)) as server:
        with Apart() as apart, Client(apart.address, timeout=3, set_as_default=False) as client:
            run = half_done(server, client, store)
            apart.scheduler.kill()
            result = run.end()
        kept = counts(result)["answered"]
        assert result.summary.stopped == GIVEN_UP
        assert 8 <= kept < 60
        again = llx.map(rows(60), TEMPLATE, profile=profile_of(server), store=store)
        assert counts(again) == {"stored": kept, "answered": 60 - kept}
        assert asked(server).total() - 60 <= 8


def test_a_scheduler_that_comes_back_in_time_costs_no_row(home, store):
    with FaultServer(after(0.2)) as server, Apart() as apart, Client(apart.address, set_as_default=False) as client:
        run = half_done(server, client, store)
        apart.scheduler.kill()
        with Apart(apart.port):
            assert counts(run.end()) == {"answered": 60}


def test_an_interrupt_closes_the_connections_of_the_workers_at_once_and_the_same_call_goes_on(client, store):
    with FaultServer("ok", "ok", "ok", "ok", "no-headers") as server:
        run = Watched(profile_of(server), rows(30), client=client, store=store).start()
        assert server.wait_for_requests(6, 60)
        while not any(each.done >= 4 for each in run.told):
            time.sleep(0.02)
        run.run.stop()
        result = run.end()
        assert all(each.disconnected.wait(10) for each in server.requests if not each.answered.is_set())
        assert (counts(result)["answered"], result.summary.stopped) == (4, "interrupted")
        server.set_default("ok")
        again = llx.map(rows(30), TEMPLATE, profile=profile_of(server), client=client, store=store)
        assert counts(again) == {"stored": 4, "answered": 26}


def test_a_limit_of_the_user_is_divided_among_the_workers(client, store):
    with FaultServer() as server:
        profile = profile_of(server, rpm_limit=10)
        options = {"client": client, "store": store, "give_up_after": 2.0}
        result = llx.map(rows(40), TEMPLATE, profile=profile, **options)
        assert len(server.requests) == 10
    assert counts(result) == {"answered": 10, "not_asked": 30}
    assert "rpm_limit" in result.summary.stopped


def test_more_workers_than_a_limit_can_be_divided_among_are_spare(client, store):
    with FaultServer() as server:
        options = {"client": client, "store": store, "give_up_after": 2.0}
        result = llx.map(rows(4), TEMPLATE, profile=profile_of(server, rpm_limit=1), **options)
    assert counts(result) == {"answered": 1, "not_asked": 3}
    assert "1 worker spare: a limit of 1 cannot be divided among more" in result.summary.note


def test_a_client_that_is_closed_ends_the_run_with_what_is_finished(two_workers, home, store):
    with Client(two_workers, set_as_default=False) as client:
        run = Watched(simulated(latency_ms=300), rows(400), client=client, store=store).start()
        while not any(each.done >= 4 for each in run.told):
            time.sleep(0.02)
    result = run.end()
    assert result.summary.stopped == "the client of the cluster was closed"
    assert 4 <= counts(result)["answered"] < 400


def test_without_a_worker_the_run_waits_and_says_for_what(home, store):
    with workers_with() as cluster, Client(cluster, set_as_default=False) as client:
        result = llx.map(rows(4), TEMPLATE, profile=simulated(), client=client, store=store, give_up_after=1.0)
    assert result.summary.stopped == "nobody has answered for 1 s (a worker of the cluster)"


def test_a_run_that_is_stopped_before_a_worker_came_waits_for_none_any_more(home, store):
    with workers_with() as cluster, Client(cluster, set_as_default=False) as client:
        run = Watched(simulated(), rows(4), client=client, store=store).start()
        ends = time.monotonic() + 20.0
        while not any(each.state == "no worker yet" for told in list(run.told) for each in told.shares):
            assert time.monotonic() < ends
            time.sleep(0.02)
        run.run.stop()
        run.end()
    assert [each.state for each in run.told[-1].shares] == ["not asked"]
