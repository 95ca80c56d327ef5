"""Tells whether a file or folder is the user's own, or whether another user owns it or can write it."""

from __future__ import annotations

import os
import stat
from typing import Final

ADMINISTRATOR: Final = 0
"""The administrator's number on POSIX systems; root can read and write everything."""

BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
"""The mode bits that let others write."""


def this_user() -> int | None:
    """Return the number of the user that this process runs as; None on systems without such numbers."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def is_own(owner: int, user: int) -> bool:
    """Return whether the user owns it, or the administrator, who can change everything anyway."""
    return owner in (user, ADMINISTRATOR)


def why_foreign(owner: int, mode: int, user: int) -> str | None:
    """Return why a file or folder is not the user's own, as the end of a sentence, or None where it is."""
    if not is_own(owner, user):
        return "belongs to another user"
    return "can be written by others" if mode & BY_OTHERS else None
