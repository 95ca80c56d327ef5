"""The profile store: found, listed, saved whole or not at all, deleted with a copy kept."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

import llx_magic as llx
from llx_magic.errors import ProfileError
from llx_magic.files.folders import config_folder, shipped_folder, shipped_profile
from llx_magic.files.names import name_problem
from llx_magic.profiles.codec import read_document
from llx_magic.profiles.connection import Connection
from llx_magic.profiles.document import FIRST_PIECE_NOTE, LoadBalancerProfile, ModelProfile
from llx_magic.profiles.store import ProfileStore


def model(name: str = "a", **changes) -> ModelProfile:
    return ModelProfile(**{"name": name, "provider": "openai", "model": "m", **changes})


@pytest.fixture
def store(tmp_path) -> ProfileStore:
    return ProfileStore(tmp_path / "config" / "profiles")


@pytest.fixture
def filled(store) -> ProfileStore:
    """Two model profiles and a load balancer of both."""
    store.save(model("first"))
    store.save(model("second"))
    store.save(LoadBalancerProfile("both", "failover", ("first", "second"), {"timeout_ms": 5000}))
    return store


def put(folder: Path, name: str, **raw) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(raw or {"provider": "p", "model": "m"}), "utf-8")
    return path


def test_the_configuration_folder_follows_the_variable(monkeypatch, tmp_path):
    """``LLXPRT_CONFIG_HOME`` moves the profiles and our own state."""
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", str(tmp_path / "c"))
    assert config_folder() == tmp_path / "c"
    assert ProfileStore().folder == tmp_path / "c" / "profiles"
    assert ProfileStore().state_folder == tmp_path / "c" / "llx_magic"


def test_without_the_variable_it_is_in_the_home_folder(monkeypatch, tmp_path):
    """The original tool's folder is the default; an empty variable is none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LLXPRT_CONFIG_HOME", "")
    assert ProfileStore().folder == tmp_path / ".llxprt" / "profiles"


def test_a_saved_profile_loads_with_its_members_and_settings(filled):
    """What save wrote is what load gives, members in order, settings in force."""
    profile = filled.load("both")
    assert profile.policy == "failover"
    assert [member.name for member in profile.members] == ["first", "second"]
    assert profile.settings == {"timeout_ms": 5000}
    assert profile.path == (filled.folder / "both.json").resolve()
    assert filled.load("first").policy == "single"


def test_the_shipped_profiles_load_on_a_fresh_machine(store):
    """``demo`` and ``testlb489`` are found without any file of the user."""
    assert [member.name for member in store.load("testlb489").members] == ["synthetic", "chutes", "groqgpt"]
    assert store.load("testlb489").settings["tpm_threshold"] == 500
    assert store.load("demo").settings == {"failover_retry_delay_ms": 300}
    assert store.load("demo").notes == ()
    assert not store.folder.exists()


def test_each_shipped_profile_is_sound_and_leaves_no_note():
    """No file that comes with the package is broken or odd."""
    files = sorted(shipped_folder().glob("*.json"))
    assert len(files) >= 7
    for path in files:
        assert read_document(path.read_bytes(), path.stem).notes == ()


def test_an_example_by_its_path_has_the_members_that_come_with_it_whatever_the_user_has_saved(store):
    for name in ("demo", "local", "unreachable"):
        store.save(model(name, model="mine"))
    profile = store.load(str(shipped_profile("demo")))
    assert [member.model for member in profile.members] == ["nothing-listens-here", "smollm2-135m-instruct"]
    assert profile.notes == ()
    assert not any(member.foreign for member in profile.members)


def test_the_users_own_profile_hides_the_shipped_one(store):
    """A member of a shipped load balancer can be replaced by a file of the user."""
    store.save(model("local", model="mine"))
    assert store.load("demo").members[1].model == "mine"


