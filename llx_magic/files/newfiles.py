"""Files that a user asked for by name: new ones, whole or not there."""

from __future__ import annotations

import contextlib
from pathlib import Path


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet; whatever ends the writing early, a full disk included, leaves none.

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
