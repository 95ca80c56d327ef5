"""Work that may block, beside a loop that must not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Return what ``work`` returns, which runs on another thread; it goes on there where the wait is cancelled."""
    return await asyncio.to_thread(work)
