"""Rows of a file: comma-separated values, a JSON object on every line, or Parquet. Their table is pandas'."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from llx_magic.errors import UsageProblem, brief
from llx_magic.install import install_line
from llx_magic.rows.frames import PandasRows, inferred, read_parquet
from llx_magic.rows.records import Records
from llx_magic.rows.rows import Source
from llx_magic.text.screen import one_line
from llx_magic.text.wording import as_on_windows, closest, listed, shown_path, what_json_lacks
from llx_magic.units import plural

_WHOLE = re.compile(r"-?[1-9]\d{0,17}|0")
_MARKS = {BOM_UTF8: "utf-8", BOM_UTF16_LE: "utf-16-le", BOM_UTF16_BE: "utf-16-be"}
_DELIMITERS = ",;\t|"
_LONGEST_CELL = 2**31 - 1
"""Characters of a cell; by itself Python refuses more than 131,072."""


def read_rows(path: Path) -> Source:
    """Return the rows of a file; its ending says what is in it.

    Comma-separated values are in UTF-8, in UTF-16 with its mark, or else in Windows-1252; between them may also stand
    semicolons, tabs or bars, as the first line shows. A column of them is of numbers where each cell is written as
    Python writes that number, and of texts otherwise, so that ``007``, ``1.50`` and ``NA`` stay what they are.

    Raises:
        UsageProblem: where there is no such file, or it cannot be read; with the line.
    """
    try:
        path = path.expanduser()
    except RuntimeError:
        raise UsageProblem(f"{shown_path(path)}: the home folder of that user is not known") from None
    read = reader_of(path)
    try:
        return read(path)
    except OSError as problem:
        _refuse_path(path, problem)


def reader_of(path: Path) -> Callable[[Path], Source]:
    """Return what reads a file of such a name.

    Raises:
        UsageProblem: where its ending is none of those that are known.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None and os.path.isdir(path):  # noqa: PTH112 - the method raises for a name that is too long
        raise UsageProblem(f"{shown_path(path)} is a folder; a file of rows ends in {ENDINGS}")
    if read is None:
        raise UsageProblem(f"{shown_path(path)} must end in {ENDINGS}, which says what is in it")
    return read


def _csv(path: Path) -> PandasRows:
    text, note = _decoded(path)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as problem:
        _refuse(path, reader.line_num, f"cannot be read: {problem}")
    if not rows:
        raise UsageProblem(f"{shown_path(path)} is empty; its first line names the columns")
    (_, head), *body = rows
    _refuse_twice(path, head)
    for line, row in body:
        if len(row) != len(head):
            _refuse(path, line, f"has {plural(len(row), 'cell')} under {plural(len(head), 'column')}")
    columns = zip(*(row for _, row in body), strict=True) if body else ((),) * len(head)
    typed = {name: _numbers(column) for name, column in zip(head, columns, strict=True)}
    source = PandasRows(inferred(typed, len(body)))
    source.note = note
    return source


def _delimiter(text: str) -> str:
    """Return what stands most often between the names of the first line; a comma where nothing does."""
    first = re.search(r"[^\r\n]+", text)
    names = re.sub(r'"[^"]*"', "", first[0]) if first else ""
    return max(_DELIMITERS, key=names.count)


def _numbers(cells: Sequence[str]) -> list[object]:
    """Return a column as numbers where each is written as Python writes it; empty cells among numbers are missing."""
    given = [cell for cell in cells if cell]
    if given and all(map(_WHOLE.fullmatch, given)):
        return [int(cell) if cell else None for cell in cells]
    if given and all(_is_float(cell) or _WHOLE.fullmatch(cell) for cell in given):
        return [float(cell) if cell else None for cell in cells]
    return list(cells)


def _is_float(cell: str) -> bool:
    try:
        return cell[-1].isdigit() and repr(float(cell)) == cell
    except ValueError:
        return False


def _decoded(path: Path) -> tuple[str, str]:
    """Return the text of a file, and a note where it is in another encoding than UTF-8."""
    content = path.read_bytes()
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    text = content.removeprefix(mark)
    try:
        return text.decode(_MARKS.get(mark, "utf-8")), ""
    except UnicodeDecodeError as problem:
        line = text.count(b"\n", 0, problem.start) + 1
        if mark:
            _refuse(path, line, f"is not {_MARKS[mark].upper()}, as the mark at its beginning says")
    try:
        return content.decode("cp1252"), f"{path.name} is not UTF-8 and was read as Windows-1252"
    except UnicodeDecodeError:
        _refuse(path, line, "is neither UTF-8 nor Windows-1252")


def _jsonl(path: Path) -> Source:
    text, note = _decoded(path)
    records: list[dict[Hashable, object]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record: object = json.loads(line)
        except json.JSONDecodeError as problem:
            _refuse(path, number, f"is no JSON: {what_json_lacks(problem)}, column {problem.colno}")
        except (ValueError, RecursionError):
            _refuse(path, number, "is JSON that is nested too deeply, or has a number of too many digits")
        if not isinstance(record, dict):
            _refuse(path, number, f"is no JSON object, which every line must be: {brief(record)}")
        records.append(record)
    if not records:
        raise UsageProblem(f"{shown_path(path)} is empty; each of its lines is a row, as a JSON object")
    source = Records(records)
    source.note = note
    return source


def _parquet(path: Path) -> PandasRows:
    try:
        return PandasRows(read_parquet(path))
    except ImportError:
        raise UsageProblem(f"Parquet files need pyarrow; install it: {install_line('parquet')}") from None
    except OSError:
        raise
    except Exception as problem:  # noqa: BLE001 - pyarrow has an error of its own for every way a file can be broken
        raise UsageProblem(f"{shown_path(path)} is no Parquet file: {one_line(str(problem), 200)}") from None


_READERS: Mapping[str, Callable[[Path], Source]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
ENDINGS = "{} or {}".format(", ".join(list(_READERS)[:-1]), list(_READERS)[-1])
"""The endings of files that are known, in words."""


def _refuse(path: Path, line: int, problem: str) -> NoReturn:
    raise UsageProblem(f"line {line} of {shown_path(path)} {problem}")


def _refuse_twice(path: Path, names: list[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageProblem(f"two columns of {shown_path(path)} are called {listed(map(brief, twice))}")


def _refuse_path(path: Path, problem: OSError) -> NoReturn:
    if isinstance(problem, FileNotFoundError):
        folder = path.parent
        known = [each.name for each in folder.iterdir() if each.suffix in _READERS] if folder.is_dir() else []
        meant = closest(path.name, known)
        hint = f"; did you mean {meant}?" if meant else as_on_windows(str(path))
        raise UsageProblem(f"there is no file {shown_path(path)}{hint}")
    what = "a folder" if isinstance(problem, IsADirectoryError) else f"not readable: {problem.strerror or problem}"
    raise UsageProblem(f"{shown_path(path)} is {what}")
