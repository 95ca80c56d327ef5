"""Writes files that a user named. Such a file is new, and it is written whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet. If the writing ends early, by a full disk for example, no file is left.

    Raises:
        FileExistsError: where something is there; it is left as it is.
        OSError: where it cannot be written.
    """
    file = path.open("xb")
    try:
        with file:
            file.write(content)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
