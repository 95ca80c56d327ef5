"""Pairs of a key's place and the host to which it would be sent: what a user consents to. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, cast
from urllib.parse import urlsplit

import msgspec

from llx_magic.files.names import name_problem
from llx_magic.keys.logins.login import LoginKind
from llx_magic.text.wording import shown_path

_HOST_AND_PORT = re.compile(r"([a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(?::[0-9]*)?")
"""A host that every parser of URLs reads in the same way: without escapes, and in ASCII letters only."""

_LONGEST_HOST: Final = 255
_PORTS: Final = {"https": 443, "http": 80}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOGINS: Final = {
    "aws": "your AWS credentials",
    "aws-profile": "the AWS profile {}",
    "entra": "your Entra login (for {})",
    "google": "your Google login (for {})",
}
"""What is known of logins: their kinds, and how a sentence names them."""

_LOGIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/:@=-]{0,199}")


def origin(base_url: str) -> str | None:
    """Return scheme, host and port of an address in normal form, so that two of them can be compared, or None.

    This is the origin of https://www.rfc-editor.org/rfc/rfc6454#section-4, with stricter rules for the host.

    In normal form the default port is left out and letters are in lower case. Everything else makes another host: a
    dot at the end, another way to write an IP address, another name of the same machine. An address has no normal
    form (None) if it holds a user name, or if two parsers could read its host differently.
    """
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return None
    found = _HOST_AND_PORT.fullmatch(parts.netloc.lower())
    if found is None or parts.scheme not in _PORTS or port == 0 or "\\" in base_url or not base_url.isprintable():
        return None
    host = found[1]
    if len(host) > _LONGEST_HOST:
        return None
    return f"{parts.scheme}://{host}" if port in (None, _PORTS[parts.scheme]) else f"{parts.scheme}://{host}:{port}"


def shown_origin(origin: str) -> str:
    """Return a host for a message: ``https://``, the usual case, is left out."""
    return origin.removeprefix("https://")


class KeyPlace(msgspec.Struct, frozen=True, order=True):
    """Where a key is: an environment variable, an entry of the keyring, a file by its real, absolute path, or a login.

    A login's name is the profile of AWS's files, or what a token is asked for.
    """

    kind: Literal["variable", "keyring", "file"] | LoginKind
    name: str

    def __str__(self) -> str:
        """Return the form that can be typed: ``NAME``, ``keyring:NAME``, ``file:PATH``, ``aws:chain`` …."""
        return self.name if self.kind == "variable" else f"{self.kind}:{self.name}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the place that a typed form means, or None where it means none."""
        kind, colon, name = text.partition(":")
        if not colon:
            return cls("variable", text) if _VARIABLE.fullmatch(text) else None
        if kind == "keyring":
            return None if name_problem(name) else cls("keyring", name)
        if kind in _LOGINS:
            return cls(cast("LoginKind", kind), name) if _LOGIN_NAME.fullmatch(name) else None
        return cls("file", name) if kind == "file" and Path(name).is_absolute() and name.isprintable() else None

    @property
    def said(self) -> str:
        """The place as a sentence names it."""
        if self.kind == "file":
            return f"the file {shown_path(Path(self.name))}"
        if self.kind in _LOGINS:
            return _LOGINS[self.kind].format(self.name)
        return self.name if self.kind == "variable" else f"the keyring's {self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """A key's place, and the host (an ``origin``) to which what is there would be sent."""

    place: KeyPlace
    host: str

    def __str__(self) -> str:
        """Return the form that can be typed: ``OPENAI_API_KEY@api.openai.com``."""
        return f"{self.place}@{shown_origin(self.host)}"

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the pair that a typed form means, or None where it means none."""
        place, _, host = text.strip().rpartition("@")
        found = KeyPlace.read(place)
        where = origin(host if "://" in host else f"https://{host}")
        plain = urlsplit(where).netloc if where else ""
        whole = host.lower().removeprefix("https://").removeprefix("http://")
        if found is None or where is None or whole.removesuffix(":443").removesuffix(":80") != plain:
            return None  # such as a path behind the host: consent is to the whole host and must not look narrower
        return cls(found, where)

    @property
    def said(self) -> str:
        """The pair as a sentence names it."""
        what = {"aws": "a signature by", "aws-profile": "a signature by", "entra": "a token of", "google": "a token of"}
        return f"{what.get(self.place.kind, 'the key from')} {self.place.said} to {shown_origin(self.host)}"


def read_pairs(text: str) -> tuple[frozenset[Pair], tuple[str, ...]]:
    """Return the pairs of a list that is separated by commas or lines, and the words that are none."""
    words = [word.strip() for word in re.split(r"[,\n]", text) if word.strip()]
    found = {word: Pair.read(word) for word in words}
    pairs = frozenset(pair for pair in found.values() if pair is not None)
    return pairs, tuple(word for word, pair in found.items() if pair is None)


def listed_pairs(pairs: Iterable[Pair]) -> list[str]:
    """Return the pairs in their typed form, in order."""
    return [str(pair) for pair in sorted(pairs)]
