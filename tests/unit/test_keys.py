"""Where keys come from, who may have them, and that they are shown nowhere."""

from __future__ import annotations

import json
import os
import stat
import sys
import traceback

import keyring
import keyring.backend
import keyring.errors
import pytest

from llx_magic.errors import KeyMissing, ProfileError
from llx_magic.profiles.document import Connection, ModelProfile
from llx_magic.profiles.keychain import ORIGINAL_SERVICE, SERVICE, Keychain, KeyringProblem
from llx_magic.profiles.keys import key_source
from llx_magic.profiles.secret import Secret

KEY = "sk-very-secret"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring as any other, whose entries are in memory."""

    priority = 1

    def __init__(self):
        super().__init__()
        self.entries = {}

    def get_password(self, service, username):
        return self.entries.get((service, username))

    def set_password(self, service, username, password):
        self.entries[service, username] = password

    def delete_password(self, service, username):
        if self.entries.pop((service, username), None) is None:
            raise keyring.errors.PasswordDeleteError(username)


class BrokenKeyring(MemoryKeyring):
    """A keyring whose system is away and whose error repeats what it was given."""

    def get_password(self, service, username):
        raise RuntimeError(f"no bus for {service} {KEY}")

    def set_password(self, service, username, password):
        raise RuntimeError(f"no bus for {password}")


@pytest.fixture
def vault():
    """The operating system's keyring, for the length of a test."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def broken(vault):
    keyring.set_keyring(BrokenKeyring())


def source(variable="OPENAI_API_KEY", *, needs=True, own=True, **connection):
    profile = ModelProfile("synthetic", "openai", "m", connection=Connection(**connection))
    return key_source(profile, variable, needs_key=needs, sends_to_own_host=own)


def refusal(found) -> str:
    """The one line, after a look for the key in it and in every variable on the way."""
    with pytest.raises(KeyMissing) as caught:
        found.read()
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in frames.stack if "test_keys" not in frame.filename]
    assert ours
    assert caught.value.__context__ is None
    assert "very-secret" not in str(caught.value) + "".join(str(frame.locals) for frame in ours)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def key_file(folder, content=KEY + "\n", mode=0o600):
    path = folder / "key"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return str(path)


def test_a_literal_key_comes_first(monkeypatch):
    """What the file itself holds is used."""
    monkeypatch.setenv("MINE", "other")
    assert source(auth_key=Secret(KEY), auth_key_env="MINE").read() == KEY


def test_a_named_variable_is_read_anew_each_time(monkeypatch):
    """A key that is repaired works at once; white space around it does not count."""
    found = source(auth_key_env="MINE")
    monkeypatch.setenv("MINE", f" {KEY}\n")
    assert found.read() == KEY
    monkeypatch.setenv("MINE", "next")
    assert found.read() == "next"


def test_a_named_variable_goes_to_any_host(monkeypatch):
    """The profile says so itself."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert source(auth_key_env="OPENAI_API_KEY", own=False).read() == KEY


def test_the_providers_variable_goes_to_its_own_host_only(monkeypatch):
    """Another host does not get it, needing a key or not."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert source().read() == KEY
    assert source(own=False, needs=False).read() is None
    message = refusal(source(own=False))
    assert "OPENAI_API_KEY goes only to openai's own host" in message
    assert "--key-env OPENAI_API_KEY" in message


def test_a_backend_that_needs_no_key_gets_none(monkeypatch):
    """A server on this machine."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert source(needs=False).read() is None
    assert source(None, needs=False).read() is None


def test_a_missing_key_names_the_backend_and_what_mends_it(monkeypatch):
    """One line with both ways."""
    monkeypatch.delenv("SYNTHETIC_API_KEY", raising=False)
    assert refusal(source("SYNTHETIC_API_KEY")) == (
        "no key for synthetic: set SYNTHETIC_API_KEY, or store one with %llx_key set synthetic and save the profile "
        "with --key-name synthetic"
    )
    assert refusal(source(None)).startswith("no key for synthetic: store one with %llx_key set synthetic")


def test_a_named_place_without_a_key_is_not_replaced_by_the_providers_variable(monkeypatch):
    """A profile that names its key never falls back to another account's."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("MINE", raising=False)
    assert refusal(source(auth_key_env="MINE")) == "no key for synthetic: set the environment variable MINE"


def test_the_first_named_place_that_has_a_key_serves(monkeypatch, vault, tmp_path):
    """Variable, then keyring, then file."""
    monkeypatch.delenv("MINE", raising=False)
    found = source(auth_key_env="MINE", auth_key_name="work", auth_keyfile=key_file(tmp_path, "from-file"))
    assert found.read() == "from-file"
    vault.entries[SERVICE, "work"] = "from-keyring"
    assert found.read() == "from-keyring"
    monkeypatch.setenv("MINE", "from-variable")
    assert found.read() == "from-variable"


def test_the_keyring_is_asked_under_our_name_and_then_the_original_tools(vault):
    """Keys stored with the command line tool serve too."""
    vault.entries[ORIGINAL_SERVICE, "work"] = "theirs"
    assert source(auth_key_name="work").read() == "theirs"
    vault.entries[SERVICE, "work"] = "ours"
    assert source(auth_key_name="work").read() == "ours"


def test_only_the_keyring_may_block(monkeypatch):
    """Everything else is read on the spot."""
    assert source(auth_key_name="work").may_block
    assert not source(auth_key_env="MINE", auth_keyfile="x").may_block