def test_members_of_a_profile_loaded_by_path_are_looked_for_beside_it_first(filled, tmp_path):
    """Beside the file, then in the user's folder."""
    other = tmp_path / "other"
    put(other, "first", provider="p", model="beside")
    path = put(other, "lb", type="loadbalancer", policy="failover", profiles=["first", "second"])
    assert [member.model for member in filled.load(path).members] == ["beside", "m"]
    assert [member.model for member in filled.load(str(path)).members] == ["beside", "m"]
    assert filled.load(str(path.with_suffix(""))).name == "lb"


def test_a_path_may_begin_with_the_home_sign_or_be_relative(store, monkeypatch, tmp_path):
    """``~/x.json`` and ``x.json`` are paths."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "x")
    assert store.load("~/x.json").name == store.load("x.json").name == store.load("./x").name == "x"


ORIGINAL = {"provider": "chutes-ai", "model": "m", "modelParams": {}}
"""A model as the llxprt command line tool writes it."""


@pytest.mark.parametrize("settings", [{"timeout_ms": 5000}, {"timeout_ms": "5000", "tpm_threshold": 500}])
def test_what_timeout_ms_meant_in_a_file_of_the_other_tool_is_said_once(filled, tmp_path, settings):
    loadbalancer = {"type": "loadbalancer", "policy": "failover", "profiles": ["first", "second"]}
    put(filled.folder, "theirs", **loadbalancer, ephemeralSettings=settings)
    assert filled.load("theirs").notes == (FIRST_PIECE_NOTE,)
    put(filled.folder, "first", **ORIGINAL, ephemeralSettings={**settings, "context-limit": 200_000})
    put(filled.folder, "second", **ORIGINAL, ephemeralSettings={**settings, "context-limit": 200_000})
    assert filled.load("theirs").notes.count(FIRST_PIECE_NOTE) == 1
    assert FIRST_PIECE_NOTE in filled.load("first").notes
    assert FIRST_PIECE_NOTE in filled.load(put(tmp_path, "sent", **ORIGINAL, ephemeralSettings=settings)).notes


@pytest.mark.parametrize("settings", [{}, {"timeout_ms": None}, {"timeout_ms": 5000, "first_token_timeout_ms": 5000}])
def test_where_timeout_ms_means_what_it_says_nothing_is_said(filled, tmp_path, settings):
    filled.save(model("ours", settings={"timeout_ms": 5000}))
    assert filled.load("ours").notes == ()
    theirs = put(tmp_path, "sent", **ORIGINAL, ephemeralSettings={**settings, "context-limit": 200_000})
    assert FIRST_PIECE_NOTE not in filled.load(theirs).notes
    assert filled.load("testlb489").notes == ()


@pytest.mark.parametrize("name", ["frist", "FIRST"])
def test_an_unknown_profile_offers_the_nearest_and_says_where_it_looked(filled, monkeypatch, tmp_path, name):
    """One line, the home folder shown as ``~``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ProfileError) as caught:
        filled.load(name)
    assert str(caught.value).startswith(f"unknown profile {name!r}; did you mean first? (looked in ~/config/profiles, ")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../x", "there is no such file"),
        ("~nobody-of-that-name/x.json", "home folder of that user is not known"),
        ("nothing.json", "there is no such file"),
        ("a b", "profile name 'a b' must be 1 to 64"),
        (".hidden", "must be 1 to 64"),
        ("", "must be 1 to 64"),
        ("nul", "device name on Windows"),
        ("x\0y.json", "there is no such file"),
        ("/", "the file's name without .json must be 1 to 64"),
        ("C:\\Users\\me\\x.json", "there is no such file; folders are parted by / on this machine"),
        ("profiles\\x", "x.json: there is no such file; folders are parted by / on this machine"),
        ("x" * 5000 + ".json", "there is no such file"),
    ],
)
def test_what_cannot_be_a_profile_is_one_line(store, name, expected):
    """Odd names and paths are refused without a traceback of the system."""
    with pytest.raises(ProfileError) as caught:
        store.load(name)
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["a", "A.b-c_1", "_x", "x" * 64, "console", "com", "com10", "a.con"])
def test_ordinary_names_are_allowed(name):
    """Letters, digits, dot, underscore and dash, up to 64."""
    assert name_problem(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".a",
        "..",
        "a/b",
        "a\\b",
        "a b",
        "é",
        "x" * 65,
        "a\n",
        "CON",
        "con",
        "nul.x",
        "COM1",
        "lpt9",
        "Aux.tar",
        "a.json",
    ],
)
def test_names_that_break_somewhere_are_refused(name):
    """Separators, hidden names, Windows' devices, and the ending that makes a path."""
    assert name_problem(name)


