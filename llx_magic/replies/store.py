"""The store of replies: what is asked once more, in this process, another or after a crash, is answered from it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from llx_magic.files.folders import absolute, config_folder
from llx_magic.locks import ForkSafeLock
from llx_magic.replies.claims import Claims
from llx_magic.replies.database import connect, copy
from llx_magic.replies.key import Key
from llx_magic.replies.problems import in_words
from llx_magic.replies.record import Stored
from llx_magic.replies.writer import Deliver, Writer

T = TypeVar("T")

PATIENCE = 30.0
"""How long in seconds a lock is waited for that another process holds: no writing of ours takes so long."""

_AT_ONCE = (1, 16, 64, 256)
"""How many keys are looked up in one statement: few forms, so that each is compiled once."""

_READ = msgspec.json.Decoder(Stored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What the store holds of one profile: replies, rows' own faults, their bytes, and the times of the first and last.

    Times are in Unix seconds.
    """

    profile: str
    replies: int
    failed: int
    size: int
    first: float
    last: float


class ReplyStore:
    """One file of replies, open; several threads and processes may use it at once.

    Close it at the end, or use it with ``with``.
    """

    def __init__(self, path: Path, *, patience: float = PATIENCE) -> None:
        """Open the store at ``path``, which is made where there is none.

        Raises:
            UsageProblem: where the file is no store, or one of a newer version.
            StoreProblem: where it cannot be opened.
        """
        self.path = path
        self._patience = patience
        self._lock = ForkSafeLock()
        self._owner = os.getpid()
        self._connection = self._connect()

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Open the user's store, or the one that is named; errors as for the class."""
        return cls(default_path() if path is None else absolute(path))

    def find(self, keys: Sequence[Key], asked: Collection[bytes]) -> dict[Key, Stored]:
        """Return what is stored for these keys and counts: it was asked of one of ``asked`` (``asked_of``).

        Of several a reply counts before an error, and then the latest.

        Raises:
            StoreProblem: where it cannot be read.
        """
        wanted = set(keys)
        best: dict[Key, tuple[bool, float, bytes]] = {}
        with self._reading() as connection:
            for some in _in_parts(list({key for key, _ in keys})):
                places = ", ".join("?" * len(some))
                statement = f"SELECT key, occurrence, asked, failed, at, data FROM reply WHERE key IN ({places})"  # noqa: S608
                for key, occurrence, asked_then, failed, at, data in connection.execute(statement, some):
                    if asked_then in asked and (found := (key, occurrence)) in wanted:
                        rank = (not failed, at, data)
                        if found not in best or rank > best[found]:
                            best[found] = rank
        return {key: stored for key, (_ok, _at, data) in best.items() if (stored := _read(data)) is not None}

    def writer(self, deliver: Deliver[T]) -> Writer[T]:
        """Return what writes to this store in groups; ``deliver`` is told of each group, see there.

        Raises:
            UsageProblem: as for the class.
            StoreProblem: as for the class.
        """
        return Writer(self._connect, self.path, self._patience, deliver)

    def claims(self) -> Claims:
        """Return what keeps other runs from asking what one run asks; close it at the run's end."""
        return Claims(self.path)

    def shares(self) -> tuple[Share, ...]:
        """Return what the store holds of each profile, by name.

        Raises:
            StoreProblem: where it cannot be read.
        """
        statement = (
            "SELECT profile, sum(NOT failed), sum(failed), sum(length(data)), min(at), max(at)"
            " FROM reply GROUP BY profile ORDER BY profile"
        )
        with self._reading() as connection:
            return tuple(
                Share(profile=profile, replies=replies, failed=failed, size=size, first=first, last=last)
                for profile, replies, failed, size, first, last in connection.execute(statement)
            )

    def size(self) -> int:
        """Return the bytes that its files take on the disk."""
        total = 0
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                total += self.path.with_name(self.path.name + suffix).stat().st_size
        return total

    def clear(self, *, before: float | None = None, profile: str | None = None, backup: Path | None = None) -> int:
        """Delete what was asked before a time (Unix seconds) and for a profile, everything without them.

        Returns how many. What is deleted is overwritten, and its space is given back to the system. Where something is
        deleted, all of the store is copied to ``backup`` first; nobody writes between the two.

        Raises:
            StoreProblem: where it cannot be written, or copied; nothing is deleted.
        """
        chosen = "FROM reply WHERE (?1 IS NULL OR at < ?1) AND (?2 IS NULL OR profile = ?2)"
        with self._reading() as connection:
            connection.execute("PRAGMA secure_delete = ON")
            # What writes cannot be copied, so another connection reads while this one keeps everybody from writing.
            with contextlib.closing(self._connect()) as reader:
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    some = connection.execute(f"SELECT 1 {chosen} LIMIT 1", (before, profile)).fetchone()
                    if backup and some:
                        copy(reader, backup)
                    deleted = connection.execute(f"DELETE {chosen}", (before, profile)).rowcount
            # "execute" would take the first step alone, which gives back one page.
            connection.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted

    def export(self) -> Iterator[tuple[Key, Stored]]:
        """Yield everything, in the order in which it was written; what is written meanwhile may come too.

        Raises:
            StoreProblem: where it cannot be read.
        """
        after, statement = -1, "SELECT id, key, occurrence, data FROM reply WHERE id > ? ORDER BY id LIMIT 1000"
        while True:
            with self._reading() as connection:
                found = connection.execute(statement, (after,)).fetchall()
            if not found:
                return
            after = found[-1][0]
            for _id, key, occurrence, data in found:
                if (stored := _read(data)) is not None:
                    yield (key, occurrence), stored

    def close(self) -> None:
        """Close the file; harmless when it is closed."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, self._patience)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Give one thread at a time the connection; a forked process gets one of its own.

        Carried over a fork, it would corrupt the file: https://www.sqlite.org/howtocorrupt.html
        """
        with self._lock, in_words(self.path, self._patience):
            if self._owner != os.getpid():
                _LEFT_ALONE.append(self._connection)
                self._connection, self._owner = self._connect(), os.getpid()
            yield self._connection


_LEFT_ALONE: list[sqlite3.Connection] = []
"""The connections of a parent process, which its child must not even close."""


def default_path() -> Path:
    """Return the user's own store, beside the configuration."""
    return config_folder() / "llx_magic" / "replies.sqlite"


def _read(data: bytes) -> Stored | None:
    """Return a stored reply; None for bytes that are none, which then are as if they were not there."""
    try:
        return _READ.decode(data)
    except msgspec.MsgspecError:
        return None


def _in_parts(keys: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the keys in as few parts as there are, each filled up with its last key to a size that has a statement.

    SQLite gives the interpreter's lock away in each step, and a busy thread may take 5 ms to give it back: one key more
    costs less than one statement more.
    """
    for start in range(0, len(keys), _AT_ONCE[-1]):
        part = keys[start : start + _AT_ONCE[-1]]
        size = next(size for size in _AT_ONCE if size >= len(part))
        yield part + part[-1:] * (size - len(part))
