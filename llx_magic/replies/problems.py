"""What goes wrong with a store of replies, in one line that names its file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from llx_magic.errors import LlxError, UsageProblem
from llx_magic.files.private import reason
from llx_magic.text.wording import shown_path


class StoreProblem(LlxError):
    """The store of replies cannot be read or written now: the disk is full, say, or another process holds its lock."""


@contextlib.contextmanager
def in_words(path: Path, patience: float) -> Iterator[None]:
    """Turn what SQLite and the system raise into one line; ``patience`` in seconds is how long a lock is waited for.

    Raises:
        UsageProblem: where the file is no database.
        StoreProblem: for everything else.
    """
    try:
        yield
    except sqlite3.Error as problem:
        code = getattr(problem, "sqlite_errorcode", 0) & 0xFF  # of an extended code the last byte is the kind of error
        if code == sqlite3.SQLITE_NOTADB:
            raise UsageProblem(f"{shown_path(path)}: is not a store of replies; name another file for it") from None
        raise StoreProblem(f"{shown_path(path)}: {_words(code, problem, patience)}") from None
    except (OSError, ValueError) as problem:
        raise StoreProblem(f"{shown_path(path)}: cannot be opened ({reason(problem)})") from None


def _words(code: int, problem: sqlite3.Error, patience: float) -> str:
    """Return what is wrong by SQLite's code (https://www.sqlite.org/rescode.html), and what to do about it."""
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another process has kept it locked for {patience:g} s"
        case sqlite3.SQLITE_FULL:
            return "the disk is full"
        case sqlite3.SQLITE_CORRUPT:
            return "is damaged; move it away, or save what can be read of it with: sqlite3 FILE .recover"
        case sqlite3.SQLITE_READONLY:
            return "cannot be written"
    return f"cannot be read or written ({problem})"
