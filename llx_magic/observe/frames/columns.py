"""The columns of every DataFrame with their types."""

from __future__ import annotations

from llx_magic.core.breaker import Cause
from llx_magic.core.circuits import STATES
from llx_magic.core.failure import FailureKind
from llx_magic.core.routing import ROUTINGS

POLICIES = tuple(ROUTINGS)
REQUEST_OUTCOMES = ("answered", "failed", "cancelled", "put back")
ATTEMPT_OUTCOMES = ("answered", "failed", "cancelled", "running")
FAILURE_KINDS = tuple(str(kind) for kind in FailureKind)

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
    "tpm": ("shown_tpm", "float64"),
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
    "waited_seconds": "float64",
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

COLUMN_OF = {
    "delay": "delay_seconds",
    "waited": "waited_seconds",
    "ttft": "ttft_seconds",
    "after": "state",
    "problem": "reason",
}
"""The columns of those fields of events that are not named as their column, mostly for want of a unit."""
