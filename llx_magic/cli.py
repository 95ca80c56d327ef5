"""The ``llx`` command, made from the table of commands: an output goes to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, cast

from llx_magic.commands.here import Here
from llx_magic.commands.output import Output, remark
from llx_magic.commands.table import COMMANDS, PROMPT, commands_at
from llx_magic.commands.where import Where
from llx_magic.errors import AllBackendsFailed, LlxError, UsageProblem
from llx_magic.text.screen import one_line, printable
from llx_magic.text.wording import nearest

if TYPE_CHECKING:
    from llx_magic.session.session import Session

ANSWERED, NO_ANSWER, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    status = ANSWERED
    try:
        _prepare_streams()
        status = _run(list(sys.argv[1:] if words is None else words))
        sys.stdout.flush()  # here, where a reader that has gone and a full disk are seen
    except UsageProblem as problem:
        status = _complain(problem, BAD_USAGE)
    except LlxError as problem:
        status = _complain(problem, NO_ANSWER)
    except KeyboardInterrupt:
        remark("llx: interrupted")
        status = INTERRUPTED
    except OSError as problem:
        # Python's own attempt at exit to write what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = NO_ANSWER
        if not isinstance(problem, BrokenPipeError):  # there the reader has gone, and wants to hear no more
            where = f" ({problem.filename})" if problem.filename else ""
            _complain(LlxError(f"the operating system says: {problem.strerror or problem}{where}"), status)
    return status


def _prepare_streams() -> None:
    """Write UTF-8 into pipes and files in every locale; what a terminal cannot show must not cost the answer."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if sys.stdout is None:
        raise UsageProblem("standard output is closed, so an answer could not be given: nothing was done")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")
    sys.stderr = cast("TextIO", _Aside(sys.stderr))


class _Aside(io.TextIOBase):
    """Standard error, on which what cannot be written (it is closed, its disk is full) does not cost the answer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]  # TextIOBase has it as a property too, which the stubs do not say
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _run(words: list[str]) -> int:
    """Carry out the command that the first word names, else a prompt, and return the exit status.

    ``llx help X`` is ``llx X --help``.
    """
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
        if words[0] not in ("--help", *(names := [row.name for row in commands_at(Where.SHELL)])):
            raise UsageProblem(f"llx help: unknown command {one_line(words[0], 60)!r}{nearest(words[0], names)}")
    row = COMMANDS.get(words[0], PROMPT) if words else PROMPT
    if Where.SHELL not in row.where:
        row = PROMPT
    output = Here(Where.SHELL, _session, _ask_hidden).carry_out(row, words if row is PROMPT else words[1:])
    if isinstance(output, Output):
        print(printable(output.text))
        if output.aside:
            remark(printable(output.aside))
        if not output.is_good:
            return NO_ANSWER
    return ANSWERED


def _session() -> Session:
    """Return the session of this process, which asks at a terminal, where there is one."""
    from llx_magic.commands import trust
    from llx_magic.session.session import Session

    can_ask = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()  # <&- in a shell closes it

    def read(question: str) -> str:
        print(question, end="", file=sys.stderr, flush=True)
        return _line()

    return Session(eager=True, asker=trust.asker(read), read=read) if can_ask else Session(eager=True)


def _ask_hidden(question: str) -> str:
    """Ask on a terminal without showing what is typed, or take the first line of a pipe or file."""
    return getpass.getpass(question) if sys.stdin.isatty() else _line()


def _line() -> str:
    if line := sys.stdin.readline():
        return line
    raise EOFError


def _complain(problem: Exception, status: int) -> int:
    if isinstance(problem, AllBackendsFailed):
        text = "\n  ".join(map(printable, problem.lines()))
    else:
        text = one_line(str(problem), 2000)
    remark(text if text.startswith("llx") else f"llx: {text}")
    return status
