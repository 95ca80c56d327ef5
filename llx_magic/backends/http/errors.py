"""What a broken exchange means: the one place that puts the faults of TLS and of the system into plain words."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from llx_magic.backends.http.transport import Broken, Fault
from llx_magic.backends.http.trust import how_to_trust
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.machine import in_words, trouble_of

if TYPE_CHECKING:
    from llx_magic.backends.http.proxies import Proxy

Read = TypeVar("Read")

_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21, 85, 92)
"""OpenSSL's codes for a certificate whose authority is not known, or is not as strict as Python 3.13 asks.

https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
"""

_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
"""What an address says that cannot be reached from here."""

CUT = "connection closed before the reply was complete"


class Peer(msgspec.Struct, frozen=True, gc=False):
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

    def explained(self, outcome: Read | Failure) -> Read | Failure:
        """Add the proxy to a failure that it may have caused: without TLS its words look like the server's."""
        if self.proxy is None or self.encrypted or not isinstance(outcome, Failure) or (outcome.status or 0) < 500:
            return outcome
        return replace(outcome, message=f"{outcome.message} (through {self.proxy})")


def meaning_of(broken: Broken, peer: Peer, *, reading: bool) -> Failure:
    """Return the failure that a broken exchange means; ``reading`` says that the response had begun."""
    host = peer.met(at_proxy=broken.at_proxy)
    if trouble := _trouble_here(broken, host, reading=reading):
        return trouble
    if broken.fault is Fault.PROXY:
        return peer.refused(str(broken))
    for cause in broken.causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            why = one_line(cause.verify_message)
            hint = how_to_trust() if cause.verify_code in _UNKNOWN_AUTHORITY else ""
            return Failure(kind=FailureKind.TLS, message=f"the certificate of {host} was refused: {why}{hint}")
    for cause in broken.causes:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) and not reading:
            reason = (cause.reason or "handshake failed").replace("_", " ").lower()
            return Failure(kind=FailureKind.TLS, message=f"no TLS connection to {host}: {reason}")
    unconnected = not reading and (broken.fault is Fault.NAME or any(map(_is_no_connection, broken.causes)))
    return Failure(kind=FailureKind.NETWORK, message=_network(broken, host, reading=reading), unconnected=unconnected)


def _trouble_here(broken: Broken, host: str, *, reading: bool) -> Failure | None:
    """Return the failure of this machine, where all that went wrong on the way to the host went wrong here."""
    # A bare OSError without a number only gathers others.
    found = [each for each in broken.causes if each.errno or type(each) is not OSError]
    troubles = [trouble for cause in found if (trouble := _at_home(cause, host, reading=reading))]
    return troubles[0] if troubles and len(troubles) == len(found) else None


def _at_home(cause: OSError, host: str, *, reading: bool) -> Failure | None:
    if trouble := trouble_of(cause):
        return Failure(kind=FailureKind.LOCAL, message=trouble)
    if reading or isinstance(cause, ssl.SSLError | ConnectionError | TimeoutError):
        return None
    if isinstance(cause, PermissionError):
        what: str | None = in_words(f"it lets this program make no connection to {host}, as a firewall does")
    else:  # without descriptors the C library resolves no name, and gives whatever reason
        what = _no_way_out()
    # Unlike what others use up and give back, neither comes by asking again.
    return None if what is None else Failure(kind=FailureKind.LOCAL, message=what, should_retry=False)


def _no_way_out() -> str | None:
    """Return what keeps this machine from every network; None where it has a way to any.

    Only the system is asked, nothing is sent: https://man7.org/linux/man-pages/man2/connect.2.html. So a name that
    cannot be resolved, or an address that cannot be reached, is held against a backend unless all of them are in that
    case. The addresses are those for examples: https://www.rfc-editor.org/rfc/rfc5737 and
    https://www.rfc-editor.org/rfc/rfc3849.
    """
    for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((address, 9))
        except OSError as problem:
            if problem.errno not in _NO_WAY and (trouble := trouble_of(problem)):
                return trouble
        else:
            return None
    return in_words("it has no network")


def _network(broken: Broken, host: str, *, reading: bool) -> str:
    if not reading:
        if broken.fault is Fault.NAME:
            return _unresolved(host)
        for cause in broken.causes:
            if words := _system_words(cause, host):
                return words
    if broken.fault is Fault.CLOSED:
        return CUT if reading else f"connection closed by {host} without a reply"
    said = one_line(str(broken))
    return (
        f"{host} does not keep to HTTP: {said}"
        if broken.fault is Fault.PROTOCOL
        else f"the request to {host} failed: {said}"
    )


def _system_words(error: OSError, host: str) -> str | None:
    if isinstance(error, socket.gaierror):
        return _unresolved(host)
    if isinstance(error, ConnectionRefusedError):
        return f"connection refused by {host}"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return f"connection reset by {host}"
    if error.errno in _NO_WAY:
        return f"no route to {host}"
    if error.errno == errno.ETIMEDOUT:
        return f"{host} did not answer the connection"
    return None


def _is_no_connection(error: OSError) -> bool:
    known = isinstance(error, socket.gaierror | ConnectionRefusedError)
    return known or error.errno in (*_NO_WAY, errno.ETIMEDOUT)


def _unresolved(host: str) -> str:
    return f"could not resolve {host}" if host.startswith("the proxy ") else f"could not resolve host {host}"
