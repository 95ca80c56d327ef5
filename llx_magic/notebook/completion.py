"""Completion of what the magics take: options, names and values, and the notebook's variables inside ``{{ }}``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MemberDescriptorType
from typing import TYPE_CHECKING

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult

from llx_magic.commands.offers import offers
from llx_magic.commands.reading import Reading
from llx_magic.commands.table import COMMANDS, PROMPT, Row
from llx_magic.commands.where import Where
from llx_magic.commands.words import Word, words_of
from llx_magic.errors import LlxError
from llx_magic.template import attached, methods

if TYPE_CHECKING:
    from llx_magic.notebook.notebook import Notebook

_CELL = re.compile(r"\s*%%llx(?:_(\w+))?(?:[ \t]|$)")
_LINE = re.compile(r"\s*(?:[^%=]+=\s*)?%llx(?:_(\w+))?[ \t]")
_REFERENCE = re.compile(r"(?:^|[^\w.\])}\"'])((?:[^\W\d]\w*\.)*)([^\W\d]\w*)?$")

_ABSENT = object()


class _Silence(Iterator[SimpleCompletion]):
    """An empty result that looks non-empty, because IPython falls back to its own matchers otherwise.

    https://ipython.readthedocs.io/en/stable/api/generated/IPython.core.completer.html#matchers
    """

    def __len__(self) -> int:
        return 1

    def __next__(self) -> SimpleCompletion:
        raise StopIteration


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed for a command, before the cursor and after; ``body`` is the prompt of a cell up to the cursor."""

    name: str
    before: str
    after: str = ""
    body: str | None = None
    is_cell: bool = False


class LlxCompleter:
    """Completes the magics of one notebook."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._shell = notebook.shell

    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return what may stand at the cursor; outside our magics nothing, and nothing is suppressed there."""
        try:
            typed = typed_in(context)
            row = None if typed is None else COMMANDS.get(typed.name)
            if typed is None or row is None or Where.NOTEBOOK not in row.where:
                return _leave()
            return self._complete(row, typed)
        except (LlxError, OSError, ValueError):
            return _offer([], "")  # what a broken profile or folder would have offered is not known

    def _complete(self, row: Row, typed: Typed) -> SimpleMatcherResult:
        reading = Reading(row.load(), row.typed(Where.NOTEBOOK), Where.NOTEBOOK, text_follows=not typed.is_cell)
        words = list(words_of(typed.before, has_code=row.cell))
        last = words.pop() if words and (words[-1].end == len(typed.before)) else Word("", "", len(typed.before))
        for word in words:
            reading.take(word.text)
        text = typed.before if typed.body is None else typed.body
        if (
            (row.cell or row is PROMPT)
            and "raw" not in reading.given
            and "{{" in text
            and text.rfind("{{") > text.rfind("}}")
        ):
            return self._complete_reference(text[text.rfind("{{") + 2 :], self._columns(row, reading))
        if typed.body is not None or reading.in_text:
            return _leave()
        found = offers(self._notebook, reading, last.text, (word.text for word in words_of(typed.after)))
        if found is None:
            return _leave()
        raw = last.raw.split("=", found.kept.count("="))[-1]
        offered = [(text, "keyword") for text in found.values] + [(text, "param") for text in found.options]
        return _offer([(quoted(text, raw, last.quote), kind) for text, kind in offered], raw)

    def _columns(self, row: Row, reading: Reading) -> list[str]:
        """Return the columns of the data that a map is about, as far as they can be told without reading it."""
        if row is PROMPT or not reading.words or (data := self._value([reading.words[0]])) is _ABSENT:
            return []
        from llx_magic.rows.source import source_of

        return [name for name in (*source_of(data).columns, "row") if isinstance(name, str) and name.isidentifier()]

    def _complete_reference(self, expression: str, columns: Sequence[str] = ()) -> SimpleMatcherResult:
        if any(expression.count(mark) % 2 for mark in "\"'"):
            return _leave()  # inside a string: IPython offers the keys of a dictionary
        found = _REFERENCE.search(expression)
        if found is None or expression[: found.start(1)].rstrip().endswith("|"):
            return _offer([], "")
        owners, start = found[1].split(".")[:-1], found[2] or ""
        known = {
            *self._notebook.variables(),
            *(attached.WORDS if start else ()),
        }  # what nobody has begun to type is a variable
        names = self._attributes(self._value(owners)) if owners else [*columns, *sorted(known.difference(columns))]
        return _offer([(name, "instance") for name in names if name.startswith(start)], start)

    def _attributes(self, owner: object) -> list[str]:
        """Return the public names of a value, without the methods that an expression may not call."""
        names = _attributes(owner)
        if self._notebook.preferences.expressions == "any" or owner is _ABSENT:
            return names
        # A name of its class that is a function; nothing of the value is run to find out.
        functions = {name for name in names if callable(inspect.getattr_static(type(owner), name, None))}
        return [name for name in names if name not in functions or methods.found(owner, name) is not None]

    def _value(self, path: list[str]) -> object:
        value: object = self._shell.user_ns.get(path[0], _ABSENT)
        for name in path[1:]:
            value = _stored(value, name)
        return _ABSENT if any(name.startswith("_") for name in path) else value


