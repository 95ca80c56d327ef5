"""A configuration folder of the test's own, servers on loopback, and shells with the extension loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.server import FaultServer
from tests.home import own_home
from tests.notebook.kit import PlainShell, RedrawingShell, User, opened, write_balancer, write_model


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own; nothing of the user's is read or written."""
    return own_home(tmp_path, monkeypatch)


@pytest.fixture
def first() -> Iterator[FaultServer]:
    """The backend that is asked first."""
    with FaultServer("ok", text="First **says** hello.", model="first-model") as server:
        yield server


@pytest.fixture
def second() -> Iterator[FaultServer]:
    """The backend that is asked next."""
    with FaultServer("ok", text="Second says hello.", model="second-model") as server:
        yield server


@pytest.fixture
def pair(home: Path, first: FaultServer, second: FaultServer) -> str:
    """A load balancer of the two, and its name; each backend is asked once."""
    write_model(home, "first", base_url=first.base_url)
    write_model(home, "second", base_url=second.base_url)
    write_balancer(home, "pair", ["first", "second"], failover_retry_count=1)
    return "pair"


@pytest.fixture
def user(pair: str) -> Iterator[User]:
    """A shell that prints, with the two backends loaded."""
    with opened(PlainShell) as shell:
        shell(f"%llx_profile load {pair}").fine()
        yield shell


@pytest.fixture
def viewer(pair: str) -> Iterator[User]:
    """A shell whose output can be redrawn, with the two backends loaded."""
    with opened(RedrawingShell) as shell:
        shell(f"%llx_profile load {pair}").fine()
        yield shell
