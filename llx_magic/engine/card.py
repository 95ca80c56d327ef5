"""What this process says of itself to the others that share a backend: who it is, and how it finds the backend."""

from __future__ import annotations

import os
import re
import socket
import sys
from typing import TYPE_CHECKING, NamedTuple, cast

from llx_magic import hosts
from llx_magic.core.peers import LONGEST_NAME, Card, Circuit
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.text.screen import one_line

if TYPE_CHECKING:
    from llx_magic.core.snapshot import BackendSnapshot
    from llx_magic.settings.declaration import Settings

VARIABLE = "LLX_SHARED_NAME"
"""The environment variable that says what the others see; an empty one keeps the name of the notebook from them."""

NOTEBOOK_VARIABLE = "JPY_SESSION_NAME"
"""Where Jupyter's server tells a kernel which notebook it serves, mostly by a whole path.

https://github.com/jupyter-server/jupyter_server/blob/main/jupyter_server/services/sessions/sessionmanager.py
"""

_OF_VSCODE = re.compile(r"-jvsc-[0-9a-f-]+")
"""What VS Code adds to the notebook's name, to tell its kernels apart."""


_roles: list[str] = []


def take_role(role: str) -> None:
    """Say what this process is there for, where it is no notebook: others know it by that."""
    _roles[:] = [role]


class Whoami(NamedTuple):
    """The host's name, the process's number there, and its name, empty where there is none to be told."""

    host: str
    process: int
    name: str


def whoami() -> Whoami:
    """Return who this process is; of a path only its last part is told, since the others may name a user."""
    name = os.environ.get(VARIABLE)
    return Whoami(_told(socket.gethostname()), os.getpid(), _told(_name() if name is None else name))


def card_of_gate(seen: BackendSnapshot, settings: Settings, since: float, requests: int) -> Card:
    """Return what is told of a backend that has been shared for so many seconds, and asked so often lately."""
    return Card(
        *whoami(),
        since=since,
        requests=requests,
        under_way=seen.in_flight,
        circuit=cast("Circuit", seen.state),
        probe_in=seen.seconds_until_probe,
        cooling_down=seen.cooling_down,
        level=seen.level,
        rpm_limit=settings.rpm_limit,
        tpm_limit=settings.tpm_limit,
        concurrency_limit=settings.concurrency_limit,
    )


def _name() -> str:
    if _roles and not hosts.is_notebook():
        return _roles[0]
    if notebook := os.environ.get(NOTEBOOK_VARIABLE, ""):
        return _OF_VSCODE.sub("", _last_part(notebook))
    if hosts.is_notebook():
        return "notebook"
    program = sys.argv[0] if sys.argv else ""
    if program in ("", "-c", "-m", "-"):
        return "python"
    parts = re.split(r"[\\/]", program)
    return parts[-2] if parts[-1] == "__main__.py" and len(parts) > 1 else parts[-1]


def _last_part(path: str) -> str:
    return re.split(r"[\\/]", path)[-1]


def _told(name: str) -> str:
    return one_line(LIVE_KEYS.without(name), LONGEST_NAME)
