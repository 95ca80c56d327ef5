"""Whose certificates are trusted: the authorities that a variable names, else those of certifi. Never everybody's."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from llx_magic.backends.wording import one_line
from llx_magic.core.failure import NotReady

if TYPE_CHECKING:
    import ssl

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
"""The variables that name authorities, as OpenSSL (https://docs.openssl.org/master/man7/openssl-env/), requests
(https://requests.readthedocs.io/en/latest/user/advanced/#ssl-cert-verification) and curl know them; the first that is
set holds.
"""

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""How OpenSSL finds a certificate in a folder: https://docs.openssl.org/master/man1/openssl-rehash/"""


class Trust(NamedTuple):
    """What is trusted: the variable that says so and its value, both empty for certifi's authorities.

    ``stamp`` changes with what is there, so that a file that was mended is read again.
    """

    variable: str
    value: str
    stamp: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        """In the words of a message."""
        return one_line(f"{self.variable}={self.value}", 150) if self.variable else "certifi"


def trust_in_force() -> Trust:
    """Return what the environment says is trusted, as it is at this moment."""
    for variable in VARIABLES:
        if value := os.environ.get(variable):
            return Trust(variable, value, tuple(map(_stamp, _places(variable, value))))
    return Trust("", "", ())


def context_for(trust: Trust | None) -> ssl.SSLContext:
    """Return a context that verifies by ``trust``; None trusts nobody: cheap, and safe if it were used after all.

    Raises:
        NotReady: where the certificates cannot be read.
    """
    if trust is None:
        import ssl

        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return _context(trust)
    except (OSError, ValueError) as error:
        why = one_line(getattr(error, "strerror", None) or str(error) or type(error).__name__, 120)
    raise NotReady(f"the trusted certificates of {trust} cannot be read: {why}")


def how_to_trust() -> str:
    """Return what a message about a certificate of an unknown authority ends with."""
    trust = trust_in_force()
    if trust.variable:
        return f"; {trust} does not hold its authority"
    return "; if it is your company's or your own, name the file of its authority in SSL_CERT_FILE"


@functools.lru_cache(maxsize=4)
def _context(trust: Trust) -> ssl.SSLContext:
    import ssl

    if not trust.variable:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # A context of ssl.create_default_context() is strict since Python 3.13, by rules that many companies' own
    # authorities do not keep: https://docs.python.org/3/whatsnew/3.13.html#ssl
    for place in _places(trust.variable, trust.value):
        if place.is_dir():
            if not any(_HASHED.fullmatch(each.name) for each in place.iterdir()):
                raise ValueError("no certificate there is named by its hash, which openssl rehash makes")
            context.load_verify_locations(capath=place)
        else:
            with place.open("rb") as opened:
                if b"-----BEGIN " not in opened.read(16 * 2**20):
                    raise ValueError("there is no certificate in the form of PEM in it")
            context.load_verify_locations(cafile=place)
    return context


def _places(variable: str, value: str) -> list[Path]:
    """Return the files and folders that a variable names; only the one of folders may hold several."""
    several = value.split(os.pathsep) if variable == "SSL_CERT_DIR" else [value]
    return [Path(each).expanduser() for each in several if each]


def _stamp(place: Path) -> tuple[int, int]:
    try:
        found = place.stat()
    except (OSError, ValueError):
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
