"""Settings: what each accepts, what a refusal says, which layer wins, and what is made from the declaration."""

from __future__ import annotations

import dataclasses
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.errors import SettingError
from llx_magic.settings.declaration import DEFAULTS, SETTINGS, Settings, setting
from llx_magic.settings.help import help_text, markdown_table, rows
from llx_magic.settings.layers import (
    Layer,
    Resolved,
    read_cell_values,
    read_values,
    resolve,
    settings_of,
    usable_in_member,
    write_values,
)
from llx_magic.text.wording import nearest

DURATIONS = [key for key in SETTINGS if key.endswith("_ms")]
OPTIONAL = [key for key, declared in SETTINGS.items() if declared.optional]


def refusal(key: str, raw) -> str:
    with pytest.raises(SettingError) as caught:
        setting(key).read(raw)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "raw", "said"),
    [
        ("tpm_threshold", "-500", "tpm_threshold must be a positive number, got -500"),
        ("tpm_threshold", -500, "tpm_threshold must be a positive number, got -500"),
        ("tpm_threshold", "0", "tpm_threshold must be a positive number, got 0"),
        ("tpm_threshold", "nan", "tpm_threshold must be a positive number, got nan"),
        ("tpm_threshold", "inf", "tpm_threshold must be a positive number, got inf"),
        ("timeout_ms", "abc", "timeout_ms must be a number of milliseconds, got 'abc'"),
        ("timeout_ms", "30s", "timeout_ms must be a number of milliseconds, got '30s'; write 30000"),
        ("timeout_ms", "1.5 min", "timeout_ms must be a number of milliseconds, got '1.5 min'; write 90000"),
        ("timeout_ms", "0", "timeout_ms must be a number of milliseconds, whole and at least 1, got 0"),
        ("timeout_ms", 0.5, "timeout_ms must be a number of milliseconds, whole and at least 1, got 0.5"),
        ("timeout_ms", True, "timeout_ms must be a number of milliseconds, got True"),
        ("circuit_breaker_enabled", "maybe", "circuit_breaker_enabled must be a boolean (true or false), got 'maybe'"),
        ("circuit_breaker_enabled", 1, "circuit_breaker_enabled must be a boolean (true or false), got 1"),
        ("failover_retry_count", "0", "failover_retry_count must be a number of attempts, whole and at least 1, got 0"),
        ("failover_retry_count", "none", "failover_retry_count must be a number of attempts, got none"),
        ("streaming", "perhaps", "streaming must be enabled or disabled, got 'perhaps'"),
        ("tpm_basis", "idle", "tpm_basis must be elapsed or busy, got 'idle'"),
        (
            "failover_status_codes",
            "200",
            "failover_status_codes must be a comma-separated list of HTTP status codes from 300 to 599, got 200",
        ),
    ],
)
def test_a_refusal_names_the_key_what_is_allowed_and_what_was_given(key, raw, said):
    assert refusal(key, raw) == said


def test_an_unknown_key_offers_the_nearest():
    with pytest.raises(SettingError, match=r"unknown setting 'timeout'; did you mean timeout_ms\?"):
        setting("timeout")
    assert nearest("zzz", ["alpha", "beta"]) == "; there are: alpha, beta"


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("tpm_threshold", "1000", 1000),
        ("tpm_threshold", "0.5", 0.5),
        ("timeout_ms", " 30000 ", 30000),
        ("timeout_ms", "3e4", 30000),
        ("timeout_ms", 30000.0, 30000),
        ("timeout_ms", "none", None),
        ("timeout_ms", None, None),
        ("failover_retry_delay_ms", "0", 0),
        ("circuit_breaker_enabled", "true", True),
        ("circuit_breaker_enabled", "OFF", False),
        ("circuit_breaker_enabled", False, False),
        ("streaming", "disabled", False),
        ("streaming", "enabled", True),
        ("streaming", True, True),
        ("streaming", "on", True),
        ("failover_status_codes", "429, 500 503", frozenset({429, 500, 503})),
        ("failover_status_codes", "[429]", frozenset({429})),
        ("failover_status_codes", [429, 500], frozenset({429, 500})),
        ("failover_status_codes", 429, frozenset({429})),
    ],
)
def test_what_is_accepted(key, raw, value):
    read = setting(key).read(raw)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("key", DURATIONS + [key for key in SETTINGS if key.endswith(("_count", "_threshold"))])
