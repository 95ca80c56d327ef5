"""The Python API without IPython: ``load`` for asynchronous code, ``ask`` for synchronous code."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from llx_magic.core.ports import Clock
from llx_magic.core.reply import Reply
from llx_magic.core.values import JsonValue
from llx_magic.engine.background import BACKGROUND
from llx_magic.profiles.document import Profile
from llx_magic.profiles.store import ProfileStore
from llx_magic.session.balancer import LoadBalancer
from llx_magic.session.session import Session


def load(profile: str | Profile, *, isolated: bool = False, clock: Clock | None = None) -> LoadBalancer:
    """Return a profile ready to answer.

    ``profile`` is a name, a path, or a ``Profile``. With ``isolated`` its circuits and statistics are its own instead
    of those that all users of the file in this process share. ``clock`` replaces real time and implies a state of its
    own.

    Raises:
        ProfileError: where there is none of that name, or it cannot be used.
    """
    found = profile if isinstance(profile, Profile) else ProfileStore().load(profile)
    return LoadBalancer(found, isolated=isolated, clock=clock)


def ask(
    prompt: str,
    *,
    profile: str | Profile | None = None,
    system: str | None = None,
    settings: Mapping[str, JsonValue] | None = None,
    params: Mapping[str, JsonValue] | None = None,
    backend: str | None = None,
) -> Reply:
    """Return one whole reply, waiting for it; for synchronous code, in a notebook too.

    Without ``profile`` it is that of ``LLX_PROFILE``, else the default profile, else the embedded model. The other
    arguments and the errors are those of ``LoadBalancer.ask``. An interrupt closes the connection.
    """
    if isinstance(profile, Profile):
        return BACKGROUND.run(_ask_once(profile, prompt, system, settings, params, backend))
    balancer = _shared().balancer(profile)
    asked = balancer.prepare(prompt, system, settings, params, backend)
    return BACKGROUND.run(balancer.run(asked, lambda _part: None))


async def _ask_once(
    profile: Profile,
    prompt: str,
    system: str | None,
    settings: Mapping[str, JsonValue] | None,
    params: Mapping[str, JsonValue] | None,
    backend: str | None,
) -> Reply:
    async with load(profile) as balancer:
        return await balancer.ask(prompt, system=system, settings=settings, params=params, backend=backend)


@functools.cache
def _shared() -> Session:
    """Return the process's session of synchronous callers; it has no settings of its own."""
    return Session()
