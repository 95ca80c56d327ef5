"""Private files: read with limits, written whole or not at all, one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from llx_magic.errors import ProfileError
from llx_magic.files.strictjson import LARGEST_BYTES
from llx_magic.text.wording import shown_path

LOCK_SECONDS = 10.0
"""How long in seconds a writer waits for another; writing takes milliseconds."""

SUFFIX = ".json"
_TEMPORARY = ".llx-"
_LEFTOVER = re.compile(rf"{re.escape(_TEMPORARY)}[0-9a-f]{{16}}")
"""Matches the name of a file that a killed writer left. A user's own file may begin in the same way, so all of the
name counts.
"""

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file that was read. It may hold a key, so it has no printed form.

    ``file`` and ``folder`` are the results of ``os.fstat`` for the open file and for the folder in which it was
    opened, so nobody can exchange either between the check and the reading. ``folder`` is None on systems that
    cannot open folders.
    """

    data: bytes = field(repr=False)
    file: os.stat_result
    folder: os.stat_result | None


def read_file(path: Path, *, follow_links: bool = False) -> bytes:
    """Return the content of a regular file, at most 1 MiB and one byte: the extra byte tells that it is too large.

    ``follow_links`` is for files that an installer has put there.

    Raises:
        ProfileError: where it is missing, a link, not a regular file, too large, or cannot be read.
    """
    return read_with_facts(path, follow_links=follow_links).data


def read_with_facts(path: Path, *, follow_links: bool = False) -> Content:
    """Return the content as ``read_file`` does, with what the system says of the file and of its folder.

    Raises:
        ProfileError: as ``read_file``.
    """
    name, folder = path, None
    with contextlib.ExitStack() as opened:
        try:
            if os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd:
                # O_PATH, where there is one, needs no permission to list the folder.
                flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
                name, folder = Path(path.name), os.open(path.parent, flags)
                opened.callback(os.close, folder)
            if not follow_links and stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise ProfileError(f"{shown_path(path)}: is a symbolic link, which is refused; copy the file there")
            file = opened.enter_context(open_regular(name, follow_links=follow_links, folder=folder))
            found = os.fstat(file.fileno())
            if found.st_size > LARGEST_BYTES:
                raise ProfileError(f"{shown_path(path)}: is larger than 1 MiB, the most a profile may have")
            return Content(file.read(LARGEST_BYTES + 1), found, None if folder is None else os.fstat(folder))
        except (OSError, ValueError) as problem:
            raise ProfileError(f"{shown_path(path)}: cannot be read ({reason(problem)})") from None


def open_regular(path: Path, *, follow_links: bool, folder: int | None = None) -> BufferedReader:
    """Open a regular file for reading; a pipe is not waited for. A relative path begins at the open ``folder``.

    Raises:
        OSError: also where it is a folder, a pipe or a device, or a link that is not to be followed.
        ValueError: for a path that no file can have.
    """
    mode = os.stat(path, dir_fd=folder, follow_symlinks=follow_links).st_mode
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")  # opening a device may already have an effect
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    flags |= 0 if follow_links else getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, "rb")