def test_a_member_that_is_missing_or_a_load_balancer_is_named(filled):
    """The file, the member, and the nearest name are in the line."""
    put(filled.folder, "lb", type="loadbalancer", policy="failover", profiles=["first", "secnd"])
    with pytest.raises(ProfileError, match=r"lb\.json: unknown member 'secnd'; did you mean second\?"):
        filled.load("lb")
    put(filled.folder, "lb", type="loadbalancer", policy="failover", profiles=["first", "both"])
    with pytest.raises(ProfileError, match=r"lb\.json: member both is a load balancer"):
        filled.load("lb")


def test_load_balancers_that_name_each_other_end_in_one_line(store):
    """A cycle is refused, not followed."""
    put(store.folder, "p", type="loadbalancer", policy="roundrobin", profiles=["q"])
    put(store.folder, "q", type="loadbalancer", policy="roundrobin", profiles=["p"])
    with pytest.raises(ProfileError, match="member q is a load balancer"):
        store.load("p")


@pytest.mark.posix("Windows has no named pipes of this kind")
def test_links_folders_and_pipes_are_refused(store, tmp_path):
    """Only regular files are read, and a pipe is not waited for."""
    target = put(tmp_path, "target")
    store.folder.mkdir(parents=True)
    (store.folder / "link.json").symlink_to(target)
    (store.folder / "folder.json").mkdir()
    os.mkfifo(store.folder / "pipe.json")
    for name, expected in [("link", "symbolic link"), ("folder", "it is a folder"), ("pipe", "not a regular file")]:
        with pytest.raises(ProfileError, match=f"{name}.json: .*"):
            store.load(name)
        with pytest.raises(ProfileError, match="symbolic link or not a regular file"):
            store.save(model(name))
        with pytest.raises(ProfileError, match="symbolic link or not a regular file"):
            store.delete(name)
        row = next(row for row in store.list() if row.name == name)
        assert expected in row.problem
    assert json.loads(target.read_text()) == {"provider": "p", "model": "m"}


def test_list_has_a_row_for_every_file_and_says_what_is_broken(filled):
    """Broken files are rows with one line; the others are unharmed."""
    (filled.folder / "cut.json").write_text('{"provider": "p", ')
    (filled.folder / "deep.json").write_text("[" * 200_000)
    (filled.folder / "wide.json").write_bytes("{}".encode("utf-16"))
    (filled.folder / "bad name.json").write_text("{}")
    with (filled.folder / "huge.json").open("wb") as file:
        file.truncate(100 << 20)
    (filled.folder / "both.json.bak").write_text("{}")
    put(filled.folder, "loop", type="loadbalancer", policy="roundrobin", profiles=["both"])
    filled.set_default("first")
    rows = {row.name: row for row in filled.list()}
    broken = {"cut", "deep", "wide", "bad name", "huge", "loop"}
    assert {name for name, row in rows.items() if row.problem} == broken
    assert all(rows[name].kind == "broken" and len(rows[name].problem.splitlines()) == 1 for name in broken)
    assert (rows["both"].kind, rows["both"].detail) == ("failover", "first, second")
    assert (rows["first"].kind, rows["first"].detail, rows["first"].is_default) == ("model", "openai m", True)
    assert rows["demo"].shipped
    assert not rows["both"].shipped
    assert "larger than 1 MiB" in rows["huge"].problem