def test_a_keyring_without_the_key_names_the_command(vault):
    """``%llx_key set`` mends it."""
    assert refusal(source(auth_key_name="work")) == "no key for synthetic: store it with %llx_key set work"


def test_a_keyring_that_fails_is_one_line_without_its_own_words(broken):
    """Its error may repeat the key, so only its kind is told."""
    message = refusal(source(auth_key_name="work"))
    assert message == (
        "no key for synthetic: the operating system's keyring cannot be used (RuntimeError); "
        "use an environment variable or a key file instead"
    )


def test_without_the_keyring_package_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "-m pip install 'keyring" in refusal(source(auth_key_name="work"))


def test_a_key_file_is_read_and_stripped(tmp_path, monkeypatch):
    """``~`` is the home folder, a byte-order mark and line ends do not count."""
    monkeypatch.setenv("HOME", str(tmp_path))
    key_file(tmp_path, b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    assert source(auth_keyfile="~/key").read() == KEY


def test_a_key_file_that_others_can_read_is_refused(tmp_path, monkeypatch):
    """The line is the command that mends it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for mode in (0o640, 0o604, 0o660):
        path = key_file(tmp_path, mode=mode)
        assert refusal(source(auth_keyfile=path)) == (
            "no key for synthetic: the key file can be read by others; type: chmod 600 ~/key"
        )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        (KEY + "\n" + KEY, "more than one line"),
        (KEY + "\r" + KEY, "more than one line"),
        (KEY + " x", "a space or a character that no key has"),
        (KEY + "é", "a space or a character that no key has"),
        (KEY + "\x1b", "a space or a character that no key has"),
        (b"\xff\xfe" + KEY.encode(), "not text in UTF-8"),
        (KEY * 10_000, "too large for a key"),
    ],
)
def test_a_key_file_with_no_usable_key_is_refused(tmp_path, content, expected):
    """And its content is in no message and no variable of the traceback."""
    assert expected in refusal(source(auth_keyfile=key_file(tmp_path, content)))


def test_a_key_file_that_cannot_be_opened_is_one_line(tmp_path):
    """Missing, a folder, a pipe without a writer, an impossible name."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, expected in [
        (str(tmp_path / "none"), "cannot be read (no such file or directory)"),
        (str(tmp_path), "not a regular file"),
        (str(tmp_path / "pipe"), "not a regular file"),
        ("x\0y", "cannot be read"),
        ("~nobody-of-that-name/x", "cannot be read (no such home folder)"),
    ]:
        assert expected in refusal(source(auth_keyfile=path))


def test_a_variable_with_a_line_break_inside_is_refused(monkeypatch):
    """It could not be sent in a header."""
    monkeypatch.setenv("MINE", f"{KEY}\nX-Other: 1")
    assert "the variable MINE cannot be used: it has more than one line" in refusal(source(auth_key_env="MINE"))


def test_a_source_shows_no_key():
    """Its repr hides a literal key."""
    assert "very-secret" not in repr(source(auth_key=Secret(KEY)))


def test_keys_are_stored_named_and_removed(vault, tmp_path):
    """The keyring holds the key; the file holds the name only, for the user alone."""
    chain = Keychain(tmp_path / "state")
    assert chain.names() == ()
    assert chain.set("work", Secret(f" {KEY}\n")) is False
    assert chain.set("home", Secret("k2")) is False
    assert chain.set("work", Secret(KEY)) is True
    assert vault.entries[SERVICE, "work"] == KEY
    assert chain.names() == ("home", "work")
    file = tmp_path / "state" / "keys.json"
    assert json.loads(file.read_text()) == {"names": ["home", "work"]}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    chain.delete("work")
    assert chain.names() == ("home",)
    assert (SERVICE, "work") not in vault.entries


def test_deleting_a_key_that_the_keyring_lost_removes_its_name(vault, tmp_path):
    """The list and the keyring agree again."""
    chain = Keychain(tmp_path)
    chain.set("work", Secret(KEY))
    vault.entries.clear()
    chain.delete("work")
    assert chain.names() == ()


def test_what_cannot_be_a_key_or_its_name_is_refused(vault, tmp_path):
    """Names as those of profiles; keys of one line."""
    chain = Keychain(tmp_path)
    for name, key, expected in [
        ("a/b", KEY, "key name 'a/b' must be"),
        ("con", KEY, "device name"),
        ("a", "", "it is empty"),
        ("a", "x\ny", "more than one line"),
    ]:
        with pytest.raises(ProfileError, match=expected):
            chain.set(name, Secret(key))
    with pytest.raises(ProfileError, match="no key is named 'a'; there are none yet"):
        chain.delete("a")
    assert vault.entries == {}


def test_a_keyring_that_takes_no_key_leaves_no_name_and_no_trace_of_the_key(broken, tmp_path):
    """One line; the key is in no variable of the traceback."""
    chain = Keychain(tmp_path)
    with pytest.raises(KeyringProblem) as caught:
        chain.set("work", Secret(KEY))
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "very-secret" not in str(caught.value) + "".join(str(frame.locals) for frame in frames.stack)
    assert caught.value.__context__ is None
    assert chain.names() == ()


def test_a_damaged_list_of_names_is_one_line(tmp_path):
    """Naming the file."""
    (tmp_path / "keys.json").write_text("{")
    with pytest.raises(ProfileError, match=r"keys\.json: line 1, column 2"):
        Keychain(tmp_path).names()
