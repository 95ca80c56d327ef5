"""A text with ``{{ expression }}`` in it: read once, filled in as often as wanted.

Nothing else is special: whatever else means something to Jinja2 (``{% %}``, ``{# #}``, line statements) and every
single brace is plain text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from llx_magic.core.message import Content, Message, Piece
from llx_magic.pieces.paths import may_be_named
from llx_magic.template import kinds
from llx_magic.template.attached import named
from llx_magic.template.errors import NotDataError, RefusedError, braced, said, unreadable, unusable
from llx_magic.template.tables import Limits, Shown
from llx_magic.text.screen import one_line
from llx_magic.text.wording import closest

if TYPE_CHECKING:
    from llx_magic.template.environment import Mode
    from llx_magic.template.expressions import Expression

_LABEL_LENGTH = 40
"""Characters of an expression in a note about what of its value was sent."""

EVERYTHING = Limits()
"""Limits that leave out nothing but what no prompt takes."""

_OPEN = re.compile(r"\bp?open\([^()]*\)\s*$")
_OPENS_A_FILE = re.compile(
    r"\s*(?:(?:io|codecs|builtins)\.|(?P<image>(?:PIL\.)?Image\.))?open\((?:(?:file|fp)\s*=\s*)?(?P<path>[^,()]+)(?:,[^()]*)?\)\s*"
)
_MARK = re.compile(r"""['"(\[{}\])]""")
_IN_QUOTES = {quote: re.compile(rf"\\.|{quote}", re.DOTALL) for quote in "'\""}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A text that was filled in; ``notes`` say to the user what of the values is not in it.

    ``content`` is in pieces where images or files stand in it.
    """

    content: Content
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text alone."""
        return "".join(piece for piece in Message("user", self.content).pieces if isinstance(piece, str))


class Template:
    """A text whose expressions have all been read, and none evaluated.

    Expressions are Jinja2's, with its filters and Python's harmless built-in functions. ``mode`` says what they reach:
    "data" lets them read data and call methods that only read, "any" whatever the namespace holds. ``otherwise`` ends
    the error of what may have been meant as plain text: what a user can do then. ``limits`` say how much of a table is
    shown.

    Raises InterpolationError for the first expression that cannot be read.
    """

    def __init__(self, text: str, mode: Mode = "data", *, otherwise: str = "", limits: Limits = EVERYTHING) -> None:
        self.text = text
        self._limits = limits
        self._otherwise = otherwise
        self._expressions = [(*span, _read(text, span, mode, otherwise)) for span in spans(text, otherwise)]

    @property
    def names(self) -> tuple[str, ...]:
        """The names that its expressions read, in their order, each once."""
        return tuple(dict.fromkeys(name for *_, expression in self._expressions for name in expression.names()))

    @property
    def sources(self) -> tuple[str, ...]:
        """What stands between the braces of each expression, without the blanks around it."""
        return tuple(expression.source.strip() for *_, expression in self._expressions)

    def mentions_any(self, names: Set[str]) -> bool:
        """Return whether any of these names stands in its expressions."""
        return any(name in names for *_, expression in self._expressions for name in expression.mentions())

    def render(self, namespace: Mapping[str, object]) -> Rendered:
        """Return the text with each expression replaced by its value; what a value shows is not looked at again.

        Raises InterpolationError for the first expression that uses an undefined name, fails, or does what it may not.
        """
        parts: list[Piece] = []
        notes: dict[str, None] = {}
        at = 0
        for start, end, expression in self._expressions:
            shown = _shown(expression, namespace, self._limits, self._otherwise)
            text = self._apart(shown.text, start, end) if shown.apart else shown.text
            parts += self.text[at:start], text
            if shown.pieces or shown.cuts:
                label = one_line(expression.source, _LABEL_LENGTH)
                parts += named(shown.pieces, label)
                notes |= dict.fromkeys(f"{label}: {cut}" for cut in shown.cuts)
            at = end
        return Rendered(_joined([*parts, self.text[at:]]), tuple(notes))

    def _apart(self, table: str, start: int, end: int) -> str:
        """Return the table with a blank line to whatever stands on the line before and after it."""
        return ("\n\n" if self._follows(start) else "") + table + ("\n\n" if self._goes_on(end) else "")

    def _follows(self, start: int) -> bool:
        before = start - 1
        while before >= 0 and self.text[before] != "\n" and self.text[before].isspace():
            before -= 1
        return before >= 0 and self.text[before] != "\n"

    def _goes_on(self, end: int) -> bool:
        after = end
        while after < len(self.text) and self.text[after] != "\n" and self.text[after].isspace():
            after += 1
        return after < len(self.text) and self.text[after] != "\n"


def _joined(parts: Sequence[Piece]) -> Content:
    """Return the texts between images and files as one each, and no blank ones there; without those, one text."""
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "".join(texts)
    joined: list[Piece] = []
    for is_text, group in groupby(parts, lambda part: isinstance(part, str)):
        together = tuple(group)
        joined += ("".join(map(str, together)),) if is_text else together
    return tuple(part for part in joined if not isinstance(part, str) or part.strip())


def spans(text: str, otherwise: str = "") -> Iterator[tuple[int, int]]:
    """Yield where each expression starts and ends, its braces included.

    Raises InterpolationError for a ``{{`` that nothing closes. Each character is looked at a fixed number of times,
    whatever the text, since anybody's text may stand in a prompt.
    """
    unclosed: set[str] = set()
    start = text.find("{{")
    while start >= 0:
        end = _end(text, start, unclosed)
        if end is None:
            raise unreadable(text, start, "'{{' has no '}}' that closes it outside of brackets and quotes", otherwise)
        yield start, end
        start = text.find("{{", end)


def _end(text: str, start: int, unclosed: set[str]) -> int | None:
    """Return the position behind the ``}}`` that is in no string and no bracket.

    A quote that nothing closes is no string: ``{{ don't }}``. Then no later quote of its kind is closed either, for the
    search has passed them all, each behind a backslash; ``unclosed`` remembers it for the rest of the text.
    """
    depth = 0
    at = start + 2
    while found := _MARK.search(text, at):
        mark, at = found[0], found.end()
        if mark in _IN_QUOTES:
            if mark not in unclosed:
                closed = next((end.end() for end in _IN_QUOTES[mark].finditer(text, at) if end[0] == mark), None)
                if closed is None:
                    unclosed.add(mark)
                else:
                    at = closed
        elif mark in "([{":
            depth += 1
        elif not depth and text.startswith("}}", found.start()):
            return at + 1
        else:
            depth = max(0, depth - 1)
    return None


def _read(text: str, span: tuple[int, int], mode: Mode, otherwise: str) -> Expression:
    from jinja2 import TemplateSyntaxError

    from llx_magic.template.expressions import Expression

    start, end = span
    source = text[start + 2 : end - 2]
    if source.startswith("-"):  # to Jinja2 this trims blanks, to others it is a minus: guessing would change a value
        raise unreadable(text, start, "'{{-' can be read in two ways: write '{{ -' for a minus", otherwise)
    try:
        return Expression(source, mode)
    except TemplateSyntaxError as error:
        problem = (error.message or "").removesuffix(".")
    except Exception as error:  # noqa: BLE001 - nested too deeply, a number of too many digits, …
        problem = said(error)
    problem = f"{braced(source)} is not an expression: {one_line(problem, 100)}"
    raise unreadable(text, start, problem, otherwise, source)


def _shown(expression: Expression, namespace: Mapping[str, object], limits: Limits, otherwise: str) -> Shown:
    try:
        return kinds.shown(expression.value(namespace), limits)
    except Exception as error:  # noqa: BLE001 - the notebook's own code may raise anything
        problem = _problem(expression.source, error, namespace, otherwise)
    raise unusable(expression.source, problem)


def _problem(source: str, error: Exception, namespace: Mapping[str, object], otherwise: str) -> str:
    from jinja2.exceptions import SecurityError, UndefinedError

    if isinstance(error, UndefinedError):
        return undefined(source, error, namespace, otherwise)
    if isinstance(error, SecurityError):
        return said(error, without_class=True).removesuffix(".")
    return _refused(source, error) if isinstance(error, RefusedError) else said(error)


def _refused(source: str, error: RefusedError) -> str:
    if not isinstance(error, NotDataError):
        return str(error)
    data = one_line(source, 60) + (".read()" if _OPEN.search(source) else "")  # no open file is data
    way_out = f"a prompt only reads data; assign it first, for example x = {data}, then {{{{ x }}}}"
    if opened := _OPENS_A_FILE.fullmatch(source):
        way_out = f"a prompt only reads data; {_attaching('image' if opened['image'] else 'file', opened['path'])}"
    elif source.strip().isidentifier():
        way_out = "a prompt only reads data; assign what you want of it first, and name that"
    return f"{error}: {way_out}" if str(error) else way_out


def _attaching(word: str, path: str) -> str:
    """Say how a file gets into a prompt that was to be opened: by its name only where a prompt may name it."""
    shown = one_line(path, 60)
    try:
        named = ast.literal_eval(path.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # a variable, of which it is not known
        named = None
    if isinstance(named, str) and may_be_named(named):
        return f"{{{{ {word}({shown}) }}}} puts it into the prompt"
    return f"assign its path first, p = pathlib.Path({shown}), then {{{{ {word}(p) }}}} puts it into the prompt"


def undefined(source: str, error: Exception, namespace: Mapping[str, object], otherwise: str) -> str:
    """Say which name is not defined and what may have been meant, or which attribute or key is not there.

    ``otherwise`` follows where no name is near.
    """
    problem = said(error, without_class=True)
    name = next((word for word in re.findall(r"\w+", source) if problem == f"'{word}' is undefined"), None)
    if name is None:
        return problem
    known = sorted(known for known in namespace if not known.startswith("_"))
    meant = closest(name, known)
    return f"'{name}' is not defined" + (f"; did you mean {meant}?" if meant else otherwise)
