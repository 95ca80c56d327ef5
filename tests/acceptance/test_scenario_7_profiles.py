"""Scenario 7: settings are saved with a load balancer's profile and are back when it is loaded."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from llx_magic.settings.declaration import DEFAULTS, SETTINGS
from tests.acceptance.scenario import LLX, TEXTS, assert_in_order, write_members

SET = {
    "tpm_threshold": "1000",
    "timeout_ms": "30000",
    "circuit_breaker_enabled": "true",
    "circuit_breaker_failure_threshold": "5",
}
SAVED = {
    "tpm_threshold": 1000,
    "timeout_ms": 30000,
    "circuit_breaker_enabled": True,
    "circuit_breaker_failure_threshold": 5,
    "circuit_breaker_failure_window_ms": 60000,
    "circuit_breaker_recovery_timeout_ms": 30000,
}
"""What the plan wants to see in the file: what was set, and the defaults that were in force."""

BY_HAND = {
    "version": 1,
    "type": "loadbalancer",
    "policy": "failover",
    "profiles": ["synthetic", "chutes"],
    "ephemeralSettings": {**SAVED, "circuit_breaker_failure_threshold": 1, "failover_retry_count": 1},
}

KEY = "sk-this-key-is-protected"


@pytest.fixture
def saved(notebook, members, profiles):
    """Settings were set in a session and saved with a load balancer; returns the profile's path."""
    notebook.set(**SET)
    cell = notebook.run("%llx_profile save loadbalancer testlb489save failover synthetic chutes").expect()
    first, taken_along = cell.printed.splitlines()
    assert first == "saved testlb489save"
    assert "tpm_threshold 1000 (from: session), timeout_ms 30000 (from: session)" in taken_along
    return profiles / "testlb489save.json"


