"""The columns of every DataFrame with their types, and how a frame is made of values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from llx_magic.core.breaker import Cause
from llx_magic.core.circuits import STATES
from llx_magic.core.failure import FailureKind
from llx_magic.core.routing import ROUTINGS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pandas.api.extensions import ExtensionArray

POLICIES = tuple(ROUTINGS)
REQUEST_OUTCOMES = ("answered", "failed", "cancelled", "put back")
ATTEMPT_OUTCOMES = ("answered", "failed", "cancelled", "running")
FAILURE_KINDS = tuple(str(kind) for kind in FailureKind)

Part = tuple["np.ndarray | None", Sequence[object]]
"""Some values of a column and the rows where they stand; None for all rows."""

Kind = str | tuple[str, ...]
"""A column's type: pandas' name of it, ``time`` for seconds of the clock, or all words of a categorical.

Every value is a scalar, so that a frame goes into a database or a file as it is.
"""

JOINED = "joined"
"""The type of a column of several texts each, which are joined to one by semicolons."""

STATS: dict[str, tuple[str, Kind]] = {
    "state": ("state", STATES),
    "requests": ("requests", "int64"),
    "successes": ("successes", "int64"),
    "failures": ("failures", "int64"),
    "cancelled": ("cancelled", "int64"),
    "in_flight": ("in_flight", "int64"),
    "success_rate": ("success_rate", "float64"),
    "mean_latency_seconds": ("mean_latency", "float64"),
    "p50_latency_seconds": ("p50_latency", "float64"),
    "p95_latency_seconds": ("p95_latency", "float64"),
    "ttft_seconds": ("ttft", "float64"),
    "tokens": ("tokens", "int64"),
    "prompt_tokens": ("prompt_tokens", "int64"),
    "completion_tokens": ("completion_tokens", "int64"),
    "cached_tokens": ("cached_tokens", "int64"),
    "cache_written_tokens": ("cache_written_tokens", "int64"),
    "reasoning_tokens": ("reasoning_tokens", "int64"),
    "cost": ("cost", "float64"),
    "tokens_per_second": ("tokens_per_second", "float64"),
    "tpm": ("tpm", "float64"),
    "tpm_threshold": ("tpm_threshold", "float64"),
    "attempts": ("attempts", "int64"),
    "timeouts": ("timeouts", "int64"),
    "seconds_until_probe": ("seconds_until_probe", "float64"),
    "cooling_down_seconds": ("cooling_down", "float64"),
    "hedges": ("hedges", "int64"),
    "outrun": ("outrun", "int64"),
    "last_error": ("last_error", "string"),
}

HISTORY: dict[str, tuple[str, Kind]] = {
    "request": ("request", "int64"),
    "started": ("started", "time"),
    "policy": ("policy", POLICIES),
    "outcome": ("outcome", REQUEST_OUTCOMES),
    "seconds": ("seconds", "float64"),
    "backend": ("backend", "string"),
    "model": ("model", "string"),
    "attempts": ("attempts", "int64"),
    "ttft_seconds": ("ttft", "float64"),
    "prompt_tokens": ("prompt_tokens", "Int64"),
    "completion_tokens": ("completion_tokens", "Int64"),
    "cached_tokens": ("cached_tokens", "Int64"),
    "cache_written_tokens": ("cache_written_tokens", "Int64"),
    "reasoning_tokens": ("reasoning_tokens", "Int64"),
    "cost": ("cost", "float64"),
    "tokens_per_second": ("tokens_per_second", "float64"),
    "finish_reason": ("finish_reason", "string"),
    "restarts": ("restarts", "int64"),
    "decisions": ("decisions", JOINED),
    "error": ("error", "string"),
}

PEERS: dict[str, Kind] = {
    "backend": "string",
    "host": "string",
    "process": "Int64",
    "name": "string",
    "is_here": "bool",
    "since": "time",
    "requests": "Int64",
    "in_flight": "Int64",
    "state": STATES,
    "seconds_until_probe": "float64",
    "cooling_down_seconds": "float64",
    "has_probe": "bool",
    "level": "Int64",
    "rpm_limit": "Int64",
    "rpm_used": "float64",
    "tpm_limit": "Int64",
    "tpm_used": "float64",
    "concurrency_limit": "Int64",
    "concurrency_used": "float64",
    "heard_seconds": "float64",
}

ATTEMPTS: dict[str, Kind] = {
    "request": "int64",
    "backend": "string",
    "attempt": "int64",
    "started": "time",
    "seconds": "float64",
    "ttft_seconds": "float64",
    "outcome": ATTEMPT_OUTCOMES,
    "kind": FAILURE_KINDS,
    "status": "Int64",
    "message": "string",
}

VISITS: dict[str, Kind] = {
    "backend": "string",
    "ended": "time",
    "seconds": "float64",
    "outcome": ATTEMPT_OUTCOMES,
    "reason": "string",
}
"""Visits that have ended, for pictures; ``reason`` is why one failed, in short."""

TPM: dict[str, Kind] = {"at": "time", "backend": "string", "tpm": "float64"}

CIRCUIT: dict[str, Kind] = {
    "backend": "string",
    "state": STATES,
    "began": "time",
    "ended": "time",
    "seconds": "float64",
    "cause": "string",
}

COOL_DOWNS: dict[str, Kind] = {"backend": "string", "began": "time", "ended": "time", "seconds": "float64"}

EVENTS: dict[str, Kind] = {
    "at": "time",
    "request": "int64",
    "event": "string",
    "backend": "string",
    "message": "string",
    "kind": FAILURE_KINDS,
    "status": "Int64",
    "seconds": "float64",
    "attempt": "Int64",
    "attempts": "Int64",
    "ttft_seconds": "float64",
    "generating_seconds": "float64",
    "pieces": "Int64",
    "response_id": "string",
    "streaming": "boolean",
    "sampling": "string",
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "cached_tokens": "Int64",
    "cache_written_tokens": "Int64",
    "reasoning_tokens": "Int64",
    "cost": "float64",
    "cost_is_estimate": "boolean",
    "finish_reason": "string",
    "model": "string",
    "reason": "string",
    "seconds_left": "float64",
    "delay_seconds": "float64",
    "asked_by_server": "boolean",
    "limit": "string",
    "is_probe": "boolean",
    "tpm": "float64",
    "threshold": "float64",
    "failures": "Int64",
    "before": STATES,
    "state": STATES,
    "cause": tuple(map(str, Cause)),
    "policy": POLICIES,
    "order": JOINED,
    "conversation": "string",
    "backends": JOINED,
    "failed": "string",
    "next": "string",
    "words": "Int64",
    "again": "boolean",
    "is_sharing": "boolean",
    "beside": "string",
    "outrun_by": "string",
}

REPLAY: dict[str, Kind] = {
    "request": "int64",
    "started": "time",
    "outcome": REQUEST_OUTCOMES,
    "backend": "string",
    "seconds": "float64",
    "ttft_seconds": "float64",
    "attempts": "int64",
    "drawn": "int64",
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "cost": "float64",
    "decisions": JOINED,
    "error": "string",
    "was_outcome": REQUEST_OUTCOMES,
    "was_backend": "string",
    "was_seconds": "float64",
    "was_cost": "float64",
}

SIMULATION: dict[str, Kind] = {
    "backend": "string",
    "requests": "int64",
    "peak_per_minute": "int64",
    "successes": "int64",
    "failures": "int64",
    "rate_limited": "int64",
    "skipped": "int64",
    "answered_share": "float64",
    "p50_latency_seconds": "float64",
    "p95_latency_seconds": "float64",
}

COLUMN_OF = {"delay": "delay_seconds", "ttft": "ttft_seconds", "after": "state", "problem": "reason"}
"""The columns of those fields of events that are not named as their column, mostly for want of a unit."""


def read(columns: Mapping[str, tuple[str, Kind]], rows: Sequence[object], epoch: float) -> pd.DataFrame:
    """Make a frame of one attribute of every row per column."""
    values = {name: list(map(attrgetter(attribute), rows)) for name, (attribute, _) in columns.items()}
    return build({name: kind for name, (_, kind) in columns.items()}, values, epoch)


def frame_of(columns: Mapping[str, Kind], rows: Sequence[tuple[object, ...]], epoch: float) -> pd.DataFrame:
    """Make a frame of rows, each in the order of the columns."""
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    return build(columns, dict(zip(columns, map(list, values), strict=True)), epoch)


def build(columns: Mapping[str, Kind], values: Mapping[str, list[object]], epoch: float) -> pd.DataFrame:
    """Make a frame of the values of each column; ``epoch`` is the Unix time at which the clock was zero."""
    return assembled({name: series(values[name], kind, epoch) for name, kind in columns.items()})


def assembled(columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the frame of columns that were made for it; they are not copied."""
    from llx_magic.observe.frames.inert import InertFrame

    return InertFrame(dict(columns), copy=False)


