"""What a transport tells about one request on its way, which httpx's interface for transports has no place for."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_ALIVE_SECONDS = 15.0
"""How long an idle connection is kept; servers commonly close theirs after 60 s or more."""

LARGEST_HEAD = 2**20
"""How many bytes may come before a reply's body: its own head, and those that only announce it."""


class Sending:
    """What became of one request on its connection; the transport that sends it fills this in.

    It calls ``stands`` when a connection is ready for the request, sets ``reused`` where that one has served a request
    before, and has it ``take`` what comes of the head. One that cannot tell sets ``arrived`` from the start.
    ``at_proxy`` says that whatever goes wrong now is between this machine and its proxy.
    """

    __slots__ = ("_head_size", "arrived", "at_proxy", "reused", "stands")

    def __init__(self, stands: Callable[[], None]) -> None:
        self.stands = stands
        self.reused = False
        self.arrived = False
        self.at_proxy = False
        self._head_size = 0

    def take(self, size: int) -> None:
        """Note so many bytes of a reply's head.

        Raises:
            httpx.RemoteProtocolError: where it seems to have no end.
        """
        self.arrived = True
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            import httpx

            raise httpx.RemoteProtocolError(f"a head of more than {LARGEST_HEAD} bytes")

    def end(self) -> None:
        """Let go of the request: connections and timers that were made for it remember this for a while."""
        self.stands = _nothing

    @property
    def may_repeat(self) -> bool:
        """Whether it was sent on a connection that may have died before it, and nothing came back."""
        return self.reused and not self.arrived


def is_stale(idle_since: float) -> bool:
    """Return whether a connection was idle for too long by the time of day.

    The clocks of the libraries stand still while the machine sleeps, and a connection may have died in silence then.
    """
    return not 0 <= time.time() - idle_since <= KEPT_ALIVE_SECONDS


def _nothing() -> None:
    pass


SENDING: ContextVar[Sending | None] = ContextVar("llx_sending", default=None)
"""What the running task is sending."""


def without_frames(error: BaseException) -> BaseException:
    """Return a cancellation, say, without the frames it came through: their variables hold the request's headers."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
