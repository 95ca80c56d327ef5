"""Recognises files of the llxprt command line tool, in which one setting has another meaning."""

from __future__ import annotations

from typing import Final

from llx_magic.profiles.document import Document, LoadBalancerProfile

FIRST_PIECE_NOTE: Final = (
    "timeout_ms limits a whole attempt here, and the wait for its first piece in the llxprt command line tool; "
    "the setting for that is first_token_timeout_ms here"
)
"""The remark for a file whose ``timeout_ms`` was probably meant as the llxprt tool means it."""

_OTHER_LIMITS: Final = frozenset({"connect_timeout_ms", "first_token_timeout_ms", "stall_timeout_ms"})
"""Limits that only llx_magic has: a load balancer that was saved here names them."""


def means_first_piece(document: Document, *, by_path: bool) -> bool:
    """Return whether ``timeout_ms`` in a file was probably written for the llxprt command line tool.

    Such a file names none of our own limits. A model profile must also hold keys of that tool, or have been loaded
    by its path: a model that was saved here names only the settings that were given.
    """
    if document.settings.get("timeout_ms") is None or _OTHER_LIMITS & document.settings.keys():
        return False
    is_foreign = by_path or bool(document.extra or document.extra_settings)
    return is_foreign or isinstance(document, LoadBalancerProfile)
