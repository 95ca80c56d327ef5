"""The errors that a user meets. Each is a single line that names what was given and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import NamedTuple

from llx_magic.key_shapes import without_key_shapes
from llx_magic.units import exact, in_time

LONGEST_LINE = 4_000
"""The most characters that an error shows; longer quotations help nobody."""

_KEPT_END = 500
"""How many of these characters are kept from the end of the text, which says what to do."""


def clauses(*parts: str) -> str:
    """Join what has words with semicolons; a service's own full stop stands at the end alone."""
    *others, last = [part for part in parts if part] or [""]
    return "; ".join([*(other.removesuffix(".") for other in others), last])


def as_line(text: str) -> str:
    """Return the text as one line that every terminal and every encoding accepts; a long text is cut in its middle.

    Errors quote text that was typed, found in files, or sent by servers. So every character that does not print
    (line ends, control characters, lone surrogates, changes of direction) becomes a space.
    """
    if len(text) > LONGEST_LINE:
        text = f"{text[: LONGEST_LINE - _KEPT_END - 1]}…{text[-_KEPT_END:]}"
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)


def brief(value: object) -> str:
    """Return a value as messages quote it: on one line, with control characters escaped, cut at 60 characters.

    Anything in it that looks like a key becomes ``***``, before the cut could leave half of it.
    """
    try:
        text = exact(value) if isinstance(value, float) and isfinite(value) else without_key_shapes(repr(value))
    except (ValueError, RecursionError):  # an integer beyond sys.get_int_max_str_digits(), or deep nesting
        text = f"a {type(value).__name__} too large to be shown"
    return text if len(text) <= 60 else text[:57] + "..."


class LlxError(Exception):
    """The base of all errors of this package. As text it is one line, whatever it quotes."""

    def __str__(self) -> str:
        """One line."""
        return as_line(super().__str__())

    def _render_traceback_(self) -> list[str]:
        """Show one line in a notebook too, in the place of a traceback.

        IPython calls this method of an exception, if it has one:
        https://ipython.readthedocs.io/en/stable/config/integrating.html#custom-exception-tracebacks
        """
        return [f"{type(self).__name__}: {self}"]


class UsageProblem(LlxError):
    """Something that was typed, or stands in a file, cannot be used. Nothing was sent.

    The command line exits with 2. If something that looks like a key was given in the place of something
    else, the text does not repeat it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(without_key_shapes(message))


class SettingError(UsageProblem):
    """A setting's name or value is not one of those allowed."""


class ProfileError(UsageProblem):
    """A profile is missing, cannot be read, or contradicts itself."""


class ModelUnavailable(LlxError):
    """The embedded model is not fetched, is damaged, or cannot run here; the text says what to do."""


class Reason(NamedTuple):
    """Why one backend gave no answer.

    ``seconds_left`` is the time in seconds until it may be tried again, None if that is now. ``mend`` is the command
    that lets it be tried at once.
    """

    backend: str
    message: str
    seconds_left: float | None = None
    mend: str = ""

    def __str__(self) -> str:
        """One clause of the error that names every backend."""
        return f"{self.what_happened}{self._wait}"

    @property
    def what_happened(self) -> str:
        """The same without a time from now."""
        return self.message if self._names_itself else f"{self.backend}: {self.message}"

    def line(self, width: int, *, with_command: bool) -> str:
        """Return the reason as a line of a list, with the name padded to ``width``."""
        command = f"; {self.mend} ends that" if with_command and self.mend else ""
        return f"{self.backend.ljust(width)}  {self.message}{self._wait}{command}"

    @property
    def _names_itself(self) -> bool:
        return self.message.startswith(
            (f"no key for {self.backend}:", f"the key for {self.backend} is not allowed yet")
        )

    @property
    def _wait(self) -> str:
        return "" if self.seconds_left is None else f" (may be tried again {in_time(self.seconds_left)})"


class AllBackendsFailed(LlxError):
    """No backend could answer.

    ``reasons`` names every backend of the profile with its last error. ``partial`` is the longest text that any
    of them had sent before it failed, or the empty string; it is never a complete reply. ``trace`` holds the events
    of the request, oldest first, ``request`` is its number, 0 where it has none. As text it is one line; ``lines`` has
    a line for each backend.
    """

    def __init__(self, headline: str, reasons: tuple[Reason, ...], *, summary: str = "", partial: str = "") -> None:
        self.headline = headline
        self.reasons = reasons
        self.summary = summary or headline
        self.partial = partial
        self.trace: tuple[object, ...] = ()
        self.request = 0
        super().__init__(headline, reasons)

    def __str__(self) -> str:
        """One line: the headline, then each backend's reason, unless the headline has said it."""
        return self._clauses(str(reason) for reason in self.reasons if not self._is_said(reason))

    @property
    def what_happened(self) -> str:
        """The same without the times from now until when each may be tried again: it stays true when it is kept."""
        return self._clauses(reason.what_happened for reason in self.reasons if not self._is_quoted(reason))

    def lines(self, *, with_commands: bool = False) -> list[str]:
        """Return how many backends gave no answer and why, then a line for each.

        With ``with_commands`` the lines name the notebook commands that help at once. In a shell these would have no
        effect.
        """
        if len(self.reasons) == 1 and self._is_said(self.reasons[0]):
            return [as_line(self.headline)]
        width = max((len(reason.backend) for reason in self.reasons), default=0)
        lines = [self.summary, *(reason.line(width, with_command=with_commands) for reason in self.reasons)]
        return [as_line(line) for line in lines]

    def _render_traceback_(self) -> list[str]:
        first, *others = self.lines(with_commands=True)
        return [f"{type(self).__name__}: {first}", *(f"  {other}" for other in others)]

    def _clauses(self, reasons: Iterable[str]) -> str:
        return as_line(clauses(self.headline, *reasons))

    def _is_said(self, reason: Reason) -> bool:
        return reason.seconds_left is None and self._is_quoted(reason)

    def _is_quoted(self, reason: Reason) -> bool:
        message = reason.message.removesuffix(".")
        named = self.headline.startswith(f"{reason.backend} ")
        if len(self.reasons) == 1 or self.headline.startswith(message):
            named = reason.backend in self.headline
        return named and message in self.headline


class BudgetSpent(AllBackendsFailed):
    """Nothing was sent, since it would have cost more than is left of a budget. The text says how to raise it."""

    def __str__(self) -> str:
        """The headline, which says it all."""
        return self.what_happened

    @property
    def what_happened(self) -> str:
        """The headline."""
        return as_line(self.headline)

    def lines(self, *, with_commands: bool = False) -> list[str]:
        """Return the headline."""
        return [as_line(self.headline)]


def without_key(backend: str, why: str) -> str:
    """Return the message of ``KeyMissing``: what is missing, or what the user has not allowed yet."""
    return f"the key for {backend} is {why}" if why.startswith("not allowed") else f"no key for {backend}: {why}"


class KeyMissing(LlxError):
    """A backend needs a key and there is none. The text names the command that sets it."""
