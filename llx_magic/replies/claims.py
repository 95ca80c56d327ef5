"""What a run asks now, so that another run, in this process or another, waits for the replies instead of asking too."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from llx_magic.locks import ForkSafeLock
from llx_magic.replies.key import Key

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, at: int) -> None:
        os.lseek(descriptor, at, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int, at: int) -> None:
        os.lseek(descriptor, at, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int, at: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, at)

    def _unlock(descriptor: int, at: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, at)


SUFFIX = "-asked"
"""What the name of a store has behind it in that of the file of its claims."""

_PLACES = (1 << 62) - 1


class Claims:
    """What one run has claimed of a store; nobody else can claim it until the run gives it back.

    A claim is a lock on one byte of a file that stays empty: writing one costs no byte on the disk, and the system ends
    it with its process, however that ends. Where a drive knows no such locks, runs of this process alone see it.
    """

    def __init__(self, store: Path) -> None:
        self._board = _join(store)
        self._mine: set[Key] = set()
        self._is_closed = False

    def take(self, keys: Iterable[Key]) -> set[Key]:
        """Claim them; returns those that another run has."""
        board = self._board
        with board.lock:
            if self._is_closed:
                return set()
            wanted = {key for key in keys if key not in self._mine}
            held = {key for key in wanted if not board.take(key)}
            self._mine |= wanted - held
        return held

    def give_back(self, keys: Iterable[Key]) -> None:
        """Let others claim these; harmless for what was not claimed."""
        with self._board.lock:
            for key in self._mine.intersection(keys):
                self._mine.remove(key)
                self._board.give_back(key)

    def close(self) -> None:
        """Give back all, and claim nothing any more."""
        board = self._board
        with board.lock:
            self._is_closed = True
            for key in self._mine:
                board.give_back(key)
        _leave(board)


class _Board:
    """The claims of all runs of this process on one store.

    Two runs of a process share one descriptor: the system tells processes apart, not runs, and a process that closes
    any descriptor of a file loses its locks on it (https://man7.org/linux/man-pages/man2/fcntl_locking.2.html).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = ForkSafeLock()
        self.users = 0
        self._taken: set[Key] = set()
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):
            flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(path, flags, 0o600)

    def take(self, key: Key) -> bool:
        """Return whether it was free, and now is claimed."""
        if key in self._taken:
            return False
        if self._descriptor is not None:
            try:
                _lock(self._descriptor, _place(key))
            except (BlockingIOError, PermissionError):
                return False
            except OSError:  # a drive without locks, or one that has no more
                self.close()
        self._taken.add(key)
        return True

    def give_back(self, key: Key) -> None:
        """Let others claim it."""
        self._taken.discard(key)
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                _unlock(self._descriptor, _place(key))

    def close(self) -> None:
        """Show nothing to other processes any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_BOARDS: dict[tuple[int, str], _Board] = {}
"""The boards that are in use, by process and by store: a forked child has none of its parent's claims."""

_LOCK = ForkSafeLock()


def _join(store: Path) -> _Board:
    with _LOCK:
        path = os.path.realpath(store)
        board = _BOARDS.get((os.getpid(), path))
        if board is None:
            board = _BOARDS[os.getpid(), path] = _Board(Path(path + SUFFIX))
        board.users += 1
        return board


def _leave(board: _Board) -> None:
    with _LOCK:
        board.users -= 1
        if not board.users:
            board.close()
            for known in [known for known, each in _BOARDS.items() if each is board]:
                del _BOARDS[known]


def _place(key: Key) -> int:
    """Return the byte of a key; that two keys have the same one is as likely as that two prompts have the same key."""
    told, occurrence = key
    return (int.from_bytes(told[:8], "big") + occurrence) & _PLACES
