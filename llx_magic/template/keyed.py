"""Mappings that make what is missing: an expression looks up only what is there, for looking up more would write."""

from __future__ import annotations

from collections import ChainMap, Counter, UserDict
from typing import cast


def plain(value: object) -> object:
    """Return a plain dict of a mapping that would make a missing item, and any other value as it is.

    A ``ChainMap`` asks each of its mappings in turn, so that one that makes items is asked for every key. A
    ``Counter`` only counts zero.
    """
    if isinstance(value, ChainMap):
        merged: dict[object, object] = {}
        for each in reversed(value.maps):
            merged |= cast("dict[object, object]", plain(each))
        return merged
    if not hasattr(type(value), "__missing__") or isinstance(value, Counter):
        return value
    if isinstance(value, dict):
        return dict(dict.items(value))
    return plain(value.data) if isinstance(value, UserDict) else value
