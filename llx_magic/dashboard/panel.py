"""The dashboard's picture: a snapshot and a view in, HTML out; pure, and every text in it is escaped.

It is drawn up to four times a second and sent each time, so it is terse: whole numbers, one path for all marks of a
kind, single quotes (JSON has to escape double ones), and the style sheet apart, which is sent once.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape

from llx_magic.core.peers import Shared
from llx_magic.core.snapshot import BackendSnapshot, Snapshot
from llx_magic.dashboard import peers
from llx_magic.dashboard.charts import CHARTS
from llx_magic.dashboard.charts.circuits import chip
from llx_magic.dashboard.style import BASE, GUTTER, RIGHT
from llx_magic.dashboard.timeline import View
from llx_magic.observe.palette import Style, styles
from llx_magic.observe.report import brief_rate, prompts_in_words
from llx_magic.observe.status.status import status_of
from llx_magic.text.screen import one_line
from llx_magic.units import NOTHING, below, duration, exact, number, percent, plural

_COLUMNS = (
    "Backend", "Circuit", "Requests", "Success", "Average", "p95", "First token", "Tokens", "TPM", "Latency",
)  # fmt: skip


_PAGE = 780

SHEET = (BASE + "".join(chart.style for chart in CHARTS) + peers.STYLE).replace("\n    ", "").replace("\n", "")
"""The style sheet on one line, which stands beside the parts."""

PARTS = ("table", *(chart.name for chart in CHARTS), "peers")
"""The parts of the dashboard, from top to bottom."""


def draw(snapshot: Snapshot, view: View, shared: Shared | None = None) -> dict[str, str]:
    """Return each part by itself, so that only what has changed need be sent: table, charts and other processes.

    They belong into elements of class ``llx``. The height of each but the last depends on the number of backends alone.
    """
    charts = {chart.name: chart.draw(snapshot, view) for chart in CHARTS}
    return {"table": _table(snapshot, view), **charts, "peers": _peers(snapshot, shared)}


def whole(snapshot: Snapshot, view: View, shared: Shared | None = None) -> str:
    """Return tables and picture as one piece of HTML that needs nothing else: for a saved notebook."""
    picture = b64encode(standalone_svg(snapshot, view).encode()).decode()
    status = status_of(snapshot)
    alt = escape(f"{status.profile}: {status.sentence} Below: circuits, tokens per minute and latest requests.")
    below = (
        f"<div class='llx tex2jax_ignore mathjax_ignore'>{drawn}</div>" if (drawn := _peers(snapshot, shared)) else ""
    )
    return (
        f"<style>{SHEET}</style><div class='llx tex2jax_ignore mathjax_ignore'>{_table(snapshot, view)}</div>"
        f"<img alt='{alt}' width='{_PAGE}' src='data:image/svg+xml;base64,{picture}'>{below}"
    )


def _peers(snapshot: Snapshot, shared: Shared | None) -> str:
    return peers.draw(shared, styles(backend.name for backend in snapshot.backends))


def standalone_svg(snapshot: Snapshot, view: View) -> str:
    """Return the charts as one SVG file on white paper."""
    top, parts = 34, [f"<text class='t' x='12' y='20'>{escape(snapshot.profile)}</text>"]
    plot = _PAGE - 24 - GUTTER - RIGHT
    for chart in CHARTS:
        svg = chart.draw(snapshot, view)
        words = chart.heading.replace("<b>", "<tspan font-weight='bold'>").replace("</b>", "</tspan>")
        parts.append(f"<text x='12' y='{top + 12}'>{words}</text>")
        parts.append(svg.replace("<svg ", f"<svg x='{12 + GUTTER}' y='{top + 20}' width='{plot}' ", 1))
        top += _height(svg) + 36
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' class='llx' width='{_PAGE}' height='{top}' "
        f"viewBox='0 0 {_PAGE} {top}'><style>{SHEET}</style>"
        f"<rect width='100%' height='100%' fill='#fff'/>{''.join(parts)}</svg>"
    )


def _height(svg: str) -> int:
    return int(svg.split("height='", 1)[1].split("'", 1)[0])


def _table(snapshot: Snapshot, view: View) -> str:
    style = styles(backend.name for backend in snapshot.backends)
    latencies = {strip.name: strip.latencies for strip in view.strips}
    known = [value for it in snapshot.backends for value in (it.tpm or 0.0, 1.25 * (it.tpm_threshold or 0.0))]
    scale = max(*known, 1.0)
    head = "".join(f"<th scope='col'>{name}" for name in _COLUMNS)
    rows = "".join(
        _row(backend, style[backend.name], latencies.get(backend.name, ()), scale) for backend in snapshot.backends
    )
    caption = f"<caption><b>{escape(snapshot.profile)}</b> {plural(snapshot.total_requests, 'request')}"
    if snapshot.prompts.asked:
        caption += f"; prompts: {prompts_in_words(snapshot.prompts)}"
    return f"<table>{caption}<thead><tr>{head}<tbody>{rows}</table>"


def _row(backend: BackendSnapshot, style: Style, latencies: tuple[float, ...], scale: float) -> str:
    tpm, threshold = backend.tpm, backend.tpm_threshold
    rate = number(tpm)
    bullet = f"<i style='--v:{_share(tpm, scale)}%"
    if threshold is not None:
        if tpm is not None and tpm < threshold:
            rate = below(tpm, threshold, ",")
        rate += f" / {exact(threshold, ',')}"
        bullet += f";--t:{_share(threshold, scale)}%"
    rate = " ".join([rate, *brief_rate(backend)])
    numbers = (
        number(backend.requests),
        percent(backend.success_rate),
        duration(backend.mean_latency),
        duration(backend.p95_latency),
        duration(backend.ttft),
        number(backend.tokens),
        f"{rate}{bullet}'></i>",
    )
    kind, words = chip(backend)
    error = escape(one_line(backend.last_error, 60)) if backend.last_error else "no failure"
    circuit = f"<b class='k{kind}'>{words}</b> <small>{error}</small>"
    dash = f";--d:{style.dash[0]}px" if style.dash else ""
    return (
        f"<tr><th scope='row'><i style='--c:{style.colour}{dash}'></i>{escape(backend.name)}<td>{circuit}"
        f"<td>{'<td>'.join(numbers)}<td>{_sparkline(latencies)}"
    )


def _sparkline(latencies: tuple[float, ...]) -> str:
    """Draw the latest latencies from zero, so that a slow one looks slow."""
    if not latencies:
        return NOTHING
    top = max(latencies) or 1.0
    places = [f"{round(3 * place)} {round(17 - 15 * value / top)}" for place, value in enumerate(latencies)]
    title = f"<title>latest {duration(latencies[-1])}, highest {duration(top)}</title>"
    return f"<svg class='s' role='img'>{title}<path d='M{'L'.join(places)}h.1'/></svg>"


def _share(value: float | None, scale: float) -> int:
    return round(100 * (value or 0.0) / scale)
