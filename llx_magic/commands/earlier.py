"""What a command line knows of earlier prompts: what ``history_file`` has kept of them, and without it nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from heapq import merge
from pathlib import Path

from llx_magic.commands.here import Here
from llx_magic.commands.reading import Asked
from llx_magic.core.events import Event, RequestStarted
from llx_magic.core.ledger import Ledger
from llx_magic.core.past import kernels_of
from llx_magic.errors import UsageProblem
from llx_magic.files.folders import absolute
from llx_magic.replay.history import load
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.replaying import Replayer
from llx_magic.text.wording import shown_path
from llx_magic.units import duration

KEEPING = "a profile that is saved with --set history_file=FILE keeps one from then on"
"""What to do so that there is a history."""


def replayer_of(here: Here, asked: Asked) -> Replayer:
    """Return the profile with its past: the file that is named, what a notebook remembers, or what a shell has kept.

    Raises:
        LlxError: for a history that cannot be used, and where there is none.
    """
    balancer = here.session.balancer(asked.get("profile"))
    history = asked.get("history") or (None if here.lasts else _kept(balancer))
    if history is None and not here.lasts:
        how = how_to_keep(balancer)
        raise UsageProblem(f"{asked.prog} needs a history, since each command begins anew: give --history FILE; {how}")
    return Replayer(balancer, history, 0)


def how_to_keep(balancer: LoadBalancer) -> str:
    """Say what to do so that there is a history of a profile that has none."""
    path = _named(balancer)
    return KEEPING if path is None else f"{balancer.name} keeps one in {shown_path(path)} from its first prompt on"


def _named(balancer: LoadBalancer) -> Path | None:
    """Return the file in which the profile's settings have its history kept."""
    named = next(iter(balancer.settings().values())).history_file
    return None if named is None else absolute(named)


def _kept(balancer: LoadBalancer) -> Path | None:
    """Return that file if it is there, or if nobody can tell, so that reading it says why."""
    path = _named(balancer)
    try:
        return path if path is not None and path.exists() else None
    except OSError:
        return path


def count_earlier(balancer: LoadBalancer) -> str | None:
    """Count what the profile's history holds, in a process that has asked nothing; say what it is, None without one.

    Raises:
        UsageProblem: where there is such a file, which cannot be read.
    """
    path = _kept(balancer)
    if path is None:
        return None
    kernels = load(path)
    own = kernels_of([_asked_in(events) for events in kernels], balancer.members)
    events = list(merge(*(kernels[each] for each in sorted(own)), key=lambda event: event.at))

    def count(ledger: Ledger) -> None:
        for event in events:
            ledger.fold(event)
        ledger.forget_running()

    balancer.live.with_ledger(count)
    until = f" until {_moment(balancer, events[-1].at)}" if events else ""
    return f"counted from {shown_path(path)}{until}; circuits and cool-downs are those of each process"


def _moment(balancer: LoadBalancer, unix_seconds: float) -> str:
    if balancer.epoch:
        return f"{duration(unix_seconds - balancer.epoch)} of simulated time"
    return f"{dt.datetime.fromtimestamp(unix_seconds).astimezone():%Y-%m-%d %H:%M:%S}"


def _asked_in(events: Iterable[Event]) -> set[str]:
    """Return whom the prompts of a kernel could ask."""
    return {name for event in events if isinstance(event, RequestStarted) for name in event.order}
