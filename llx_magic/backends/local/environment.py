"""What the processes that are started from here see of the environment: all of it but keys and passwords."""

from __future__ import annotations

import os
import re

_SECRET_WORDS = frozenset({
    "KEY", "KEYS", "PAT", "PATS", "TOKEN", "TOKENS", "SECRET", "SECRETS", "PASS", "PASSWD", "PASSWORD", "PASSPHRASE",
    "CREDENTIAL", "CREDENTIALS",
})  # fmt: skip


def without_keys(but: tuple[str, ...] = ()) -> dict[str, str]:
    """Return this process's environment without the variables that hold a key or password, going by their names.

    ``OPENAI_API_KEY``, ``WORK_KEY2`` and ``GITHUB_PAT`` are left out: whatever has such a word in its name, numbered
    or not. What begins with one of ``but`` stays.
    """
    return {name: value for name, value in os.environ.items() if name.startswith(but) or not _names_a_key(name)}


def _names_a_key(name: str) -> bool:
    words = re.split(r"[^A-Z]+", name.upper())  # digits part words too: keys are numbered
    return not _SECRET_WORDS.isdisjoint(words) or any(word.endswith(("APIKEY", "APIKEYS")) for word in words)