def is_regular(path: Path) -> bool:
    """Return whether there is a file; nothing there is False.

    Raises:
        ProfileError: where there is a link, a folder or something else that is not a regular file.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISREG(mode):
        return True
    raise ProfileError(f"{shown_path(path)}: is a symbolic link or not a regular file, which is refused")


def write_file(path: Path, content: bytes) -> None:
    """Write the whole content to a temporary file with mode 0600, flush it to the disk, and rename it to ``path``.

    The caller holds the folder's lock. A reader sees either the old content or the new, also after a power cut.

    Raises:
        OSError: where it cannot be written; the old content stands.
    """
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with _new_file(temporary) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def keep_copy(path: Path, backup: Path) -> None:
    """Copy ``path`` to ``backup`` (mode 0600) atomically: there is no moment in which either is missing.

    It is a copy and not a hard link. An editor that writes one of the two in place must not change both. Also,
    renaming one hard link of a file to another does nothing and reports success:
    https://pubs.opengroup.org/onlinepubs/9799919799/functions/rename.html

    Raises:
        OSError: where it cannot be done; both are as before.
    """
    with open_regular(path, follow_links=False) as source:
        write_file(backup, source.read())


def set_aside(path: Path, backup: Path) -> None:
    """Rename the file to its backup (mode 0600). If it has other hard links, it is copied and they stay.

    Raises:
        OSError: where it cannot be done; the file is where it was.
    """
    with contextlib.suppress(FileNotFoundError):
        if os.path.samestat(path.lstat(), backup.lstat()):
            backup.unlink()  # renaming one name of a file to another of its names does nothing: see keep_copy
    if path.lstat().st_nlink == 1:
        with contextlib.suppress(PermissionError):  # another user's file keeps its mode
            path.chmod(0o600)
        path.replace(backup)
    else:
        keep_copy(path, backup)
        path.unlink()
    _flush_folder(path.parent)


@contextlib.contextmanager
def locked(folder: Path, state: Path) -> Iterator[None]:
    """Hold the folder's lock: one writer among all processes and threads. If its holder dies, the system frees it.

    Missing folders are made, with mode 0700. The lock's file is in ``state``, so that it does not lie among the
    profiles. Temporary files that a killed writer left are removed.

    Raises:
        ProfileError: where the folder cannot be made or written, or another writer holds it for ten seconds.
    """
    named = folder
    try:
        private_folder(folder)
        private_folder(state)
        named = state / "lock"
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(named, flags, 0o600)
        _keep_for_user(descriptor)
    except OSError as problem:
        raise ProfileError(f"{shown_path(named)}: cannot be written ({reason(problem)})") from None
    _OPEN_LOCKS.add(descriptor)
    try:
        _wait_for(descriptor, folder)
        _remove_leftovers(folder, state)
        try:
            yield
        except OSError as problem:
            raise ProfileError(f"{shown_path(folder)}: cannot be written ({reason(problem)})") from None
    finally:
        _OPEN_LOCKS.discard(descriptor)
        os.close(descriptor)


_OPEN_LOCKS: set[int] = set()


def _leave_locks() -> None:
    """Close the locks' descriptors in a forked child; otherwise it would hold the locks as long as it lives.

    https://man7.org/linux/man-pages/man2/flock.2.html
    """
    while _OPEN_LOCKS:
        with contextlib.suppress(OSError):
            os.close(_OPEN_LOCKS.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks)


def private_folder(folder: Path) -> None:
    """Make the folder and its missing parents with mode 0700; a folder that exists keeps its mode.

    A folder may be shared on purpose, and each file that is put there is private by itself.

    Raises:
        OSError: where it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)
        each.chmod(0o700)  # the umask may have taken away what the user needs


def profile_files(folder: Path) -> tuple[Path, ...]:
    """Return the folder's files that are named like profiles, by name; none where it cannot be read."""
    try:
        names = [each.name for each in os.scandir(folder)]
    except (OSError, ValueError):
        return ()
    return tuple(folder / name for name in sorted(names) if name.endswith(SUFFIX) and not name.startswith("."))


def folder_problem(folder: Path) -> str | None:
    """Return why an existing folder cannot be read, or None."""
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        return f"{shown_path(folder)}: cannot be read ({reason(problem)})"
    return None


def reason(problem: OSError | ValueError) -> str:
    """Return the operating system's reason for an error, on one line and without the path."""
    text = problem.strerror if isinstance(problem, OSError) else None
    return (text or str(problem) or type(problem).__name__).splitlines()[0].lower()


def _wait_for(descriptor: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            if time.monotonic() > deadline:
                raise ProfileError(f"{shown_path(folder)}: another process is writing there; try again") from None
            time.sleep(0.005)
        except OSError as problem:
            raise ProfileError(f"{shown_path(folder)}: cannot be locked ({reason(problem)})") from None
        else:
            return


def _remove_leftovers(*folders: Path) -> None:
    for folder in folders:
        for leftover in folder.glob(f"{_TEMPORARY}*"):
            if _LEFTOVER.fullmatch(leftover.name):
                with contextlib.suppress(OSError):  # a folder of that name is the user's
                    leftover.unlink()


def _new_file(path: Path) -> BinaryIO:
    """Create a file for the user alone, whatever the umask; one that is there already is never opened."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
    _keep_for_user(descriptor)
    return os.fdopen(descriptor, "wb")


def _keep_for_user(descriptor: int) -> None:
    """Give the user the permissions that the umask took away when the file was made.

    Another user's file stays as it is. So does a file with another hard link: somebody linked it here, and its mode
    belongs to the other name too.
    """
    if hasattr(os, "fchmod") and os.fstat(descriptor).st_nlink == 1:
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o600)


def _flush_folder(folder: Path) -> None:
    """Flush the folder, so that a rename in it survives a power cut.

    Source: https://man7.org/linux/man-pages/man2/fsync.2.html
    """
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):  # not every folder can be opened, nor every file system flushed
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
