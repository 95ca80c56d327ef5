"""Writes snapshots in Prometheus's text format 0.0.4, without any further package.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from llx_magic.core.circuits import STATES
from llx_magic.core.events import SkipReason
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import PUT_ASIDE
from llx_magic.errors import UsageProblem

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The ``Content-Type`` under which the page is served."""

REASONS = (*(str(reason) for reason in SkipReason), PUT_ASIDE)
"""Every value of the label ``reason``."""

Sample = tuple[str, dict[str, str], float | None]
"""A suffix of the metric's name, the labels beside the profile, and the value; None is left out."""


class Snapshotted(Protocol):
    """An object with a snapshot; ``llx_magic.load`` returns one."""

    def snapshot(self) -> Snapshot: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    kind: Literal["counter", "gauge", "summary"]
    help: str
    samples: Callable[[Snapshot], Iterable[Sample]]


def exposition(source: Snapshotted | Snapshot | Iterable[Snapshotted | Snapshot]) -> str:
    """Return the page that Prometheus scrapes: state and counts of every backend of one or several load balancers.

    Times are in seconds, ratios from 0 to 1; values that are not known yet are left out. Metrics come in a fixed
    order, backends in order of priority. Counters start over after ``reset_statistics``; Prometheus recognises that.

    Raises:
        UsageProblem: where two backends would have the same labels, since Prometheus then refuses the whole page.
    """
    snapshots = list(_snapshots(source))
    _check_distinct(snapshots)
    return "".join(f"{line}\n" for metric in _METRICS for line in _lines(metric, snapshots))


def _snapshots(source: Snapshotted | Snapshot | Iterable[Snapshotted | Snapshot]) -> Iterator[Snapshot]:
    if isinstance(source, Snapshot):
        yield source
    elif isinstance(source, Iterable):
        for each in source:
            yield from _snapshots(each)
    else:
        yield source.snapshot()


def _check_distinct(snapshots: list[Snapshot]) -> None:
    backends = [
        (f"backend {backend.name!r} of profile {each.profile!r}", (each.profile, backend.name))
        for each in snapshots
        for backend in each.backends
    ]
    profiles = [(f"profile {each.profile!r}", (each.profile,)) for each in snapshots]
    seen = set()
    for what, names in (*backends, *profiles):
        key = tuple(map(_label_value, names))
        if key in seen:
            raise UsageProblem(
                f"{what} is there twice: give each load balancer once, each with a profile name of its own"
            )
        seen.add(key)


def _lines(metric: _Metric, snapshots: list[Snapshot]) -> Iterator[str]:
    yield f"# HELP {metric.name} {metric.help}"
    yield f"# TYPE {metric.name} {metric.kind}"
    for snapshot in snapshots:
        for suffix, labels, value in metric.samples(snapshot):
            if value is not None:
                pairs = {"profile": snapshot.profile, **labels}
                inside = ",".join(f'{name}="{_label_value(text)}"' for name, text in pairs.items())
                yield f"{metric.name}{suffix}{{{inside}}} {_number(value)}"


def _label_value(text: str) -> str:
    """Escape what would end a label's value; a lone surrogate, which UTF-8 does not have, becomes ``?``."""
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return clean.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _each(read: Callable[[BackendSnapshot], Iterable[Sample]]) -> Callable[[Snapshot], Iterator[Sample]]:
    """Return a function that collects the samples of all backends of a profile."""

    def samples(snapshot: Snapshot) -> Iterator[Sample]:
        for backend in snapshot.backends:
            for suffix, labels, value in read(backend):
                yield suffix, {"backend": backend.name, **labels}, value

    return samples


def _single(read: Callable[[BackendSnapshot], float | None]) -> Callable[[Snapshot], Iterator[Sample]]:
    return _each(lambda backend: (("", {}, read(backend)),))


def _by(label: str, values: Mapping[str, float | None]) -> list[Sample]:
    """Return a sample for each value of a label."""
    return [("", {label: name}, value) for name, value in values.items()]


