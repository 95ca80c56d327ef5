"""The engine that a worker holds, without a cluster: what it is given, and what it tells."""

from __future__ import annotations

import pytest

import llx_magic as llx
from llx_magic.cluster.messages import Ended, Order
from llx_magic.core.message import TEXT_ONLY, Message
from llx_magic.engine import card
from llx_magic.engine.loops import off_loop
from llx_magic.session.hiring import job_of
from llx_magic.session.ordered_rows import limits_of, part_of
from llx_magic.session.row_engine import RowEngine
from llx_magic.settings.declaration import Settings
from tests.engine.kit import simulated
from tests.faults.server import FaultServer


@pytest.fixture(autouse=True)
def no_role():
    """This process is no worker afterwards."""
    yield
    card._roles.clear()


def engine_of(*members: llx.ModelProfile, **options) -> RowEngine:
    profile = llx.Profile.single(*members) if len(members) == 1 else llx.Profile.failover("lb", members)
    lb = llx.load(profile)
    return RowEngine(job_of(lb, lb.prepare("rows", **options), options.get("backend")))


def order(number: int, *backends: str, seconds: float | None = None) -> Order:
    return Order(number, (Message("user", f"row {number}"),), TEXT_ONLY, backends or ("a",), seconds)


async def ended(engine: RowEngine, count: int) -> list[Ended]:
    """Fetch until so many rows have ended."""
    found: list[Ended] = []
    seen = 0
    while len(found) < count:
        report = await engine.report(seen)
        found += report.ended
        seen = report.number
    return found


async def told(engine: RowEngine, *orders: Order) -> dict[int, Ended]:
    await engine.open(1)
    try:
        await engine.give(orders)
        return {each.number: each for each in await ended(engine, len(orders))}
    finally:
        await engine.close()


async def test_every_row_that_it_is_given_is_told_once():
    found = await told(engine_of(simulated("a")), *map(order, range(1, 31)))
    assert sorted(found) == list(range(1, 31))
    assert {each.how for each in found.values()} == {"answered"}


async def test_what_was_fetched_and_has_not_arrived_is_told_again():
    engine = engine_of(simulated("a"))
    await engine.open(1)
    await engine.give((order(1),))
    first = await engine.report(0)
    while not first.ended:
        first = await engine.report(first.number)
    again = await engine.report(-1)
    assert again.ended == first.ended
    assert (await engine.report(again.number)).ended == ()
    await engine.close()


async def test_it_has_never_more_under_way_and_on_the_way_than_a_backend_bears():
    with FaultServer("ok-when-released") as server:
        member = llx.ModelProfile(
            "a",
            "openai",
            "m",
            connection=llx.Connection(base_url=server.base_url),
            settings={"concurrency": 3},
        )
        engine = engine_of(member)
        await engine.open(1)
        await engine.give(tuple(map(order, range(1, 10))))
        assert server.wait_for_requests(3)
        server.release()
        report = await engine.report(0)
        while len(report.ended) < 3:
            report = await engine.report(-1)
        assert len(server.requests) == 3
        await engine.close()


async def test_where_nobody_fetches_anything_for_long_it_ends_and_closes_its_connections():
    with FaultServer("no-headers") as server:
        connection = llx.Connection(base_url=server.base_url)
        lb = llx.load(llx.Profile.single(llx.ModelProfile("a", "openai", "m", connection=connection)))
        engine = RowEngine(job_of(lb, lb.prepare("rows"), None), unheard_seconds=0.2)
        await engine.open(1)
        await engine.give((order(1),))
        assert server.wait_for_requests(1)
        assert await off_loop(lambda: server.requests[0].disconnected.wait(10))
        with pytest.raises(RuntimeError, match="the engine is closed"):
            await engine.report(0)


async def test_a_row_whose_time_is_up_is_late():
    found = await told(engine_of(simulated("a", "stall")), order(1, seconds=0.05))
    assert found[1].how == "late"


async def test_a_row_that_is_only_for_somebody_who_cannot_be_asked_from_there_goes_back():
    missing = llx.ModelProfile("b", "openai", "m", connection=llx.Connection(auth_key_env="NOBODY_HAS_THIS"))
    engine = engine_of(simulated("a"), missing)
    opening = await engine.open(1)
    assert opening.refusals == {"b": "no key for b: set the environment variable NOBODY_HAS_THIS"}
    await engine.give((order(1, "b"), order(2, "a", "b")))
    found = {each.number: each.how for each in await ended(engine, 2)}
    assert found == {1: "back", 2: "answered"}
    await engine.close()


async def test_a_refused_key_is_told_as_a_matter_of_that_worker():
    with FaultServer("401") as server:
        member = llx.ModelProfile("a", "openai", "m", connection=llx.Connection(base_url=server.base_url))
        engine = engine_of(member)
        await engine.open(1)
        await engine.give((order(1),))
        (only,) = await ended(engine, 1)
        assert only.how == "failed"
        assert [each.message for each in only.failed.trace if hasattr(each, "reason")] == [
            "not to be asked from that worker"
        ]
        assert "401" in (await engine.report(0)).refusals["a"]
        await engine.close()


async def test_rows_go_back_where_nobody_can_be_asked_for_a_while():
    engine = engine_of(simulated("a", "429:60"))
    found = await told(engine, *map(order, range(1, 9)))
    assert {each.how for each in found.values()} == {"failed", "back"}


def test_a_limit_is_divided_and_what_is_none_stays_none():
    parts = part_of(Settings(rpm_limit=100, concurrency_limit=9), 4)
    assert (parts.rpm_limit, parts.tpm_limit, parts.concurrency_limit) == (25, None, 2)


def test_the_smallest_limit_says_among_how_many_they_can_be_divided():
    candidates = (
        llx.load(llx.Profile.failover("lb", [simulated("a"), simulated("b")], {"rpm_limit": 3, "tpm_limit": 1000}))
        .prepare("x")
        .candidates
    )
    assert limits_of(candidates) == (3, True)
