"""Foreign exceptions of a request, put into plain words: the one place that knows httpx's, ssl's and the system's."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llx_magic.backends.http_trust import how_to_trust
from llx_magic.backends.inflate import Unreadable
from llx_magic.backends.sse import EventTooLarge
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llx_magic.backends.http_proxies import Proxy
    from llx_magic.backends.wording import Redactor
    from llx_magic.core.reply import Answer

_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 85, 92)
"""OpenSSL's codes for a certificate whose authority is not known, or is not as strict as Python 3.13 asks.

https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
"""

CUT = "connection closed before the reply was complete"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is spoken to: the endpoint's host and port, and the proxy on the way there, if any."""

    host: str
    proxy: Proxy | None = None
    encrypted: bool = True

    def __str__(self) -> str:
        """In the words of a message about connecting."""
        return self.host if self.proxy is None else f"{self.host} through {self.proxy}"

    def met(self, *, at_proxy: bool) -> str:
        """Name whom an error is about."""
        return str(self.proxy) if at_proxy and self.proxy is not None else self.host

    def refused(self, reason: str) -> Failure:
        """Return the failure that it is when the proxy answers in the server's place."""
        hint = ""
        if reason.startswith("407") or "username/password" in reason:
            hint = "; put the user name and the password before its address: http://USER:PASSWORD@…"
        message = f"{self.proxy} answered: {one_line(reason, 200)}{hint}"
        return Failure(kind=FailureKind.NETWORK, message=message, should_retry=False if hint else None)

    def explained(self, outcome: Answer | Failure) -> Answer | Failure:
        """Add the proxy to a failure that it may have caused: without TLS its words look like the server's."""
        if self.proxy is None or self.encrypted or not isinstance(outcome, Failure) or (outcome.status or 0) < 500:
            return outcome
        return replace(outcome, message=f"{outcome.message} (through {self.proxy})")


def foreign_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that ``translate`` takes: all that a request can raise through no fault of ours."""
    import httpx

    return (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError, Unreadable, EventTooLarge)


def translate(error: Exception, peer: Peer, redact: Redactor, *, at_proxy: bool, reading: bool) -> Failure:
    """Return the failure that an exception means.

    ``at_proxy`` says that the way had not got beyond the proxy, ``reading`` that the response had begun.
    """
    import httpx

    if isinstance(error, httpx.ProxyError):
        return peer.refused(redact(str(error)))
    kind, message = _meaning(error, peer.met(at_proxy=at_proxy), redact, reading=reading)
    return Failure(kind=kind, message=message)


def _meaning(error: Exception, host: str, redact: Redactor, *, reading: bool) -> tuple[FailureKind, str]:
    if isinstance(error, Unreadable):
        return FailureKind.BAD_REPLY, one_line(redact(str(error)))
    if isinstance(error, UnicodeError) and not reading:
        return FailureKind.NETWORK, _unresolved(host)  # a name that has no form in the DNS
    if isinstance(error, EventTooLarge):
        return FailureKind.TOO_LARGE, str(error)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = one_line(redact(cause.verify_message))
            hint = how_to_trust() if cause.verify_code in _UNKNOWN_AUTHORITY else ""
            return FailureKind.TLS, f"the certificate of {host} was refused: {why}{hint}"
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) and not reading:
            return FailureKind.TLS, f"no TLS connection to {host}: {_ssl_reason(cause)}"
    return FailureKind.NETWORK, _network(error, causes, host, redact, reading=reading)


def _network(error: Exception, causes: list[BaseException], host: str, redact: Redactor, *, reading: bool) -> str:
    import httpx

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
        return _unresolved(host)
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused by {host}"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"connection reset by {host}"
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        return f"no route to {host}"
    if error.errno == errno.ETIMEDOUT:
        return f"{host} did not answer the connection"
    return None


def _unresolved(host: str) -> str:
    return f"could not resolve {host}" if host.startswith("the proxy ") else f"could not resolve host {host}"


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
