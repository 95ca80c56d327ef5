"""The Python API without IPython: ``load`` for asynchronous code, ``ask`` for synchronous code."""

from __future__ import annotations

import functools
import os
import sys
from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Unpack

from llx_magic import hosts
from llx_magic.core.ports import Clock
from llx_magic.core.reply import Reply
from llx_magic.engine.background import BACKGROUND
from llx_magic.observe.bars import QuietMap
from llx_magic.profiles.document import Profile
from llx_magic.profiles.store import ProfileStore
from llx_magic.rows.result import MapResult
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.mapping import MapRun
from llx_magic.session.options import AskOptions, MapOptions, check_names, with_options
from llx_magic.session.prompt import Prompt
from llx_magic.session.row_prompts import NO_NAMES
from llx_magic.session.session import Origin, Session
from llx_magic.settings.layers import read_values
from llx_magic.text.values import JsonValue

if TYPE_CHECKING:
    import pandas as pd


def load(
    profile: str | Profile, *, isolated: bool = False, clock: Clock | None = None, trust: bool = False
) -> LoadBalancer:
    """Return a profile ready to answer.

    ``profile`` is a name, a path, or a ``Profile``. With ``isolated`` it has circuits and statistics of its own;
    otherwise everybody in this process who loads the same file shares them. ``clock`` replaces real time and implies
    ``isolated``. With ``trust`` a file from elsewhere may use the keys that it names now, through this object only;
    without it, only keys that the user has allowed to go to its host.

    Raises:
        ProfileError: where there is none of that name, or it cannot be used.
    """
    found = profile if isinstance(profile, Profile) else ProfileStore().load(profile)
    return LoadBalancer(found.trusted() if trust else found, isolated=isolated, clock=clock)


@with_options
def ask(prompt: Prompt, *, profile: str | Profile | None = None, **options: Unpack[AskOptions]) -> Reply:
    """Ask and wait for one whole reply; for synchronous code, also in a notebook.

    In a notebook with the extension loaded this asks as ``%%llx`` does: the loaded profile, under the session's
    settings. Where no profile is loaded, and outside of notebooks, it asks the profile that ``LLX_PROFILE`` names,
    otherwise the default profile, otherwise the embedded model; ``current`` tells which. The other arguments and the
    errors are those of ``LoadBalancer.ask``. An interrupt closes the connection.
    """
    check_names(options, AskOptions, ask)
    is_own = isinstance(profile, Profile)
    balancer = load(profile) if isinstance(profile, Profile) else _session().balancer(profile)
    plan = balancer.prepare(prompt, **options)

    async def answer() -> Reply:
        try:
            return await balancer.run(plan)
        finally:
            if is_own:
                await balancer.aclose()

    return BACKGROUND.run(answer())


@with_options
def map(  # noqa: A001 - it is what it does
    data: object,
    template: str,
    *,
    profile: str | Profile | None = None,
    progress: bool = True,
    **options: Unpack[MapOptions],
) -> MapResult:
    """Ask the same for every row of the data and return what became of each; for synchronous code, also in a notebook.

    The profile is that of ``ask``; data, template and options are those of ``LoadBalancer.map``. In a notebook with the
    extension loaded the template also sees the variables of the code that calls this, behind the columns. With
    ``progress`` is shown how far it has come. An interrupt closes the connections, keeps what is finished and returns
    it: the same call then goes on.

    Raises:
        UsageProblem: for data, a template or an option that cannot be used; nothing was sent.
    """
    check_names(options, MapOptions, map)
    is_own = isinstance(profile, Profile)
    session = _session()
    balancer = load(profile) if isinstance(profile, Profile) else session.balancer(profile)
    namespace = _variables_of_caller() if hosts.is_notebook() else NO_NAMES
    run = MapRun(balancer, data, template, options, namespace=namespace)
    view = session.map_view() if progress else QuietMap()
    try:
        return run.follow(view.draw, on_interrupt=run.stop)
    finally:
        view.close()
        if is_own:
            BACKGROUND.run(balancer.aclose())


def simulate(
    profile: str | Profile,
    traffic: float | Sequence[float],
    *,
    kernels: int = 1,
    minutes: float = 10.0,
    settings: Mapping[str, JsonValue] | None = None,
    history: str | os.PathLike[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return a row per backend, indexed by its name: what so many kernels would do to backends that they share.

    ``traffic`` is how many prompts a minute all kernels together ask for so many ``minutes``, at random times; or the
    times of all prompts, in seconds. Each kernel has circuits and cool-downs of its own. Simulated models answer by
    their scripts, their ``rate`` shared by all; others as in a ``history`` that ``save_history`` wrote. Nothing is
    sent, and no time passes.

    Columns: requests (sendings), peak_per_minute, successes, failures, rate_limited, skipped, answered_share (of all
    answers, from 0 to 1), p50_latency_seconds, p95_latency_seconds. ``attrs`` has prompts, answered_share, p50 and p95
    of the prompts themselves.

    Raises:
        ProfileError: where there is no such profile, or it cannot be used.
        UsageProblem: for traffic or kernels that make no sense, and for a member of which nothing is known.
    """
    from llx_magic.session.simulation import asked_by, simulated

    balancer = load(profile, isolated=True)
    in_force = balancer.settings(read_values(settings or {}))
    asked = asked_by(balancer.profile, traffic, kernels, minutes, seed)
    return simulated(balancer.profile, in_force, asked, history, seed)


def _variables_of_caller() -> Mapping[str, object]:
    """Return the variables of the code that calls the function that calls this."""
    frame = sys._getframe(2)  # noqa: SLF001 - there is no other way to the caller
    return ChainMap(dict(frame.f_locals), frame.f_globals)


class Current(str):
    """The name of the profile in force; ``origin`` says why it is."""

    __slots__ = ("origin",)
    origin: Origin

    def __repr__(self) -> str:
        return f"{self} ({self.origin})"


def current() -> Current:
    """Return the name of the profile that ``ask`` uses where none is named, and why it is that one.

    Its ``origin`` is ``loaded`` (by ``%llx_profile load`` in this notebook), ``LLX_PROFILE``, ``default``, or
    ``embedded`` where no profile is loaded and the embedded model stands in.

    Raises:
        ProfileError: where the profile that ``LLX_PROFILE`` or the default names cannot be used.
    """
    balancer, origin = _session().in_force()
    named = Current(balancer.name)
    named.origin = origin
    return named


def _session() -> Session:
    return hosts.session_of_host() or _own()


@functools.cache
def _own() -> Session:
    """Return the session of a process without a notebook; it has no loaded profile and no settings of its own."""
    return Session()
