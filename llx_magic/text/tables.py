"""A table inside a reply: JSON records, a Markdown table, or comma-separated values."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.text.blocks import ReplyFormatError, code_blocks, read_json
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    from markdown_it.token import Token
    from markdown_it.utils import EnvType

_WHOLE = re.compile(r"[+-]?(?:0|[1-9]\d{0,17})")
_FRACTION = re.compile(r"[+-]?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
_EXACT_DIGITS = 15
"""How many digits a float surely keeps."""

_DELIMITERS = {"csv": ",", "tsv": "\t"}

NO_TABLE = "the reply holds no table: neither JSON records nor a Markdown table nor comma-separated values"


class Table(NamedTuple):
    """Columns and rows; a cell of text is a number where all of its column are, and None where it is empty."""

    columns: tuple[str, ...]
    rows: tuple[tuple[JsonValue, ...], ...]


def read_table(text: str) -> Table:
    """Return the one table of a reply.

    Raises:
        ReplyFormatError: where there is none, or more than one.
    """
    fenced = [(block.text, _DELIMITERS[block.language]) for block in code_blocks(text) if block.language in _DELIMITERS]
    tables = [_lines(*each) for each in fenced] or _markdown_tables(text)
    if len(tables) > 1:
        raise ReplyFormatError(f"the reply holds {len(tables)} tables, and frame() reads one")
    if tables and tables[0]:
        return _of_text(*tables[0])
    try:
        value = read_json(text)
    except ReplyFormatError:
        return _of_text(*_bare_lines(text))
    return _of_json(value)


def _of_json(value: JsonValue) -> Table:
    if isinstance(value, dict) and len(value) == 1 and _are_records(only := next(iter(value.values()))):
        value = only  # {"cities": [{…}, {…}]}
    if isinstance(value, dict):
        columns = [each for each in value.values() if isinstance(each, list)]
        if columns and len(columns) == len(value) and len({len(each) for each in columns}) == 1:
            return Table(tuple(value), tuple(zip(*columns, strict=True)))
        value = [value]
    if not isinstance(value, list):
        raise ReplyFormatError("the reply is a single JSON value and no table")
    records = [each for each in value if isinstance(each, dict)]
    if not _are_records(value):
        return Table(("value",), tuple((each,) for each in value))
    names = tuple(dict.fromkeys(name for record in records for name in record))
    return Table(names, tuple(tuple(record.get(name) for name in names) for record in records))


def _are_records(value: JsonValue) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _lines(text: str, delimiter: str) -> list[list[str]]:
    # https://www.rfc-editor.org/rfc/rfc4180#section-2, and blanks behind a comma, as models write them
    try:
        return [
            line for line in csv.reader(text.strip().splitlines(), delimiter=delimiter, skipinitialspace=True) if line
        ]
    except csv.Error as problem:
        raise ReplyFormatError(f"the reply's comma-separated values cannot be read: {problem}") from None


def _bare_lines(text: str) -> list[list[str]]:
    """Return the cells of comma-separated lines without a fence; two sentences with a comma each are none."""
    lines = [] if ", " in text.strip().partition("\n")[0] else _lines(text, ",")
    if len(lines) < 2 or len(lines[0]) < 2 or any(len(line) != len(lines[0]) for line in lines):
        raise ReplyFormatError(NO_TABLE)
    return lines


def _markdown_tables(text: str) -> list[list[list[str]]]:
    # https://github.github.com/gfm/#tables-extension-
    from markdown_it import MarkdownIt

    tables: list[list[list[str]]] = []
    parser = MarkdownIt("commonmark").enable("table").disable("inline")  # only the cells are read within
    references: EnvType = {}
    for token in parser.parse(text, references):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and token.level >= _IN_CELL and tables[-1]:
            cell: list[Token] = []
            parser.inline.parse(token.content, parser, references, cell)
            tables[-1][-1].append("".join(part.content for part in cell if part.content))
    return tables


_IN_CELL = 4
"""How deep the text of a cell stands: in table, body, row and cell."""


def _of_text(head: Sequence[str], *rows: Sequence[str]) -> Table:
    """Return the table of texts; short rows are filled up, and what is beyond the last column is an error."""
    filled = []
    for number, row in enumerate(rows, 1):
        if len(row) > len(head):
            raise ReplyFormatError(f"row {number} of the reply's table has {len(row)} cells under {len(head)} columns")
        filled.append([*row, *[""] * (len(head) - len(row))])
    columns = [_typed([row[at].strip() for row in filled]) for at in range(len(head))]
    return Table(tuple(name.strip() for name in head), tuple(zip(*columns, strict=True)))


def _typed(cells: Sequence[str]) -> Sequence[JsonValue]:
    """Return a column as numbers where all of it reads as numbers without losing a digit or a leading zero."""
    given = [cell for cell in cells if cell]
    if given and all(_WHOLE.fullmatch(cell) for cell in given):
        return [int(cell) if cell else None for cell in cells]
    if given and all(_FRACTION.fullmatch(cell) and sum(map(str.isdigit, cell)) <= _EXACT_DIGITS for cell in given):
        return [float(cell) if cell else None for cell in cells]
    return [cell or None for cell in cells]
