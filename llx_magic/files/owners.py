"""Whose a file or folder is: the user's own, or one that another user owns or can write."""

from __future__ import annotations

import os
import stat
from typing import Final

ADMINISTRATOR: Final = 0
"""The user who can read and write everything anyway."""

BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
"""The permissions by which others can write."""


def this_user() -> int | None:
    """Return the user for whom this process acts; None on systems where files have no such owner."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def is_own(owner: int, user: int) -> bool:
    """Return whether nobody else owns it: the user does, or the administrator, who can do everything anyway."""
    return owner in (user, ADMINISTRATOR)


def why_foreign(owner: int, mode: int, user: int) -> str | None:
    """Return why a file or folder is not the user's own, as the end of a sentence, or None."""
    if not is_own(owner, user):
        return "belongs to another user"
    return "can be written by others" if mode & BY_OTHERS else None
