"""Tells whether a file is the user's own, or whether others wrote it or can write it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from llx_magic.files.private import read_with_facts, reason
from llx_magic.text.wording import shown_path

_MOST_LINKS: Final = 40
_ADMINISTRATOR: Final = 0
"""The administrator's number on POSIX systems; root can read and write everything."""

_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def this_user() -> int | None:
    """Return the number of the user that this process runs as; None on systems without such numbers."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _is_own(owner: int, user: int) -> bool:
    return owner in (user, _ADMINISTRATOR)


def why_foreign(owner: int, mode: int, user: int) -> str | None:
    """Return why a file or folder is not the user's own, as the end of a sentence, or None where it is."""
    if not _is_own(owner, user):
        return "belongs to another user"
    return "can be written by others" if mode & _BY_OTHERS else None


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about one file or folder: its owner, its mode, and how many names (hard links) it has."""

    path: Path
    owner: int
    mode: int
    names: int = 1

    @classmethod
    def of(cls, path: Path, found: os.stat_result) -> Facts:
        """Take the facts from the result of ``os.stat``."""
        return cls(path, found.st_uid, found.st_mode, found.st_nlink)


@dataclass(frozen=True, slots=True)
class Judged:
    """The content of a file, and why the file is not the user's own, or None. Both come from the same open file."""

    data: bytes = field(repr=False)
    why_foreign: str | None


def why_folder_is_foreign(way: Iterable[Facts], user: int) -> str | None:
    """Return why others can change what is in a folder, as the end of a sentence about a file in it, or None.

    ``way`` holds every folder and link from the root to it. Nobody else may write in the folder or in its parent. In
    folders further up the group may write, since home folders that belong to a group are made so on purpose.
    Everybody may write there if the sticky bit lets each user remove only their own files
    (https://man7.org/linux/man-pages/man7/inode.7.html).
    """
    steps = list(way)
    for link in (step for step in steps if stat.S_ISLNK(step.mode)):
        if not _is_own(link.owner, user):
            return f"is reached over a link of another user ({shown_path(link.path)})"
    folders = [step for step in steps if not stat.S_ISLNK(step.mode)]
    for distance, folder in enumerate(reversed(folders)):
        if not _is_own(folder.owner, user):
            return f"is in a folder of another user ({shown_path(folder.path)})"
        writers = folder.mode & (_BY_OTHERS if distance <= 1 else stat.S_IWOTH)
        if writers and not (distance > 0 and folder.mode & stat.S_ISVTX):
            return f"is in a folder that others can write (chmod go-w {shown_path(folder.path)})"
    return None


def why_file_is_foreign(file: Facts, user: int) -> str | None:
    """Return why a file is not the user's own, as the end of a sentence, or None. Its folder is not looked at."""
    if why := why_foreign(file.owner, file.mode, user):
        return f"{why} (chmod go-w {shown_path(file.path)})" if _is_own(file.owner, user) else why
    return "has another name elsewhere (a hard link)" if file.names > 1 else None


def way_to(folder: Path) -> Iterator[Facts]:
    """Yield every folder and link on the way from the root to a folder; links are followed one by one.

    Raises:
        OSError: where one of them is missing or cannot be looked at.
    """
    here, links = Path(), 0
    ahead = list(reversed(folder.absolute().parts))
    while ahead:
        part = ahead.pop()
        here = here.parent if part == ".." else here / part
        found = here.lstat()
        yield Facts.of(here, found)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, "too many links")
            ahead += reversed(here.readlink().parts)
            here = here.parent


def read_judged(path: Path, user: int | None) -> Judged:
    """Read a file and tell whether it is the user's own. If ``user`` is None, every file that can be read is.

    Raises:
        ProfileError: where it cannot be read.
    """
    found = read_with_facts(path)
    if user is None:
        return Judged(found.data, None)
    why = why_file_is_foreign(Facts.of(path, found.file), user) or why_foreign_place(path.parent, user, found.folder)
    return Judged(found.data, why)


def why_foreign_place(folder: Path, user: int, opened: os.stat_result | None = None) -> str | None:
    """Return why others can change what is in a folder, or None; ``opened`` is the folder as it was opened."""
    try:
        way = list(way_to(folder))
    except OSError as problem:
        return f"is in a folder that cannot be looked at ({reason(problem)})"
    if opened is not None:
        way[-1] = Facts.of(way[-1].path, opened)
    return why_folder_is_foreign(way, user)
