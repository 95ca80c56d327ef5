"""What ``image(…)`` and ``file(…)`` put into a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Final

from llx_magic.core.message import File, Image
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.paths import content_of, in_working_folder
from llx_magic.template.errors import RefusedError

WORDS: Final = {"image": "plot.png", "file": "report.pdf"}
"""The functions, with the name of a file that each could be given."""


def attached(word: str, given: object, variable: str) -> Image | File:
    """Return what the function of that name gives.

    A text names a file in the working folder. So does a path, except one that a ``variable`` holds: the notebook's own
    code has made it, and a text that was pasted cannot.

    Raises:
        RefusedError: for a file that may not or cannot be read, and for what is neither.
    """
    if isinstance(given, Image | File):
        return given
    if isinstance(given, str | PurePath):
        try:
            is_own = bool(variable) and isinstance(given, PurePath)
            content = content_of(Path(given).expanduser()) if is_own else in_working_folder(str(given))
        except UnreadableError as problem:
            raise RefusedError(str(problem)) from None
        name = PurePath(given).name
        return Image(content, name=name) if word == "image" else File(content, name=name)
    if word == "image":
        return Image(given, name=variable)
    raise RefusedError("file() takes the path of a file")


def named(pieces: Sequence[Image | File], label: str) -> list[Image | File]:
    """Return the images and files; an image without a name has that of its expression, and its place in a list."""
    names = [label] if len(pieces) == 1 else [f"{label}[{at}]" for at in range(len(pieces))]
    return [
        replace(piece, name=name) if isinstance(piece, Image) and not piece.name else piece
        for piece, name in zip(pieces, names, strict=True)
    ]
