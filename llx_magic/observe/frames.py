"""Statistics, history and events as pandas DataFrames; pandas is imported when the first one is made."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from llx_magic.core.events import Event
from llx_magic.core.snapshot import Snapshot
from llx_magic.core.statistics import RequestRecord
from llx_magic.core.text import printable
from llx_magic.observe.lines import as_dict

if TYPE_CHECKING:
    import pandas as pd

_HISTORY_COLUMNS = (
    "request", "started", "outcome", "seconds", "backend", "model", "attempts", "ttft_seconds", "prompt_tokens",
    "completion_tokens", "finish_reason", "restarts", "decisions", "error",
)  # fmt: skip

_STATS_COLUMNS = (
    "state", "requests", "successes", "failures", "cancelled", "in_flight", "success_rate", "mean_latency_seconds",
    "p50_latency_seconds", "p95_latency_seconds", "ttft_seconds", "tokens", "prompt_tokens", "completion_tokens",
    "tokens_per_second", "tpm", "tpm_threshold", "attempts", "timeouts", "seconds_until_probe",
    "cooling_down_seconds", "last_error",
)  # fmt: skip

_RENAMED = {
    "mean_latency": "mean_latency_seconds",
    "p50_latency": "p50_latency_seconds",
    "p95_latency": "p95_latency_seconds",
    "ttft": "ttft_seconds",
    "cooling_down": "cooling_down_seconds",
}


def stats_frame(snapshot: Snapshot) -> pd.DataFrame:
    """Return a row per backend, in priority order, indexed by its name; times in seconds, rates from 0 to 1."""
    import pandas as pd

    rows = [{**_renamed(dataclasses.asdict(backend)), "tokens": backend.tokens} for backend in snapshot.backends]
    frame = pd.DataFrame(rows, columns=["name", *_STATS_COLUMNS]).set_index("name")
    frame.index.name = "backend"
    numbers = ["success_rate", "tokens_per_second", "tpm", "tpm_threshold"]
    floats = numbers + [column for column in frame.columns if column.endswith("_seconds")]
    return frame.astype(dict.fromkeys(floats, "float64"))


def history_frame(records: Iterable[RequestRecord], epoch: float) -> pd.DataFrame:
    """Return a row per request that has ended, oldest first; ``started`` in UTC, durations in seconds."""
    import pandas as pd

    rows = [_renamed(dataclasses.asdict(record)) for record in records]
    frame = pd.DataFrame(rows, columns=list(_HISTORY_COLUMNS))
    frame["started"] = _timestamps(frame["started"], epoch)
    floats = {"seconds": "float64", "ttft_seconds": "float64"}
    counts = dict.fromkeys(["prompt_tokens", "completion_tokens"], "Int64")
    whole = dict.fromkeys(["request", "attempts", "restarts"], "int64")
    return frame.astype(floats | counts | whole)


def events_frame(events: Iterable[Event], epoch: float) -> pd.DataFrame:
    """Return a row per event, oldest first; ``at`` in UTC; a column that an event does not have is empty."""
    import pandas as pd

    first = ["at", "request", "event", "backend", "message"]
    rows = [as_dict(event) for event in events]
    others = sorted({key for row in rows for key in row} - set(first))
    frame = pd.DataFrame(rows, columns=first + others)
    frame["at"] = _timestamps(frame["at"], epoch)
    return frame.astype({"request": "int64"})


def conversation_frame(turns: Iterable[Mapping[str, str | None]]) -> pd.DataFrame:
    """Return a row per turn of a conversation, in order, numbered from 1; ``at`` in UTC, NaT where it is no time.

    Each turn has ``at`` (ISO 8601), ``prompt``, ``reply``, ``backend`` and ``model``. A DataFrame is also printed on
    terminals, so the texts come without control sequences.
    """
    import pandas as pd

    texts = ["prompt", "reply", "backend", "model"]
    rows = [
        {"turn": number, "at": turn["at"], **{column: printable(turn[column] or "") for column in texts}}
        for number, turn in enumerate(turns, 1)
    ]
    frame = pd.DataFrame(rows, columns=["turn", "at", *texts])
    frame["at"] = pd.to_datetime(frame["at"], utc=True, format="ISO8601", errors="coerce")
    return frame.astype({"turn": "int64", **dict.fromkeys(texts, "str")})


def _renamed(row: dict[str, object]) -> dict[str, object]:
    return {_RENAMED.get(key, key): value for key, value in row.items()}


def _timestamps(seconds: pd.Series, epoch: float) -> pd.Series:
    import pandas as pd

    return pd.to_datetime(seconds.astype("float64") + epoch, unit="s", utc=True)
