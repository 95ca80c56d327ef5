"""Looking for a secret in whatever can be read: as it is, in the codings that software gives it, and in part."""

from __future__ import annotations

import base64
import html
import json
import random
import string
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

WINDOW = 12
"""How many characters of a secret in a row, in any of its codings, count as found."""

HALF = WINDOW // 2

PREFIX = "sk-SENTINEL"


def odd(tag: str) -> str:
    """A key of characters that are escaped in addresses, JSON, HTML, base64 and Python's reprs."""
    return f'{PREFIX}/Se+{_noise(tag)}cret="01"&<x>\'%7E\\:{{{_noise(tag[::-1])}}}'


def plain(tag: str) -> str:
    """A key such as providers give out."""
    return f"{PREFIX}-{_noise(tag)}{_noise(tag[::-1])}"


def _noise(tag: str) -> str:
    return "".join(random.Random(f"noise of {tag}").choices(string.ascii_letters + string.digits, k=16))


def codings(secret: str) -> tuple[str, ...]:
    """Return the secret as it may have been written; base64 without the ends that depend on what stands beside it."""
    raw = secret.encode()
    forms = [secret, json.dumps(secret)[1:-1], json.dumps(secret)[1:-1].replace("/", "\\/"), repr(secret)[1:-1]]
    forms += [repr(raw)[2:-1], repr(repr(secret)), json.dumps(json.dumps(secret)), raw.hex(), raw.hex().upper()]
    forms += [quote(secret), quote(secret, safe=""), quote_plus(secret), quote(quote(secret, safe=""))]
    forms += [html.escape(secret), html.escape(secret, quote=False), html.escape(html.escape(secret))]
    forms += ["".join(f"\\u{ord(c):04x}" for c in secret), secret.lower(), secret[::-1]]
    for before in range(3):
        packed = base64.b64encode(b"\0" * before + raw).decode()
        inner = packed[4 if before else 0 : len(packed) // 4 * 4 - 4]
        forms += [inner, inner.translate(str.maketrans("+/", "-_"))]
    return tuple(dict.fromkeys(forms))


def windows(secret: str) -> frozenset[str]:
    """Return every run of WINDOW characters of each coding; those of the prefix that all keys share are no secret."""
    return frozenset(_windows(secret)) - _OF_THE_PREFIX


def _windows(secret: str) -> Iterator[str]:
    return (form[at : at + WINDOW] for form in codings(secret) for at in range(len(form) - WINDOW + 1))


_OF_THE_PREFIX = frozenset(_windows(f"{PREFIX}/Se")) | frozenset(_windows(f"{PREFIX}-"))


class Sweep:
    """Secrets, by what they are called, to be looked for in many texts."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self._names = {window: name for name, secret in secrets.items() for window in windows(secret)}
        self._halves = frozenset(window[at : at + HALF] for window in self._names for at in range(HALF + 1))

    def found_in(self, texts: Iterable[str | bytes]) -> dict[str, str]:
        """Return the secrets that the texts show, each with the text around its first place."""
        found: dict[str, str] = {}
        for each in set(texts):
            text = each.decode("utf-8", "replace") if isinstance(each, bytes) else each
            for at in self._places(text):
                name = self._names.get(text[at : at + WINDOW])
                if name is not None and name not in found:
                    found[name] = text[max(0, at - 60) : at + 90]
        return found

    def _places(self, text: str) -> Iterator[int]:
        """Yield where a window may begin: in each, half a window begins at a multiple of one more than its length."""
        for half in range(0, len(text) - HALF + 1, HALF + 1):
            if text[half : half + HALF] in self._halves:
                yield from range(max(0, half - HALF), half + 1)


def attributes(thing: object, depth: int = 3, *, public: bool = False) -> Iterator[str]:
    """Yield the text of everything that is reached from a value within ``depth`` steps through its attributes."""
    yield from _walk(thing, depth, public, set())


def _walk(thing: object, depth: int, public: bool, seen: set[int]) -> Iterator[str]:
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, str | bytes | int | float | None):
        yield thing.decode("utf-8", "replace") if isinstance(thing, bytes) else str(thing)
        return
    yield repr(thing)
    if depth == 0 or isinstance(thing, type) or callable(thing):
        return
    if isinstance(thing, dict):
        parts = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = list(thing)
    else:
        parts = [value for name, value in _named(thing) if not (public and name.startswith("_"))]
    for part in parts:
        yield from _walk(part, depth - 1, public, seen)


def _named(thing: object) -> Iterator[tuple[str, object]]:
    names = dict.fromkeys(getattr(thing, "__dict__", {}))
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names |= dict.fromkeys([slots] if isinstance(slots, str) else slots)
    if isinstance(thing, BaseException):
        names |= dict.fromkeys(("args", "__cause__", "__context__", "__notes__"))
    for name in names:
        try:
            yield name, getattr(thing, name)
        except AttributeError:
            continue
