"""What renews itself is made once, and made anew when what it was made from has changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Kept(Generic[Made]):
    """Objects of libraries that hold a login and renew it by themselves, such as a role that was assumed.

    One is used again only while the environment variables that begin like one of ``variables`` and the ``files`` are as
    they were, and not in a copy of the process: so a login that was repaired works at once.
    """

    def __init__(self, variables: tuple[str, ...], files: Callable[[], Iterable[Path]]) -> None:
        self._variables = variables
        self._files = files
        self._kept: dict[Hashable, tuple[str, Made]] = {}

    def find(self, name: Hashable) -> Made | None:
        """Return what is kept under a name, or None where nothing is or it was made from something else."""
        found = self._kept.get(name)
        return found[1] if found is not None and found[0] == self._origin() else None

    def keep(self, name: Hashable, made: Made) -> Made:
        """Keep and return what was made just now."""
        self._kept[name] = self._origin(), made
        return made

    def _origin(self) -> str:
        """Return a digest, since the variables hold secrets."""
        named = sorted(each for each in os.environ.items() if each[0].startswith(self._variables))
        facts = (os.getpid(), named, [_facts(path) for path in self._files()])
        return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()


def _facts(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
