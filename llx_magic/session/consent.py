"""Tells which keys a profile's members use and where they are sent, and asks the user for consent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llx_magic.consent.pairs import Pair, origin, shown_origin
from llx_magic.consent.trust import Trust
from llx_magic.errors import ProfileError
from llx_magic.profiles.credential import ProfileCredential
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.session.members import credential_of, endpoint_of, member_problem

NOT_ALLOWED = "not allowed yet"


@dataclass(frozen=True, slots=True)
class Request:
    """A pair that a profile's file asks for, with the member and the file."""

    member: str
    path: Path
    pair: Pair


Asker = Callable[[str, Sequence[Request]], Iterable[Pair]]
"""A function that asks the user: it takes a profile's name and the pairs wanted, and returns the pairs allowed."""


def foreign_pairs(profile: Profile) -> tuple[Request, ...]:
    """Return every pair that the profile's files from elsewhere ask for, once each, allowed or not."""
    found: dict[Pair, Request] = {}
    for member in profile.members:
        way = None if member.foreign is None else _way(member)
        if member.foreign is None or way is None or way.host is None:
            continue
        for place in way.credential.places:
            found.setdefault(Pair(place, way.host), Request(member.name, member.foreign.path, Pair(place, way.host)))
    return tuple(found.values())


def pending(profile: Profile) -> tuple[Request, ...]:
    """Return the pairs that the user has not allowed yet."""
    asked = foreign_pairs(profile)
    if not asked:
        return ()
    allowed, _problem = trust_of(profile).look_up()
    return tuple(each for each in asked if each.pair not in allowed)


def unallowable(profile: Profile) -> tuple[str, ...]:
    """Return the members from elsewhere that name keys for a host that nobody can allow, since it has no plain form."""
    ways = ((member.name, _way(member)) for member in profile.members if member.foreign is not None)
    return tuple(name for name, way in ways if way is not None and way.host is None and way.credential.places)


def trust_of(profile: Profile) -> Trust:
    """Return what has been allowed to the profile's files from elsewhere; it has at least one such file."""
    return next(member.foreign.trust for member in profile.members if member.foreign is not None)


def allow(trust: Trust, pairs: Iterable[Pair]) -> str:
    """Allow the pairs. Return why they hold for this process only, else what ``Trust.remember`` says."""
    pairs = tuple(pairs)
    try:
        return trust.remember(pairs)
    except ProfileError as problem:
        trust.allow_in_this_process(pairs)
        return f"for this session only: {problem}"


def lines(profile: Profile) -> tuple[str, ...]:
    """Return where each member's requests go and where its key comes from, a line each; no key is looked up.

    Where no member is asked over the network there is no line; those that cannot be asked have none either.
    """
    waiting = {each.pair for each in pending(profile)}
    found = {member.name: _line(member, waiting) for member in profile.members if member_problem(member) is None}
    if not any(found.values()):
        return ()
    return tuple(line or f"{name}: on this machine, needs no key" for name, line in found.items())


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a member's requests go, and which keys go with them; ``host`` is None where no consent is possible."""

    host: str | None
    label: str
    credential: ProfileCredential


def _way(member: ModelProfile) -> _Way | None:
    endpoint = endpoint_of(member)
    if endpoint is None or member_problem(member) is not None:
        return None
    host = None if endpoint.problem() else origin(endpoint.base_url)
    return _Way(host, endpoint.label, credential_of(member, endpoint))


def _line(member: ModelProfile, waiting: set[Pair]) -> str | None:
    way = _way(member)
    if way is None:
        return None
    key, headers = way.credential.key, way.credential.headers
    # A keyring may be slow to answer, so only requests look into it.
    unset = {place for place in key.places if place.kind == "variable" and place.name not in os.environ}
    said = [f"key from {place.said}{' (not set)' if place in unset else ''}" for place in key.places]
    if member.connection.auth_key is not None:
        said = ["key in the profile itself"]
    if login := way.credential.login_in_use:
        said = [login.place.said]
    said += [f"{header} from {place.said}" for place, header in headers.places.items()]
    asked = set() if way.host is None else {Pair(place, way.host) for place in way.credential.places}
    note = f" ({NOT_ALLOWED})" if asked & waiting else ""
    where = way.label if way.host is None else shown_origin(way.host)
    no_key = f"no key ({key.usual_variable} is not set)" if key.usual_variable and key.needs_key else "no key"
    return f"{member.name}: {where}, {', '.join(said) or no_key}{note}"


class Consent:
    """Asks each question once in a session. A pair that was declined can then only be allowed by a command."""

    def __init__(self, asker: Asker | None) -> None:
        self._asker = asker
        self._declined: set[Pair] = set()

    def seek(self, profile: Profile) -> None:
        """Ask for the pairs that the profile still needs, if there is somebody to ask; otherwise do not wait."""
        if self._asker is None or threading.current_thread() is not threading.main_thread():
            return
        asked = [each for each in pending(profile) if each.pair not in self._declined]
        if not asked:
            return
        granted = set(self._asker(profile.name, asked))
        self._declined |= {each.pair for each in asked} - granted
        if granted:
            allow(trust_of(profile), granted)
