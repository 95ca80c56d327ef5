"""Scenario 6: every setting can be set, checked, explained and unset with ``%llx_set``."""

from __future__ import annotations

import pytest

from llx_magic.errors import SettingError
from llx_magic.settings.declaration import DEFAULTS, SETTINGS
from tests.acceptance.scenario import write_balancer

PLAN = {
    "tpm_threshold": "1000",
    "timeout_ms": "30000",
    "circuit_breaker_enabled": "true",
    "circuit_breaker_failure_threshold": "3",
    "circuit_breaker_failure_window_ms": "60000",
    "circuit_breaker_recovery_timeout_ms": "30000",
}
"""The plan's six settings with the values it sets."""

OTHERS = {
    "tpm_basis": "busy",
    "connect_timeout_ms": "5000",
    "first_token_timeout_ms": "none",
    "stall_timeout_ms": "20000",
    "streaming": "disabled",
    "failover_retry_count": "4",
    "failover_retry_delay_ms": "0",
    "failover_status_codes": "429,503",
    "failover_on_network_errors": "false",
    "failover_on_content_filter": "on",
    "cooldown_wait_ms": "2000",
    "history_limit": "50",
    "image_max_pixels": "512",
    "budget_usd": "2.5",
    "hedge_after_ms": "3000",
    "schema_retries": "1",
    "concurrency": "16",
    "rpm_limit": "60",
    "tpm_limit": "30000",
    "concurrency_limit": "8",
    "row_timeout_ms": "60000",
    "keep_prompts": "on",
    "history_file": "week.jsonl",
    "ask_above_usd": "2.5",
}
"""A value other than the default for each further setting."""

STORED = {
    "tpm_threshold": 1000,
    "timeout_ms": 30000,
    "circuit_breaker_enabled": True,
    "circuit_breaker_failure_threshold": 3,
    "circuit_breaker_failure_window_ms": 60000,
    "circuit_breaker_recovery_timeout_ms": 30000,
}


def test_the_two_tables_above_cover_every_setting():
    """No setting is left out here."""
    assert {*PLAN, *OTHERS} == set(SETTINGS)


@pytest.mark.parametrize("key", PLAN)
def test_setting_is_accepted_and_stored(notebook, key):
    """Each of the six takes the plan's value, says so, and holds it."""
    assert notebook.run(f"%llx_set {key} {PLAN[key]}").expect().printed.startswith(f"{key} = {PLAN[key]}")
    assert notebook.session.values == {key: STORED[key]}
    assert f"{key} = {PLAN[key]}   (from: session)" in notebook.run(f"%llx_set {key}").expect().printed


@pytest.mark.parametrize("key", OTHERS)
def test_every_other_setting_is_accepted_too(notebook, key):
    """Settings beyond the plan's six are set in the same way."""
    notebook.run(f"%llx_set {key} {OTHERS[key]}").expect()
    assert notebook.session.resolved()[key].layer == "session"
    assert notebook.session.resolved()[key].value != DEFAULTS[key]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tpm_threshold -500", "tpm_threshold must be a positive number, got -500"),
        ("timeout_ms abc", "timeout_ms must be a number of milliseconds, got 'abc'"),
        ("circuit_breaker_enabled maybe", "circuit_breaker_enabled must be a boolean (true or false), got 'maybe'"),
    ],
)
def test_invalid_value_is_refused_in_one_line(notebook, line, message):
    """A wrong value is an error of one line that names key, value and what is allowed; nothing is stored."""
    cell = notebook.run(f"%llx_set {line}")

    assert isinstance(cell.error, SettingError)
    assert str(cell.error) == message
    assert cell.printed.splitlines() == [f"SettingError: {message}"]
    assert notebook.session.values == {}


@pytest.mark.parametrize("key", SETTINGS)
@pytest.mark.parametrize("value", ["-1", "abc", "maybe", "1.5.2", "NaN"])
def test_every_setting_refuses_nonsense(notebook, key, value):
    """No setting takes a negative number, a stray word or no number at all; each error names key and value."""
    cell = notebook.run(f"%llx_set {key} {value}")

    assert isinstance(cell.error, SettingError)
    assert str(cell.error).startswith(f"{key} must be ")
    assert value in str(cell.error)


def test_unknown_setting_offers_the_nearest(notebook):
    """A misspelt key is refused, and the right one named."""
    cell = notebook.run("%llx_set tmp_threshold 5")
    assert str(cell.error) == "unknown setting 'tmp_threshold'; did you mean tpm_threshold?"


@pytest.mark.parametrize("key", [*PLAN, *OTHERS])
def test_unset_clears_the_setting(notebook, key):
    """``unset`` takes the session's value away, so that the default is in force again."""
    notebook.run(f"%llx_set {key} {({**PLAN, **OTHERS})[key]}").expect()
    notebook.run(f"%llx_set unset {key}").expect()

    assert notebook.session.values == {}
    assert notebook.session.resolved()[key] == (DEFAULTS[key], "default")


@pytest.mark.parametrize("key", SETTINGS)
def test_help_says_what_the_setting_means(notebook, key):
    """``%llx_set KEY`` prints its meaning, what is allowed, the default, and how to set and unset it."""
    printed = notebook.run(f"%llx_set {key}").expect().printed
    declared = SETTINGS[key]

    assert declared.meaning in printed
    assert f"Allowed: {declared.kind.allowed}" in printed
    assert f"Default: {declared.show(DEFAULTS[key])}" in printed
    assert f"%llx_set unset {key}" in printed
    assert notebook.session.values == {}


def test_table_lists_every_setting(notebook):
    """``%llx_set`` alone lists all of them with value and origin."""
    notebook.set(tpm_threshold=1000)
    rows = notebook.run("%llx_set").expect().printed.splitlines()
    assert [row.split()[0] for row in rows[2:]] == list(SETTINGS)
    assert rows[2].split()[:4] == ["tpm_threshold", "1000", "tokens/min", "session"]


def test_setting_takes_effect_on_the_next_request(notebook, members, profiles):
    """A threshold set in the session opens the circuit at the first failure of the next request."""
    write_balancer(profiles)
    notebook.load("testlb489")
    members.synthetic.set_default("401")
    notebook.set(circuit_breaker_failure_threshold=1)

    notebook.ask()

    assert "[circuit-breaker] synthetic: Marked unhealthy (1 failures in window)" in notebook.log()