def series(values: list[object], kind: Kind, epoch: float) -> pd.Series:
    """Return a column of values, None where they are missing; ``epoch`` is added to those that are times."""
    return spread([(None, values)], len(values), kind, epoch)


def spread(parts: Sequence[Part], length: int, kind: Kind, epoch: float) -> pd.Series:
    """Return a column of ``length`` rows whose values come in parts; they are missing where no part has any."""
    import numpy as np
    import pandas as pd

    if kind in ("string", JOINED):
        texts = _filled(parts, np.full(length, None, "object"), _joined if kind == JOINED else _as_they_are)
        # Named whole, since "string" alone is another type where pyarrow is installed.
        return pd.Series(texts, dtype=pd.StringDtype("python"))
    if isinstance(kind, tuple):
        code_of: dict[object, int] = {word: code for code, word in enumerate(kind)}
        codes = _filled(parts, np.full(length, -1, "int8"), lambda words: [code_of.get(word, -1) for word in words])
        return pd.Series(pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(kind))))
    if kind == "object":
        return pd.Series(_objects(parts, length), dtype="object")
    if kind == "int64":
        return pd.Series(_filled(parts, np.zeros(length, "int64"), _as_they_are))
    # By way of floats, which take None, ten times as fast as a list with None.
    numbers = _filled(parts, np.full(length, np.nan, "float64"), _as_they_are)
    return pd.Series(_made_of(numbers, kind, epoch))


