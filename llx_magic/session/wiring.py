"""From a profile's members to backends, and from its file to the live state that everybody shares."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from llx_magic.backends.http.backend import HttpBackend
from llx_magic.backends.http.connections import CLIENTS
from llx_magic.backends.local import LocalBackend
from llx_magic.backends.simulated import SimulatedBackend, simulated_script
from llx_magic.backends.unusable import UnusableBackend
from llx_magic.core.gate import GateKey
from llx_magic.core.ports import Backend, Clock, SharedFacts
from llx_magic.engine.background import BACKGROUND
from llx_magic.engine.budget import Purse
from llx_magic.engine.clocks import LoopClock, VirtualClock
from llx_magic.engine.live import LiveProfile
from llx_magic.engine.loops import off_loop
from llx_magic.errors import ProfileError
from llx_magic.hosts import is_notebook
from llx_magic.locks import ForkSafeLock
from llx_magic.observe.debug import log_debug_lines
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.members import credential_of, endpoint_of, member_problem, provider_of, wire_of
from llx_magic.session.sharing import shared_facts
from llx_magic.text.markdown import markdown_to_html
from llx_magic.text.values import JsonValue

VIRTUAL_TIME = "virtual_time"
"""The parameter of a simulated model that makes its waits exact and instant."""


@dataclass(slots=True)
class LiveEntry:
    """A live profile and what its state was made from."""

    live: LiveProfile
    identities: dict[str, object]
    facts: SharedFacts | None = None
    simulated: dict[str, SimulatedBackend] = field(default_factory=dict)


Places = tuple[tuple[Backend, GateKey], ...]
"""What one loaded profile asks: a backend and its gate for each place, in priority order.

