"""What cannot be filled in, said in one line."""

from __future__ import annotations

from llx_magic.errors import UsageProblem
from llx_magic.text.screen import one_line

LINE_LENGTH = 300
"""Characters of the whole line that a user reads."""

NOT_SENT = " (nothing was sent)"


class InterpolationError(UsageProblem):
    """An expression of a prompt cannot be read or has no value; nothing was sent.

    ``source`` is what stands between the braces that cannot be read.
    """

    source: str = ""


class RefusedError(Exception):
    """Why an expression is not evaluated further, or its value not shown; becomes an InterpolationError."""


class NotDataError(RefusedError):
    """An expression would do more than read data; its text is the reason, or empty where the expression shows it."""


def unreadable(text: str, start: int, problem: str, otherwise: str, source: str = "") -> InterpolationError:
    """Return the error of a text that cannot be read, with the line and the column at which that shows.

    ``otherwise`` is what a user whose braces are plain text can do.
    """
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    error = InterpolationError(f"line {line}, column {column}: {problem}{otherwise}{NOT_SENT}")
    error.source = source
    return error


def unusable(source: str, problem: str) -> InterpolationError:
    """Return the error of an expression that has no value, or none that can be shown."""
    return InterpolationError(one_line(f"{braced(source)}: {problem}", LINE_LENGTH - len(NOT_SENT)) + NOT_SENT)


def braced(source: str) -> str:
    """Return the expression as it stands in a prompt, on one line, cut where it is long."""
    return f"{{{{ {one_line(source, 80)} }}}}"


def said(error: Exception, *, without_class: bool = False) -> str:
    """Return what an exception says of itself; one of the notebook's own may fail even to do that."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the notebook's own code may raise anything
        text = ""
    name = type(error).__name__
    return (text or name) if without_class else f"{name}: {text}" if text else name
