"""What a server's words refuse of the things that a request can do without. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from llx_magic.core.failure import Failure
    from llx_magic.core.reply import ChatRequest

Thing = TypeVar("Thing", bound=str)


class Refusable(NamedTuple):
    """Something that a request can do without: the words that refuse it, in any case, and whether it is asked for."""

    words: str
    is_asked: Callable[[ChatRequest], bool]


def first_refused(
    things: Mapping[Thing, Refusable], failure: Failure, request: ChatRequest, without: Collection[str]
) -> Thing | None:
    """Return the first of the things that a request asks for, is not without yet, and that a failure refuses."""
    for name, thing in things.items():
        if name not in without and thing.is_asked(request) and re.search(thing.words, failure.message, re.IGNORECASE):
            return name
    return None


def has_json(request: ChatRequest) -> bool:
    """Return whether a request asks for JSON, of whatever shape."""
    return request.json or request.schema is not None


def has_system(request: ChatRequest) -> bool:
    """Return whether anything is said as the system."""
    return any(each.role == "system" for each in request.messages)
