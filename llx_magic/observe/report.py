"""The statistics of a profile as people read them: the plain layout, and a table in HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable

from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.core.statistics import Prompts
from llx_magic.text.screen import printable
from llx_magic.units import countdown, duration, in_time, milliseconds, number, percent, plural, whole

AS_WRITTEN = 'class="tex2jax_ignore mathjax_ignore"'
"""Marks an element whose text no front end takes for a formula: a name or an error between dollars could be a link.

https://docs.mathjax.org/en/latest/options/document.html
"""


def plain(snapshot: Snapshot) -> str:
    """Return the statistics in their fixed text layout: totals, metrics of every backend, circuit states.

    Where not every prompt was answered, a line below it says so: a request of the layout is one of a backend.
    """
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
            f"    Success Rate: {percent(backend.success_rate)}",
            f"    Avg Latency: {milliseconds(backend.mean_latency)}",
            f"    Tokens: {backend.tokens}",
            f"    TPM: {whole(backend.tpm or 0)}",
            "",
        ]
    lines.append("Circuit Breaker States:")
    lines += [f"  {backend.name}: {backend.state}" for backend in snapshot.backends]
    if snapshot.prompts.asked != snapshot.prompts.answered:
        lines += ["", f"Prompts: {prompts_in_words(snapshot.prompts)}"]
    return "\n".join(lines)


_COLUMNS: dict[str, Callable[[BackendSnapshot], str]] = {
    "backend": lambda it: it.name,
    "circuit": lambda it: circuit_in_words(it),  # noqa: PLW0108 - it is defined below
    "requests": lambda it: number(it.requests),
    "success rate": lambda it: percent(it.success_rate),
    "avg latency": lambda it: duration(it.mean_latency),
    "p50": lambda it: duration(it.p50_latency),
    "p95": lambda it: duration(it.p95_latency),
    "first token": lambda it: duration(it.ttft),
    "tokens": lambda it: number(it.tokens),
    "tokens/s": lambda it: number(it.tokens_per_second),
    "TPM": lambda it: number(it.tpm),
    "attempts": lambda it: number(it.attempts),
    "time-outs": lambda it: number(it.timeouts),
    "cancelled": lambda it: number(it.cancelled),
    "last error": lambda it: it.last_error or "",
}
"""The columns of the table, and what stands in each."""


def circuit_in_words(backend: BackendSnapshot) -> str:
    """Return the circuit's state with what it waits for, such as ``open, probe in 12 s``."""
    if backend.is_open:
        left = backend.seconds_until_probe
        return f"open, probe {in_time(left)}" if left else "open, probe due"
    if backend.cooling_down is not None:
        return f"{backend.state}, {cooling_down_in_words(backend.cooling_down)}"
    if backend.below_threshold:
        return f"{backend.state}, below TPM"
    return backend.state


def cooling_down_in_words(seconds_left: float) -> str:
    """Return what a cool-down waits for: its end, or the first request after it."""
    return f"cooling down {countdown(seconds_left)}" if seconds_left else "cooling down, one request is out first"


def prompts_in_words(prompts: Prompts) -> str:
    """Return what became of the prompts: ``14 asked, 4 answered, 10 failed``, and the rarer outcomes that there are."""
    rarer = {"cancelled": prompts.cancelled, "running": prompts.running}
    told = {"asked": prompts.asked, "answered": prompts.answered, "failed": prompts.failed}
    told |= {name: count for name, count in rarer.items() if count}
    return ", ".join(f"{number(count)} {name}" for name, count in told.items())


def as_html(snapshot: Snapshot) -> str:
    """Return the statistics as an HTML table; every text in it is escaped."""
    rows = ([cell(backend) for cell in _COLUMNS.values()] for backend in snapshot.backends)
    return html_table(_COLUMNS, rows, caption=caption(snapshot))


def caption(snapshot: Snapshot) -> str:
    """Return what stands above every view: the profile, its requests (visits to backends), and its prompts."""
    visits = plural(snapshot.total_requests, "request")
    text = f"{snapshot.profile}: {visits} to {plural(len(snapshot.backends), 'backend')}"
    if snapshot.prompts.asked:
        return f"{text}; prompts: {prompts_in_words(snapshot.prompts)}"
    return text if snapshot.total_requests else f"{text} (nothing has been asked of this profile yet)"


def html_table(columns: Iterable[str], rows: Iterable[Iterable[str]], *, caption: str = "") -> str:
    """Return an HTML table, each text printable, escaped, left-aligned and never taken for a formula."""
    head = "".join(f'<th scope="col" style="text-align:left">{html.escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{html.escape(printable(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    title = f'<caption style="text-align:left">{html.escape(printable(caption))}</caption>' if caption else ""
    return f"<table {AS_WRITTEN}>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