@pytest.mark.parametrize(
    "huge", ["9" * 18 + "0", "1e400", 10**400, float("inf")], ids=["19 digits", "1e400", "int", "inf"]
)
def test_a_number_that_arithmetic_could_not_bear_is_refused(key, huge):
    assert refusal(key, huge).startswith(f"{key} must be ")


@given(
    st.sampled_from(sorted(SETTINGS)), st.text(max_size=30) | st.floats() | st.integers() | st.none() | st.booleans()
)
def test_whatever_is_typed_is_either_a_value_or_one_line(key, raw):
    said = ""
    try:
        value = setting(key).read(raw)
    except SettingError as problem:
        said = str(problem)
    if said:
        assert said.startswith(f"{key} must be ")
        assert len(said.splitlines()) == 1
    else:
        assert setting(key).read(setting(key).write(value)) == value


@pytest.mark.parametrize("key", OPTIONAL)
def test_none_switches_an_optional_setting_off_in_any_layer(key):
    for raw in ("none", "None", None):
        assert read_values({key: raw}) == {key: None}


def test_the_defaults_are_those_that_are_documented():
    assert {key: declared.show(DEFAULTS[key]) for key, declared in SETTINGS.items()} == {
        "tpm_threshold": "none",
        "tpm_basis": "elapsed",
        "timeout_ms": "600000",
        "connect_timeout_ms": "10000",
        "first_token_timeout_ms": "120000",
        "stall_timeout_ms": "60000",
        "streaming": "enabled",
        "circuit_breaker_enabled": "true",
        "circuit_breaker_failure_threshold": "3",
        "circuit_breaker_failure_window_ms": "60000",
        "circuit_breaker_recovery_timeout_ms": "30000",
        "failover_retry_count": "2",
        "failover_retry_delay_ms": "1000",
        "failover_status_codes": "408,409,425,429,500,502,503,504,529",
        "failover_on_network_errors": "true",
        "failover_on_content_filter": "false",
        "schema_retries": "2",
        "hedge_after_ms": "none",
        "cooldown_wait_ms": "10000",
        "concurrency": "64",
        "rpm_limit": "none",
        "tpm_limit": "none",
        "concurrency_limit": "none",
        "row_timeout_ms": "none",
        "budget_usd": "none",
        "ask_above_usd": "10",
        "keep_prompts": "false",
        "history_file": "none",
        "image_max_pixels": "2048",
        "history_limit": "10000",
    }


def test_without_any_layer_the_defaults_are_in_force():
    assert settings_of({}) == Settings()


def test_each_layer_overrides_the_ones_below_and_is_named():
    layers, expected = {}, [(Layer.DEFAULT, 2)]
    for n, layer in enumerate([Layer.MEMBER, Layer.PROFILE, Layer.SESSION, Layer.CELL], start=10):
        layers[layer] = {"failover_retry_count": n}
        assert resolve(layers)["failover_retry_count"] == Resolved(n, layer)
        expected.append((layer, n))
    assert settings_of(layers).failover_retry_count == 13
    assert resolve({})["failover_retry_count"] == Resolved(2, Layer.DEFAULT)


def test_switched_off_in_a_stronger_layer_beats_a_value_in_a_weaker_one():
    layers = {Layer.PROFILE: {"timeout_ms": 5000}, Layer.CELL: {"timeout_ms": None}}
    assert settings_of(layers).timeout_ms is None


def test_the_settings_in_force_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings_of({}).timeout_ms = 1


@pytest.mark.parametrize(
    "key", [key for key in SETTINGS if key.startswith("circuit_breaker_") and key != "circuit_breaker_enabled"]
)
def test_the_circuits_settings_are_refused_for_one_cell_and_do_not_count_in_a_member(key):
    with pytest.raises(SettingError, match=f"^{key} cannot be set for one request"):
        read_cell_values({key: "5"})
    assert not usable_in_member(key)


def test_a_cell_can_switch_the_breaker_off_but_not_on():
    assert read_cell_values({"circuit_breaker_enabled": "false"}) == {"circuit_breaker_enabled": False}
    with pytest.raises(SettingError, match="can only be set to false"):
        read_cell_values({"circuit_breaker_enabled": "true"})
    assert not usable_in_member("circuit_breaker_enabled")
    assert usable_in_member("timeout_ms")


