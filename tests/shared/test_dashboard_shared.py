"""The dashboard shows who shares the backends, without waiting for it and without reading a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from llx_magic.engine.peers import AWAY, NOT_ASKED
from llx_magic.notebook.dashboard_widget import Dashboard
from llx_magic.notebook.onlooker import Onlooker
from llx_magic.session.balancer import LoadBalancer
from tests.engine.kit import balancer, simulated
from tests.notebook.test_dashboard import part, unattended
from tests.shared.kit import until


@pytest.fixture
def team(shell) -> LoadBalancer:
    """The load balancer of the notebook."""
    shell("import llx_magic as llx\nlb = llx.load('team')").fine()
    found: LoadBalancer = shell["lb"]
    return found


@pytest.fixture
def dashboard(team: LoadBalancer) -> Iterator[Dashboard]:
    made = unattended(team)
    yield made
    made.close()


def shows(dashboard: Dashboard, *words: str) -> None:
    until(lambda: all(word in part(dashboard, "processes") for word in words), f"it shows {words}", 20.0)


def test_before_the_first_prompt_it_says_that_no_backend_was_asked(dashboard):
    shows(dashboard, NOT_ASKED)


def test_it_shows_this_process_and_those_that_come_and_go(dashboard, shell, start):
    shell("await lb.ask('why')\nawait lb.ask('why')").fine()
    shows(dashboard, "mine.ipynb", "this one", "no other process shares")
    one = start("one")
    shows(dashboard, "shared by 2 processes", f"one ({one.pid})")
    one.kill()
    shows(dashboard, "shared by 1 process", "no other process shares")


def test_it_says_that_the_server_is_away_and_shows_all_again_when_it_is_back(dashboard, shell, server):
    shell("await lb.ask('why')").fine()
    shows(dashboard, "this one")
    server.stop()
    shows(dashboard, AWAY)
    server.start()
    shows(dashboard, "this one")


def test_a_saved_notebook_has_what_was_seen_last(dashboard, shell):
    shell("await lb.ask('why')").fine()
    shows(dashboard, "this one")
    assert "mine.ipynb" in str(dashboard.still()["text/html"])


def test_where_nothing_is_shared_nothing_is_looked_for_and_nothing_is_shown():
    lb = balancer(simulated("a"), simulated("b"))
    assert part(unattended(lb), "processes") == ""
    assert Onlooker(lb).latest() is None
