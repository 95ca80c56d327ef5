"""From a row to what is asked for it: the template filled in, with images and files read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from llx_magic.core.message import TEXT_ONLY, Message, Takes, held_by
from llx_magic.errors import LlxError, UsageProblem, brief
from llx_magic.pieces.errors import UnreadableError
from llx_magic.pieces.reading import read
from llx_magic.rows.rows import ROW, Source, is_plain
from llx_magic.rows.source import source_of
from llx_magic.template.errors import InterpolationError, braced
from llx_magic.template.template import EVERYTHING, Template
from llx_magic.text.wording import closest, listed

if TYPE_CHECKING:
    from llx_magic.template.environment import Mode
    from llx_magic.template.tables import Limits

NO_NAMES: Mapping[str, object] = {}

_MISSING = str(None)
"""What a prompt is that is made of nothing but a value that is missing."""


_NO_NAME: Final = frozenset({"not", "true", "false", "none"})
"""The words that are no names in an expression, though their letters could be those of one."""


def row_template(text: str, data: object, mode: Mode = "data", limits: Limits = EVERYTHING) -> Template:
    """Read the template of some data's rows.

    Raises:
        UsageProblem: for the first expression that cannot be read; of a column's name, it says how that is written.
    """
    try:
        return Template(text, mode, limits=limits)
    except InterpolationError as problem:
        name = problem.source.strip()
        if not name or name not in _columns(data):
            raise
    raise UsageProblem(_no_name(name))


def _columns(data: object) -> tuple[object, ...]:
    """Return the columns of data as it was given; none of an iterator, of which that would take the first row."""
    if isinstance(data, Iterator):
        return ()
    return (data if isinstance(data, Source) else source_of(data)).columns


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """What one row asks, ending with the user's turn; ``held`` is what it holds beside text.

    ``notes`` say what of the row's values is not in it. Where ``problem`` is set, it cannot be asked, and that is why.
    """

    messages: tuple[Message, ...] = ()
    held: Takes = TEXT_ONLY
    notes: tuple[str, ...] = ()
    problem: str = ""


class RowPrompts:
    """Makes the prompts of rows: ``{{ name }}`` is a column of the row, else a variable of ``namespace``.

    Raises:
        UsageProblem: where the template has a name that is neither; nothing was sent.
    """

    def __init__(
        self,
        template: Template,
        source: Source,
        *,
        before: tuple[Message, ...],
        longest: int,
        namespace: Mapping[str, object],
    ) -> None:
        self._template = template
        self._before = before
        self._longest = longest
        self._namespace = namespace
        columns = {name for name in source.columns if isinstance(name, str)} | {ROW}
        for name in self._template.names:
            if name not in columns and name not in namespace:
                as_typed = next((each for each in template.sources if _is_cut(each, name, columns)), None)
                raise UsageProblem(_no_name(as_typed) if as_typed else _unknown(name, source, namespace))
        self.is_plain = all(is_plain(namespace[name]) for name in self._template.names if name in namespace)
        """Whether no code of the user's runs for a variable."""
        shadowed = [name for name in self._template.names if name in columns and name in namespace]
        self.remarks = tuple(f"{name} is the column, not your variable" for name in shadowed)
        """What there is to say of the prompt, for all rows."""
        if not template.mentions_any(columns):
            own = next((name for name in source.columns if isinstance(name, str)), ROW)
            self.remarks = (
                f"the prompt names no column, so all rows ask the same; {{{{ {_written(own)} }}}} stands for one",
            )

    def of(self, row: Mapping[str, object]) -> Prompt:
        """Return what a row asks."""
        try:
            names = _Names(row, self._namespace) if self._namespace else row
            filled = self._template.render(names)
            messages = (*self._before, Message("user", filled.content))
            if messages[-1].is_blank:
                return Prompt(problem="the prompt is empty")
            if isinstance(filled.content, str):
                if filled.content.strip() == _MISSING and any(each is None for each in row.values()):
                    return Prompt(problem="the prompt is empty: its value is missing")
                return Prompt(messages, notes=filled.notes)
            messages = read(messages, self._longest)
            return Prompt(messages, held_by(messages), filled.notes)
        except (LlxError, UnreadableError) as problem:
            return Prompt(problem=str(problem))


class _Names(Mapping[str, object]):
    """The columns of a row, and behind them the notebook's variables."""

    __slots__ = ("_rest", "_row")

    def __init__(self, row: Mapping[str, object], rest: Mapping[str, object]) -> None:
        self._row = row
        self._rest = rest

    def __contains__(self, name: object) -> bool:
        return name in self._row or name in self._rest

    def __getitem__(self, name: str) -> object:
        return self._row[name] if name in self._row else self._rest[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._row
        yield from (name for name in self._rest if name not in self._row)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _is_cut(source: str, name: str, columns: set[str]) -> bool:
    """Return whether an expression is the name of a column, of which the name that was read is only a part."""
    return source in columns and source != name and name in re.findall(r"\w+", source)


def _no_name(column: str) -> str:
    """Say how a column is written whose name cannot stand in an expression as it is."""
    way_out = f"write {{{{ {_as_key(column)} }}}}; nothing was sent"
    return f"{braced(column)}: {brief(column)} is a column, but no name; {way_out}"


def _written(name: str) -> str:
    """Return the expression that gives a column or a variable."""
    return name if name.isidentifier() and name.casefold() not in _NO_NAME else _as_key(name)


def _as_key(column: str) -> str:
    return f"{ROW}[{column!r}]"


def _unknown(name: str, source: Source, namespace: Mapping[str, object]) -> str:
    columns = [str(each) for each in source.columns]
    variables = [each for each in namespace if not each.startswith("_")]
    told = f"the columns are {listed(map(brief, columns))}" if columns else "the data has no columns"
    meant = closest(name, [*columns, *variables])
    near = f"; did you mean {_written(meant)}?" if meant else ""
    neither = "neither a column nor a variable" if namespace else "no column"
    return f"{{{{ {name} }}}}: {brief(name)} is {neither}; {told}; nothing was sent{near}"
