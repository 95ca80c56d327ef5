"""Whether the user can be asked a question in the middle of a cell."""

from __future__ import annotations

import sys

from IPython.core.interactiveshell import InteractiveShell

from llx_magic.commands import trust
from llx_magic.notebook.prompter import is_kernel
from llx_magic.session.consent import Asker


def asker_of(shell: InteractiveShell) -> Asker | None:
    """Return what asks in IPython's terminal, or None: a kernel may have no input, and a notebook may run unwatched."""
    if is_kernel(shell) or not sys.stdin.isatty():
        return None
    return trust.asker(input)