def llx(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the real command."""
    return subprocess.run(
        [str(LLX), *words],
        env={**os.environ, "LLXPRT_DEBUG": "llxprt:*", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def in_force(notebook) -> dict[str, object]:
    return {key: found.value for key, found in notebook.session.resolved().items()}


def test_saved_file_holds_the_settings(saved):
    """The file has the plan's content: version, type, policy, members, and all settings with their values."""
    document = json.loads(saved.read_text())

    assert {key: document[key] for key in ("version", "type", "policy", "profiles")} == {
        "version": 1,
        "type": "loadbalancer",
        "policy": "failover",
        "profiles": ["synthetic", "chutes"],
    }
    assert {key: document["ephemeralSettings"][key] for key in SAVED} == SAVED


def test_saved_file_holds_every_setting_in_force(saved):
    """Settings that were not touched are saved too, so that the profile stays the same when defaults change."""
    settings = json.loads(saved.read_text())["ephemeralSettings"]

    expected = {
        key: declared.write(DEFAULTS[key]) for key, declared in SETTINGS.items() if DEFAULTS[key] is not None
    } | SAVED
    assert settings == expected


def test_saving_does_not_change_what_is_active(notebook, saved):
    """The session's settings and the active profile stay as they were."""
    assert notebook.session.active is None
    assert set(notebook.session.values) == set(SET)


def test_loading_restores_the_settings(notebook, saved):
    """After the session's settings are cleared, loading the profile brings them back."""
    before = in_force(notebook)
    for key in SET:
        notebook.run(f"%llx_set unset {key}").expect()
    assert in_force(notebook) == DEFAULTS

    notebook.load("testlb489save")

    assert in_force(notebook) == before
    assert {key: in_force(notebook)[key] for key in SAVED} == SAVED
    shown = notebook.run("%llx_set circuit_breaker_failure_threshold").expect().printed
    assert shown.startswith("circuit_breaker_failure_threshold = 5   (from: profile testlb489save)")


def test_loading_replaces_what_the_session_had_set(notebook, saved):
    """A session's other values of the profile's settings give way to it, and the output names them."""
    notebook.run("%llx_set unset --all").expect()
    notebook.set(timeout_ms=7000)

    printed = notebook.run("%llx_profile load testlb489save").expect().printed

    assert "the profile replaces this session's timeout_ms" in printed
    assert in_force(notebook)["timeout_ms"] == 30000


def test_saved_profile_answers_with_its_settings(notebook, saved, members, clock):
    """The restored settings are what requests go by: the circuit opens at the fifth failure, not at the third."""
    notebook.run("%llx_set unset --all").expect()
    notebook.load("testlb489save")
    notebook.set(tpm_threshold="none")
    members.synthetic.set_default("401")
    for _ in range(4):
        notebook.ask()
    assert "  synthetic: closed" in notebook.stats().splitlines()
    notebook.ask()
    assert "  synthetic: open" in notebook.stats().splitlines()
    assert clock.now() == 0.0


def test_command_line_loads_the_saved_profile(saved, members):
    """``llx --profile-load`` answers with the profile that the notebook saved."""
    done = llx("--profile-load", "testlb489save", "--prompt", "test", "--stats")

    assert (done.returncode, done.stdout) == (0, TEXTS["synthetic"] + "\n")
    assert_in_order(
        done.stderr.splitlines(),
        """
        [LB:failover] Trying backend: synthetic (attempt 1/2)
        [LB:failover] Success on backend: synthetic
        Load Balancer Statistics
        Profile: testlb489save
        """,
    )


def test_file_written_by_hand_loads_with_its_settings(notebook, members, profiles):
    """A file without the notebook's help, without a name even, loads and its settings are in force."""
    (profiles / "testlb489save.json").write_text(json.dumps(BY_HAND))

    notebook.load("testlb489save")

    assert {key: in_force(notebook)[key] for key in BY_HAND["ephemeralSettings"]} == BY_HAND["ephemeralSettings"]


def test_command_line_applies_the_settings_of_a_file_written_by_hand(members, profiles):
    """One attempt and a circuit that opens at the first failure: the command goes by the file's settings."""
    (profiles / "testlb489save.json").write_text(json.dumps(BY_HAND))
    members.synthetic.set_default("503")

    done = llx("--profile-load", "testlb489save", "--prompt", "test")

    assert (done.returncode, done.stdout) == (0, TEXTS["chutes"] + "\n")
    assert_in_order(
        done.stderr.splitlines(),
        """
        [LB:failover] Trying backend: synthetic (attempt 1/1)
        [circuit-breaker] synthetic: Marked unhealthy (1 failures in window)
        [circuit-breaker] synthetic: State = open
        [LB:failover] Trying backend: chutes (attempt 1/1)
        [LB:failover] Success on backend: chutes
        """,
    )
    assert members.synthetic.requests[0].json["messages"] == [{"role": "user", "content": "test"}]


def test_command_line_applies_the_time_out_of_the_profile(members, profiles):
    """A profile's ``timeout_ms`` holds on the command line, in real time."""
    changed = {**BY_HAND, "ephemeralSettings": {**BY_HAND["ephemeralSettings"], "timeout_ms": 50}}
    (profiles / "testlb489save.json").write_text(json.dumps(changed))
    members.synthetic.set_default("no-headers")

    done = llx("--profile-load", "testlb489save", "--backend", "synthetic", "--prompt", "test")

    assert done.returncode == 1
    assert "[LB:timeout] synthetic: Request exceeded 50ms" in done.stderr.splitlines()


def test_protected_settings_are_not_saved(notebook, members, profiles):
    """Keys of members, literal ones included, are not found in the saved profile nor in any setting."""
    write_members(profiles, members, synthetic={"auth-key": KEY})
    notebook.load("synthetic")
    assert notebook.run(f"%llx_set auth-key {KEY}").error is not None

    notebook.run("%llx_profile save loadbalancer testlb489save failover synthetic chutes").expect()

    text = (profiles / "testlb489save.json").read_text()
    assert KEY not in text
    assert set(json.loads(text)["ephemeralSettings"]) <= set(SETTINGS)
    assert KEY not in notebook.run("%llx_profile show testlb489save").expect().printed
