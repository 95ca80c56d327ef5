"""The JSON schema of profile files: it accepts what is read and refuses what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llx_magic.errors import ProfileError
from llx_magic.profiles.codec import _CONNECTION_KEYS, read_document
from llx_magic.profiles.schema import profile_schema
from llx_magic.settings.declaration import SETTINGS
from tests.profiles.test_profiles import PLAN

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(profile_schema())


def is_read(raw: object) -> bool:
    try:
        read_document(json.dumps(raw), "x")
    except ProfileError:
        return False
    return True


def agree(raw: object) -> bool:
    read = is_read(raw)
    assert VALIDATOR.is_valid(raw) == read, raw
    return read


def model(**ephemeral) -> dict:
    return {"provider": "openai", "model": "m", "ephemeralSettings": ephemeral}


def headed(headers: object) -> dict:
    return model(**{"custom-headers": headers})


def test_the_schema_is_one_itself():
    jsonschema.Draft202012Validator.check_schema(profile_schema())


def test_it_describes_every_key_that_is_read():
    schema = profile_schema()
    shared = schema["properties"]["ephemeralSettings"]["anyOf"][0]["properties"]
    own = schema["else"]["properties"]["ephemeralSettings"]["properties"]
    assert {*shared, *own} == {*SETTINGS, *_CONNECTION_KEYS}
    assert all(each["description"] for each in {**shared, **own}.values())


@pytest.mark.parametrize("path", sorted((ROOT / "profiles").glob("*.json")), ids=lambda path: path.stem)
def test_the_shipped_profiles_fit(path):
    assert agree(json.loads(path.read_text()))


READ = [
    PLAN,
    model(),
    model(timeout_ms="5000", streaming="ON", circuit_breaker_enabled="true", failover_status_codes="429, 500"),
    model(timeout_ms=None, connect_timeout_ms="none", tpm_threshold="1e3", failover_status_codes=["429", 500]),
    model(**{"base-url": "https://h.example/v1", "auth-key-env": " MY_KEY ", "auth-key-name": "", "price-input": 0}),
    headed({"X-Team": "data", "X-N": 7, "x-api-key": {"env": "K"}, "Y": "Bearer ${K}", "Z": None, "W": "$5"}),
    model(**{"custom-headers": '{"X": "y"}', "user-agent": "Tool/1.0", "auth-keyfile": "~/.key"}),
    model(**{"context-limit": 200000, "reasoning.enabled": True, "tools.disabled": ["a"], "api-version": "1"}),
    {**model(), "$schema": "https://example.org/profile.schema.json", "auth": {"type": "oauth"}, "version": 1.0},
    {**model(), "type": "standard", "policy": "failover"},
    {**PLAN, "profiles": ["a", "a"], "policy": " failover "},
    {**PLAN, "profiles": ["a"], "policy": "roundrobin"},
    {**PLAN, "modelParams": None, "ephemeralSettings": None, "provider": None},
]


@pytest.mark.parametrize("raw", READ)
def test_what_is_read_fits(raw):
    assert agree(raw)


NO_NAMES = ("../b", "", ".b", "b c", "con", "COM1.x", "b.json", "b\n", "é")
NO_HEADERS: tuple[object, ...] = (
    {"X Y": None}, {"Host": None}, [], 3,
    {"X Y": "a"}, {"": "a"}, {"Host": "a"}, {"content-LENGTH": "1"}, {"X": ""}, {"X": "a\nb"}, {"X": "é"},
    {"X": True}, {"X": ["a"]}, {"X": {"env": "a b"}}, {"X": {"file": "a"}}, {"X": "${a b}"}, {"X\n": "a"},
)  # fmt: skip
REFUSED = [
    [], "text", {}, {"provider": "openai"}, {"provider": " ", "model": "m"}, {"provider": "openai", "model": 3},
    {**model(), "policy": "failover"}, {**model(), "profiles": []}, {**model(), "type": "loadbalancer"},
    {**model(), "type": "other"}, {**model(), "type": ""}, {**model(), "version": 2}, {**model(), "version": "1"},
    {**model(), "version": True}, {**model(), "modelParams": []}, {**model(), "ephemeralSettings": []},
    {**model(), "name": 3}, {**PLAN, "policy": "random"}, {**PLAN, "policy": None}, {**PLAN, "profiles": ["a"]},
    {**PLAN, "profiles": []}, {**PLAN, "profiles": None}, {**PLAN, "profiles": "a,b"}, {**PLAN, "profiles": ["a", 3]},
    *({**PLAN, "profiles": ["a", name]} for name in NO_NAMES), *map(headed, NO_HEADERS),
    model(timeout_ms="30s"), model(timeout_ms=0), model(timeout_ms=True), model(failover_retry_count=None),
    model(failover_retry_count="none"), model(streaming="perhaps"), model(tpm_threshold=-1),
    model(failover_status_codes=[]), model(failover_status_codes=[200]), model(**{"base-url": 3}),
    model(**{"base-url": "https://me:secret@h/v1"}), model(**{"auth-key-env": "MY KEY"}),
    model(**{"auth-key-name": "a/b"}), model(**{"auth-keyfile": ["x"]}), model(**{"auth-key": 3}),
    model(**{"price-input": -1}), model(**{"price-output": "1"}), model(**{"user-agent": "a\nb"}),
]  # fmt: skip


@pytest.mark.parametrize("raw", REFUSED)
def test_what_is_refused_does_not_fit(raw):
    assert not agree(raw)


TEXTS = st.sampled_from(
    ["", " ", "a", " a ", "a b", "none", "5000", "true", "MY_KEY", "a/b", "con", "x.json", "é", "\n"]
)
SCALARS = TEXTS | st.none() | st.booleans() | st.integers(-2, 700) | st.sampled_from([1.0, 0.5, 429.0, 1e30])
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(TEXTS, SCALARS, max_size=2)
HEADERS = st.dictionaries(st.sampled_from(["X-Team", "X Y", "Host", "é", "Y"]), SCALARS, max_size=3) | SCALARS.filter(
    lambda value: not isinstance(value, str) or not value.strip()
)
EPHEMERAL = st.fixed_dictionaries(
    {},
    optional={
        **{key: VALUES for key in (*SETTINGS, *_CONNECTION_KEYS) if key not in ("base-url", "custom-headers")},
        "base-url": st.sampled_from(["https://h.example/v1", "", None, 3, "a@b"]),
        "custom-headers": HEADERS,
        "context-limit": VALUES,
    },
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["loadbalancer", " loadbalancer", "standard", "model", "other", "", None, 3]),
        "policy": st.sampled_from(["failover", "roundrobin", " failover", "random", None, 3]),
        "profiles": st.lists(st.sampled_from(["a", "b", "a b", "con", 3]), max_size=3) | SCALARS,
        "provider": VALUES,
        "model": VALUES,
        "name": SCALARS,
        "version": st.sampled_from([1, 1.0, 2, 0, "1", True, None]),
        "modelParams": VALUES,
        "ephemeralSettings": EPHEMERAL | SCALARS,
        "more": VALUES,
    },
)
MODELS = EPHEMERAL.map(lambda ephemeral: model(**ephemeral))
BALANCERS = EPHEMERAL.map(lambda ephemeral: {**PLAN, "ephemeralSettings": ephemeral})


@given(DOCUMENTS | MODELS | BALANCERS)
def test_the_schema_and_reading_agree_on_any_document(raw):
    agree(raw)


def test_the_place_of_the_schema_in_a_file_is_kept_and_not_remarked():
    document = read_document(json.dumps({**model(), "$schema": "./profile.schema.json"}), "x")
    assert document.notes == ()
    assert document.extra == {"$schema": "./profile.schema.json"}
