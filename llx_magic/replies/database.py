"""The file of a store: made, recognised, and opened so that what was committed stays."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import stat
import time
from pathlib import Path

from llx_magic.errors import UsageProblem
from llx_magic.files.drives import is_shared_drive
from llx_magic.files.private import private_folder
from llx_magic.replies.problems import in_words
from llx_magic.text.wording import shown_path

TRIED_AGAIN_SECONDS = 0.005
"""After how many seconds the journal is changed anew, while another process does so."""

VERSION = 1
"""The version of the tables; a store of a newer one is refused."""

_APPLICATION = 0x6C6C7872
"""What tells a store from other programs' databases (https://www.sqlite.org/pragma.html#pragma_application_id)."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS reply (id INTEGER PRIMARY KEY, key BLOB NOT NULL, occurrence INTEGER NOT NULL,
    asked BLOB NOT NULL, profile TEXT NOT NULL, failed INTEGER NOT NULL, at REAL NOT NULL, data BLOB NOT NULL)""",
    # A table in the order of its rows, with an index beside it, costs a third of one that is sorted by random keys.
    "CREATE UNIQUE INDEX IF NOT EXISTS reply_key ON reply (key, occurrence, asked)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """Open a store, made where there is none (mode 0600); ``patience`` in seconds is how long a lock is waited for.

    What is committed is on the disk: the log is flushed with each commit. Where there can be no log, since it needs
    memory that all processes share (https://www.sqlite.org/wal.html), a rollback journal takes its place.

    Raises:
        UsageProblem: where the file is another program's, or of a newer version.
        StoreProblem: where it cannot be opened.
    """
    with in_words(path, patience):
        _make(path)
        try:
            if not is_shared_drive(path):
                return _opened(path, patience)
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode & 0xFF not in _WITHOUT_SHARED_MEMORY:
                raise
        _opened(path, patience, may_log=False, is_alone=True).close()
        return _opened(path, patience, may_log=False)


def copy(connection: sqlite3.Connection, backup: Path) -> None:
    """Write what a store holds into another file (mode 0600), which is named so only once it is whole.

    The copy has no log, so that one which an earlier copy of that name has left is not read as its own.

    Raises:
        OSError: where the file cannot be made; as all that SQLite raises, it leaves the earlier copy.
    """
    temporary = backup.with_name(f".llx-{secrets.token_hex(8)}")
    try:
        _make(temporary)
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as target:
            connection.backup(target)
            target.execute("PRAGMA journal_mode = DELETE").fetchall()
        temporary.replace(backup)
    finally:
        temporary.unlink(missing_ok=True)


_WITHOUT_SHARED_MEMORY = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PROTOCOL)


def _opened(path: Path, patience: float, *, may_log: bool = True, is_alone: bool = False) -> sqlite3.Connection:
    """Open a file and make it a store where it is empty.

    Whoever opens it alone needs no shared memory for a log that is there, and leaves it for a rollback journal.
    """
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        if is_alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        _recognise(connection, path, patience, may_log=may_log)
        if _value(connection, "PRAGMA journal_mode") != "wal" or is_alone:
            connection.execute("PRAGMA journal_mode = TRUNCATE").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS alone has it: there a plain flush stops in the drive
        undo.pop_all()
    return connection


def _make(path: Path) -> None:
    """Make the file, for the user alone, and its folders.

    Raises:
        UsageProblem: where something that is no file is there.
    """
    private_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600)
        os.close(descriptor)
        path.chmod(0o600)  # the umask may have taken away what the user needs
    if not stat.S_ISREG(path.stat().st_mode):
        raise UsageProblem(f"{shown_path(path)}: is not a file; name one for the store of replies")


def _recognise(connection: sqlite3.Connection, path: Path, patience: float, *, may_log: bool) -> None:
    """Make the tables in an empty file; leave every other program's database as it is.

    Raises:
        UsageProblem: where it is another program's, or of a newer version.
    """
    connection.execute("BEGIN")  # of one moment: another process may be making the tables just now
    with connection:
        is_ours = _is_ours(connection, path)
    if not is_ours:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # can be said before the first table alone
        _change_journal(connection, "WAL" if may_log else "TRUNCATE", patience)
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            if not _is_ours(connection, path):  # another process may have been faster
                for statement in _TABLES:
                    connection.execute(statement)


def _change_journal(connection: sqlite3.Connection, kind: str, patience: float) -> None:
    """Change the kind of the journal, while other processes may be doing so: here SQLite itself waits for no lock."""
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {kind}").fetchall()
        except sqlite3.OperationalError as problem:
            if problem.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(TRIED_AGAIN_SECONDS)
        else:
            return


def _is_ours(connection: sqlite3.Connection, path: Path) -> bool:
    """Return whether it is a store, False where it is empty."""
    application, version = (_value(connection, f"PRAGMA {name}") for name in ("application_id", "user_version"))
    if application == 0 and version == 0 and not _value(connection, "SELECT count(*) FROM sqlite_master"):
        return False
    if application != _APPLICATION:
        raise UsageProblem(f"{shown_path(path)}: is another program's database; name another file for the replies")
    if int(version) > VERSION:
        raise UsageProblem(
            f"{shown_path(path)}: was written by a newer version of llx_magic (store {version}, this one knows "
            f"{VERSION}); update it, or name another file"
        )
    return True


def _value(connection: sqlite3.Connection, statement: str) -> int | str:
    found: int | str = connection.execute(statement).fetchone()[0]
    return found
