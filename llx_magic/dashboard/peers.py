"""The processes that share the backends: what of the common limits is used, and what each thinks of each backend."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from llx_magic.core.peers import Peer, Process, Shared, SharedBackend
from llx_magic.dashboard.charts.circuits import STATES
from llx_magic.observe.palette import Style
from llx_magic.observe.peers import (
    MOST_SHOWN,
    caption,
    circuit_of,
    holder_of,
    host_of,
    name_of,
    notes,
    since,
    used_of,
)
from llx_magic.text.screen import one_line
from llx_magic.units import NOTHING, number

STYLE = """
.llx .n{margin-bottom:10px}
.llx .n tr{height:28px}
.llx .n th,.llx .n td{text-align:left;padding:2px 8px 2px 0}
.llx .n td b{min-width:0}
.llx .n tbody th{max-width:300px}
.llx .n td:nth-child(2){max-width:120px;overflow:hidden;text-overflow:ellipsis}
.llx .n td i{min-width:72px;max-width:150px;margin:2px 0 3px}
"""
"""The rules of the tables of class ``n``, which are denser than the first one."""

LONGEST_NAME = 24
"""How many characters of a process's name are drawn."""

_OF_BACKENDS = ("Backend", "Processes", "Requests/min", "Under way")
_OF_PROCESSES = ("Process", "Host", "Since", "Requests/min")


def draw(shared: Shared | None, style: dict[str, Style]) -> str:
    """Draw both tables below a heading, or in one line why there are none; nothing where nothing is known."""
    if shared is None:
        return ""
    if shared.why:
        return f"<p><b>Processes</b> {escape(shared.why)}</p>"
    below = "".join(f"<p>{escape(note)}</p>" for note in notes(shared))
    processes = _processes(shared) if shared.processes else ""
    return f"<p><b>Processes</b> {escape(caption(shared))}</p>{_backends(shared, style)}{processes}{below}"


def _backends(shared: Shared, style: dict[str, Style]) -> str:
    columns = (*_OF_BACKENDS, *shared.limits, "Probe")
    rows = "".join(_backend(backend, style[backend.name], shared.limits) for backend in shared.backends)
    return f"<table class='n'>{_head(columns)}<tbody>{rows}</table>"


def _backend(backend: SharedBackend, style: Style, limits: Sequence[str]) -> str:
    dash = f";--d:{style.dash[0]}px" if style.dash else ""
    head = f"<tr><th scope='row'><i style='--c:{style.colour}{dash}'></i>{escape(backend.name)}"
    if backend.why:
        return f"{head}<td colspan='{len(_OF_BACKENDS) + len(limits)}'>{escape(one_line(backend.why, 120))}"
    peers = backend.peers
    cells = (
        number(peers.total),
        number(sum(card.requests for card in peers.cards)),
        number(sum(card.under_way for card in peers.cards)),
        *(_bar(backend, name) for name in limits),
        escape(holder_of(backend, LONGEST_NAME)),
    )
    return f"{head}<td>{'<td>'.join(cells)}"


def _bar(backend: SharedBackend, setting: str) -> str:
    least = next(iter(backend.limits(setting)), 0)
    share = (
        f"<i style='--v:{min(100, round(100 * getattr(backend.peers.used, setting) / least))}%'></i>" if least else ""
    )
    return f"{used_of(backend, setting)}{share}"


def _processes(shared: Shared) -> str:
    names = [backend.name for backend in shared.backends if not backend.why]
    rows = "".join(_process(process, names) for process in shared.processes[:MOST_SHOWN])
    return f"<table class='n'>{_head((*_OF_PROCESSES, *names))}<tbody>{rows}</table>"


def _process(process: Process, names: Sequence[str]) -> str:
    cells = (escape(host_of(process)), since(process), number(process.requests) if process.card else NOTHING)
    opinions = (_opinion(process.at.get(name)) for name in names)
    return f"<tr><th scope='row'>{escape(name_of(process, LONGEST_NAME))}<td>{'<td>'.join((*cells, *opinions))}"


def _opinion(peer: Peer | None) -> str:
    """Draw what a process thinks of a backend, in the colour of its circuit; nothing where it has not asked it."""
    if peer is None or peer.card is None:
        return NOTHING if peer is None else circuit_of(peer)
    kind = "q" if peer.card.circuit == "closed" and peer.card.cooling_down else STATES[peer.card.circuit]
    return f"<b class='k{kind}'>{circuit_of(peer)}</b>"


def _head(columns: Sequence[str]) -> str:
    return "<thead><tr>" + "".join(f"<th scope='col'>{escape(name)}" for name in columns)
