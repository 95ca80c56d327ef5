"""How long a reply may be: the most that a model writes, as its service says, and a request that keeps to it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llx_magic.backends.wires.wire import Concession

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.core.failure import Failure
    from llx_magic.text.values import JsonValue

_AT_MOST = re.compile(
    r"max_tokens`?: \d{1,9} > (\d{1,9})|exceeds the model limit of (\d{1,9})|(\d{1,9}), which is the maximum"
    r"|supports at most (\d{1,9}) completion tokens|max_\w{0,12}tokens'?: .{0,80}<= (\d{1,9})",
    re.IGNORECASE,
)
"""Words of Anthropic, of Bedrock's models, and of OpenAI."""

_BELOW = re.compile(r"supported range is from \d{1,4} \(inclusive\) to (\d{1,9}) \(excl", re.IGNORECASE)
"""Words of Gemini."""

_MARK = "longest reply: "


def longest(without: Collection[str]) -> int | None:
    """Return the most tokens of reply that the service has been found to take, or None."""
    return min((int(each.removeprefix(_MARK)) for each in without if each.startswith(_MARK)), default=None)


def at_most(most: int, without: Collection[str], *, lasts: bool = True) -> Concession | None:
    """Return the concession that a reply be no longer than that, unless it is asked for no longer already."""
    known = longest(without)
    return Concession(f"{_MARK}{most}", lasts=lasts) if most > 0 and (known is None or most < known) else None


def limit_in(failure: Failure, without: Collection[str]) -> Concession | None:
    """Return the concession of a shorter reply, where a failure names the most that the model writes."""
    if found := _AT_MOST.search(failure.message):
        return at_most(int(next(filter(None, found.groups()))), without)
    below = _BELOW.search(failure.message)
    return at_most(int(below[1]) - 1, without) if below else None


def shortened(asked: JsonValue, without: Collection[str]) -> tuple[JsonValue, list[str]]:
    """Return the length to ask for in the place of the one that is wished for, and a note where it is another."""
    most = longest(without)
    if most is None or not isinstance(asked, int | float) or asked <= most:
        return asked, []
    return most, [f"max_tokens is {most} instead of {asked}, the most that the model writes"]
