"""Saving: private from creation, whole or not at all, and nothing lost, whoever is killed and whatever is there."""

from __future__ import annotations

import codecs
import json
import os
import random
import select
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llx_magic.errors import ProfileError
from llx_magic.files.private import locked
from llx_magic.profiles.document import LoadBalancerProfile, ModelProfile
from llx_magic.profiles.store import ProfileStore
from llx_magic.text.values import JsonValue
from tests.notebook.kit import ROOT

pytestmark = pytest.mark.posix("forks, limits and modes are those of POSIX systems")

NOBODY = 65534
STEPS = ("open", "os.rename", "os.link", "os.remove", "os.chmod", "os.mkdir")
"""What a process asks of the system about files, as the interpreter reports it just before."""


def model(name: str, text: str = "m", **params: JsonValue) -> ModelProfile:
    return ModelProfile(name, "simulated", text, params=params)


@pytest.fixture
def store(tmp_path) -> ProfileStore:
    return ProfileStore(tmp_path / "config" / "profiles")


def in_a_copy(work: Callable[[], object]) -> tuple[int, str]:
    """Do something in a forked copy of this process; its exit status, and what it came to or how it failed."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            said = str(work())
        except BaseException as problem:
            said = f"{type(problem).__name__}: {problem}"
        os.write(writing, said.encode(errors="replace"))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def as_an_ordinary_user(folder: Path, work: Callable[[], object]) -> str:
    """Do something as a user whom the system can refuse something; ``folder`` and all above must let them in."""

    def drop_and_work() -> object:
        codecs.lookup("utf-8-sig")  # the interpreter itself may lie where only this user may read
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        return work()

    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.getuid() and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o011)
    status, said = in_a_copy(drop_and_work)
    assert status == 0
    return said


def give_away(folder: Path) -> None:
    """Make the ordinary user the owner of a folder and all in it."""
    for each in (folder, *folder.rglob("*")):
        if os.getuid() == 0:
            os.chown(each, NOBODY, NOBODY, follow_symlinks=False)


# --- private --------------------------------------------------------------------------------------------------------


def save_and_watch(folder: Path) -> str:
    """Note the mode of each new file at the first moment after its creation, and just before it takes its place."""
    modes: set[str] = set()

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event == "os.chmod" and isinstance(args[0], int):
            modes.add(f"created {stat.S_IMODE(os.fstat(args[0]).st_mode):o}")
        elif event == "os.rename":
            modes.add(f"renamed {stat.S_IMODE(Path(str(args[0])).stat().st_mode):o}")

    sys.addaudithook(watch)
    store = ProfileStore(folder)
    os.umask(0)
    store.save(model("a"))
    store.save(model("a", "other"))
    store.set_default("a")
    second = folder / "a.json"
    os.link(second, folder / "twin")
    second.chmod(0o644)
    store.save(model("a", "third"))
    return ", ".join(sorted(modes))


def test_a_file_is_private_from_the_moment_of_its_creation(store):
    """With no mask at all, also where the copy of the previous version has to be copied."""
    assert in_a_copy(lambda: save_and_watch(store.folder)) == (0, "created 600, renamed 600")
    for folder in (store.folder, store.state_folder, store.folder.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o177, 0o377, 0o777], ids=oct)
def test_whatever_the_mask_the_user_can_read_what_was_saved(tmp_path, mask):
    """A mask takes away from others, and here not from the user."""
    home = tmp_path / "home"
    home.mkdir()
    give_away(home)

    def save_twice() -> object:
        os.umask(mask)
        store = ProfileStore(home / "config" / "profiles")
        store.save(model("a"))
        store.save(model("a", "other"))
        return store.load("a").members[0].model

    assert as_an_ordinary_user(home, save_twice) == "other"


def test_another_name_of_the_file_keeps_its_content_and_its_mode(store):
    """A hard link that somebody made is neither written through nor closed to others."""
    store.save(model("a"))
    other = store.folder.parent / "other-name"
    os.link(store.folder / "a.json", other)
    other.chmod(0o644)
    before = other.read_bytes()
    backup = store.save(model("a", "changed")).backup
    assert other.read_bytes() == before == backup.read_bytes()
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600


@pytest.mark.parametrize("linked", [False, True])
def test_the_backup_of_a_deleted_file_is_private(store, linked):
    """It may hold a key in clear; another name of the file keeps its mode and its content."""
    store.save(model("a"))
    path, other = store.folder / "a.json", store.folder.parent / "other-name"
    path.chmod(0o644)
    if linked:
        os.link(path, other)
    before = path.read_bytes()
    backup = store.delete("a").backup
    assert not path.exists()
    assert backup.read_bytes() == before
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    if linked:
        assert stat.S_IMODE(other.stat().st_mode) == 0o644
        assert other.read_bytes() == before


def test_a_lock_that_is_another_name_of_a_file_leaves_its_mode_and_content(store, tmp_path):
    """Somebody linked it there; it is locked all the same."""
    store.save(model("a"))
    lock, other = store.state_folder / "lock", tmp_path / "other"
    lock.unlink()
    other.write_text("mine")
    other.chmod(0o644)
    os.link(other, lock)
    store.save(model("b"))
    assert stat.S_IMODE(other.stat().st_mode) == 0o644
    assert other.read_text() == "mine"


@pytest.mark.parametrize("mode", [0o2775, 0o755, 0o700], ids=oct)
def test_a_folder_that_was_there_keeps_its_mode_and_what_is_saved_in_it_is_private(store, mode):
    """It may be shared on purpose; a folder of ours beside it is private from the start."""
    store.folder.mkdir(parents=True)
    store.folder.chmod(mode)
    store.save(model("a"))
    store.save(model("a", "other"))
    assert stat.S_IMODE(store.folder.stat().st_mode) == mode
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder.iterdir()} == {0o600}
    assert stat.S_IMODE(store.state_folder.stat().st_mode) == 0o700


# --- killed ---------------------------------------------------------------------------------------------------------


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Do something in a copy that is killed just before its n-th step; whether it came that far."""

    def work_until() -> None:
        left = [step]

        def count(event: str, _args: object) -> None:
            if event in STEPS:
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        work()

    return in_a_copy(work_until)[0] == -signal.SIGKILL