def test_list_survives_a_name_that_is_no_text(store):
    """A file name of odd bytes is a printable row."""
    store.folder.mkdir(parents=True)
    Path(os.fsdecode(os.fsencode(store.folder) + b"/\xff\n.json")).write_text("{}")
    row = next(row for row in store.list() if row.kind == "broken")
    assert row.name == "??"
    assert row.problem.isprintable()


def test_list_of_no_folder_has_the_shipped_ones_only(store):
    """A fresh machine lists what comes with the package, and nothing is made."""
    assert all(row.shipped and row.problem is None for row in store.list())
    assert not store.folder.exists()


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_files_are_private_from_creation(filled):
    """Folders 0700, files 0600, whatever the umask, and nothing else is left in the folder."""
    for folder in (filled.folder.parent, filled.folder, filled.state_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in filled.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in filled.folder.iterdir()) == ["both.json", "first.json", "second.json"]


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_saving_over_a_profile_says_what_changed_and_keeps_the_previous_file(filled):
    """A line for each key, and the file before as a copy."""
    before = (filled.folder / "both.json").read_bytes()
    changed = LoadBalancerProfile("both", "roundrobin", ("second", "first"), {"timeout_ms": 9000, "streaming": False})
    result = filled.save(changed)
    assert result.backup == filled.folder / "both.json.bak"
    assert result.backup.read_bytes() == before
    assert stat.S_IMODE(result.backup.stat().st_mode) == 0o600
    assert result.changes == (
        "policy: failover → roundrobin",
        'profiles: ["first", "second"] → ["second", "first"]',
        "timeout_ms: 5000 → 9000",
        "streaming: not set → disabled",
    )


def test_saving_a_profile_over_one_of_the_other_kind_says_so_in_one_line(filled):
    result = filled.save(model("both", model="mini"))
    members = '["first", "second"]'
    was, now = f"a load balancer of {members}", "a model profile (openai mini)"
    assert result.changes == (f"it was {was}, and is {now} now",)
    assert result.backup is not None
    back = filled.save(LoadBalancerProfile("both", "failover", ("first", "second")))
    assert back.changes == (f"it was {now}, and is {was} now",)


def test_saving_the_same_again_writes_nothing(filled):
    """Without a difference the copy of the previous version is not lost."""
    result = filled.save(filled.document("both"))
    assert result.backup is None
    assert result.changes == ()
    assert not (filled.folder / "both.json.bak").exists()


def test_saving_keeps_the_unknown_keys_of_the_file_it_replaces(store):
    """A profile saved anew under the name of an original file loses none of that tool's keys."""
    put(store.folder, "a", provider="p", model="m", ephemeralSettings={"context-limit": 5}, maxTurns=3)
    store.save(model("a", model="other"))
    raw = json.loads((store.folder / "a.json").read_text())
    assert (raw["ephemeralSettings"], raw["maxTurns"], raw["model"]) == ({"context-limit": 5}, 3, "other")


@pytest.mark.posix("permissions are a mode on POSIX systems only")
def test_saving_over_a_literal_key_removes_it_and_does_not_show_it(store):
    """The key is gone from the file, kept only in the private copy, and in no line."""
    put(store.folder, "a", provider="p", model="m", ephemeralSettings={"auth-key": "sk-1"}, apiKey="sk-2")
    result = store.save(model("a"))
    assert "sk-" not in (store.folder / "a.json").read_text()
    assert "sk-" not in repr(result)
    assert "auth-key: *** → removed" in result.changes
    assert stat.S_IMODE(result.backup.stat().st_mode) == 0o600


def test_a_broken_file_can_be_saved_over(store):
    """It is replaced, kept beside, and its fault is told."""
    store.folder.mkdir(parents=True)
    (store.folder / "a.json").write_text("{")
    result = store.save(model("a"))
    assert result.backup.read_text() == "{"
    assert "the previous file could not be read" in result.changes[0]
    assert store.load("a").members[0].model == "m"


