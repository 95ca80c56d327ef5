"""Stored replies as a file for other programs: Parquet, or a JSON object on each line."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, get_args, get_type_hints

import msgspec

from llx_magic.errors import UsageProblem
from llx_magic.files.newfiles import new_file
from llx_magic.files.private import reason
from llx_magic.replies.key import Key
from llx_magic.replies.record import Stored
from llx_magic.text.wording import shown_path

_AT_ONCE = 1_000
"""How many replies are in memory together."""


class Exported(msgspec.Struct):
    """One stored reply as a flat row; ``at`` is when it came."""

    at: dt.datetime
    profile: str
    backend: str
    asked_model: str
    model: str
    key: str
    occurrence: int
    prompt: str | None
    text: str
    reasoning: str
    finish_reason: str | None
    notes: str
    error: str | None
    error_kind: str | None
    seconds: float
    attempts: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cache_written_tokens: int | None
    reasoning_tokens: int | None
    cost: float | None
    cost_is_estimate: bool


def write(path: Path, replies: Iterable[tuple[Key, Stored]]) -> int:
    """Write replies into a new file, Parquet or JSON lines by its ending; return how many.

    Raises:
        UsageProblem: for another ending, without pyarrow where that is needed, and where the file cannot be written.
    """
    writers = {".parquet": _parquet, ".jsonl": _json_lines}
    shown = shown_path(path)
    if (writer := writers.get(path.suffix.lower())) is None:
        raise UsageProblem(f"{shown}: the file must end in {' or '.join(writers)}")
    try:
        with new_file(path) as file:
            return writer(file, iter(replies))
    except FileExistsError:
        raise UsageProblem(f"{shown}: is there already and is not overwritten; choose another file") from None
    except (OSError, ValueError) as problem:
        raise UsageProblem(f"{shown}: cannot be written ({reason(problem)})") from None
    except ImportError:
        raise UsageProblem(
            f"{shown}: Parquet needs pyarrow, which is not installed; a .jsonl file needs none"
        ) from None


def _json_lines(file: BinaryIO, replies: Iterator[tuple[Key, Stored]]) -> int:
    written = 0
    while rows := _rows(replies):
        file.write(msgspec.json.Encoder().encode_lines(rows))
        written += len(rows)
    return written


def _parquet(file: BinaryIO, replies: Iterator[tuple[Key, Stored]]) -> int:
    """Write with the same types whether there are values or not: of a column of nulls alone no type can be read."""
    import pyarrow as pa
    from pyarrow import parquet

    kinds: dict[object, pa.DataType] = {
        dt.datetime: pa.timestamp("us", "UTC"),
        str: pa.string(),
        int: pa.int64(),
        float: pa.float64(),
        bool: pa.bool_(),
    }
    declared = {name: (get_args(kind) or (kind,))[0] for name, kind in get_type_hints(Exported).items()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in declared.items()])
    written = 0
    with parquet.ParquetWriter(file, schema) as writer:
        while rows := _rows(replies):
            writer.write_table(pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], schema))
            written += len(rows)
    return written


def _rows(replies: Iterator[tuple[Key, Stored]]) -> list[Exported]:
    return [_row(key, stored) for key, stored in islice(replies, _AT_ONCE)]


def _row(key: Key, stored: Stored) -> Exported:
    usage = stored.usage
    return Exported(
        at=dt.datetime.fromtimestamp(stored.at, dt.UTC),
        profile=stored.profile,
        backend=stored.backend,
        asked_model=stored.asked_model,
        model=stored.model,
        key=key[0].hex(),
        occurrence=key[1],
        prompt=stored.prompt,
        text=stored.text,
        reasoning=stored.reasoning,
        finish_reason=stored.finish_reason,
        notes="; ".join(stored.notes),
        error=stored.error,
        error_kind=stored.error_kind,
        seconds=stored.seconds,
        attempts=stored.attempts,
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        cached_tokens=None if usage is None else usage.cached,
        cache_written_tokens=None if usage is None else usage.cache_written,
        reasoning_tokens=None if usage is None else usage.reasoning,
        cost=stored.cost,
        cost_is_estimate=stored.cost_is_estimate,
    )
