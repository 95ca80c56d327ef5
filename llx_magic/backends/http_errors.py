"""Foreign exceptions of a request, put into plain words: the one place that knows httpx's, ssl's and the system's."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import TYPE_CHECKING

from llx_magic.backends.inflate import Unreadable
from llx_magic.backends.sse import EventTooLarge
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llx_magic.backends.wording import Redactor

CUT = "connection closed before the reply was complete"


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that ``translate`` takes: all that a request can raise through no fault of ours."""
    import httpx

    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError, Unreadable, EventTooLarge)


def translate(error: Exception, host: str, redact: Redactor, *, reading: bool) -> Failure:
    """Return the failure that an exception means.

    ``host`` is the endpoint's host and port, ``reading`` whether the response had begun.
    """
    kind, message = _meaning(error, host, redact, reading=reading)
    return Failure(kind=kind, message=message)


def _meaning(error: Exception, host: str, redact: Redactor, *, reading: bool) -> tuple[FailureKind, str]:
    if isinstance(error, Unreadable):
        return FailureKind.BAD_REPLY, one_line(redact(str(error)))
    if isinstance(error, UnicodeError) and not reading:
        return FailureKind.NETWORK, f"could not resolve host {host}"  # a name that has no form in the DNS
    if isinstance(error, EventTooLarge):
        return FailureKind.TOO_LARGE, str(error)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return FailureKind.TLS, f"the certificate of {host} was refused: {one_line(redact(cause.verify_message))}"
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) and not reading:
            return FailureKind.TLS, f"no TLS connection to {host}: {_ssl_reason(cause)}"
    return FailureKind.NETWORK, _network(error, causes, host, redact, reading=reading)


def _network(error: Exception, causes: list[BaseException], host: str, redact: Redactor, *, reading: bool) -> str:
    import httpx

    if isinstance(error, httpx.ProxyError):
        return f"the proxy for {host} failed: {one_line(redact(str(error)))}"
    if not reading:
        for cause in causes:
            if isinstance(cause, OSError) and (words := _system_words(cause, host)):
                return words
    if "without sending" in str(error) or isinstance(error, httpx.NetworkError):
        return CUT if reading else f"connection closed by {host} without a reply"
    if isinstance(error, httpx.RemoteProtocolError):
        # What follows is the offending bytes as Python writes them, of no use to a reader.
        return f"{host} does not keep to HTTP: {one_line(redact(str(error).partition(': bytearray(')[0]))}"
    return f"the request to {host} failed: {one_line(redact(str(error))) or type(error).__name__}"


def _system_words(error: OSError, host: str) -> str | None:
    if isinstance(error, socket.gaierror):
        return f"could not resolve host {host}"
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused by {host}"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"connection reset by {host}"
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        return f"no route to {host}"
    if error.errno == errno.ETIMEDOUT:
        return f"{host} did not answer the connection"
    return None


def _ssl_reason(error: ssl.SSLError) -> str:
    return (error.reason or "handshake failed").replace("_", " ").lower()


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk an exception, its causes and the members of groups, outermost first."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__context__, each.__cause__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
