"""Files that a prompt names: those that its text names lie in the working folder, and no link leads out of it."""

from __future__ import annotations

from pathlib import Path

from llx_magic.files.private import open_regular, reason
from llx_magic.key_shapes import without_key_shapes
from llx_magic.pieces.errors import UnreadableError
from llx_magic.text.screen import one_line
from llx_magic.text.wording import shown_path

LARGEST_BYTES = 32 << 20
"""The most that a file may have; no service takes more in one request."""

_LONGEST_NAME = 80
"""Characters of the name of a file in a message."""

_ELSEWHERE = "lies outside the working folder; to send it, assign its path first: p = pathlib.Path(…), then name p"


def in_working_folder(named: str) -> bytes:
    """Return the content of a file that the text of a prompt names.

    Raises:
        UnreadableError: for a file elsewhere, one that is hidden or in a hidden folder, one that is or lies behind a
            link, and for whatever ``content_of`` refuses. A text that was pasted must not send what nobody meant to.
    """
    called = one_line(shown_path(Path(without_key_shapes(named))), _LONGEST_NAME)
    try:
        folder = Path.cwd().resolve()
        path = folder / Path(named).expanduser()
        within = path.relative_to(folder)
        if ".." in within.parts:
            raise UnreadableError(f"{called}: {_ELSEWHERE}")
        if hidden := next((part for part in within.parts if part.startswith(".")), None):
            raise UnreadableError(f"{called}: {hidden} is hidden, and a prompt reads no hidden files")
        if path.resolve(strict=True) != path:
            raise UnreadableError(f"{called}: is or lies behind a symbolic link, which a prompt does not follow")
    except ValueError:  # not relative to it, or no path at all
        raise UnreadableError(f"{called}: {_ELSEWHERE}") from None
    except (OSError, RuntimeError) as problem:
        raise UnreadableError(f"{called}: cannot be read ({_why(problem)})") from None
    return content_of(path, follow_links=False, called=called)


def may_be_named(named: str) -> bool:
    """Return whether the text of a prompt may name this file, be it there or not."""
    try:
        folder = Path.cwd().resolve()
        path = folder / Path(named).expanduser()
        parts = path.relative_to(folder).parts
        return not any(part.startswith(".") for part in parts) and path.resolve() == path
    except (ValueError, OSError, RuntimeError):
        return False


def content_of(path: Path, *, follow_links: bool = True, called: str = "") -> bytes:
    """Return the content of a file that the user's own code names; an error names it as ``called`` or by its path.

    Raises:
        UnreadableError: where it is missing, too large, or no regular file: a folder, a pipe or a device.
    """
    called = called or shown_path(path)
    try:
        with open_regular(path, follow_links=follow_links) as file:
            content = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as problem:
        raise UnreadableError(f"{called}: cannot be read ({_why(problem)})") from None
    if len(content) > LARGEST_BYTES:
        raise UnreadableError(f"{called}: is larger than {LARGEST_BYTES >> 20} MiB, the most that is sent")
    if not content:
        raise UnreadableError(f"{called}: is empty")
    return content


def _why(problem: Exception) -> str:
    return reason(problem) if isinstance(problem, OSError | ValueError) else str(problem)
