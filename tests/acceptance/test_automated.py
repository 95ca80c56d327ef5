"""The automated test: ``scripts/test-issue489.sh`` as it is, and what it must notice."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.scenario import LLX, NAMES, ROOT, TEXTS, assert_in_order
from tests.faults.server import unused_url

SCRIPT = ROOT / "scripts" / "test-issue489.sh"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """An environment with a home of its own, in which no configuration folder is set."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.delenv("LLXPRT_CONFIG_HOME")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLX", "XDG"))}
    return {**kept, "HOME": str(home), "TMPDIR": str(tmp_path), "LLX_COMMAND": str(LLX)}


def run(environment: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT)],
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def urls(servers, **other: str) -> dict[str, str]:
    return {f"LLX_TEST_{name.upper()}_URL": other.get(name, servers[name].base_url) for name in NAMES}


def stand_in(folder: Path, *lines: str, status: int = 0) -> str:
    """Write a command that prints the lines in place of ``llx``; returns its path."""
    path = folder / "stand-in"
    path.write_text("\n".join(["#!/bin/sh", *(f"echo '{line}' >&2" for line in lines), f"exit {status}", ""]))
    path.chmod(0o755)
    return str(path)


def test_script_passes_and_fails_over(environment, servers, tmp_path):
    """Against an unreachable server, one that refuses the key and one that answers, the script passes."""
    servers.chutes.set_default("401")
    log = tmp_path / "kept.log"

    done = run(environment, **urls(servers, synthetic=unused_url()), LLX_TEST_LOG=str(log))

    assert done.returncode == 0, done.stdout + done.stderr
    assert_in_order(
        done.stdout.splitlines(),
        """
        Verifying the debug lines...
        ✓ failover strategy active
        ✓ backend selection working
        ✓ a backend answered
        === Test passed ===
        """,
    )
    assert_in_order(
        log.read_text().splitlines(),
        """
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:failover] Trying backend: synthetic (attempt 2/2)
        [LB:failover] Trying backend: chutes (attempt 1/2)
        [LB:failover] Trying backend: groqgpt (attempt 1/2)
        [LB:failover] Success on backend: groqgpt
        """,
    )
    assert TEXTS["groqgpt"] in log.read_text()
    assert servers.groqgpt.requests[0].json["messages"] == [
        {"role": "user", "content": "write me a haiku about testing"}
    ]


def test_script_sends_the_keys_it_is_given(environment, servers):
    """A server's key is the one of its own variable."""
    done = run(environment, **urls(servers), LLX_TEST_SYNTHETIC_KEY="sk-for-this-server")

    assert done.returncode == 0, done.stdout + done.stderr
    assert servers.synthetic.requests[0].headers["authorization"] == "Bearer sk-for-this-server"
    assert "sk-for-this-server" not in done.stdout + done.stderr


def test_debug_lines_go_to_stderr_and_the_reply_to_stdout(servers, members, profiles):
    """With ``LLXPRT_DEBUG=llxprt:*`` the command writes each decision to stderr, and on stdout the reply alone."""
    (profiles / "testlb489.json").write_text((ROOT / "profiles" / "testlb489.json").read_text())
    servers.synthetic.set_default("401")

    done = subprocess.run(
        [str(LLX), "--profile-load", "testlb489", "--prompt", "write me a haiku about testing"],
        env={**os.environ, "LLXPRT_DEBUG": "llxprt:*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, TEXTS["chutes"] + "\n")
    assert_in_order(
        [line.split(": scripted")[0] for line in done.stderr.splitlines()],
        """
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:failover] synthetic failed: 401 Unauthorized
        [LB:failover] Trying backend: chutes (attempt 1/2)
        [LB:failover] Success on backend: chutes
        """,
    )


def test_script_never_touches_the_users_configuration(environment, servers):
    """Nothing is written to the home folder; a configuration folder that is the user's own is refused."""
    home = Path(environment["HOME"])
    assert run(environment, **urls(servers)).returncode == 0
    assert list(home.iterdir()) == []

    done = run(environment, **urls(servers), LLXPRT_CONFIG_HOME=str(home / ".llxprt"))
    assert done.returncode == 1
    assert "is your own configuration" in done.stderr
    assert list((home / ".llxprt").iterdir()) == []


def test_script_refuses_a_folder_with_profiles_of_the_same_name(environment, servers, tmp_path):
    """A profile that exists is not overwritten."""
    mine = tmp_path / "mine" / "profiles" / "synthetic.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    done = run(environment, **urls(servers), LLXPRT_CONFIG_HOME=str(tmp_path / "mine"))

    assert done.returncode == 1
    assert "must be a fresh folder" in done.stderr
    assert mine.read_text() == "mine"
    assert [path.name for path in mine.parent.iterdir()] == ["synthetic.json"]


def test_script_fails_without_debug_lines(environment, servers):
    """With the debug lines switched off the markers are missing, and the script says which."""
    done = run(environment, **urls(servers), LLX_TEST_DEBUG="")

    assert done.returncode == 1
    assert "✗ ERROR: failover strategy active: no line with '[LB:failover]'" in done.stderr
    assert "Test passed" not in done.stdout


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ((), "failover strategy active"),
        (("[LB:failover] something else",), "backend selection working"),
        (("[LB:failover] Trying backend: synthetic (attempt 1/2)",), "a backend answered"),
    ],
)
def test_script_fails_when_a_marker_is_missing(environment, tmp_path, lines, missing):
    """Each marker by itself is required: a command that does not write it fails the test."""
    done = run(environment, LLX_COMMAND=stand_in(tmp_path, *lines))

    assert done.returncode == 1
    assert f"✗ ERROR: {missing}" in done.stderr
    assert "Test passed" not in done.stdout


def test_script_fails_when_the_prompt_is_not_answered(environment, tmp_path):
    """All markers do not help where the command itself failed."""
    lines = ("[LB:failover] Trying backend: a (attempt 1/2)", "[LB:failover] Success on backend: a")
    done = run(environment, LLX_COMMAND=stand_in(tmp_path, *lines, status=1))

    assert done.returncode == 1
    assert "the prompt was not answered" in done.stderr


def test_script_fails_when_no_backend_answers(environment, servers):
    """Three servers that refuse are a failed test."""
    for name in NAMES:
        servers[name].set_default("401")

    done = run(environment, **urls(servers))

    assert done.returncode == 1
    assert "the prompt was not answered" in done.stderr


@pytest.mark.model
def test_script_runs_anywhere_with_the_embedded_model(environment):
    """Without any server or key the first two backends fail for real and the embedded model answers."""
    done = run(environment, HOME=os.environ["HOME"], XDG_CACHE_HOME=os.environ["XDG_CACHE_HOME"])

    assert done.returncode == 0, done.stdout + done.stderr
    assert_in_order(
        [line.split(" (")[0] for line in done.stdout.splitlines()],
        """
        [LB:failover] Trying backend: synthetic
        [LB:failover] Skipping backend: chutes
        [LB:failover] Trying backend: groqgpt
        [LB:failover] Success on backend: groqgpt
        === Test passed ===
        """,
    )
    assert "connection refused" in done.stdout
