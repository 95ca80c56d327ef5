"""Writes files that a user named. Such a file is new, and it is written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_new(path: Path, content: bytes) -> None:
    """Write a file that does not exist yet. If the writing ends early, by a full disk for example, no file is left.

    Raises:
        FileExistsError: where something is there; it is left as it is.
        OSError: where it cannot be written.
    """
    with new_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that does not exist yet, to be written in parts; errors and what is left as for ``write_new``."""
    file = path.open("xb")
    try:
        with file:
            yield file
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
