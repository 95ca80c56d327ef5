"""Debug lines have one writer: each is on stderr once, whoever asked, and by whatever way."""

from __future__ import annotations

import asyncio
import sys

import pytest

from llx_magic.core.describe import lines
from llx_magic.engine.background import BACKGROUND
from llx_magic.notebook.view import QuietView
from tests.engine.kit import balancer, simulated


@pytest.fixture
def lb(monkeypatch):
    monkeypatch.setenv("LLXPRT_DEBUG", "llxprt:*")
    return balancer(simulated("a", "503,ok"), simulated("b"))


def of_all_events(lb) -> list[str]:
    return [line for event in lb.decisions() for _channel, line in lines(event)]


def test_a_request_of_a_program_writes_each_line_once(lb, capsys):
    asyncio.run(lb.ask("why"))
    assert capsys.readouterr().err.splitlines() == of_all_events(lb)


def test_a_stream_writes_each_line_once(lb, capsys):
    async def main() -> None:
        async for _part in lb.stream("why"):
            pass

    asyncio.run(main())
    assert capsys.readouterr().err.splitlines() == of_all_events(lb)


def test_what_is_done_by_hand_is_written_at_once(lb, capsys):
    lb.open_circuit("a")
    assert (
        capsys.readouterr().err.splitlines() == of_all_events(lb) == ["[circuit-breaker] a: State = open (set by hand)"]
    )


def test_a_request_that_a_view_shows_is_written_by_the_view_alone(lb, capsys):
    """It is written where the view draws, not on the thread that runs the request."""
    plan, view = lb.prepare("why"), QuietView()
    running = BACKGROUND.start(lambda watch: lb.run(plan, watch))
    parts = []
    running.follow(lambda come: parts.extend(come) or 0.0)
    assert capsys.readouterr().err == ""
    view.draw(parts)
    sys.stderr.flush()
    assert capsys.readouterr().err.splitlines() == of_all_events(lb)
