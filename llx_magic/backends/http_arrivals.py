"""Whether a single byte of a reply came, which the HTTP library does not tell."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Connection(Protocol):
    """A connection as httpcore's trace hands it over, before a request goes out on it."""

    read: Callable[..., Awaitable[bytes]]

    async def aclose(self) -> None:
        """Close it."""


class Arrivals:
    """What came for one request; ``any`` is whether a byte did."""

    def __init__(self) -> None:
        self.any = False


ARRIVALS: ContextVar[Arrivals | None] = ContextVar("llx_arrivals", default=None)
"""Where the running task's readings are noted."""


def note_arrivals(connection: Connection) -> None:
    """Have each later reading of the connection noted for the task that reads.

    httpcore calls a connection that ends within the head of a reply one that ended without a reply.
    """
    read = connection.read

    async def noted(*arguments: object, **named: object) -> bytes:
        data = await read(*arguments, **named)
        if data and (arrivals := ARRIVALS.get()):
            arrivals.any = True
        return data

    connection.read = noted