def _filled(
    parts: Sequence[Part], column: np.ndarray, made_of: Callable[[Sequence[object]], Sequence[object]]
) -> np.ndarray:
    """Put the values of each part into a column."""
    import numpy as np

    for rows, values in parts:
        told = made_of(values)
        if rows is None and column.dtype == "object":
            column[:] = told
        elif rows is None:
            column = np.asarray(told, column.dtype)
        else:
            column[rows] = told
    return column


def _objects(parts: Sequence[Part], length: int) -> list[object]:
    """Return a column of anything, such as lists, each of which is one value."""
    column: list[object] = [None] * length
    for rows, values in parts:
        for row, value in zip(range(length) if rows is None else rows, values, strict=True):
            column[row] = value
    return column


def _made_of(numbers: np.ndarray, kind: Kind, epoch: float) -> np.ndarray | ExtensionArray:
    """Return numbers as a column of a kind holds them; NaN is what is missing."""
    import numpy as np
    import pandas as pd

    if kind == "float64":
        return numbers
    missing = np.isnan(numbers)
    if kind == "time":
        moments = np.rint(np.where(missing, 0.0, (numbers + epoch) * 1e6)).astype("int64").view("M8[us]")
        moments[missing] = np.datetime64("NaT")
        return pd.DatetimeIndex(moments, tz="UTC").array
    whole = np.where(missing, 0.0, numbers)
    if kind == "Int64":
        return pd.arrays.IntegerArray(whole.astype("int64"), missing)
    if kind == "boolean":
        return pd.arrays.BooleanArray(whole.astype("bool"), missing)
    return whole.astype("bool")


def _as_they_are(values: Sequence[object]) -> Sequence[object]:
    return values


def _joined(values: Sequence[object]) -> list[object]:
    known: dict[object, str] = {}
    for value in values:  # mostly the same few over and over
        if isinstance(value, tuple) and value not in known:
            known[value] = "; ".join(map(str, value))
    return list(map(known.get, values))
