"""Two runs over the same rows at once: each row is asked by one of them, and both have its reply."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from llx_magic.core.message import Message
from llx_magic.replies.claims import Claims
from llx_magic.session.keeping import Keeping
from llx_magic.session.mapping import MapRun
from tests.engine.kit import balancer, simulated
from tests.faults.server import FaultServer
from tests.session.test_map import ROWS, TEMPLATE, attempts, counts


@pytest.fixture
def store(tmp_path):
    return tmp_path / "replies.sqlite"


def of_another_run(lb, store, rows):
    """What another run has that asks for these rows."""
    keys = Keeping(lb.prepare("x"), lb.name).keys
    claims = Claims(store)
    claims.take([(keys.of([Message("user", TEMPLATE.replace("{{ row }}", row))]), 0) for row in rows])
    return claims


@pytest.mark.parametrize("others", [ROWS, ROWS[::-1], [*ROWS[10:], "further", *ROWS[:10]]])
async def test_two_runs_at_once_ask_each_row_once(store, others):
    lb = balancer(simulated("a", latency_ms=1000))
    first, second = await asyncio.gather(lb.map(ROWS, TEMPLATE, store=store), lb.map(others, TEMPLATE, store=store))
    assert attempts(lb) == len({*ROWS, *others})
    for result in (first, second):
        assert result.summary.failed == result.summary.not_asked == 0
        assert [outcome.text for outcome in result.outcomes].count(None) == 0


async def test_a_run_takes_over_what_another_did_not_get_answered(store):
    lb = balancer(simulated("a", latency_ms=1000))
    first = MapRun(lb, ROWS, TEMPLATE, {"store": store})
    stopping = first.run(lambda _part: first.stop() if first.progress().done >= 4 else None)
    ended, second = await asyncio.gather(stopping, lb.map(ROWS, TEMPLATE, store=store))
    assert ended.summary.stopped
    assert counts(second).keys() <= {"answered", "shared", "stored"}
    assert not second.summary.not_asked


async def test_rows_that_nobody_else_asks_for_do_not_wait_for_the_others(store):
    lb = balancer(simulated("a", latency_ms=1000))
    held = of_another_run(lb, store, ROWS[:15])
    run = MapRun(lb, ROWS, TEMPLATE, {"store": store})

    def watch(_part):
        if run.progress().done >= 5:
            held.close()

    assert counts(await run.run(watch)) == {"answered": 20}


async def test_a_run_says_that_it_waits_for_another_and_gives_up_when_told_to(store):
    lb = balancer(simulated("a"))
    of_another_run(lb, store, ROWS)
    told = []
    run = MapRun(lb, ROWS, TEMPLATE, {"store": store, "give_up_after": 5})
    result = await run.run(lambda progress: told.append(progress.waiting_for))
    assert counts(result) == {"not_asked": 20}
    assert "another run, which asks for 20 of these rows" in told
    assert "nobody has answered for 5 s (another run" in result.summary.stopped


async def test_a_fresh_run_waits_for_nobody(store):
    lb = balancer(simulated("a"))
    of_another_run(lb, store, ROWS)
    assert counts(await lb.map(ROWS, TEMPLATE, store=store, fresh=True)) == {"answered": 20}


async def test_a_dry_run_claims_nothing(store):
    lb = balancer(simulated("a"))
    MapRun(lb, ROWS, TEMPLATE, {"store": store}).estimate()
    assert counts(await lb.map(ROWS, TEMPLATE, store=store)) == {"answered": 20}


RUN = """
import sys
import llx_magic as llx
connection = llx.Connection(base_url=sys.argv[1])
profile = llx.Profile.single(llx.ModelProfile("a", "openai", "m", connection=connection))
rows = [f"row {number}" for number in range(60)]
result = llx.map(rows, "say {{ row }}", profile=profile, store=sys.argv[2], progress=False)
print(sum(outcome.text is not None for outcome in result.outcomes))
"""


def test_two_processes_at_once_ask_each_row_once(store):
    with FaultServer() as server:
        words = [sys.executable, "-c", RUN, server.base_url, str(store)]
        runs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        assert [run.communicate(timeout=60)[0] for run in runs] == ["60\n", "60\n"]
        assert len(server.requests) == 60
