"""Deleting and clearing: each says what it did, on a full disk, when killed half way, and where it may not write."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import keyring
import pytest

from llx_magic.errors import LlxError, ProfileError, UsageProblem
from llx_magic.files.newfiles import write_new
from llx_magic.keys.keychain import Keychain, KeyringProblem, keep_for_session, session_key
from llx_magic.keys.secret import Secret
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.conversations import Conversations
from tests.files.test_saving import as_an_ordinary_user, give_away, in_a_copy, killed_at, model
from tests.keyrings import KEY, MemoryKeyring
from tests.session.kit import turn
from tests.typed import ConversationsTyped

chat = ConversationsTyped()

pytestmark = pytest.mark.posix("forks, and takes permissions away")


@pytest.fixture
def conversations(tmp_path) -> Conversations:
    made = Conversations(tmp_path / "conversations")
    made.record("plan", turn("a", "the question"))
    return made


@pytest.fixture
def store(tmp_path) -> ProfileStore:
    made = ProfileStore(tmp_path / "config" / "profiles")
    made.save(model("a"))
    return made


@pytest.fixture
def vault():
    before, memory = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def on_a_full_disk(work: Callable[[], object]) -> str:
    """Do something where files can be renamed, linked and removed, and not a byte can be written."""

    def work_without_room() -> object:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        return work()

    status, said = in_a_copy(work_without_room)
    assert status == 0
    return said


# --- conversations --------------------------------------------------------------------------------------------------


def test_a_conversation_whose_clearing_failed_can_be_deleted_and_is_gone_then(conversations):
    """On a disk that stays full all the time."""
    words = on_a_full_disk(lambda: chat.run(conversations, "clear plan").text)
    assert words == f"UsageProblem: {conversations.folder}: cannot be written (file too large)"
    assert [each.prompt for each in conversations.get("plan").turns] == ["the question"]
    words = on_a_full_disk(lambda: chat.run(conversations, "delete plan").text)
    assert words == "deleted conversation plan; its file is kept as plan.json.bak"
    assert conversations.names() == ()
    assert b"the question" in (conversations.folder / "plan.json.bak").read_bytes()


def test_a_conversation_whose_backup_is_another_name_of_its_file_can_be_deleted(conversations):
    """Told to rename one name of a file to another, a system does nothing and says that it did."""
    path = conversations.folder / "plan.json"
    os.link(path, conversations.folder / "plan.json.bak")
    assert on_a_full_disk(lambda: conversations.delete("plan").name) == "plan.json.bak"
    assert conversations.names() == ()
    assert b"the question" in (conversations.folder / "plan.json.bak").read_bytes()


@pytest.mark.parametrize("command", ["clear plan", "delete plan"])
def test_killed_before_any_step_of_it_a_conversation_is_there_whole_or_kept_as_its_backup(tmp_path, command):
    step = 0
    killed = True
    while killed:
        step += 1
        folder = tmp_path / str(step)
        made = Conversations(folder)
        made.record("plan", turn("a", "the question"))
        killed = killed_at(step, lambda made=made: chat.run(made, command))
        kept = [path for path in (folder / "plan.json", folder / "plan.json.bak") if path.exists()]
        assert any(b"the question" in path.read_bytes() for path in kept)
        if "plan" in made.names():
            assert [each.prompt for each in made.get("plan").turns] in (["the question"], [])
            made.delete("plan")
        assert made.names() == ()
        assert not list(folder.glob(".llx-*"))
    assert step > 3


@pytest.mark.parametrize("command", ["clear plan", "delete plan"])
def test_in_a_folder_that_may_not_be_written_a_conversation_stays_and_that_is_said(tmp_path, command):
    home = tmp_path / "home"
    home.mkdir()
    Conversations(home / "conversations").record("plan", turn("a", "the question"))
    give_away(home)
    (home / "conversations").chmod(0o500)

    def try_it() -> object:
        made = Conversations(home / "conversations")
        try:
            return chat.run(made, command).text
        except LlxError as problem:
            return f"{problem} | {len(made.get('plan').turns)}"

    said = as_an_ordinary_user(home, try_it)
    (home / "conversations").chmod(0o700)
    assert said.endswith("conversations: cannot be written (permission denied) | 1")


def test_in_a_folder_that_may_be_written_and_not_read_a_profile_is_saved_and_deleted(tmp_path):
    """What was done is not reported as failed because the folder could not be flushed afterwards."""
    home = tmp_path / "home"
    ProfileStore(home / "config" / "profiles").save(model("a"))
    give_away(home)
    (home / "config" / "profiles").chmod(0o300)

    def save_and_delete() -> object:
        store = ProfileStore(home / "config" / "profiles")
        store.save(model("b"))
        return store.delete("b").backup.name

    said = as_an_ordinary_user(home, save_and_delete)
    (home / "config" / "profiles").chmod(0o700)
    assert said == "b.json.bak"


# --- backups --------------------------------------------------------------------------------------------------------


def test_a_backup_is_a_copy_that_an_edit_in_place_of_the_file_leaves_alone(store):
    path = store.folder / "a.json"
    backup = store.save(model("a", "second")).backup
    for each in (path, backup):
        assert each.stat().st_nlink == 1
    with path.open("r+") as file:
        file.write("edited")
    assert b"edited" not in backup.read_bytes()


def test_the_backup_of_a_cleared_conversation_is_a_file_of_its_own(conversations):
    conversations.clear("plan")
    for path in conversations.folder.glob("plan.json*"):
        assert path.stat().st_nlink == 1


def test_a_profile_is_deleted_on_a_full_disk(store):
    assert on_a_full_disk(lambda: store.delete("a").backup.name) == "a.json.bak"
    assert "a" not in [row.name for row in store.list()]


# --- the default ----------------------------------------------------------------------------------------------------


def test_a_deleted_profile_that_cannot_be_cleared_as_the_default_is_said_to_be_both(tmp_path):
    home = tmp_path / "home"
    store = ProfileStore(home / "config" / "profiles")
    store.save(model("a"))
    store.set_default("a")
    give_away(home)
    store.state_folder.chmod(0o500)
    said = as_an_ordinary_user(home, lambda: store.delete("a"))
    store.state_folder.chmod(0o700)
    assert said == (
        "ProfileError: profile a is deleted, its file is kept as a.json.bak; but it stays the default: "
        f"{store.state_folder}/default-profile cannot be removed (permission denied)"
    )
    assert store.default() == "a"
    store.clear_default()
    assert store.default() is None


# --- keys -----------------------------------------------------------------------------------------------------------


def test_a_key_that_is_removed_and_stays_listed_is_said_to_be_both_and_can_be_deleted_again(vault, tmp_path):
    home = tmp_path / "home"
    chain = Keychain(home)
    chain.set("work", Secret(KEY))
    give_away(home)
    (home / "keys").chmod(0o500)
    said = as_an_ordinary_user(home, lambda: chain.delete("work"))
    (home / "keys").chmod(0o700)
    assert said == (
        "ProfileError: key work is removed from the keyring, but stays listed: "
        f"{home}/keys/work cannot be removed (permission denied)"
    )
    assert chain.names() == ("work",)
    chain.delete("work")
    assert chain.names() == ()


def test_a_key_that_is_stored_and_cannot_be_listed_is_said_to_be_both(vault, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    give_away(home)
    home.chmod(0o500)
    said = as_an_ordinary_user(home, lambda: Keychain(home).set("work", Secret(KEY)))
    home.chmod(0o700)
    assert said == (
        "ProfileError: key work is stored in the keyring, but not listed: "
        f"{home}/keys/work cannot be written (permission denied)"
    )


class KeepingKeyring(MemoryKeyring):
    """A keyring that says that it deletes."""

    def delete_password(self, service, username):
        pass


def test_a_key_that_the_keyring_keeps_is_not_said_to_be_removed(tmp_path):
    before = keyring.get_keyring()
    keyring.set_keyring(KeepingKeyring())
    chain = Keychain(tmp_path / "state")
    keep_for_session("work", Secret(KEY))
    try:
        chain.set("work", Secret(KEY))
        keep_for_session("work", Secret(KEY))
        with pytest.raises(KeyringProblem) as caught:
            chain.delete("work")
        assert str(caught.value) == "key work is not removed: the operating system's keyring still gives it"
        assert chain.names() == ("work",)
        assert session_key("work") is not None
    finally:
        keyring.set_keyring(MemoryKeyring())
        chain.delete("work")
        keyring.set_keyring(before)


# --- files that were asked for --------------------------------------------------------------------------------------


def test_an_export_that_found_no_room_leaves_no_half_a_file(conversations, tmp_path):
    target = tmp_path / "export.md"
    said = on_a_full_disk(lambda: chat.run(conversations, f"export plan --file {target}"))
    assert said == f"UsageProblem: {target}: cannot be written (file too large)"
    assert not target.exists()
    chat.run(conversations, f"export plan --file {target}")
    with pytest.raises(UsageProblem, match="is there already and is not overwritten"):
        chat.run(conversations, f"export plan --file {target}")
    assert "the question" in target.read_text()


def test_a_file_that_was_asked_for_is_whole_or_not_there(tmp_path):
    assert "OSError" in on_a_full_disk(lambda: write_new(tmp_path / "new", b"x" * 100_000))
    assert not (tmp_path / "new").exists()
    (tmp_path / "new").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "new", b"x")
    assert (tmp_path / "new").read_bytes() == b"mine"


def test_a_profile_that_is_no_file_is_not_deleted_and_that_is_said(store):
    (store.folder / "a.json").unlink()
    (store.folder / "a.json").symlink_to(Path("elsewhere.json"))
    with pytest.raises(ProfileError, match="is a symbolic link or not a regular file"):
        store.delete("a")
    assert (store.folder / "a.json").is_symlink()
