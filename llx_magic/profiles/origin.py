"""Files that another program wrote, and what in them means something else here."""

from __future__ import annotations

from typing import Final

from llx_magic.profiles.document import Document, LoadBalancerProfile

FIRST_PIECE_NOTE: Final = (
    "timeout_ms limits a whole attempt here, and the wait for its first piece in the llxprt command line tool; "
    "the setting for that is first_token_timeout_ms here"
)
"""What to say once when a file is loaded whose ``timeout_ms`` was probably meant as the other tool means it."""

_OTHER_LIMITS: Final = frozenset({"connect_timeout_ms", "first_token_timeout_ms", "stall_timeout_ms"})
"""Limits that only we have: a load balancer that was saved here names them."""


def means_first_piece(document: Document, *, by_path: bool) -> bool:
    """Return whether ``timeout_ms`` in a file was probably written for the llxprt command line tool.

    That is a file which names no limit of ours; a model must also hold keys of that tool, or have been loaded by path,
    since one that was saved here names only what was given.
    """
    if document.settings.get("timeout_ms") is None or _OTHER_LIMITS & document.settings.keys():
        return False
    is_foreign = by_path or bool(document.extra or document.extra_settings)
    return is_foreign or isinstance(document, LoadBalancerProfile)
