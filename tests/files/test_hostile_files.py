"""A folder of profiles may hold anything: each file is one clear line or a profile, and the others still work."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llx_magic as llx
from llx_magic.errors import LlxError, ProfileError
from llx_magic.profiles.codec import read_document, write_document
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile, Profile
from llx_magic.profiles.store import ProfileStore
from tests.files.hostile import HOSTILE, LOADABLE_BY_NAME, ODD, fill
from tests.notebook.kernel import started

LONGEST_LINE = 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The folder with all of them at once; the tests only read it."""
    home = tmp_path_factory.mktemp("home") / "config"
    fill(home / "profiles")
    return home / "profiles"


def assert_one_line(text: str) -> None:
    assert text.isprintable(), text
    assert 0 < len(text) <= LONGEST_LINE, len(text)


def test_the_list_of_hostile_files_is_long_and_each_is_there_once():
    """So that nobody empties it unnoticed."""
    names = [each.name for each in HOSTILE]
    assert len(names) == len(set(names)) >= 120


@pytest.mark.parametrize("hostile", LOADABLE_BY_NAME, ids=lambda each: each.name)
def test_a_hostile_file_is_refused_in_one_line_that_names_it(folder, hostile):
    """By name and by path; the same words both ways."""
    store = ProfileStore(folder)
    for what in (hostile.name, folder / f"{hostile.name}.json"):
        with pytest.raises(ProfileError) as caught:
            store.load(what)
        assert_one_line(str(caught.value))
        assert hostile.said in str(caught.value)
        at_fault = {"members-broken": "cut", "members-link": "link-file"}.get(hostile.name, hostile.name)
        assert f"{at_fault}.json: " in str(caught.value)


def test_the_list_says_of_each_hostile_file_that_it_is_broken_and_the_others_load(folder):
    """Nothing is missing from the list, and nothing in it can break a line."""
    rows = ProfileStore(folder).list()
    broken = [row for row in rows if row.problem]
    assert len(broken) == len(HOSTILE)
    for row in rows:
        assert row.name.isprintable()
        assert row.detail.isprintable()
    for row in broken:
        assert_one_line(row.problem)
    assert {row.name for row in rows if not row.problem and not row.shipped} == {
        "fine", "other", "both", "second-name", *ODD,
    }  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_a_profile_that_reads_back_as_it_was(name):
    """What is strange and allowed survives being written."""
    document = read_document(ODD[name], name)
    again = read_document(write_document(document), name)
    assert again == document


def test_the_names_of_odd_profiles_are_refused_or_asked_in_one_line(folder):
    """A provider that nobody knows is named without its line ends."""
    store = ProfileStore(folder)
    for name in ODD:
        try:
            assert llx.ask("hello", profile=store.load(name)).ok
        except LlxError as problem:
            assert_one_line(str(problem))


COMMANDS = [
    "%llx_profile list",
    *(f"%llx_profile show {name}" for name in (*ODD, "fine", "both")),
    *(f"%llx_profile load {name}" for name in ODD),
]


def test_a_kernel_loads_the_extension_lists_shows_and_asks_whatever_lies_in_the_folder(folder, tmp_path):
    """Each cell ends, each with what can be sent to a front end."""
    with started(tmp_path, LLXPRT_CONFIG_HOME=str(folder.parent), IPYTHONDIR=str(tmp_path)) as kernel:
        assert not kernel.run("%load_ext llx_magic").fine().outputs
        for command in COMMANDS:
            cell = kernel.run(command)
            assert all(error["ename"] in ("ProfileError", "SettingError") for error in cell.errors), cell.errors
            assert "\x1b" not in cell.plain or cell.errors
        offered = kernel.client.complete("%llx_profile load ", reply=True, timeout=60)["content"]["matches"]
        assert {"fine", "both"} <= set(offered)
        assert not [name for name in offered if not name.isascii() or not name.isprintable() or " " in name]
        listed = kernel.run("%llx_profile list").fine().plain
        assert sum("broken" in line for line in listed.splitlines()) >= len(HOSTILE)
        assert "from fine" in kernel.run("%%llx -p both\nhello").fine().plain
        assert "terabyte.json: is larger than 1 MiB" in kernel.run("%llx_profile load terabyte").failure


def test_the_command_line_lists_and_asks_whatever_lies_in_the_folder(folder, tmp_path):
    """One line a profile on standard output, and nothing on standard error."""
    env = {**os.environ, "LLXPRT_CONFIG_HOME": str(folder.parent), "PYTHONIOENCODING": "utf-8"}

    def run(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "llx_magic", *words], capture_output=True, env=env, cwd=tmp_path, check=False
        )

    done = run("profile", "list")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert sum(" broken " in line for line in lines) == len(HOSTILE)
    assert b"\x1b" not in done.stdout
    done = run("-p", "both", "--prompt", "hello")
    assert (done.returncode, done.stdout) == (0, b"from fine\n")
    done = run("-p", "deep-lists", "--prompt", "hello")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_a_save_among_hostile_files_works_and_leaves_them_alone(tmp_path):
    """What a killed writer left is removed; a folder that has such a name is not."""
    fill(tmp_path / "profiles")
    store = ProfileStore(tmp_path / "profiles")
    before = {path.name for path in store.folder.iterdir()}
    store.save(ModelProfile("new", "openai", "m"))
    assert {path.name for path in store.folder.iterdir()} - before == {"new.json"}
    assert before - {path.name for path in store.folder.iterdir()} == {".llx-0123456789abcdef"}
    store.set_default("new")
    assert store.default() == "new"


