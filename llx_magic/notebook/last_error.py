"""The last error of the notebook, as ``{{ Err }}`` puts it into a prompt."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import FrameSummary, TracebackException

    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

NAME = "Err"
"""The name in a prompt that stands for it, unless the notebook has a variable of that name."""

_READS_CELLS = re.compile(r"[/\\]IPython[/\\]core[/\\]|[/\\]codeop\.py$")
"""The files of what reads and runs cells, whose lines say nothing of an error in one."""

_MOST_FRAMES = 12
_MOST_CAUSES = 4
_LONGEST_MESSAGE = 2_000
_LONGEST = 8_000


class LastError:
    """Remembers, as text, the last error of a cell that is none of llx_magic's own: those explain themselves.

    A prompt that failed so does not take the place of the error that it asked about. No frame is kept alive for it.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._text = ""

    def note(self, result: ExecutionResult) -> None:
        """Take what came of a cell: IPython's event ``post_run_cell``."""
        error = result.error_before_exec or result.error_in_exec
        if _is_theirs(error):
            self._text = self._told(error)

    def text(self) -> str:
        """Return its type, its message and where it came from, without keys; empty where there was none."""
        from llx_magic.key_shapes import without_key_shapes
        from llx_magic.keys.redaction import LIVE_KEYS

        earlier = getattr(sys, "last_value", None)  # of before the extension was loaded
        text = self._text or (self._told(earlier) if _is_theirs(earlier) else "")
        return without_key_shapes(LIVE_KEYS.without(text))

    def _told(self, error: Exception) -> str:
        from traceback import TracebackException

        told: TracebackException | None = TracebackException.from_exception(error)
        parts: list[str] = []
        while told is not None and len(parts) < _MOST_CAUSES:
            parts.append(self._one(told))
            told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)
        text = "\n\nwhile this was handled, or because of it:\n\n".join(reversed(parts))
        return text if len(text) <= _LONGEST else f"…{text[-_LONGEST:]}"

    def _one(self, told: TracebackException) -> str:
        frames = [each for each in told.stack if not _READS_CELLS.search(each.filename)]
        left_out = frames[_MOST_FRAMES // 2 : -_MOST_FRAMES // 2] if len(frames) > _MOST_FRAMES else []
        places = [self._place(each) for each in frames if each not in left_out]
        if left_out:
            places.insert(_MOST_FRAMES // 2, f"  … {len(left_out)} more …")
        said = "".join(told.format_exception_only()).rstrip()
        if name := getattr(told, "filename", None):  # an error of syntax names its file in its own words
            said = said.replace(f'File "{name}"', self._file(name))
        said = said if len(said) <= _LONGEST_MESSAGE else f"{said[:_LONGEST_MESSAGE]}…"
        return "\n".join([*(["Traceback (most recent call last):"] if places else []), *places, said])

    def _place(self, frame: FrameSummary) -> str:
        line = f"\n    {frame.line}" if frame.line else ""
        return f"  {self._file(frame.filename)}, line {frame.lineno}, in {frame.name}{line}"

    def _file(self, name: str) -> str:
        """Return ``Cell In[3]`` for a cell, else the file with ``~`` for the home folder."""
        from pathlib import Path

        from llx_magic.text.wording import shown_path

        known = getattr(self._shell.compile, "format_code_name", lambda _name: None)(name)
        words: Iterable[str] = known or ("File", shown_path(Path(name)))
        return " ".join(words)


def _is_theirs(error: object) -> TypeGuard[Exception]:
    if not isinstance(error, Exception):
        return False
    from llx_magic.errors import LlxError

    return not isinstance(error, LlxError)