def test_written_values_read_back_the_same():
    values = {**DEFAULTS, "streaming": False, "tpm_threshold": 500}
    written = json.loads(json.dumps(write_values(values)))
    assert read_values(written) == values
    assert written["streaming"] == "disabled"
    assert written["tpm_threshold"] == 500
    assert write_values(DEFAULTS)["tpm_threshold"] is None
    assert "tpm_threshold" not in write_values(DEFAULTS, with_none=False)


def test_help_names_value_origin_allowed_default_and_how_to_change_it(in_notebook):
    text = help_text("timeout_ms", Resolved(30000, Layer.SESSION), "mine")
    for piece in ("timeout_ms = 30000", "from: session", "or none", "Default: 600000 ms", "unset timeout_ms"):
        assert piece in text


def test_a_profile_is_named_where_a_value_comes_from_it():
    assert "(from: profile mine)" in help_text("timeout_ms", Resolved(30000, Layer.PROFILE), "mine")
    table = rows(resolve({Layer.PROFILE: {"timeout_ms": 5000}}), "mine")
    assert {row[0]: row[2] for row in table}["timeout_ms"] == "profile mine"


def test_tables_have_a_row_for_every_setting():
    assert [row[0] for row in rows(resolve({}), "")] == list(SETTINGS)
    assert markdown_table().count("\n") == len(SETTINGS) + 1


NUMBERS = st.one_of(
    st.integers(-10, 10**19).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.from_regex(r"\A ?[+-]?[0-9]{0,20}\.?[0-9]{0,4}(?:[eE][+-]?[0-9]{0,3})? ?\Z"),
    st.sampled_from(["0", "00", "1_000", "0x10", "\u0663", "1e-400", "999999e12", "1e13", "5000", " 5000\n"]),
)
WORDS = st.sampled_from(["true", "On", "OFF", "enabled", "Disabled", "busy", "ELAPSED", "none", " None ", "null", ""])
STATUSES = st.one_of(
    st.lists(st.sampled_from([429, 500, 200, 600, 503.0, "429", "5e2", True, None]), max_size=3),
    st.from_regex(r"\A\[?[345]?[0-9]{2},? ?[0-9]{3}\]?,?\Z"),
)
RAW = st.one_of(
    NUMBERS, WORDS, STATUSES, st.text(max_size=8), st.booleans(), st.none(), st.integers(), st.floats(allow_nan=False),
    st.just({}),
)  # fmt: skip


@given(st.sampled_from(sorted(SETTINGS)), RAW)
def test_the_schema_accepts_exactly_what_is_read(key, raw):
    validator = jsonschema.Draft202012Validator(SETTINGS[key].schema())
    try:
        SETTINGS[key].read(raw)
    except SettingError:
        accepted = False
    else:
        accepted = True
    assert validator.is_valid(raw) == accepted


@pytest.mark.parametrize(
    "raw", [" " * 200_000 + "x", "429" + ", " * 100_000 + "x", "0" * 200_000, "[" + "\t" * 200_000]
)
def test_a_long_text_is_refused_in_time_that_grows_with_its_length(raw):
    for key in SETTINGS:
        refusal(key, raw)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("0.00000001", "0.00000001"),
        ("1e-8", "0.00000001"),
        (1e-8, "0.00000001"),
        ("500", "500"),
        (500.0, "500"),
        (0.5, "0.5"),
    ],
)
def test_a_number_is_shown_in_the_form_that_people_write(given, shown):
    declared = setting("tpm_threshold")
    assert declared.show(declared.read(given)) == shown
    assert declared.read(shown) == declared.read(given)


def test_a_refusal_quotes_a_small_number_without_a_power_of_ten():
    assert refusal("tpm_threshold", -1e-8) == "tpm_threshold must be a positive number, got -0.00000001"


def test_every_offered_example_is_accepted():
    for declared in SETTINGS.values():
        for example in declared.kind.offered:
            value = declared.read(example)
            assert declared.read(declared.show(value)) == value


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("circuit_breaker_failure_threshold", 1, "1 failure"),
        ("circuit_breaker_failure_threshold", 3, "3 failures"),
        ("timeout_ms", 5000, "5000 ms"),
        ("timeout_ms", 10_800_000, "10800000 ms (3 h)"),
        ("timeout_ms", 1, "1 ms"),
        ("timeout_ms", None, "none"),
        ("circuit_breaker_enabled", False, "false"),
    ],
)
def test_a_value_in_a_sentence_has_its_unit_and_a_long_time_is_told_as_people_say_it(key, value, told):
    assert SETTINGS[key].show_with_unit(value) == told
