"""The processes that share the backends: what of the common limits is used, and what each thinks of each backend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from llx_magic.core.peers import Peer, Process, Shared, SharedBackend
from llx_magic.dashboard.parts.part import Part, written
from llx_magic.observe.peers import (
    MOST_SHOWN,
    caption,
    circuit_of,
    holder_of,
    host_of,
    level_of,
    name_of,
    notes,
    since,
    used_of,
)
from llx_magic.text.screen import one_line
from llx_magic.units import NOTHING, number

LONGEST_NAME = 24
"""How many characters of a process's name are drawn."""

_OF_BACKENDS = ("Backend", "Processes", "Requests/min", "Under way")
_OF_PROCESSES = ("Process", "Host", "Since", "Requests/min")


def draw(shared: Shared | None) -> str:
    """Draw both tables below a heading, or in one line why there are none; nothing where nothing is known."""
    if shared is None:
        return ""
    if shared.why:
        return f"<p><b>Processes</b> {escape(shared.why)}</p>"
    below = "".join(f"<p>{escape(note)}</p>" for note in notes(shared))
    processes = _processes(shared) if shared.processes else ""
    return f"<p><b>Processes</b> {escape(caption(shared))}</p>{_backends(shared)}{processes}{below}"


def _backends(shared: Shared) -> str:
    columns = (*_OF_BACKENDS, *_level_column(shared), *shared.limits, "Probe")
    rows = "".join(_backend(backend, shared) for backend in shared.backends)
    return f"<div class='wide'><table class='n'>{_head(columns)}<tbody>{rows}</tbody></table></div>"


def _level_column(shared: Shared) -> tuple[str, ...]:
    return ("Level of all",) if shared.has_levels else ()


def _backend(backend: SharedBackend, shared: Shared) -> str:
    head = f"<tr><th scope='row'>{escape(one_line(backend.name, 60))}</th>"
    if backend.why:
        columns = len(_OF_BACKENDS) + len(_level_column(shared)) + len(shared.limits)
        return f"{head}<td colspan='{columns}'>{escape(one_line(backend.why, 120))}</td></tr>"
    peers = backend.peers
    cells = (
        number(peers.total),
        number(sum(card.requests for card in peers.cards)),
        number(sum(card.under_way for card in peers.cards)),
        *(level_of(backend) for _ in _level_column(shared)),
        *(_bar(backend, name) for name in shared.limits),
        escape(holder_of(backend, LONGEST_NAME)),
    )
    return f"{head}{_cells(cells)}</tr>"


def _bar(backend: SharedBackend, setting: str) -> str:
    least = next(iter(backend.limits(setting)), 0)
    share = (
        f"<i style='--v:{min(100, round(100 * getattr(backend.peers.used, setting) / least))}%'></i>" if least else ""
    )
    return f"{used_of(backend, setting)}{share}"


def _processes(shared: Shared) -> str:
    names = [backend.name for backend in shared.backends if not backend.why]
    rows = "".join(_process(process, names) for process in shared.processes[:MOST_SHOWN])
    head = _head((*_OF_PROCESSES, *names))
    return f"<div class='wide'><table class='n'>{head}<tbody>{rows}</tbody></table></div>"


def _process(process: Process, names: Sequence[str]) -> str:
    cells = (escape(host_of(process)), since(process), number(process.requests) if process.card else NOTHING)
    opinions = (_opinion(process.at.get(name)) for name in names)
    return f"<tr><th scope='row'>{escape(name_of(process, LONGEST_NAME))}</th>{_cells((*cells, *opinions))}</tr>"


def _opinion(peer: Peer | None) -> str:
    """Return what a process thinks of a backend; nothing where it has not asked it."""
    return NOTHING if peer is None else escape(circuit_of(peer))


def _cells(cells: Iterable[str]) -> str:
    return "".join(f"<td>{cell}</td>" for cell in cells)


def _head(columns: Sequence[str]) -> str:
    return "<thead><tr>" + "".join(f"<th scope='col'>{escape(name)}</th>" for name in columns) + "</tr></thead>"


PART = Part(
    name="processes",
    draw=lambda scene: {"processes": written(draw(scene.shared))},
    style="""
.llx p{margin:12px 0 4px;color:var(--m)}
.llx p b{color:var(--i);margin-right:8px}
.llx table{border-collapse:collapse;margin:0 0 10px;font-size:12px;color:var(--i)}
.llx tr{background:none!important}
.llx .n th,.llx .n td{text-align:left;padding:3px 12px 3px 0;border:0;border-top:1px solid var(--l);font-weight:400;
    white-space:nowrap;max-width:none}
.llx .n thead th{color:var(--m);font-size:11px}
.llx .n tbody th{font-weight:600}
.llx .n td i{display:block;height:6px;min-width:72px;max-width:150px;margin:2px 0 3px;
    background:linear-gradient(var(--m) 0 0) 0/var(--v) 100% no-repeat,color-mix(in srgb,var(--m) 20%,transparent)}
""",
)
