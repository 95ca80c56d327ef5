"""Two runs over the same rows at once: each row is asked by one of them, and both have its reply."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from llx_magic.core.message import Message
from llx_magic.replies.claims import Claims
from llx_magic.session.answering import OwnEngine
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


async def test_two_runs_at_once_share_the_places_of_a_backend(tmp_path):
    """The one that begins later ends first where it has fewer rows, and both have as many under way meanwhile."""
    lb, options = balancer(simulated("a", latency_ms=1000)), {"settings": {"concurrency": 8}}
    runs = [
        MapRun(lb, [f"{count} {row}" for row in range(count)], TEMPLATE, {"store": tmp_path / str(count), **options})
        for count in (400, 80)
    ]
    ended: list[int] = []
    under_way: list[tuple[int, ...]] = []

    def watch(_part):
        under_way.append(tuple(run.progress().in_flight for run in runs))

    async def ending(run):
        ended.append((await run.run(watch)).summary.answered)

    first = asyncio.ensure_future(ending(runs[0]))
    await lb.clock.sleep(10.0)
    await asyncio.gather(first, ending(runs[1]))
    assert ended == [80, 400]
    assert (4, 4) in under_way
    assert max(sum(each) for each in under_way) <= 8


async def test_runs_at_once_take_turns_at_a_backend_with_one_place(store):
    lb, options = balancer(simulated("a", latency_ms=1000)), {"settings": {"concurrency": 1}, "store": store}
    ends = {}

    async def run(name):
        result = await lb.map([f"{name} {row}" for row in range(30)], TEMPLATE, **options)
        ends[name] = lb.clock.now()
        assert result.summary.answered == 30

    await asyncio.gather(*map(run, "abc"))
    # Two turns between the first and the last, and two that were lost where all three began at the same moment.
    assert max(ends.values()) - min(ends.values()) < 5


async def test_a_run_whose_loop_is_busy_elsewhere_holds_up_no_other():
    lb = balancer(simulated("a"))
    candidates = lb.prepare("x").candidates
    busy, other = (OwnEngine(lb, candidates, run) for run in (1, 2))
    elsewhere = asyncio.new_event_loop()
    await asyncio.to_thread(elsewhere.run_until_complete, busy.begin(lambda: None))
    await other.begin(lambda: None)
    assert busy.room((), 4).places == 4
    assert other.room((), 4).places == 2
    await lb.clock.sleep(1.0)
    assert other.room((), 4).places == 4
    for each in (busy, other):
        await each.end()
    elsewhere.close()


async def test_a_run_leaves_to_another_only_places_at_the_backends_that_this_one_asks(tmp_path):
    lb = balancer(simulated("a", latency_ms=1000), simulated("b", latency_ms=1000))
    ends = {}

    async def run(count, **options):
        rows = [f"{count} {row}" for row in range(count)]
        result = await lb.map(rows, TEMPLATE, store=tmp_path / str(count), **options)
        ends[count] = lb.clock.now()
        assert result.summary.answered == count

    await asyncio.gather(run(40, backend="a", settings={"concurrency": 1}), run(160, settings={"concurrency": 8}))
    assert ends[160] < 30 < ends[40]
