"""The port between the backend and the libraries that connect: what is sent, what comes back, how it breaks."""

from __future__ import annotations

import enum
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from llx_magic.keys.secret import Secret

KEPT_ALIVE_SECONDS = 15.0
"""How long an idle connection is kept; servers commonly close theirs after 60 s or more."""

LARGEST_HEAD = 2**20
"""How many bytes may come before a reply's body: its own head, and those that only announce it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Secrets among the values of its headers are shown only to the library that sends them."""

    url: str
    headers: Mapping[str, str | Secret] = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"

    def revealed(self) -> dict[str, str]:
        """Return the headers as they are sent; to be called where they are handed to the library, and kept nowhere."""
        return {name: value if isinstance(value, str) else value.reveal() for name, value in self.headers.items()}


class Response(Protocol):
    """The head of a response that has come, and its body that is still to be read; nothing is decompressed."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their names in lower case; several of one name are joined by commas.

        https://www.rfc-editor.org/rfc/rfc9110#section-5.3
        """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the bytes of the body as they come, those before a fault included.

        Raises:
            Broken: where the body ends before it should.
        """

    async def aclose(self) -> None:
        """Let others use the connection, or close it where the body was not read to its end."""


class Transport(Protocol):
    """Sends requests from the event loop on which it was made.

    It follows no redirects, has no time-outs, keeps no cookies, and reads nothing of the environment.
    """

    async def send(self, request: Request, on_connected: Callable[[], None]) -> Response:
        """Send a request and return its response when the head has come.

        ``on_connected`` is called when the connection stands, TLS included, before the request goes out on it.

        Raises:
            Broken: with no other exception chained to it, since those of the libraries may hold the headers.
        """

    async def aclose(self) -> None:
        """Close every connection."""


class Fault(enum.Enum):
    """How an exchange with a server broke off."""

    CLOSED = enum.auto()
    """No connection came about, or it ended or broke."""
    PROTOCOL = enum.auto()
    """What came is no HTTP."""
    PROXY = enum.auto()
    """The proxy does not let the request through."""
    NAME = enum.auto()
    """The host's name is none that could be looked up."""
    OTHER = enum.auto()


class Broken(Exception):
    """An exchange broke off; ``causes`` are the system's errors behind that, outermost first.

    ``at_proxy`` says that it happened between this machine and its proxy. ``may_repeat`` says that the request was sent
    on a connection that may have died before, and nothing came back.
    """

    def __init__(self, fault: Fault, words: str = "", cause: BaseException | None = None) -> None:
        super().__init__(words)
        self.fault = fault
        self.causes = tuple(each.with_traceback(None) for each in _system_errors(cause))
        self.at_proxy = False
        self.may_repeat = False


class Sending:
    """What became of one request on its connection; the transport that sends it fills this in.

    It calls ``stands`` when a connection is ready for the request, and ``take`` for what comes of the head of the
    reply. One that cannot tell sets ``arrived`` from the start.
    """

    __slots__ = ("_head_size", "_on_connected", "arrived", "at_proxy", "reused")

    def __init__(self, on_connected: Callable[[], None], *, at_proxy: bool = False) -> None:
        self._on_connected: Callable[[], None] | None = on_connected
        self.reused = False
        self.arrived = False
        self.at_proxy = at_proxy
        self._head_size = 0

    def stands(self, *, reused: bool) -> None:
        """Take that the connection stands, and whether it has served a request before."""
        self.reused = reused
        on_connected, self._on_connected = self._on_connected, None  # the connection keeps this for a while
        if on_connected is not None:
            on_connected()

    def take(self, size: int) -> None:
        """Note so many bytes of a reply's head.

        Raises:
            Broken: where it seems to have no end.
        """
        self.arrived = True
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            raise Broken(Fault.PROTOCOL, f"a head of more than {LARGEST_HEAD} bytes")

    def explain(self, broken: Broken, *, closed_from_here: bool = False) -> Broken:
        """Add to a fault what is known of the connection; one closed from here may have served the server's answer."""
        broken.at_proxy = self.at_proxy
        broken.may_repeat = broken.fault is Fault.CLOSED and self.reused and not (self.arrived or closed_from_here)
        return broken


def is_stale(idle_since: float) -> bool:
    """Return whether a connection was idle for too long by the time of day.

    The clocks of the libraries stand still while the machine sleeps, and a connection may have died in silence then.
    """
    return not 0 <= time.time() - idle_since <= KEPT_ALIVE_SECONDS


def without_frames(error: BaseException) -> BaseException:
    """Return an exception without its traceback and causes: their local variables hold the request's headers."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _system_errors(error: BaseException | None) -> Iterator[OSError]:
    """Walk an exception, its causes and the members of groups, outermost first, and give the system's."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, OSError):
            yield each
        waiting += [each.__context__, each.__cause__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
