"""Locks that work after a fork.

The thread that held a lock in the parent does not exist in the child, so nobody would release it there:
https://bugs.python.org/issue6721
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType


class ForkSafeLock:
    """A lock for short sections; in a forked child it is unlocked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _ALL.add(self)

    def renew(self) -> None:
        """Begin unlocked."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


_ALL: weakref.WeakSet[ForkSafeLock] = weakref.WeakSet()


def _renew_all() -> None:
    for lock in list(_ALL):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