OPERATIONS: dict[str, Callable[[ProfileStore], object]] = {
    "save a new one": lambda store: store.save(model("new")),
    "save over one": lambda store: store.save(model("old", "after", pad="x" * 5000)),
    "delete": lambda store: store.delete("old"),
    "choose the default": lambda store: store.set_default("other"),
    "clear the default": lambda store: store.clear_default(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_before_any_step_it_leaves_the_old_or_the_new_and_no_litter(tmp_path, operation):
    """Each step of the operation in turn; nothing in between is ever seen, and the next writer is not held up."""
    step, kills = 0, 0
    while True:
        step += 1
        store = ProfileStore(tmp_path / str(step) / "profiles")
        for name in ("old", "other"):
            store.save(model(name, "before"))
        store.set_default("old")
        killed = killed_at(step, lambda store=store: OPERATIONS[operation](store))
        kills += killed
        rows = {row.name: row for row in store.list() if not row.shipped}
        assert set(rows) - {"new"} in ({"old", "other"}, {"other"})
        assert not any(row.problem for row in rows.values())
        kept = [name for name in ("old.json", "old.json.bak") if (store.folder / name).exists()]
        assert any(json.loads((store.folder / name).read_text())["model"] == "before" for name in kept)
        if "old" in rows:
            assert store.load("old").members[0].model in ("before", "after")
        assert store.default() in ("old", "other", None)
        store.save(model("next"))
        assert not list(store.folder.glob(".*"))
        if not killed:
            break
    assert kills >= 2


def interrupted_at(step: int, store: ProfileStore, operation: str) -> str:
    """Interrupt an operation just before its n-th step, then save in the same process."""
    left = [step]

    def count(event: str, _args: object) -> None:
        if event in STEPS:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

    sys.addaudithook(count)
    try:
        OPERATIONS[operation](store)
    except KeyboardInterrupt:
        store.save(model("next"))
        return "interrupted"
    return "done"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_interrupted_before_any_step_it_leaves_the_old_or_the_new_and_lets_go_of_the_lock(tmp_path, operation):
    """The same process can save at once."""
    step, said = 0, "interrupted"
    while said == "interrupted":
        step += 1
        store = ProfileStore(tmp_path / str(step) / "profiles")
        for name in ("old", "other"):
            store.save(model(name, "before"))
        store.set_default("old")
        status, said = in_a_copy(lambda step=step, store=store: interrupted_at(step, store, operation))
        assert status == 0
        assert said in ("interrupted", "done")
        assert not any(row.problem for row in store.list())
        if (store.folder / "old.json").exists():
            assert store.load("old").members[0].model in ("before", "after")
        else:
            assert json.loads((store.folder / "old.json.bak").read_text())["model"] == "before"
        if said == "interrupted":
            assert not list(store.folder.glob(".*"))
    assert step > 2


class Writer:
    """A process that saves and tells of each save that came back."""

    def __init__(self, folder: Path, number: int, turns: range) -> None:
        reading, writing = os.pipe()
        self.number = number
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            self._write(folder, turns, writing)
        os.close(writing)
        self.pipe = reading
        self.done = turns.start - 1

    def _write(self, folder: Path, turns: range, pipe: int) -> None:
        status = 1
        try:
            store = ProfileStore(folder)
            for turn in turns:
                store.save(model(f"own{self.number}", f"{turn}", pad="x" * 5000))
                store.save(model("shared", f"{self.number}-{turn}"))
                store.set_default(f"own{self.number}")
                os.write(pipe, b"%d\n" % turn)
            status = 0
        finally:
            os._exit(status)

    def hear(self, seconds: float) -> bool:
        """Take in what it has told; whether it has ended."""
        while select.select([self.pipe], [], [], seconds)[0]:
            if not (told := os.read(self.pipe, 65536)):
                return True
            self.done = int(told.split()[-1])
            seconds = 0
        return False

    def end(self) -> int:
        """Wait for it; its exit status."""
        while not self.hear(1):
            pass
        os.close(self.pipe)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


TURNS, KILLS = 200, 30


def test_two_processes_save_200_times_each_while_they_are_killed_and_nothing_is_lost(store):
    """A save that came back is there, or a later one; each file is whole; no lock is left; the default is theirs."""
    chance = random.Random(7)
    writers = [Writer(store.folder, number, range(TURNS)) for number in (0, 1)]
    kills = 0
    while any(writer.done < TURNS - 1 for writer in writers):
        for index, writer in enumerate(writers):
            ended = writer.hear(chance.random() * 0.02)
            if (store.folder / "shared.json").exists():
                assert store.load("shared").members[0].model.partition("-")[0] in "01"
            if writer.done < TURNS - 1 and (
                ended or (kills < KILLS and 0 <= writer.done < TURNS - 5 and chance.random() < 0.3)
            ):
                os.kill(writer.pid, signal.SIGKILL)
                assert writer.end() == -signal.SIGKILL
                kills += 1
                there = int(store.load(f"own{index}").members[0].model)
                assert there in (writer.done, writer.done + 1)
                writers[index] = Writer(store.folder, index, range(writer.done + 1, TURNS))
                writers[index].done = writer.done
    assert [writer.end() for writer in writers] == [0, 0]
    assert kills == KILLS
    assert {store.load(f"own{number}").members[0].model for number in (0, 1)} == {f"{TURNS - 1}"}
    assert store.default() in ("own0", "own1")
    versions = [json.loads((store.folder / name).read_text())["model"] for name in ("shared.json", "shared.json.bak")]
    assert versions[0] != versions[1]
    assert any(version.endswith(f"-{TURNS - 1}") for version in versions)
    assert all(row.problem is None for row in store.list())
    store.save(model("after"))
    names = {"own0", "own1", "shared"}
    assert {path.name for path in store.folder.iterdir()} == {
        "after.json", *(f"{name}.json" for name in names), *(f"{name}.json.bak" for name in names),
    }  # fmt: skip


def test_a_forked_child_does_not_keep_a_lock_that_its_parent_held(store, tmp_path):
    """A thread saves while another forks; the child lives on and the next writer is let in."""
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(store.folder, store.state_folder):
            holding.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(30)
    started_reading, started = os.pipe()
    if (child := os.fork()) == 0:
        os.write(started, b".")
        time.sleep(600)
        os._exit(0)
    try:
        os.read(started_reading, 1)
        release.set()
        holder.join()
        store.save(model("a"))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert store.load("a").name == "a"


# --- in the way -----------------------------------------------------------------------------------------------------


def test_a_newer_version_is_left_as_it_is_by_all_but_delete_which_keeps_it_as_a_copy(store):
    """Saving over it and choosing it are refused in one line; deleting is asked for by name, and loses nothing."""
    store.save(model("other"))
    path = store.folder / "a.json"
    content = b'{"version": 2, "provider": "x",\n  "shape": ["new"]}'
    path.write_bytes(content)
    expected = r"a\.json: version 2 is newer than 1, the newest understood; update llx-magic"
    for action in (
        lambda: store.load("a"),
        lambda: store.save(model("a")),
        lambda: store.save(LoadBalancerProfile("lb", "failover", ("a", "other"))),
        lambda: store.set_default("a"),
    ):
        with pytest.raises(ProfileError, match=expected):
            action()
        assert path.read_bytes() == content
    assert not (store.folder / "a.json.bak").exists()
    assert store.default() is None
    assert store.delete("a").backup.read_bytes() == content


def test_a_name_that_differs_only_in_case_is_refused(store):
    """On some systems the two are one file, and saving one would replace the other."""
    store.save(model("Fast"))
    with pytest.raises(ProfileError, match="profile fast: there is Fast, which differs only in case"):
        store.save(model("fast"))
    assert [row.name for row in store.list() if not row.shipped] == ["Fast"]
    (store.folder / "fast.json").write_bytes((store.folder / "Fast.json").read_bytes())
    store.save(model("fast", "both are there"))
    assert store.load("Fast").members[0].model == "m"


def test_a_full_disk_is_one_line_and_the_old_file_stands(store):
    """No litter is left, and the next save works."""
    store.save(model("a"))
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}

    def save_with_no_room() -> object:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        return store.save(model("a", "b" * 5000))

    status, said = in_a_copy(save_with_no_room)
    assert status == 0
    assert said.startswith("ProfileError: ")
    assert said.endswith("profiles: cannot be written (file too large)")
    assert store.load("a").members[0].model == "m"
    assert {path.name: path.read_bytes() for path in store.folder.iterdir() if path.suffix == ".json"} == before
    store.save(model("b"))
    assert not list(store.folder.glob(".*"))


@pytest.mark.parametrize("lock", ["link", "folder", "socket-like"])
def test_something_else_in_the_place_of_the_lock_is_one_line_and_is_not_followed(store, tmp_path, lock):
    """A link there would make or change a file elsewhere; the line names what is to be taken away."""
    store.save(model("a"))
    path = store.state_folder / "lock"
    path.unlink()
    if lock == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif lock == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(ProfileError, match=r"llx_magic/lock: cannot be written \("):
        store.save(model("b"))
    assert not (tmp_path / "elsewhere").exists()
    assert store.load("a").name == "a"


BAD_DEFAULTS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "nul": lambda path: path.write_bytes(b"\0" * 100),
    "utf-16": lambda path: path.write_bytes("a".encode("utf-16")),
    "escape": lambda path: path.write_bytes(b"\x1b[2J"),
    "upwards": lambda path: path.write_bytes(b"../../etc/passwd"),
    "two lines": lambda path: path.write_bytes(b"a\nb\n"),
    "huge": lambda path: os.truncate(path.touch() or path, 100 << 20),
    "link": lambda path: path.symlink_to("lock"),
    "loop": lambda path: path.symlink_to(path),
    "pipe": os.mkfifo,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", BAD_DEFAULTS)
def test_a_default_that_is_none_is_one_line_and_profiles_are_listed_and_named_all_the_same(store, kind):
    """Clearing it mends it; a folder is not removed, and that is said."""
    store.save(model("a"))
    path = store.state_folder / "default-profile"
    BAD_DEFAULTS[kind](path)
    with pytest.raises(ProfileError, match="default-profile: holds no profile name; type llx profile set-default"):
        store.default()
    assert not any(row.is_default or row.problem for row in store.list())
    assert store.load("a").name == "a"
    if kind == "folder":
        with pytest.raises(
            ProfileError, match=r"is not cleared: .*default-profile cannot be removed \(is a directory\)"
        ):
            store.clear_default()
    else:
        store.clear_default()
        assert store.default() is None
        assert (store.state_folder / "lock").is_file()


@pytest.mark.parametrize("kind", ["file", "loop", "dangling", "pipe"])
def test_something_else_in_the_place_of_the_folder_is_said_in_the_list_and_in_one_line(tmp_path, kind):
    """What comes with the package still loads."""
    place = tmp_path / "profiles"
    make = {
        "file": lambda: place.write_text("{}"),
        "loop": lambda: place.symlink_to(place),
        "dangling": lambda: place.symlink_to(tmp_path / "nowhere" / "deep"),
        "pipe": lambda: os.mkfifo(place),
    }
    make[kind]()
    store = ProfileStore(place)
    assert store.load("demo").name == "demo"
    assert any(row.name == "demo" for row in store.list())
    if kind != "dangling":
        assert "profiles: cannot be read (" in store.list()[0].problem
        with pytest.raises(ProfileError, match=r"unknown profile 'x'.*profiles: cannot be read \("):
            store.load("x")
    with pytest.raises(ProfileError, match="cannot be written") as caught:
        store.save(model("a"))
    assert str(caught.value).isprintable()


@pytest.fixture
def shared(tmp_path) -> Path:
    """A configuration that an ordinary user owns, with two profiles."""
    home = tmp_path / "config"
    store = ProfileStore(home / "profiles")
    for name in ("a", "b"):
        store.save(model(name))
    give_away(home)
    return home


def test_a_read_only_folder_is_one_line_and_its_profiles_load(shared):
    """Saving, deleting and choosing a default change nothing."""
    store = ProfileStore(shared / "profiles")
    for folder in (store.folder, store.state_folder, shared):
        folder.chmod(0o500)

    def try_all() -> str:
        said = [str(store.load("a").name), str(sum(not row.shipped for row in store.list()))]
        for action in (
            lambda: store.save(model("a", "x")),
            lambda: store.save(model("c")),
            lambda: store.delete("a"),
            lambda: store.set_default("a"),
        ):
            try:
                action()
            except ProfileError as problem:
                said.append(str(problem).rpartition(": ")[2])
        return " | ".join(said)

    if os.getuid() == 0:
        for folder in (store.folder, store.state_folder):
            os.chown(folder, 0, 0)  # not owned: the mode cannot be mended
            folder.chmod(0o555)
        refused = "cannot be written (permission denied)"
        assert as_an_ordinary_user(shared, try_all) == "a | 2" + f" | {refused}" * 4
    else:
        assert as_an_ordinary_user(shared, try_all).startswith("a | 2")


def test_a_file_and_a_folder_that_may_not_be_read_are_one_line_each(shared):
    """The other profile still works, and the list says what is wrong."""
    store = ProfileStore(shared / "profiles")
    (store.folder / "a.json").chmod(0)

    def try_file() -> str:
        problems = [row.problem for row in store.list() if row.problem]
        return f"{store.load('b').name} {len(problems)} {problems[0].rpartition(': ')[2]}"

    assert as_an_ordinary_user(shared, try_file) == "b 1 cannot be read (permission denied)"
    store.folder.chmod(0)

    def try_folder() -> str:
        problems = [row.problem for row in store.list() if row.problem]
        return f"{store.load('demo').name} {len(problems)} {problems[0].rpartition(': ')[2]}"

    assert as_an_ordinary_user(shared, try_folder) == "demo 1 cannot be read (permission denied)"
    store.folder.chmod(0o700)


NO_HOME = """
import os, sys
from traitlets.config import Config
from IPython.core.interactiveshell import InteractiveShell
import llx_magic.notebook.extension, llx_magic.notebook.notebook
shell = InteractiveShell(config=Config(HistoryManager={"enabled": False}))
def try_all():
    shell.run_cell("%load_ext llx_magic").raise_error()
    for cell in ("%llx_profile list", "%llx hello"):
        error = shell.run_cell(cell).error_in_exec
        print("=>", type(error).__name__, error)
    shell.run_cell("%unload_ext llx_magic").raise_error()
os.environ["LLXPRT_CONFIG_HOME"] = "/dev/null"
try_all()  # imports all of it as a user who may read the interpreter's files
for name in ("HOME", "LLXPRT_CONFIG_HOME"):
    os.environ.pop(name, None)
os.setuid(4242)
print("=> now without")
try_all()
"""


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0,
    reason="only the superuser can become any user",
)
def test_without_a_home_the_extension_loads_and_each_command_says_what_is_missing(tmp_path):
    """A container's user may have no name and no home."""
    env = {**os.environ, "IPYTHONDIR": "/tmp", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", NO_HOME], capture_output=True, text=True, env=env, cwd="/tmp", check=False
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("=>")]
    assert (
        said[said.index("=> now without") + 1 :]
        == ["=> ProfileError '~/.llxprt': the home folder of that user is not known"] * 2
    ), done


def test_ten_thousand_files_are_listed_and_one_of_them_is_found(tmp_path):
    """Half of them are load balancers whose members are missing; no name is compared with all the others."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    broken = json.dumps({"type": "loadbalancer", "policy": "failover", "profiles": ["p1", "nobody"]})
    sound = json.dumps({"provider": "simulated", "model": "m"})
    for number in range(10_000):
        (folder / f"p{number}.json").write_text(sound if number % 2 else broken)
    store = ProfileStore(folder)
    rows = [row for row in store.list() if not row.shipped]
    assert (len(rows), sum(row.problem is not None for row in rows)) == (10_000, 5000)
    assert store.load("p77").name == "p77"
    with pytest.raises(ProfileError, match="unknown profile 'p10001'; did you mean") as caught:
        store.load("p10001")
    assert len(str(caught.value)) < 500
