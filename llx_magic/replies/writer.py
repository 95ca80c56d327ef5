"""Writes replies in groups, each on the disk before anybody hears of it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from llx_magic.errors import LlxError
from llx_magic.replies.key import Key
from llx_magic.replies.problems import in_words
from llx_magic.replies.record import Stored

T = TypeVar("T")

Deliver = Callable[[list[T], LlxError | None], None]
"""Takes the tokens of a group that is on the disk; or, with the problem, of one that is not."""

LARGEST_GROUP = 64
"""How many replies are committed together at most. A larger group costs hardly less for each."""

_LINGER = 0.01
"""How long in seconds the first reply of a group waits for others; those that come during a commit go together too."""

_COLUMNS = ("key", "occurrence", "asked", "profile", "failed", "at", "data")
_PLACES = f"({', '.join('?' * len(_COLUMNS))})"
_CHANGES = ", ".join(f"{each} = excluded.{each}" for each in _COLUMNS[3:])

_Values = tuple[bytes, int, bytes, str, bool, float, bytes]


class Writer(Generic[T]):
    """One thread that writes what it is given; made by ``ReplyStore.writer``.

    ``put`` returns at once, on whatever thread. ``deliver`` is called on the writer's thread, once for each group, and
    must return quickly. A group that cannot be written is delivered with the problem; later ones are tried again.
    """

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], path: Path, patience: float, deliver: Deliver[T]
    ) -> None:
        self._connect, self._connection = connect, connect()
        self._path, self._patience, self._deliver = path, patience, deliver
        self._file = path.stat()
        self._waiting: list[tuple[_Values, T]] = []
        self._lock = threading.Lock()
        self._some, self._many = threading.Event(), threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="llx-replies", daemon=True)
        self._thread.start()

    def put(self, key: Key, stored: Stored, token: T) -> None:
        """Have a reply written; ``token`` is delivered when that is done, or could not be done."""
        try:
            data = msgspec.json.encode(stored)
        except UnicodeEncodeError:
            stored = _writable(stored)
            data = msgspec.json.encode(stored)
        values = (*key, stored.asked, stored.profile, stored.error is not None, stored.at, data)
        with self._lock:
            self._waiting.append((values, token))
            if len(self._waiting) == 1:
                self._some.set()
            elif len(self._waiting) == LARGEST_GROUP:
                self._many.set()

    def close(self) -> None:
        """Write what waits, deliver it, and end; blocks until then."""
        with self._lock:
            self._is_closing = True
            self._some.set()
            self._many.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while taken := self._take():
                for start in range(0, len(taken), LARGEST_GROUP):
                    group = taken[start : start + LARGEST_GROUP]
                    self._deliver([token for _values, token in group], self._written([values for values, _ in group]))
        finally:
            self._connection.close()

    def _take(self) -> list[tuple[_Values, T]]:
        """Return what waits, as soon as there is something; nothing at the end."""
        self._some.wait()
        self._many.wait(_LINGER)
        with self._lock:
            taken, self._waiting = self._waiting, []
            if not self._is_closing:
                self._some.clear()
                self._many.clear()
        return taken

    def _written(self, group: list[_Values]) -> LlxError | None:
        """Commit a group; return what is wrong where that cannot be done.

        It is one statement, which is a transaction of its own, for the sake of the other threads' time: SQLite gives
        the interpreter's lock away in each step, and a busy thread may take 5 ms to give it back.
        """
        rows = ", ".join([_PLACES] * len(group))
        statement = (
            f"INSERT INTO reply ({', '.join(_COLUMNS)}) VALUES {rows} ON CONFLICT (key, occurrence, asked)"  # noqa: S608
            f" DO UPDATE SET {_CHANGES} WHERE reply.failed >= excluded.failed"  # no error takes the place of a reply
        )
        try:
            with in_words(self._path, self._patience):
                self._reopen_where_gone()
                self._connection.execute(statement, [value for values in group for value in values])
        except LlxError as problem:
            return problem
        return None

    def _reopen_where_gone(self) -> None:
        """Open the store anew where somebody has removed or replaced its file: what is written there is on no disk."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._path.stat(), self._file):
                return
        self._connection.close()
        self._connection = self._connect()
        self._file = self._path.stat()


def _writable(stored: Stored) -> Stored:
    """Return a reply with U+FFFD for each half of a surrogate pair, which UTF-8 cannot hold."""
    return msgspec.convert(_without_halves(msgspec.structs.asdict(stored)), Stored)


def _without_halves(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case tuple():
            return tuple(map(_without_halves, value))
        case dict():
            return {name: _without_halves(each) for name, each in value.items()}
    return value
