"""What an endpoint refuses of the things that are asked beyond the plain form, learnt from its own refusals. No I/O.

A request that is refused for one of them is asked again at once without it, and the process remembers.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from llx_magic.core.failure import FailureKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.backends.endpoint import Endpoint
    from llx_magic.core.failure import Failure
    from llx_magic.core.reply import ChatRequest


class Extra(enum.StrEnum):
    """Something that a request can do without; the value is what it is called in the request."""

    USAGE = "stream_options"
    JSON = "response_format"
    STREAM = "stream"
    MAX_TOKENS = "max_tokens"


_MAY_REFUSE = frozenset({
    FailureKind.BAD_REQUEST, FailureKind.ACCESS, FailureKind.SERVER, FailureKind.OTHER_STATUS, FailureKind.BAD_REPLY,
})  # fmt: skip
"""Kinds that such a refusal comes as: some servers break at what they do not know."""

_REFUSED = {
    Extra.USAGE: re.compile(r"stream_options|include_usage|streamOptions", re.IGNORECASE),
    Extra.JSON: re.compile(r"response_format|responseFormat|json_object|json mode|json_schema", re.IGNORECASE),
    Extra.MAX_TOKENS: re.compile(r"max_completion_tokens", re.IGNORECASE),
    Extra.STREAM: re.compile(
        r"verified to stream|parameter stream\b|['\"`]stream['\"`]|: stream: |"
        r"stream(?:ing|ed)?(?: mode| response| output)?s? (?:is |are |was )?(?:not|un)\s?"
        r"(?:supported|allowed|available|enabled)"
        r"|(?:not|n't|cannot) (?:support|allow|stream)\w{0,3}(?: \w{1,20}){0,2} ?stream|only supports non-?stream",
        re.IGNORECASE,
    ),
}
"""The words that name each, in the order in which they are looked for."""

_UNNAMED = re.compile(
    r"extra (?:inputs|fields|parameters)"
    r"|(?:unknown|unrecognized|unsupported|unexpected|additional|invalid) (?:\w{1,20} )?"
    r"(?:fields?|param\w{0,8}|arguments?|property|properties|keys?)|not permitted|forbidden extra",
    re.IGNORECASE,
)
"""Words for something that was not expected, whatever it was."""

_ONLY_THIS_PROMPT = re.compile(r"must contain the word", re.IGNORECASE)

_known: dict[Endpoint, frozenset[Extra]] = {}


def refused_at(endpoint: Endpoint) -> frozenset[Extra]:
    """Return what the endpoint has refused since the process began."""
    return _known.get(endpoint, frozenset())


def remember(endpoint: Endpoint, extras: Collection[Extra]) -> None:
    """Note what the endpoint refuses."""
    if extras:
        _known[endpoint] = refused_at(endpoint) | frozenset(extras)


def conceded(failure: Failure, request: ChatRequest, without: Collection[Extra]) -> Extra | None:
    """Return what a failure refuses of what a request asked for; None where it refuses none of it.

    Where a server only says that something was not expected, and names none of the user's own parameters, it may be
    the wish for usage, which the user knows nothing of.
    """
    asked = _asked_for(request, without)
    if failure.kind not in _MAY_REFUSE:
        return None
    for extra, words in _REFUSED.items():
        if extra in asked and words.search(failure.message):
            return extra
    unexpected = failure.kind is FailureKind.BAD_REQUEST and _UNNAMED.search(failure.message)
    is_the_users = any(name in failure.message for name in request.params)
    return Extra.USAGE if unexpected and Extra.USAGE in asked and not is_the_users else None


def _asked_for(request: ChatRequest, without: Collection[Extra]) -> set[Extra]:
    """Return what a request asks for that it could do without, and that has not been left out yet."""
    asked = set()
    if request.streaming:
        asked |= {Extra.STREAM} if "stream_options" in request.params else {Extra.STREAM, Extra.USAGE}
    if request.json and "response_format" not in request.params:
        asked.add(Extra.JSON)
    if request.params.get("max_tokens") is not None and "max_completion_tokens" not in request.params:
        asked.add(Extra.MAX_TOKENS)
    return asked.difference(without)


def is_lasting(failure: Failure) -> bool:
    """Return whether the endpoint refuses it whatever the prompt, as far as its words go."""
    return _ONLY_THIS_PROMPT.search(failure.message) is None
