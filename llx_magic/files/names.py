"""Which names profiles and keys may have."""

from __future__ import annotations

import re

from llx_magic.errors import ProfileError, brief
from llx_magic.key_shapes import begins_like_a_key, not_repeated
from llx_magic.text.wording import any_case

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul"} | {f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)}
)

NAME_PATTERN = rf"(?!(?:{any_case(*sorted(_RESERVED))})(?:\.|\s*$))(?!.*\.{any_case('json')}\s*$){_NAME.pattern}"
"""The names that ``name_problem`` allows, for the JSON schema; it means the same in Python and in ECMAScript."""


def name_problem(name: str) -> str | None:
    """Return what is wrong with a name, as the end of a sentence, or None where it is allowed.

    Windows' device names are refused everywhere, so that a profile that was saved on one system can be copied to
    another: https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions
    """
    if not _NAME.fullmatch(name):
        return "must be 1 to 64 of A-Z a-z 0-9 . _ - and not start with a dot"
    if name.partition(".")[0].lower() in _RESERVED:
        return "is a device name on Windows; choose another"
    if name.lower().endswith(".json"):
        return "must be given without .json"
    return None


def check_name(name: str, *, what: str = "profile name") -> str:
    """Return the name.

    Raises:
        ProfileError: where it is not allowed; ``what`` says what the name is for.
    """
    if problem := name_problem(name):
        raise ProfileError(f"{what} {brief(name)} {problem}")
    if begins_like_a_key(name):
        raise ProfileError(f"what stands where the {what} belongs looks like a key{not_repeated()}")
    return name
