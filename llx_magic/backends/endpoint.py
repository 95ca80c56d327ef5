"""Where a backend is, and whether a key may be sent there. No I/O."""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

_AS_IT_IS = "/%:@!$&'()*+,;=~[]"
"""What may stand in a path beside letters, digits and ``-._~`` (https://www.rfc-editor.org/rfc/rfc3986#section-3.3)."""

_BRACKETED = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")
"""An IPv6 address and its port: where more stands beside the brackets, readers differ on which part is the host."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model at one address; ``base_url`` is what comes before the path of the wire form."""

    base_url: str
    model: str

    def url(self, path: str) -> str:
        """Return the address of a path below the base URL."""
        return f"{_root(self.base_url)}{path}"

    @property
    def path(self) -> str:
        """The path of the base URL, without a slash at its end."""
        return _split(self.base_url).path.rstrip("/")

    @property
    def label(self) -> str:
        """Host and port for messages, without anything that could be a credential."""
        return _label(self.base_url)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken to the server."""
        return self.base_url[:6].lower() == "https:"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine itself: 127.0.0.0/8, ::1 or localhost (https://www.rfc-editor.org/rfc/rfc6761#section-6.3)."""
        return _is_loopback(self.base_url)

    def problem(self) -> str | None:
        """Say in one line why nothing can be sent to this address; None where it is fine.

        The text never repeats an address that holds a user name or a query: either may be a credential.
        """
        url = self.base_url
        if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            return "base-url must be an http or https address of printable ASCII characters"
        parts = _split(url)
        if "@" in (parts.netloc or url):
            return "base-url must not contain a user name or password; the key belongs in auth-key-env or auth-key-name"
        if "?" in url or "#" in url:
            return "base-url must not contain a query or a fragment ('?' or '#')"
        return _problem_of_place(url, parts)

    def unencrypted_problem(self) -> str | None:
        """Say in one line why no key or other secret is sent to this address; None where it may be.

        https://www.rfc-editor.org/rfc/rfc6750#section-5.3
        """
        if self.is_encrypted or self.is_loopback:
            return None
        host = _split(self.base_url).hostname or "it"
        return f"a key is never sent unencrypted: base-url must begin with https:// for {host}"


def _problem_of_place(url: str, parts: SplitResult) -> str | None:
    """Say in one line why an address that holds no secret names no place; None where it does."""
    if not _brackets_are_sound(parts.netloc or url.partition("//")[2].partition("/")[0]):
        return f"base-url must name a host or a whole IP address, got {url!r}"
    try:
        port_is_readable = parts.port is None or parts.port > 0
    except ValueError:
        return "base-url must be an http or https address with a port from 1 to 65535"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_readable:
        return f"base-url must be an http or https address, got {url!r}"
    return None if _is_host(parts.hostname) else f"base-url must name a host or a whole IP address, got {url!r}"


def _split(url: str) -> SplitResult:
    """Return the parts of an address, all empty where it has none.

    What stands beside brackets is refused by Python since https://github.com/python/cpython/issues/105704, and read
    before that.
    """
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("", "", "", "", "")


def _brackets_are_sound(netloc: str) -> bool:
    """Whether brackets, where there are any, hold the whole host."""
    return not ("[" in netloc or "]" in netloc) or _BRACKETED.fullmatch(netloc) is not None


def _is_host(name: str) -> bool:
    """Whether a host can be looked up: an address that is one, or labels of 1 to 63 characters that can be decoded.

    https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
    """
    if ":" in name or name.replace(".", "").isdigit():
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
    return all(1 <= len(label) <= 63 and _is_decodable(label) for label in name.removesuffix(".").split("."))


def _is_decodable(label: str) -> bool:
    """Whether a label in Punycode (https://www.rfc-editor.org/rfc/rfc3492) stands for something that can be written."""
    try:
        return not label.startswith("xn--") or label[4:].encode().decode("punycode").isprintable()
    except UnicodeError:
        return False


@functools.lru_cache(maxsize=256)
def _root(base_url: str) -> str:
    """Return a base URL as requests have it."""
    parts = _split(base_url)
    path = quote(parts.path.rstrip("/"), _AS_IT_IS)
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(':')}{path}"


@functools.lru_cache(maxsize=256)
def _label(base_url: str) -> str:
    """Asked with each request where facts are shared, of few addresses."""
    return _split(base_url).netloc.rpartition("@")[2]


@functools.lru_cache(maxsize=256)
def _is_loopback(base_url: str) -> bool:
    """Asked several times with each request, of few addresses."""
    parts = _split(base_url)
    host = parts.hostname or ""
    if not _brackets_are_sound(parts.netloc):
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
