"""What all tests share."""

from __future__ import annotations

import gc


def pytest_unconfigure() -> None:
    """Let the process end at once: each of the many shells that tests made collects garbage of its own at exit."""
    gc.freeze()
