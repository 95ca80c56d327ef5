"""Under what name a backend is shared: its host, its model, and a digest of its key, which nobody can read back."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llx_magic.core.ports import Account

PREFIX = "{llx_magic}"
"""What all keys of the server begin with; they lie in one slot of a cluster."""


def name_of(account: Account, password: str) -> str:
    """Return the name: a digest of host, model and key, keyed with the server's password, which all who share know.

    So whoever sees the names alone cannot try out keys, and the same key at another server has another name.
    """
    digest = hashlib.blake2b(key=hashlib.sha256(password.encode()).digest(), digest_size=16, person=b"llx_magic")
    for part in (account.host, account.model, *(secret.reveal() for secret in account.secrets)):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
