"""The embedded model: a small real model that runs on the user's own machine, in a process of its own.

Nothing is downloaded unless ``pull`` is called. ``stop`` ends the process; the next prompt starts it again.
"""

from __future__ import annotations

from llx_magic.backends.local.backend import LocalBackend
from llx_magic.backends.local.fetch import pull
from llx_magic.backends.local.modelfile import MODEL, FileState, ModelFile
from llx_magic.backends.local.process import runtime_problem
from llx_magic.backends.local.server import LocalServer, LocalStatus, ServerStatus, status, stop

__all__ = [
    "MODEL",
    "FileState",
    "LocalBackend",
    "LocalServer",
    "LocalStatus",
    "ModelFile",
    "ServerStatus",
    "pull",
    "runtime_problem",
    "status",
    "stop",
]
