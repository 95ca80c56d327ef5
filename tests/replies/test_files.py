"""Files that are no store, of another version, damaged, elsewhere; and two processes on one."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from llx_magic.errors import LlxError, UsageProblem
from llx_magic.files.drives import kind_of_drive
from llx_magic.replies.problems import StoreProblem
from llx_magic.replies.store import ReplyStore
from tests.replies.kit import key, stored, text_of, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "replies.sqlite"


def made_by_another(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE reply (mine)")


def made_by_a_newer_version(path: Path) -> None:
    ReplyStore.open(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 9")


REFUSED = {
    "a text": (
        lambda path: path.write_text("id,text\n" * 500),
        "is not a store of replies; name another file for it",
    ),
    "another program's": (made_by_another, "is another program's database; name another file for the replies"),
    "a newer version's": (
        made_by_a_newer_version,
        "was written by a newer version of llx_magic (store 9, this one knows 1); update it, or name another file",
    ),
    "a folder": (Path.mkdir, "is not a file; name one for the store of replies"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_store_is_refused_in_one_line_and_left_as_it_is(path, name):
    make, line = REFUSED[name]
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    with pytest.raises(UsageProblem) as refused:
        ReplyStore.open(path)
    assert str(refused.value) == f"{path}: {line}"
    assert (None if path.is_dir() else path.read_bytes()) == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_empty_file_and_an_empty_database_become_stores(path):
    path.touch()
    ReplyStore.open(path).close()
    path.unlink()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = WAL")
    with ReplyStore.open(path) as store:
        assert write(store, {key("a"): stored()}) == [None]


def test_a_damaged_store_is_one_line(path):
    with ReplyStore.open(path) as store:
        write(store, {key(str(number)): stored("x" * 900) for number in range(500)})
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 60] = os.urandom(4096 * 57)
    path.write_bytes(data)
    with pytest.raises(LlxError, match="is damaged; move it away"), ReplyStore.open(path) as store:
        list(store.export())


@pytest.mark.posix("root may write everything, and Windows has no modes")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="NOT RUN as root, who may write everything")
def test_a_store_that_cannot_be_written_is_one_line(path):
    ReplyStore.open(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreProblem, match="cannot be"), ReplyStore.open(path) as store:
        raise write(store, {key("a"): stored()})[0]


def test_a_place_where_no_file_can_be_is_one_line(path):
    path.write_text("")
    with pytest.raises(StoreProblem, match=r"cannot be opened \(not a directory\)"):
        ReplyStore.open(path / "replies.sqlite")


def test_a_store_is_written_ahead_in_a_log_and_each_commit_is_flushed(path):
    with ReplyStore.open(path) as store:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)


@pytest.mark.posix("there a link needs a privilege")
@pytest.mark.parametrize("was_there", [False, True])
def test_without_shared_memory_a_rollback_journal_takes_the_place_of_the_log(path, was_there):
    """A link to nowhere in the place of the shared memory's file is as good as a drive that has none."""
    if was_there:
        with ReplyStore.open(path) as store:
            write(store, {key("before"): stored("kept")})
    path.with_name(path.name + "-shm").symlink_to("/nowhere/at-all")
    with ReplyStore.open(path) as store, ReplyStore.open(path) as other:
        assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
        assert write(store, {key("a"): stored("one")}) == [None]
        assert write(other, {key("b"): stored("two")}) == [None]
        assert (text_of(store, "b"), text_of(other, "a")) == ("two", "one")
        assert text_of(store, "before") == ("kept" if was_there else None)


MOUNTS = r"""
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local ext4 rw 0 0
//server/share /mnt/a\040b cifs rw 0 0
drive /content/drive fuse.rclone rw 0 0
C:\134 /mnt/c 9p rw 0 0
broken
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/replies.sqlite", "ext4"),
        ("/home/ann/.llxprt/llx_magic/replies.sqlite", "nfs4"),
        ("/home/local/replies.sqlite", "ext4"),
        ("/homes/replies.sqlite", "ext4"),
        ("/mnt/a b/replies.sqlite", "cifs"),
        ("/content/drive/MyDrive/replies.sqlite", "fuse"),
        ("/mnt/c/Users/replies.sqlite", "9p"),
    ],
)
def test_the_kind_of_drive_is_that_of_the_nearest_mount(path, kind):
    assert kind_of_drive(Path(path), MOUNTS) == kind


WRITE = """
import sys
from pathlib import Path
from llx_magic.replies.store import ReplyStore
from tests.replies.kit import key, stored, write
with ReplyStore.open(Path(sys.argv[1])) as store:
    went = write(store, {key(f"{sys.argv[2]}{number}"): stored() for number in range(500)})
    went += write(store, {key(f"both{number}"): stored(sys.argv[2]) for number in range(100)})
    print(sum(each is None for each in went))
"""


def test_two_processes_make_and_write_one_store_at_once(path):
    running = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(path), name], stdout=subprocess.PIPE, text=True)
        for name in ("x", "y")
    ]
    assert [process.communicate()[0].strip() for process in running] == ["600", "600"]
    with ReplyStore.open(path) as store:
        assert sum(1 for _ in store.export()) == 1_100


MAKE = """
import sys
from pathlib import Path
from llx_magic.replies.store import ReplyStore
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    ReplyStore.open(Path(sys.argv[1], f"{number}.sqlite")).close()
"""


def test_a_store_that_another_process_is_just_making_is_not_taken_for_another_programs(tmp_path):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    for process in running:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
    assert [process.returncode for process in running] == [0, 0, 0]


@pytest.mark.posix("there is no fork")
def test_a_forked_process_has_a_connection_of_its_own(path):
    with ReplyStore.open(path) as store:
        write(store, {key("a"): stored("A")})
        child = os.fork()
        if child == 0:  # pragma: no cover
            os._exit(0 if text_of(store, "a") == "A" and write(store, {key("b"): stored("B")}) == [None] else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert text_of(store, "b") == "B"
        assert write(store, {key("c"): stored("C")}) == [None]
