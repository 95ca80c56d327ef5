"""A table to a file, in the form that its ending names; written whole, or left as it was."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from llx_magic.errors import UsageProblem
from llx_magic.install import install_line
from llx_magic.rows.flat import flat
from llx_magic.rows.frames import write_parquet
from llx_magic.rows.reading import ENDINGS
from llx_magic.text.screen import one_line
from llx_magic.text.wording import shown_path


def check_target(path: Path) -> None:
    """See to it that a table can be written there, before anything is sent for it.

    Raises:
        UsageProblem: for an ending that is not known, and where the folder is not there or cannot be written to.
    """
    path = path.expanduser()
    if path.suffix.lower() not in _WRITERS:
        raise UsageProblem(f"{shown_path(path)} must end in {ENDINGS}, which says how it is written")
    if path.is_dir():
        raise UsageProblem(f"{shown_path(path)} is a folder")
    if not path.parent.is_dir():
        raise UsageProblem(f"there is no folder {shown_path(path.parent)}")
    if not os.access(path.parent, os.W_OK):
        raise UsageProblem(f"nothing can be written in {shown_path(path.parent)}")
    if path.suffix.lower() == ".parquet":
        _need_pyarrow()


def write_table(table: object, path: Path) -> None:
    """Write a table of any kind in the place of the file, if there is one; what goes wrong leaves that as it was.

    Labels of rows that do more than number them become columns. What is missing is an empty cell in CSV and null in
    JSON; nested values are JSON; dates and times are in ISO form.

    Raises:
        UsageProblem: where it cannot be written.
    """
    check_target(path)
    path = path.expanduser()
    write = _WRITERS[path.suffix.lower()]
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        try:
            write(table, Path(name))
            Path(name).chmod(_mode(path))
            Path(name).replace(path)
        finally:
            with contextlib.suppress(OSError):
                Path(name).unlink(missing_ok=True)
    except OSError as problem:
        raise UsageProblem(f"{shown_path(path)} cannot be written: {problem.strerror or problem}") from None


def _mode(path: Path) -> int:
    """Return the rights of the file that is there; else those that a new one of this user has."""
    with contextlib.suppress(OSError):
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _csv(table: object, path: Path, delimiter: str = ",") -> None:
    # https://www.rfc-editor.org/rfc/rfc4180
    names, rows = flat(table)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _tsv(table: object, path: Path) -> None:
    _csv(table, path, "\t")


def _jsonl(table: object, path: Path) -> None:
    # https://jsonlines.org/
    names, rows = flat(table)
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        file.writelines(_as_json(dict(zip(names, row, strict=True))) + "\n" for row in rows)


def _parquet(table: object, path: Path) -> None:
    try:
        write_parquet(table, path)
    except OSError:
        raise
    except Exception as problem:  # noqa: BLE001 - pyarrow and polars have errors of their own
        raise UsageProblem(f"Parquet cannot hold this table: {one_line(str(problem), 200)}") from None


def _cell(value: object) -> object:
    return _as_json(value) if isinstance(value, dict | list | tuple) else _iso(value)


def _as_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_iso)


def _iso(value: object) -> object:
    """Return dates and times as text in ISO form, and numbers and texts as they are."""
    if value is None or isinstance(value, str | int | float):
        return value
    iso: Callable[[], str] | None = getattr(value, "isoformat", None)
    return iso() if callable(iso) else str(value)


def _need_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UsageProblem(f"Parquet files need pyarrow; install it: {install_line('parquet')}") from None


_WRITERS: Mapping[str, Callable[[object, Path], None]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
