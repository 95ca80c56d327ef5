"""Which proxy of the environment a request goes through. Decided here, in plain rules, since libraries differ.

How they differ: https://about.gitlab.com/blog/2021/01/27/we-need-to-talk-no-proxy/
The variables are those that curl, Python and most tools share: ``https_proxy``, ``http_proxy``, ``all_proxy`` and
``no_proxy`` (https://everything.curl.dev/usingcurl/proxies/env), in small or capital letters; small ones win, as in
Python (https://docs.python.org/3/library/urllib.request.html#urllib.request.getproxies). What ``no_proxy``
holds beyond names, patterns, addresses and networks is passed over.
"""

from __future__ import annotations

import functools
import importlib.util
import ipaddress
import os
import re
import sys
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from llx_magic.core.failure import NotReady
from llx_magic.keys.redaction import LIVE_KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable

SYSTEM = "the system's settings"
"""Where a proxy comes from that no variable names; on macOS and Windows."""

_VARIABLES = (
    "http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
)  # fmt: skip

_SCHEMES = {"http": "http", "https": "https", "socks": "socks5", "socks5": "socks5", "socks5h": "socks5"}
"""The kinds of proxies, and what stands for each: over SOCKS 5 names are always looked up by the proxy
(https://www.rfc-editor.org/rfc/rfc1928#section-5)."""

_HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+(?:%[^\[\]@/]+)?\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?")

_SCHEME = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(.*)", re.DOTALL)
"""What stands before an address, and the rest."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the variable that names it. Its user name and password are in no text of it."""

    scheme: str
    host: str
    variable: str
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """In the words of a message."""
        return f"the proxy {self.host} (from {self.variable})"

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return f"{self.scheme}://{self.host}"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy that the environment names for an address, as it is at this moment; None to go straight there.

    Raises:
        NotReady: where a proxy is named that cannot be used; the line never repeats what may be a password.
    """
    found = _in_force(url)  # what it reads is in its own variables, which no traceback from here shows
    if isinstance(found, str):
        raise NotReady(found)
    if found is not None and found.scheme == "socks5" and importlib.util.find_spec("socksio") is None:
        raise NotReady(
            f"{found.variable} names a SOCKS proxy, which takes one more package: pip install 'httpx[socks]'"
        )
    return found


def _in_force(url: str) -> Proxy | str | None:
    named = tuple((name, os.environ[name]) for name in _VARIABLES if name in os.environ)
    if not named and sys.platform in ("darwin", "win32"):
        return _of_the_system(url)
    return _decided(url, named)


@functools.lru_cache(maxsize=64)
def _decided(url: str, named: tuple[tuple[str, str], ...]) -> Proxy | str | None:
    """Return the proxy, None, or in one line why the proxy that is named cannot be used."""
    scheme = urlsplit(url).scheme.lower()
    for kind in (scheme, "all"):
        variable, value = _variable(named, f"{kind}_proxy")
        if value.strip():
            exceptions = _variable(named, "no_proxy")[1]
            return None if is_excepted(url, exceptions) else read_proxy(value, variable)
    return None


def _variable(named: Iterable[tuple[str, str]], wanted: str) -> tuple[str, str]:
    """Return the variable of that name and its value, the small letters first; one that is not set is empty."""
    return next((found for found in named if found[0].lower() == wanted), (wanted, ""))


def read_proxy(value: str, variable: str) -> Proxy | str:
    """Read a proxy's address, with or without scheme, port, user name and password; or say why it cannot be used."""
    scheme, rest = _split(value.strip().strip("\"'"))
    kind = _SCHEMES.get(scheme or "http")
    if kind is None:
        return f"{variable} names a kind of proxy that cannot be used; http, https and socks5 can"
    user, at, address = rest.rpartition("@")
    host = re.split(r"[/?#]", address, maxsplit=1)[0]
    shape = _HOST.fullmatch(host)
    if shape is None or int(shape["port"] or 1) not in range(1, 65_536):
        return f"{variable} must hold the address of a proxy, such as http://proxy.example:3128"
    name, _, password = user.partition(":")
    LIVE_KEYS.add(unquote(password))
    return Proxy(kind, host, variable, (unquote(name), unquote(password)) if at else None)


def _split(address: str) -> tuple[str, str]:
    """Return an address's scheme in small letters, empty where it has none, and what follows it."""
    shape = _SCHEME.fullmatch(address)
    assert shape is not None
    return (shape[1] or "").lower(), shape[2]


def is_excepted(url: str, exceptions: str) -> bool:
    """Return whether an item of ``no_proxy`` matches an address; the items stand between commas or spaces."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = (parts.hostname or "").rstrip(".")
    items = (item.strip("\"'").lower() for item in re.split(r"[,;\s]+", exceptions))
    return any(_matches(item, parts.scheme.lower(), host, port) for item in items if item)


def _matches(item: str, scheme: str, host: str, port: int) -> bool:
    own_scheme, rest = _split(item)
    wanted, own_port = _host_and_port(rest.rstrip("/"))
    if own_scheme not in ("", "all", scheme) or own_port not in ("", str(port)):
        return False
    if "*" in wanted:
        return fnmatchcase(host, wanted)
    address = _address(host)
    return _names(wanted, host) if address is None else _holds(wanted, address)


def _host_and_port(item: str) -> tuple[str, str]:
    """Split an item where a port stands behind it: a single colon, or one behind the brackets of IPv6."""
    if item.startswith("["):
        inside, _, behind = item[1:].partition("]")
        return (inside, behind[1:]) if behind.startswith(":") else (inside + behind, "")
    if item.count(":") == 1:
        host, _, port = item.partition(":")
        return host, port
    return item, ""


def _names(wanted: str, host: str) -> bool:
    """Whether a name is the host's or its domain's: ``corp`` and ``.corp`` hold all that ends in ``.corp``."""
    if wanted == "<local>":
        return "." not in host
    name = wanted.strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _holds(wanted: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address, or a network of addresses, holds the host's."""
    plain, slash, length = wanted.partition("/")
    try:
        network = ipaddress.ip_network(f"{plain.partition('%')[0]}{slash}{length}", strict=False)
    except ValueError:
        return False
    return address.version == network.version and address in network


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    # https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _of_the_system(url: str) -> Proxy | str | None:
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    value = getproxies().get(parts.scheme.lower())
    return None if not value or proxy_bypass(parts.netloc) else read_proxy(value, SYSTEM)
