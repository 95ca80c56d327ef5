"""Which facts the profiles of this process share with other processes: those of the server that the user names."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.errors import ProfileError
from llx_magic.install import install_line
from llx_magic.locks import ForkSafeLock
from llx_magic.profiles.document import ModelProfile, Profile
from llx_magic.text.wording import listed

if TYPE_CHECKING:
    from llx_magic.shared.redis_facts import RedisFacts

VARIABLE = "LLX_SHARED"
"""The environment variable that names the server."""

_SCHEMES = ("redis", "rediss", "unix")

_known: dict[str, RedisFacts] = {}
_lock = ForkSafeLock()


class SharedProblem(ProfileError):
    """The server that is named cannot be used; the profile has no part in that."""


def shared_facts(members: Iterable[ModelProfile] = ()) -> RedisFacts | None:
    """Return what shares facts with other processes, the same for all profiles that use the same server.

    It is the server that the variable names, else the one of the members' profiles; None where no server is named.

    Raises:
        ProfileError: for an address that is none, members that name different servers, or a missing package. The
            address is not repeated: it may hold a password.
    """
    url = _address(members)
    if not url:
        return None
    with _lock:
        if url not in _known:
            if problem := problem_of(url):
                raise SharedProblem(problem)
            from llx_magic.shared.redis_facts import RedisFacts

            _known[url] = RedisFacts(url)
            _known[url].connect()
        return _known[url]


def why_not_shared(profile: Profile) -> str:
    """Return why a profile shares nothing with other processes, and what changes that."""
    if _address(profile.members):
        return "it is simulated or was loaded with isolated=True, and so it shares nothing"
    return f"nothing is shared: {VARIABLE} names no server, so each process goes by what it meets itself"


def _address(members: Iterable[ModelProfile]) -> str:
    return os.environ.get(VARIABLE, "").strip() or _named_by(members)


def _named_by(members: Iterable[ModelProfile]) -> str:
    """Return the server that the user's own profiles name; one from elsewhere may not have anything told to others."""
    named = {each.connection.shared or "": each.name for each in members if each.foreign is None}
    named.pop("", None)
    if len(named) > 1:
        raise ProfileError(
            f"the profiles {listed(named.values())} name different servers (shared); {VARIABLE} may name one for all"
        )
    return next(iter(named), "")


def problem_of(url: str) -> str:
    """Return why a server that is named cannot be used, in one line that does not repeat it, or the empty string."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in _SCHEMES and bool(parts.hostname or parts.scheme == "unix") and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        return f"{VARIABLE} must be an address such as redis://localhost:6379/0, or rediss:// with TLS"
    if importlib.util.find_spec("redis") is None:
        return f"{VARIABLE} is set and the package redis is missing: {install_line('redis')}"
    return ""