# --- cut files ------------------------------------------------------------------------------------------------------

REAL = write_document(
    LoadBalancerProfile("lb", "failover", ("fine", "other"), {"timeout_ms": 5000}, extra={"é": "\U0001f600"})
).encode()


def test_a_real_profile_cut_at_every_byte_is_one_line_and_never_half_a_profile():
    """Only the whole file, with or without its last line end, is a profile."""
    sound = []
    for length in range(len(REAL) + 1):
        try:
            read_document(REAL[:length], "lb")
        except ProfileError as problem:
            assert_one_line(str(problem))
        else:
            sound.append(length)
    assert sound == [len(REAL) - 1, len(REAL)]


def test_a_real_profile_with_any_byte_replaced_is_a_profile_or_one_line():
    """Bit rot brings no traceback."""
    for position, byte in itertools.product(range(len(REAL)), (0x00, 0x22, 0x7B, 0xFF)):
        content = REAL[:position] + bytes([byte]) + REAL[position + 1 :]
        try:
            read_document(content, "lb")
        except ProfileError as problem:
            assert_one_line(str(problem))


# --- wrong values at every position ---------------------------------------------------------------------------------

VALUES: tuple[object, ...] = (
    None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 5e-324, 10**18, 10**299, -(10**299), "", " ", "x", "0", "1e400",
    "true", "none", "\0", "\ud800", "\x1b[2J", "x" * 100_000, "9" * 5000, "é\u202e", "../..", "{{ 7 * 7 }}", "%s",
    [], [None], [[]], ["x", 1], list(range(1000)), {}, {"": None}, {"a": {"b": [{}]}}, {"auth-key": "sk"},
)  # fmt: skip

DOCUMENTS = (
    {
        "name": "lb", "version": 1, "type": "loadbalancer", "policy": "failover", "profiles": ["a", "b"],
        "provider": "", "model": "", "modelParams": {"temperature": 0.5},
        "ephemeralSettings": {
            "tpm_threshold": 5, "tpm_basis": "busy", "timeout_ms": 5000, "connect_timeout_ms": 1,
            "first_token_timeout_ms": 1, "stall_timeout_ms": 1, "streaming": "enabled", "circuit_breaker_enabled": True,
            "circuit_breaker_failure_threshold": 3, "circuit_breaker_failure_window_ms": 1,
            "circuit_breaker_recovery_timeout_ms": 1, "failover_retry_count": 2, "failover_retry_delay_ms": 1,
            "failover_status_codes": [500, 503], "failover_on_network_errors": True,
            "failover_on_content_filter": False, "history_limit": 10, "context-limit": 5,
        },
        "maxTurns": 3,
    },
    {
        "name": "m", "version": 1, "type": "model", "provider": "simulated", "model": "m",
        "modelParams": {"virtual_time": True, "reply": "hi", "script": "ok", "latency_ms": 5, "other": {"x": [1]}},
        "ephemeralSettings": {
            "base-url": "http://127.0.0.1:1/v1", "auth-key-env": "V", "auth-key-name": "n", "auth-keyfile": "~/k",
            "auth-key": "sk-1", "price-input": 1, "price-output": 2.5, "timeout_ms": 5000, "headers": {"X": "y"},
        },
        "maxTurns": [1, {"a": None}],
    },
)  # fmt: skip


def places(value: object, path: tuple[object, ...] = ()):
    """Yield the way to every value inside a document, the document itself included."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: object) -> Any:
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], value)
    return copy


MUTANTS = [(document, path) for document in DOCUMENTS for path in places(document)]


def check(raw: object) -> None:
    """A document is refused in one line, or is read, written and read back equal."""
    try:
        document = read_document(json.dumps(raw), "x")
    except ProfileError as problem:
        assert_one_line(str(problem))
    else:
        written = write_document(document)
        assert "sk-1" not in written
        again = read_document(written, "x")
        if isinstance(document, LoadBalancerProfile):
            assert (again.members, again.settings, again.params) == (
                document.members, document.settings, document.params,
            )  # fmt: skip
        else:
            assert (again.settings, again.params, again.extra) == (document.settings, document.params, document.extra)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__}-{repr(value)[:12]!a}")
def test_any_value_in_any_place_of_a_document_is_a_profile_or_one_line(value):
    """Each of the values at each of the places."""
    for document, path in MUTANTS:
        check(replaced(document, path, value))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(MUTANTS), value=ANY_JSON)
def test_any_json_value_in_any_place_is_a_profile_or_one_line(place, value):
    """Values that nobody thought of."""
    check(replaced(*place, value))


def test_a_profile_that_loads_with_any_value_of_a_setting_can_be_asked():
    """However large a limit is, the request is answered or refused in one line."""
    document = DOCUMENTS[0]
    asked = 0
    for key, value in itertools.product(document["ephemeralSettings"], VALUES):
        raw = {"provider": "simulated", "model": "m", "ephemeralSettings": {key: value}}
        raw["modelParams"] = {"virtual_time": True, "script": "503 ok"}
        try:
            profile = Profile.single(read_document(json.dumps(raw), "x"))
        except ProfileError:
            continue
        try:
            assert llx.ask("hello", profile=profile).ok
        except LlxError as problem:
            assert_one_line(str(problem))
        asked += 1
    assert asked > 50