def test_a_load_balancer_is_saved_only_with_members_that_exist(filled):
    """A missing member, another load balancer, and a name that others have as a member are refused."""
    for members, expected in [(("first", "nope"), "unknown member 'nope'"), (("first", "both"), "is a load balancer")]:
        with pytest.raises(ProfileError, match=expected):
            filled.save(LoadBalancerProfile("new", "failover", members))
    with pytest.raises(ProfileError, match="the name is that of a member of both"):
        filled.save(LoadBalancerProfile("first", "roundrobin", ("second",)))
    assert not (filled.folder / "new.json").exists()


def test_delete_keeps_a_copy_names_the_users_and_clears_the_default(filled):
    """Nothing is lost by deleting, and what it breaks is told."""
    filled.set_default("first")
    result = filled.delete("first")
    assert result.backup == filled.folder / "first.json.bak"
    assert result.backup.exists()
    assert result.used_by == ("both",)
    assert result.was_default
    assert filled.default() is None
    with pytest.raises(ProfileError, match="unknown profile 'first'"):
        filled.load("first")


def test_shipped_and_unknown_profiles_cannot_be_deleted(store):
    """What comes with the package stays; an unknown name is offered the nearest."""
    with pytest.raises(ProfileError, match="comes with llx_magic"):
        store.delete("demo")
    with pytest.raises(ProfileError, match="did you mean demo"):
        store.delete("demoo")
    with pytest.raises(ProfileError, match="profile name"):
        store.delete("../x")


def test_the_default_is_kept_beside_the_original_files(filled):
    """Set, read by another store, cleared; the original's folder holds no state of ours."""
    assert filled.default() is None
    filled.set_default("both")
    assert ProfileStore(filled.folder).default() == "both"
    assert (filled.folder.parent / "llx_magic").is_dir()
    filled.clear_default()
    filled.clear_default()
    assert filled.default() is None
    with pytest.raises(ProfileError, match="unknown profile 'bth'"):
        filled.set_default("bth")


def test_a_damaged_default_is_one_line_that_says_what_mends_it(filled):
    """And it does."""
    filled.set_default("both")
    (filled.state_folder / "default-profile").write_text("../../etc\n")
    with pytest.raises(ProfileError, match="set-default --clear"):
        filled.default()
    assert filled.list()
    filled.clear_default()
    assert filled.default() is None


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    """A file where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ProfileError, match="cannot be written"):
        ProfileStore(tmp_path / "file" / "profiles").save(model())


def test_what_a_killed_writer_left_is_removed(store):
    """Temporary files do not pile up."""
    store.save(model("a"))
    (store.folder / ".llx-0123456789abcdef").write_text("half")
    store.save(model("b"))
    assert sorted(path.name for path in store.folder.iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize("name", [".llx-notes.json", ".llx-0123", ".llx-0123456789abcdef.json", ".llx-"])
def test_a_file_of_the_users_own_is_no_leftover(store, name):
    """Only what is named exactly as a writer names it is removed, in both folders."""
    store.save(model("a"))
    for folder in (store.folder, store.state_folder):
        (folder / name).write_text("mine")
    store.save(model("b"))
    assert [(folder / name).read_text() for folder in (store.folder, store.state_folder)] == ["mine", "mine"]


def test_importing_the_store_does_not_import_the_keyring():
    """Heavy packages wait until they are used."""
    import subprocess

    code = "import sys, llx_magic.profiles.store, llx_magic.profiles.key_source; print('keyring' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_connection_survives_the_store(store):
    """Prices and key names are saved; ``~`` stays as written."""
    connection = Connection(auth_keyfile="~/k", price_input=0.1, auth_key_env="V")
    store.save(model("a", connection=connection))
    assert store.load("a").members[0].connection == connection


@pytest.mark.parametrize("given", [b"x", object(), 7, ["a"], {"name": "a"}])
@pytest.mark.parametrize("take", [llx.load, lambda given: llx.ask("why", profile=given)], ids=["load", "ask"])
def test_what_is_neither_text_nor_path_nor_profile_is_refused_in_one_line(given, take):
    with pytest.raises(
        ProfileError, match=rf"^a profile is given by its name or path, .*not as {type(given).__name__}$"
    ):
        take(given)
