"""``llx`` and ``python -m llx_magic``."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command; an interrupt while it is still being imported ends it as quietly as a later one."""
    interrupted = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from llx_magic.cli import main as run

    signal.signal(signal.SIGINT, interrupted)
    return run()


if __name__ == "__main__":
    sys.exit(main())