def _requests(snapshot: Snapshot) -> Iterable[Sample]:
    ended = snapshot.prompts
    return _by("outcome", {"answered": ended.answered, "failed": ended.failed, "cancelled": ended.cancelled})


def _skips(it: BackendSnapshot) -> Iterable[Sample]:
    return _by("reason", {**dict.fromkeys(REASONS, 0), **dict(it.skips)})


def _visits(it: BackendSnapshot) -> Iterable[Sample]:
    return _by("outcome", {"success": it.successes, "failure": it.failures, "cancelled": it.cancelled})


def _tokens(it: BackendSnapshot) -> Iterable[Sample]:
    return _by("type", {"input": it.prompt_tokens, "output": it.completion_tokens})


def _states(it: BackendSnapshot) -> Iterable[Sample]:
    return _by("state", {state: int(it.state == state) for state in STATES})


def _durations(it: BackendSnapshot) -> Iterable[Sample]:
    answered = it.successes
    sums: list[Sample] = [("_sum", {}, (it.mean_latency or 0.0) * answered), ("_count", {}, answered)]
    return _by("quantile", {"0.5": it.p50_latency, "0.95": it.p95_latency}) + sums


_METRICS = (
    _Metric("llx_requests_total", "counter", "Prompts that have ended, by what became of them.", _requests),
    _Metric("llx_requests_in_flight", "gauge", "Prompts under way.", lambda it: (("", {}, it.prompts.running),)),
    _Metric("llx_skips_total", "counter", "Times that a backend was passed over without a visit.", _each(_skips)),
    _Metric("llx_visits_total", "counter", "Visits that have ended; a prompt makes one or more.", _each(_visits)),
    _Metric("llx_attempts_total", "counter", "Times that a prompt was sent.", _single(lambda it: it.attempts)),
    _Metric("llx_timeouts_total", "counter", "Attempts that a time-out ended.", _single(lambda it: it.timeouts)),
    _Metric(
        "llx_hedges_total", "counter", "Visits beside a backend that was silent.", _single(lambda it: it.hedges)
    ),
    _Metric(
        "llx_outrun_total", "counter", "Visits cancelled since another backend was first.",
        _single(lambda it: it.outrun),
    ),
    _Metric("llx_cost_total", "counter", "What replies cost, where it is known.", _single(lambda it: it.cost)),
    _Metric("llx_tokens_total", "counter", "Tokens of the replies that reported them.", _each(_tokens)),
    _Metric("llx_in_flight", "gauge", "Visits under way.", _single(lambda it: it.in_flight)),
    _Metric("llx_circuit_state", "gauge", "1 for the state that the circuit is in, 0 for the others.", _each(_states)),
    _Metric(
        "llx_circuit_probe_seconds", "gauge", "Seconds until an open circuit may be probed, else 0.",
        _single(lambda it: it.seconds_until_probe),
    ),
    _Metric(
        "llx_cool_down_seconds", "gauge", "Seconds that a rate limit still keeps requests away, else 0.",
        _single(lambda it: it.cooling_down or 0),
    ),
    _Metric("llx_tokens_per_minute", "gauge", "Tokens per minute of late.", _single(lambda it: it.shown_tpm)),
    _Metric(
        "llx_tokens_per_minute_threshold", "gauge", "Tokens per minute below which the backend is put aside, if set.",
        _single(lambda it: it.tpm_threshold),
    ),
    _Metric("llx_success_ratio", "gauge", "Successes per success or failure.", _single(lambda it: it.success_rate)),
    _Metric(
        "llx_visit_duration_seconds", "summary", "Answered visits, with waits; quantiles of the latest.",
        _each(_durations),
    ),
    _Metric(
        "llx_time_to_first_token_seconds", "gauge", "Median of the latest times to the first piece.",
        _single(lambda it: it.ttft),
    ),
    _Metric(
        "llx_output_tokens_per_second", "gauge", "Completion tokens per second of generating.",
        _single(lambda it: it.tokens_per_second),
    ),
)  # fmt: skip
