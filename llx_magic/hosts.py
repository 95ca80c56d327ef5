"""Who holds the session that synchronous callers use: a notebook, while it has this package's extension loaded.

So it also knows how a command is typed here. It imports nothing, so that ``%load_ext`` stays light; the session itself
is made when it is first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llx_magic.session.session import Session

SessionOf = Callable[[], "Session"]
"""Returns a host's session; on any thread."""

_hosts: list[SessionOf] = []


def enter(session_of: SessionOf) -> None:
    """Let ``llx_magic.ask`` use this host's session from now on."""
    _hosts.append(session_of)


def leave(session_of: SessionOf) -> None:
    """Give the place back to the host before it, or to nobody; harmless when repeated."""
    if session_of in _hosts:
        _hosts.remove(session_of)


def is_notebook() -> bool:
    """Return whether there is a host, so that what is typed may be a magic."""
    return bool(_hosts)


def command(words: str) -> str:
    """Return a command as the user types it here: ``profile list`` is a magic in a notebook, else a word of ``llx``."""
    return f"%llx_{words}" if _hosts else f"llx {words}"


def use_of(profile: str) -> str:
    """Return what to type to ask a profile: a notebook loads it for good, a command line names it with each prompt."""
    return command(f"profile load {profile}") if _hosts else f"llx -p {profile}"


def session_of_host() -> Session | None:
    """Return the session of the host that came last, or None where there is none."""
    return _hosts[-1]() if _hosts else None
