"""A fresh configuration folder, three servers, a clock and a notebook for each scenario."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llx_magic.session import Session
from tests.acceptance.scenario import NAMES, TEXTS, DebugLog, Notebook, ScenarioClock, Servers, write_members
from tests.faults.server import FaultServer
from tests.home import own_home


@pytest.fixture(autouse=True)
def config_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own; nothing of the user's is read or written."""
    return own_home(tmp_path, monkeypatch)


@pytest.fixture
def profiles(config_home: Path) -> Path:
    """The folder that profiles are written to."""
    return config_home / "profiles"


@pytest.fixture
def clock() -> ScenarioClock:
    """Time that only the test and its servers move."""
    return ScenarioClock()


@pytest.fixture
def servers() -> Iterator[Servers]:
    """Three servers that answer, until they are told otherwise."""
    made = [FaultServer("ok", text=TEXTS[name], model=f"{name}-model") for name in NAMES]
    try:
        yield Servers(*made)
    finally:
        for server in made:
            server.close()


@pytest.fixture
def members(profiles: Path, servers: Servers) -> Servers:
    """The servers, with their model profiles written."""
    write_members(profiles, servers)
    return servers


@pytest.fixture
def debug_log() -> Iterator[DebugLog]:
    """The debug lines as ``logging`` has them."""
    with DebugLog().attached() as log:
        yield log


@pytest.fixture
def notebook(config_home: Path, clock: ScenarioClock, in_notebook: object) -> Iterator[Notebook]:
    """A notebook over a session whose time is the test's."""
    del config_home, in_notebook  # they must stand before the session looks for them
    with Notebook.opened(Session(clock=clock)) as opened:
        yield opened
