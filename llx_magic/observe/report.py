"""The statistics of a profile as people read them: the plain layout, and a table in HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.text import printable

NOTHING = "N/A"

AS_WRITTEN = 'class="tex2jax_ignore mathjax_ignore"'
"""Marks an element whose text no front end takes for a formula: a name or an error between dollars could be a link."""


def plain(snapshot: Snapshot) -> str:
    """Return the statistics in their fixed text layout: totals, metrics of every backend, circuit states."""
    lines = [
        "Load Balancer Statistics",
        f"Profile: {snapshot.profile}",
        f"Total Requests: {snapshot.total_requests}",
        "",
        "Backend Metrics:",
    ]
    for backend in snapshot.backends:
        lines += [
            f"  {backend.name}",
            f"    Requests: {backend.requests}",
            f"    Success Rate: {_percent(backend.success_rate)}",
            f"    Avg Latency: {_milliseconds(backend.mean_latency)}",
            f"    Tokens: {backend.tokens}",
            f"    TPM: {backend.tpm or 0:.0f}",
            "",
        ]
    lines.append("Circuit Breaker States:")
    lines += [f"  {backend.name}: {backend.state}" for backend in snapshot.backends]
    return "\n".join(lines)


_COLUMNS = (
    "backend",
    "circuit",
    "requests",
    "success rate",
    "avg latency",
    "p50",
    "p95",
    "first token",
    "tokens",
    "tokens/s",
    "TPM",
    "attempts",
    "time-outs",
    "cancelled",
    "last error",
)


def _cells(backend: BackendSnapshot) -> tuple[str, ...]:
    return (
        backend.name,
        circuit_in_words(backend),
        str(backend.requests),
        _percent(backend.success_rate),
        _milliseconds(backend.mean_latency),
        _milliseconds(backend.p50_latency),
        _milliseconds(backend.p95_latency),
        _milliseconds(backend.ttft),
        str(backend.tokens),
        NOTHING if backend.tokens_per_second is None else f"{backend.tokens_per_second:.1f}",
        NOTHING if backend.tpm is None else f"{backend.tpm:.0f}",
        str(backend.attempts),
        str(backend.timeouts),
        str(backend.cancelled),
        backend.last_error or "",
    )


def circuit_in_words(backend: BackendSnapshot) -> str:
    """Return the circuit's state with what it waits for, such as ``open, probe in 12 s``."""
    if backend.is_open:
        return (
            f"open, probe in {backend.seconds_until_probe:.0f} s" if backend.seconds_until_probe else "open, probe due"
        )
    if backend.cooling_down is not None:
        return f"{backend.state}, cooling down {backend.cooling_down:.0f} s"
    if backend.below_threshold:
        return f"{backend.state}, below TPM"
    return backend.state


def as_html(snapshot: Snapshot) -> str:
    """Return the statistics as an HTML table; every text in it is escaped."""
    caption = f"{snapshot.profile}: {snapshot.total_requests} requests to {len(snapshot.backends)} backends"
    if not snapshot.total_requests:
        caption += " (nothing has been asked of this profile yet)"
    return html_table(_COLUMNS, map(_cells, snapshot.backends), caption=caption)


def html_table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, caption: str = "") -> str:
    """Return an HTML table, each text printable, escaped, left-aligned and never taken for a formula."""
    head = "".join(f'<th scope="col" style="text-align:left">{html.escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{html.escape(printable(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    title = f'<caption style="text-align:left">{html.escape(printable(caption))}</caption>' if caption else ""
    return f"<table {AS_WRITTEN}>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _percent(rate: float | None) -> str:
    return NOTHING if rate is None else f"{rate * 100:.1f}%"


def _milliseconds(seconds: float | None) -> str:
    return NOTHING if seconds is None else f"{seconds * 1000:.0f}ms"