A member that has several places has one backend and one gate, which stand in each of them.
"""

BACKGROUND.at_end(CLIENTS.close_loop)

_entries: dict[Path, LiveEntry] = {}
_purses: dict[Path, Purse] = {}
_lock = ForkSafeLock()


def wire(profile: Profile, *, isolated: bool, clock: Clock | None) -> tuple[LiveProfile, Places]:
    """Return the live state of a profile, the one that its file has in this process or a new one, and its backends.

    A profile without a file, and an isolated one, have a state of their own, which is not shared with other processes
    either. Loading a changed file again keeps the state of the members that are still the same; who loaded it before
    goes on with the gates of the members it knows.

    Raises:
        SettingError: for a simulated member's parameter that is not allowed.
        ProfileError: where the server of shared facts is named in a way that cannot be used.
    """
    if isolated or clock is not None or profile.path is None:
        return _wired(profile, _new_entry(profile, clock or _clock_for(profile), None))
    key = profile.path.resolve()
    with _lock:
        entry, virtual = _entries.get(key), is_virtual(profile.members[0])
        facts = None if virtual else shared_facts(profile.members)
        if entry is None or isinstance(entry.live.clock, VirtualClock) != virtual or entry.facts is not facts:
            entry = _entries[key] = _new_entry(profile, _clock_for(profile), facts)
        else:
            _take_over(entry, profile)
        return _wired(profile, entry)


def purse_of(profile: Profile) -> Purse:
    """Return what is spent on a profile: one purse for all in this process who loaded its file, isolated or not."""
    if profile.path is None:
        return Purse()
    with _lock:
        return _purses.setdefault(profile.path.resolve(), Purse())


def check(profile: Profile) -> None:
    """Refuse a profile that could not be asked anything.

    Raises:
        ProfileError: where no member can be used, or for virtual time that some members have and others not.
        SettingError: for a simulated member's parameter that is not allowed.
    """
    problems = {member.name: problem for member in profile.members if (problem := member_problem(member))}
    if len(problems) == len({member.name for member in profile.members}):
        said = "; ".join(
            problem if name == profile.name else f"{name}: {problem}" for name, problem in problems.items()
        )
        raise ProfileError(f"profile {profile.name}: {said}")
    for member in profile.members:
        if member.provider == "simulated":
            simulated_script(script_params(member))
    if problem := clocks_problem(profile.members):
        raise ProfileError(f"profile {profile.name}: {problem}")


def clocks_problem(members: Iterable[ModelProfile]) -> str:
    """Return why members cannot be asked together where only some run on virtual time; empty where they can."""
    names: dict[bool, str] = {}
    for member in members:
        names.setdefault(is_virtual(member), member.name)
    return f"{names[True]} runs on virtual time, so {names[False]} must do so too" if len(names) > 1 else ""


def warm_up(backends: Iterable[Backend]) -> None:
    """Have the background get ready what the first reply needs, where a backend is asked over HTTP; returns at once.

    That is what sends, and in a notebook what reads Markdown. Nothing is said.
    """
    remote = [backend for backend in backends if isinstance(backend, HttpBackend)]
    if remote:
        with contextlib.suppress(RuntimeError):  # no thread to be had: the prompt will do it

            async def get_ready() -> None:
                for backend in remote:
                    await backend.warm_up()
                if is_notebook():
                    await off_loop(lambda: markdown_to_html(""))  # not here, where a prompt may have to be sent

            warming = BACKGROUND.submit(get_ready())
            _WARMING.add(warming)
            warming.add_done_callback(_WARMING.discard)


_WARMING: set[concurrent.futures.Future[None]] = set()

if hasattr(os, "register_at_fork"):
    # A copy made in the middle of an import would wait for ever for the thread that it does not have to finish it.
    os.register_at_fork(
        before=lambda: concurrent.futures.wait(tuple(_WARMING), timeout=5.0), after_in_child=_WARMING.clear
    )


def request_params(member: ModelProfile) -> Mapping[str, JsonValue]:
    """Return the parameters that go to the model with each request."""
    return {} if member.provider == "simulated" else member.params


def is_virtual(member: ModelProfile) -> bool:
    """Return whether a member runs on virtual time; then all of its profile do."""
    return member.provider == "simulated" and member.params.get(VIRTUAL_TIME) is True


def _clock_for(profile: Profile) -> Clock:
    return VirtualClock() if is_virtual(profile.members[0]) else LoopClock()


def _new_entry(profile: Profile, clock: Clock, facts: SharedFacts | None) -> LiveEntry:
    live = LiveProfile(profile.name, dict.fromkeys(member.name for member in profile.members), clock, facts=facts)
    live.subscribe(log_debug_lines)
    return LiveEntry(live, {member.name: _identity(member) for member in profile.members}, facts)


def _wired(profile: Profile, entry: LiveEntry) -> tuple[LiveProfile, Places]:
    gates = entry.live.gates()
    asked = {member.name: (_backend(member, entry), gates[member.name]) for member in profile.members}
    return entry.live, tuple(asked[member.name] for member in profile.members)


def _take_over(entry: LiveEntry, profile: Profile) -> None:
    identities = {member.name: _identity(member) for member in profile.members}
    if identities == entry.identities:
        return
    kept = [name for name, identity in identities.items() if entry.identities.get(name) == identity]
    entry.live.replace_backends(fresh=[name for name in identities if name not in kept], kept=kept)
    entry.identities = identities
    entry.simulated = {name: backend for name, backend in entry.simulated.items() if name in kept}


def _identity(member: ModelProfile) -> object:
    """Return what must be the same for a member to be the same backend; its key and settings may change."""
    script = dict(member.params) if member.provider == "simulated" else None
    asked = member.connection
    place = (asked.base_url, asked.aws_region, asked.api_version, asked.deployment)
    return (member.provider, member.model, place, asked.form, script)


def script_params(member: ModelProfile) -> dict[str, JsonValue]:
    """Return a simulated member's parameters without the one of its clock."""
    return {key: value for key, value in member.params.items() if key != VIRTUAL_TIME}


def _backend(member: ModelProfile, entry: LiveEntry) -> Backend:
    if provider_of(member).name == "simulated":
        if (known := entry.simulated.get(member.name)) is not None:
            return known
        script = simulated_script(script_params(member))
        made = entry.simulated[member.name] = SimulatedBackend(member.name, member.model, script, entry.live.clock)
        return made
    if provider_of(member).name == "local":
        return LocalBackend(member.name, member.model)
    endpoint = endpoint_of(member)
    problem = member_problem(member)
    if endpoint is None or problem is not None:
        return UnusableBackend(member.name, member.model, problem or "it has no address")
    return HttpBackend(member.name, endpoint, credential_of(member, endpoint), wire_of(member, endpoint))
