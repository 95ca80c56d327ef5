"""A server for each test, kernels that are ended with it, and a team of real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llx_magic.session import sharing
from tests.commands.command import Home
from tests.faults.server import FaultServer
from tests.notebook.kit import RedrawingShell, User, opened
from tests.shared.kit import PROGRAM, Kernel, RedisServer

KEY = "a-key-of-the-test-1234567890"

ASK = """
import sys, llx_magic as llx
llx.ask("why", profile="team")
print("asked", flush=True)
for line in sys.stdin:
    llx.ask(line, profile="team")
    print("asked", flush=True)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that is up; it ends with the test."""
    if PROGRAM is None:
        pytest.skip("NOT RUN: there is no redis-server")
    made = RedisServer(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def kernel(server: RedisServer) -> Iterator[Callable[..., Kernel]]:
    """Make what stands for a process that uses the server."""
    made: list[Kernel] = []

    def make(*backends, **settings) -> Kernel:
        made.append(Kernel(server.url, *backends, **settings))
        return made[-1]

    yield make
    for each in made:
        each.facts.close()


@pytest.fixture
def home(tmp_path: Path, server: RedisServer) -> Iterator[Home]:
    """Profiles of two models behind one load balancer, whose processes share a server."""
    made = Home(tmp_path)
    made.env |= {"LLX_SHARED": server.url, "TEAM_KEY": KEY}
    made.env.pop("JPY_SESSION_NAME", None)
    with FaultServer() as large, FaultServer() as small:
        for name, model in (("large", large), ("small", small)):
            connection = {"base-url": model.base_url, "auth-key-env": "TEAM_KEY"}
            made.write(name, provider="vllm", model="m", modelParams={}, ephemeralSettings=connection)
        made.balancer("team", "large", "small", policy="roundrobin", rpm_limit=600)
        yield made


@pytest.fixture
def start(home: Home) -> Iterator[Start]:
    """Start a process that asks once, and again for each line it is given; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(name: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", ASK],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**home.env, "LLX_SHARED_NAME": name, **env},
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "asked\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def shell(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A notebook of this process that shares too."""
    for variable in ("LLXPRT_CONFIG_HOME", "LLX_CACHE_HOME", "LLX_SHARED", "TEAM_KEY"):
        monkeypatch.setenv(variable, home.env[variable])
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/somebody/mine.ipynb")
    with opened(RedrawingShell) as user:
        user("%llx_profile load team").fine()
        yield user
    if (facts := sharing.shared_facts()) is not None:
        facts.close()
