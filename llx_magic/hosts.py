"""The host: the notebook whose session synchronous callers use, while this package's extension is loaded in it.

Messages depend on it too: it decides whether a command is typed as a magic or as a word of ``llx``. This module
imports nothing, so that ``%load_ext`` stays light. The session is made when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llx_magic.session.session import Session

SessionOf = Callable[[], "Session"]
"""A function that returns a host's session; it may be called on any thread."""

_hosts: list[SessionOf] = []


def enter(session_of: SessionOf) -> None:
    """Let ``llx_magic.ask`` use this host's session from now on."""
    _hosts.append(session_of)


def leave(session_of: SessionOf) -> None:
    """Let ``llx_magic.ask`` use the session of the host before this one, if any. Calling it twice is harmless."""
    if session_of in _hosts:
        _hosts.remove(session_of)


def is_notebook() -> bool:
    """Return whether there is a host, so that commands are typed as magics."""
    return bool(_hosts)


def command(words: str) -> str:
    """Return a command as it is typed here: ``%llx_profile list`` in a notebook, ``llx profile list`` elsewhere."""
    return f"%llx_{words}" if _hosts else f"llx {words}"


def use_of(profile: str) -> str:
    """Return what to type to ask a profile: a notebook loads it once, a command line names it with each prompt."""
    return command(f"profile load {profile}") if _hosts else f"llx -p {profile}"


def session_of_host() -> Session | None:
    """Return the session of the host that came last, or None where there is none."""
    return _hosts[-1]() if _hosts else None
