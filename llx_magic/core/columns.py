"""Facts of one kind as columns: they take less room than one by one, and are read many at once."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar, cast, get_args

from msgspec import Struct
from msgspec.structs import astuple, fields, force_setattr, replace

Fact = TypeVar("Fact", bound=Struct)

Column = Sequence[object]
"""The values of one field, numbers in an array; one value alone stands for the same value in all rows."""

Columns = Mapping[str, Column]
"""The fields of facts of one kind by name."""

_CODES = {float: "d", int: "q"}
"""How the numbers of a field are packed."""


def columns_of(facts: Sequence[Struct]) -> Columns:
    """Return the columns of facts of one kind, of which there is at least one."""
    codes = _codes(type(facts[0]))
    return {
        name: _packed(values, code)
        for (name, code), values in zip(codes, zip(*map(astuple, facts), strict=True), strict=True)
    }


def facts_of(kind: type[Fact], columns: Columns, length: int) -> list[Fact]:
    """Return the facts of which the columns were made, of which there were so many."""
    if not length:
        return []
    first = kind(**{name: column[0] for name, column in columns.items()})
    facts = [replace(first) for _ in range(length)]  # copied and changed, which takes a third of making each one anew
    for name, column in columns.items():
        if len(column) > 1:
            for fact, value in zip(facts, column, strict=True):
                force_setattr(fact, name, value)
    return facts


def later(columns: Columns, row: int) -> Columns:
    """Return the columns from a row on."""
    return {name: column if len(column) == 1 else column[row:] for name, column in columns.items()}


@cache
def _codes(kind: type[Struct]) -> tuple[tuple[str, str], ...]:
    """Return each field with how its numbers are packed; empty where it may hold something else."""
    return tuple(
        (field.name, next((_CODES[each] for each in (field.type, *get_args(field.type)) if each in _CODES), ""))
        for field in fields(kind)
    )


def _packed(values: tuple[object, ...], code: str) -> Column:
    if values[0] == values[-1] and values.count(values[0]) == len(values):
        return values[:1]
    if code:
        try:
            return array(code, cast("tuple[float, ...]", values))
        except (TypeError, OverflowError):  # some are missing, or greater than a machine's numbers
            pass
    return values
