"""A key that was mended is used at once, though refusals of the one before have opened the circuit."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

import llx_magic as llx
from llx_magic.core.breaker import Cause
from llx_magic.core.events import CircuitChanged
from llx_magic.errors import AllBackendsFailed
from tests.engine.kit import simulated
from tests.faults.server import FaultServer

VARIABLE = "MENDED_KEY"
RIGHT = "sk-right-key-0002"


@pytest.fixture
def server(monkeypatch) -> Iterator[FaultServer]:
    """A server that refuses whatever key it is sent, which is a wrong one."""
    monkeypatch.setenv(VARIABLE, "sk-wrong-key-0001")
    with FaultServer() as server:
        server.set_default("401")
        yield server


def loaded(server: FaultServer, *others: llx.ModelProfile) -> llx.LoadBalancer:
    connection = llx.Connection(base_url=server.base_url, auth_key_env=VARIABLE)
    keyed = llx.ModelProfile("keyed", "openai", "m", connection=connection)
    settings = {"failover_retry_count": 1}
    profile = llx.Profile.failover("lb", (keyed, *others), settings) if others else llx.Profile.single(keyed)
    return llx.load(profile, trust=True, isolated=True)


def causes(lb: llx.LoadBalancer) -> list[Cause]:
    return [event.cause for event in lb.decisions() if isinstance(event, CircuitChanged)]


async def opened(lb: llx.LoadBalancer) -> None:
    """Have the circuit opened by three refusals."""
    for _ in range(3):
        await lb.ask("why?")
    assert causes(lb) == [Cause.FAILURES]


async def test_a_prompt_asks_with_the_new_key_at_once(server, monkeypatch):
    lb = loaded(server, simulated("spare"))
    await opened(lb)
    assert (await lb.ask("why?")).backend == "spare"
    assert len(server.requests) == 3
    monkeypatch.setenv(VARIABLE, RIGHT)
    server.set_default("ok")
    assert (await lb.ask("why?")).backend == "keyed"
    assert causes(lb) == [Cause.FAILURES, Cause.KEY_CHANGED]


async def test_a_run_over_rows_asks_with_the_new_key_at_once(server, monkeypatch, tmp_path):
    lb = loaded(server)
    for _ in range(3):
        with pytest.raises(AllBackendsFailed):
            await lb.ask("why?")
    monkeypatch.setenv(VARIABLE, RIGHT)
    server.set_default("ok")
    result = await lb.map(["a", "b"], "Say {{ row }}.", store=tmp_path / "replies.sqlite", give_up_after=20)
    assert result.summary.answered == 2
    assert causes(lb) == [Cause.FAILURES, Cause.KEY_CHANGED]


async def test_a_circuit_that_another_failure_helped_to_open_stays_open(server, monkeypatch):
    server.set_default("503")
    lb = loaded(server, simulated("spare"))
    await lb.ask("why?")
    server.set_default("401")
    await lb.ask("why?")
    await lb.ask("why?")
    monkeypatch.setenv(VARIABLE, RIGHT)
    assert (await lb.ask("why?")).backend == "spare"
    assert causes(lb) == [Cause.FAILURES]


async def test_a_circuit_that_was_opened_by_hand_stays_open(server, monkeypatch):
    lb = loaded(server, simulated("spare"))
    await opened(lb)
    lb.open_circuit("keyed")
    monkeypatch.setenv(VARIABLE, RIGHT)
    assert (await lb.ask("why?")).backend == "spare"
    assert causes(lb)[-1] is Cause.BY_HAND


async def test_the_same_key_again_closes_nothing(server):
    lb = loaded(server, simulated("spare"))
    await opened(lb)
    assert (await lb.ask("why?")).backend == "spare"
    assert causes(lb) == [Cause.FAILURES]


async def test_a_backend_that_refused_a_key_is_forgotten_when_it_is_replaced(server):
    """Its gate would go on to hear from other processes, and be counted among those that share a backend."""
    lb = loaded(server, simulated("spare"))
    live = lb.live
    await lb.ask("why?")
    (gate,) = (weakref.ref(each) for name, each in live.gates().items() if name == "keyed")
    live.replace_backends(["keyed"], ["spare"])
    del lb
    gc.collect()
    assert gate() is None