def typed_in(context: CompletionContext) -> Typed | None:
    """Return what was typed for the magic in whose line or cell the cursor is, or None where it is in none."""
    lines, row, column = context.full_text.split("\n"), context.cursor_line, context.cursor_position
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if cell := _CELL.match(lines[first]):
        header = lines[first][cell.end() :]
        if row > first:
            return Typed(
                cell[1] or "",
                f"{header} ",
                body="\n".join([*lines[first + 1 : row], lines[row][:column]]),
                is_cell=True,
            )
        is_past_name = row == first and column >= cell.end() and cell[0].endswith((" ", "\t"))
        at = column - cell.end()
        return Typed(cell[1] or "", header[:at], header[at:], is_cell=True) if is_past_name else None
    start = row
    while start > 0 and lines[start - 1].endswith("\\"):
        start -= 1
    head = " ".join([*(line[:-1] for line in lines[start:row]), lines[row][:column]])
    line = _LINE.match(head)
    return Typed(line[1] or "", head[line.end() :], lines[row][column:].rstrip("\\")) if line else None


def quoted(text: str, raw: str, quote: str) -> str:
    """Return the text as it replaces ``raw``, where ``quote`` is open: what holds spaces is quoted."""
    if quote:
        opened_here = quote if quote in raw else ""
        return opened_here + text + ("" if text.endswith("=") else quote)
    if not any(letter.isspace() or letter in "\"'" for letter in text):
        return text
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}"


def _leave() -> SimpleMatcherResult:
    return {"completions": [], "suppress": False}


def _offer(candidates: list[tuple[str, str]], fragment: str) -> SimpleMatcherResult:
    found = [SimpleCompletion(text, type=kind) for text, kind in candidates]
    return {"completions": found or _Silence(), "matched_fragment": fragment, "suppress": True, "ordered": True}


def _stored(owner: object, name: str) -> object:
    """Return an attribute that is stored as it is; what would have to be computed counts as absent."""
    found = inspect.getattr_static(owner, name, _ABSENT)
    if found is _ABSENT:
        return owner.get(name, _ABSENT) if type(owner) is dict else _ABSENT
    if isinstance(found, MemberDescriptorType):
        return getattr(owner, name, _ABSENT)
    return _ABSENT if hasattr(type(found), "__get__") else found


def _attributes(owner: object) -> list[str]:
    if owner is _ABSENT:
        return []
    try:
        names = dir(owner)
    except Exception:  # noqa: BLE001 - an object's own __dir__ may raise anything
        return []
    entries = [key for key in owner if isinstance(key, str) and key.isidentifier()] if type(owner) is dict else []
    return list(dict.fromkeys(name for name in [*entries, *names] if not name.startswith("_")))
