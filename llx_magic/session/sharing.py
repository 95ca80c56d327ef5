"""Which facts the profiles of this process share with other processes: those of the server that the user names."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.errors import ProfileError
from llx_magic.install import install_line
from llx_magic.locks import ForkSafeLock

if TYPE_CHECKING:
    from llx_magic.shared.redis_facts import RedisFacts

VARIABLE = "LLX_SHARED"
"""The environment variable that names the server."""

_SCHEMES = ("redis", "rediss", "unix")

_known: dict[str, RedisFacts] = {}
_lock = ForkSafeLock()


def shared_facts() -> RedisFacts | None:
    """Return what shares facts with other processes, the same for all profiles; None where no server is named.

    Raises:
        ProfileError: for an address that is none, or a missing package. The address is not repeated: it may hold a
            password.
    """
    url = os.environ.get(VARIABLE, "").strip()
    if not url:
        return None
    with _lock:
        if url not in _known:
            _check(url)
            from llx_magic.shared.redis_facts import RedisFacts

            _known[url] = RedisFacts(url)
            _known[url].connect()
        return _known[url]


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in _SCHEMES and bool(parts.hostname or parts.scheme == "unix") and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise ProfileError(f"{VARIABLE} must be an address such as redis://localhost:6379/0, or rediss:// with TLS")
    if importlib.util.find_spec("redis") is None:
        raise ProfileError(f"{VARIABLE} is set and the package redis is missing: {install_line('redis')}")
