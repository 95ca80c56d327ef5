"""Who shares the backends of a profile, as people read it: a table of backends, and one of processes."""

from __future__ import annotations

import html
from collections.abc import Callable

from llx_magic.core.peers import LONGEST_NAME, Peer, Process, Shared, SharedBackend
from llx_magic.observe.report import html_table, text_table
from llx_magic.text.screen import one_line, printable
from llx_magic.units import NOTHING, countdown, duration, in_time, number, plural

MOST_SHOWN = 40
"""How many processes a table has; the DataFrame has more."""

ALONE = "no other process shares these backends now"
UNKNOWN = "does not say who it is"


def used_of(backend: SharedBackend, setting: str) -> str:
    """Return what counts against a limit, ``180 of 240``, or ``180 of 240 to 300`` where those differ.

    Nothing is counted where nobody has a limit.
    """
    limits = backend.limits(setting)
    if backend.why or not limits:
        return NOTHING if backend.why else "no limit"
    most = number(limits[0]) if limits[0] == limits[-1] else f"{number(limits[0])} to {number(limits[-1])}"
    return f"{number(round(getattr(backend.peers.used, setting)))} of {most}"


def level_of(backend: SharedBackend) -> str:
    """Return how many rows at once all together give a backend, ``24``, or ``24 of 64`` under a limit of theirs."""
    if backend.level is None:
        return NOTHING
    limits = backend.limits("concurrency_limit")
    return f"{number(backend.level)} of {number(limits[0])}" if limits else number(backend.level)


def name_of(process: Process, longest: int = LONGEST_NAME) -> str:
    """Return what a person knows a process by: ``analysis.ipynb (4211), this one``; a long name is cut."""
    if (card := process.card) is None:
        return UNKNOWN
    name = f"{one_line(card.name, longest)} ({card.process})" if card.name else str(card.process)
    return f"{name}, this one" if process.is_here else name


def host_of(process: Process) -> str:
    """Return the host that a process says it runs on."""
    return one_line(process.card.host) if process.card else NOTHING


def since(process: Process) -> str:
    """Return for how long it has been there, from a minute on in whole minutes."""
    seconds = process.since
    if process.card is None:
        return NOTHING
    return duration(round(seconds) if seconds < 60 else 60 * round(seconds / 60))


def circuit_of(peer: Peer) -> str:
    """Return a process's opinion of a backend: ``open, probe in 12 s``; what it said of times has gone on meanwhile."""
    card = peer.card
    if card is None:
        return f"{NOTHING}, has the probe" if peer.has_probe else NOTHING
    said = card.circuit if card.level is None else f"{card.circuit}, level {number(card.level)}"
    if peer.has_probe:
        return f"{said}, has the probe"
    if card.circuit == "open":
        left = max(0.0, card.probe_in - peer.seconds)
        return f"{said}, probe {in_time(left)}" if left else f"{said}, probe due"
    left = max(0.0, (card.cooling_down or 0.0) - peer.seconds)
    return f"{said}, cooling down {countdown(left)}" if left else said


def holder_of(backend: SharedBackend, longest: int = LONGEST_NAME) -> str:
    """Return who holds the probe of a backend's circuit."""
    for peer in backend.peers.each:
        if peer.has_probe:
            return name_of(Process(peer.card, {backend.name: peer}), longest)
    return NOTHING if backend.why else "nobody"


def known(backend: SharedBackend) -> str:
    """Return how many processes share a backend, or why that is not known."""
    return backend.why or number(backend.peers.total)


_OF_BACKENDS: dict[str, Callable[[SharedBackend], str]] = {
    "backend": lambda it: it.name,
    "processes": known,
    "requests, last minute": lambda it: NOTHING if it.why else number(sum(card.requests for card in it.peers.cards)),
    "under way": lambda it: NOTHING if it.why else number(sum(card.under_way for card in it.peers.cards)),
}

_OF_PROCESSES: dict[str, Callable[[Process], str]] = {
    "process": name_of,
    "host": host_of,
    "since": since,
    "requests, last minute": lambda it: number(it.requests) if it.card else NOTHING,
}


def caption(shared: Shared) -> str:
    """Return what stands above both tables."""
    if all(backend.why for backend in shared.backends):
        return f"{shared.profile}: who shares its backends is not known"
    return f"{shared.profile}: shared by {plural(len(shared.processes), 'process', 'processes')}"


def notes(shared: Shared) -> list[str]:
    """Return what stands below the tables."""
    said, processes = [], shared.processes
    if shared.is_alone:
        said.append(ALONE)
    unseen = max((each.peers.total - len(each.peers.each) for each in shared.backends), default=0)
    if (more := len(processes) - MOST_SHOWN) > 0 or unseen:
        said.append(f"and {plural(max(0, more) + unseen, 'further process', 'further processes')}")
    return said


def _tables(shared: Shared) -> list[tuple[list[str], list[list[str]]]]:
    """Return columns and rows of both tables; the second is left out where there is no process."""
    levels: list[Callable[[SharedBackend], str]] = [level_of] if shared.has_levels else []
    first = [*_OF_BACKENDS, *(["level of all"] if levels else []), *shared.limits, "the probe"]
    backends = [
        [
            *(cell(backend) for cell in (*_OF_BACKENDS.values(), *levels)),
            *(used_of(backend, name) for name in shared.limits),
            holder_of(backend),
        ]
        for backend in shared.backends
    ]
    names = [backend.name for backend in shared.backends if not backend.why]
    processes = [
        [
            *(cell(process) for cell in _OF_PROCESSES.values()),
            *(circuit_of(process.at[name]) if name in process.at else NOTHING for name in names),
        ]
        for process in shared.processes[:MOST_SHOWN]
    ]
    second = [([*_OF_PROCESSES, *names], processes)] if processes else []
    return [(first, backends), *second]


def plain(shared: Shared) -> str:
    """Return both tables as text, or in one line why there is nothing to show."""
    if shared.why:
        return f"{shared.profile}: {shared.why}"
    tables = [text_table(columns, rows) for columns, rows in _tables(shared)]
    return "\n\n".join([caption(shared), *tables, *notes(shared)])


def as_html(shared: Shared) -> str:
    """Return both tables as HTML; every text in it is escaped."""
    if shared.why:
        return f"<p>{html.escape(printable(f'{shared.profile}: {shared.why}'))}</p>"
    captions = [caption(shared), ""]
    tables = [
        html_table(columns, rows, caption=head)
        for head, (columns, rows) in zip(captions, _tables(shared), strict=False)
    ]
    return "".join([*tables, *(f"<p>{html.escape(note)}</p>" for note in notes(shared))])
