"""``llx stats --all``, ``%llx_stats --all`` and ``lb.peers()`` with processes of their own on one server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.command import Home
from tests.faults.server import FaultServer
from tests.notebook.kit import PlainShell, User, opened
from tests.shared.kit import RedisServer, until

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
    with opened(PlainShell) as user:
        user("%load_ext llx_magic").fine()
        user("%llx_profile load team").fine()
        yield user


def rows(text: str, first: str) -> list[str]:
    """The rows of the table that begins with this heading."""
    lines = text.splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith(first)) + 2
    return lines[begin : next((place for place in range(begin, len(lines)) if not lines[place]), len(lines))]


def test_a_shell_sees_every_process_and_is_none_of_them(home, start):
    processes = [start(name) for name in ("one", "two", "three")]
    said = home.run("stats", "--all", "-p", "team")
    assert (said.returncode, said.stderr) == (0, "")
    assert "team: shared by 3 processes" in said.stdout
    assert sorted(row.split("  ")[0] for row in rows(said.stdout, "process ")) == sorted(
        f"{name} ({process.pid})" for name, process in zip(("one", "two", "three"), processes, strict=True)
    )
    assert any("of 600" in row for row in rows(said.stdout, "backend "))
    assert KEY not in said.stdout


def test_a_killed_process_is_gone_after_a_while(home, start):
    start("one")
    start("two").kill()
    until(lambda: "shared by 1 process" in home.run("stats", "--all", "-p", "team").stdout, "it is gone", 30.0)


def test_another_key_is_another_backend(home, start):
    start("one")
    start("two", TEAM_KEY="another-key-of-the-test-123")
    assert "team: shared by 1 process" in home.run("stats", "--all", "-p", "team").stdout


def test_a_notebook_sees_itself_first_and_has_a_frame(shell, start):
    one = start("one")
    shell("%llx why").fine()
    shell("shown = %llx_stats lb --all").fine()
    said = str(shell["shown"])
    first, second = rows(said, "process ")
    assert first.startswith("mine.ipynb (")
    assert ", this one" in first
    assert second.startswith(f"one ({one.pid})")
    frame = shell["shown"].frame
    assert {"one", "mine.ipynb"} == set(frame["name"])
    assert "one" in shell["shown"]._repr_html_()


def test_peers_is_a_frame_in_python(shell, start):
    start("one")
    shell("import llx_magic as llx\nlb = llx.load('team')\nawait lb.ask('why')\npeers = await lb.peers()").fine()
    assert {"one", "mine.ipynb"} == set(shell["peers"]["name"])
    assert list(shell["peers"].query("is_here")["name"].unique()) == ["mine.ipynb"]


def test_alone_is_said(shell):
    shell("%llx why\nshown = %llx_stats --all").fine()
    assert "no other process shares these backends now" in str(shell["shown"])


def test_nothing_shared_is_said(home):
    said = home.run("stats", "--all", "-p", "team", LLX_SHARED="")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("team: nothing is shared: LLX_SHARED names no server")


def test_a_server_that_is_away_is_said_and_is_no_success(home, server):
    server.stop()
    said = home.run("stats", "--all", "-p", "team")
    assert said.returncode == 1
    assert "the server of shared facts (LLX_SHARED) does not answer" in said.stdout


def test_simulated_backends_share_nothing_and_say_so(home):
    home.simulated("calm", virtual_time=True)
    assert "calm: it is simulated" in home.run("stats", "--all", "-p", "calm").stdout


def test_a_missing_key_is_said_and_nothing_is_lost(home, start):
    start("one")
    said = home.run("stats", "--all", "-p", "team", TEAM_KEY="")
    assert said.returncode == 0
    assert all("TEAM_KEY" in row for row in rows(said.stdout, "backend "))


def test_a_shell_without_the_option_says_which_is_meant(home):
    said = home.run("stats", "-p", "team")
    assert said.returncode == 2
    assert (
        said.stderr
        == "llx stats needs --all: counts are kept by the process that asks; --stats shows them after a prompt\n"
    )


def test_resetting_and_looking_at_all_exclude_each_other(shell):
    assert "--reset and --all exclude each other" in shell("%llx_stats --reset --all").failure
