"""Texts that name a time zone: libraries open a file for some of them, which may be any file.

pandas hands what follows ``dateutil/`` to dateutil, which opens an absolute path as it stands.
"""

from __future__ import annotations

import re

from llx_magic.template.errors import NotDataError

_ZONE = re.compile(r"(?:UTC|GMT|Z)?(?:[+-]\d\d?(?::?\d\d){0,2})?|[A-Za-z][\w+-]*(?:/[A-Za-z][\w+-]*){0,2}", re.ASCII)
_OPENS = re.compile(r"dateutil/|file:|zoneinfo/|\.\./", re.IGNORECASE)
_OF_A_TYPE = re.compile(r",\s*(?:tz=)?([^\],]*)\]")


def check(text: str) -> None:
    """Refuse a zone that is not UTC, a fixed offset or a plain name such as ``Europe/Oslo``."""
    if not _ZONE.fullmatch(text.strip()) or _OPENS.search(text):
        raise NotDataError(f"{text[:60]!r} names no time zone that a prompt may ask for")


def check_type(text: str) -> None:
    """Refuse the text of a type whose zone is none."""
    for zone in _OF_A_TYPE.findall(text):
        check(zone)


def check_any(text: str) -> None:
    """Refuse a text that would open a file if it were taken for a zone, wherever a library may take it so."""
    if _OPENS.match(text) or re.search(r"\[.*dateutil/", text, re.IGNORECASE | re.DOTALL):
        raise NotDataError(f"{text[:60]!r} reads no file here")
