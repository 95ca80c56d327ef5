"""Locks, and other objects, that work after a fork.

The thread that held a lock in the parent does not exist in the child, so nobody would release it there:
https://bugs.python.org/issue6721
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


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


def set_right_in_copies(set_right: Callable[[T], None]) -> weakref.WeakSet[T]:
    """Return a set; in each forked copy of this process ``set_right`` is called with whatever is in it."""
    members: weakref.WeakSet[T] = weakref.WeakSet()

    def after_fork() -> None:
        for each in list(members):
            set_right(each)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=after_fork)
    return members


_ALL = set_right_in_copies(ForkSafeLock.renew)
