"""What a server's words refuse of the things that a request in OpenAI's form can do without."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from llx_magic.backends.wires.limits import limit_in
from llx_magic.backends.wires.wire import Concession, first_named
from llx_magic.core.failure import FailureKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.core.failure import Failure
    from llx_magic.core.reply import ChatRequest


class Extra(enum.StrEnum):
    """Something that a request can do without; the value is what it is called in the request."""

    USAGE = "stream_options"
    SCHEMA = "json_schema"
    JSON = "response_format"
    EFFORT = "reasoning_effort"
    STREAM = "stream"
    MAX_TOKENS = "max_tokens"


MAY_REFUSE = frozenset({
    FailureKind.BAD_REQUEST, FailureKind.ACCESS, FailureKind.SERVER, FailureKind.OTHER_STATUS, FailureKind.BAD_REPLY,
})  # fmt: skip
"""Kinds that such a refusal comes as: some servers break at what they do not know."""

STREAM_REFUSED = re.compile(
    r"verified to stream|parameter stream\b|['\"`]stream['\"`]|: stream: |"
    r"stream(?:ing|ed)?(?: mode| response| output)?s? (?:is |are |was )?(?:not|un)\s?"
    r"(?:supported|allowed|available|enabled)"
    r"|(?:not|n't|cannot) (?:support|allow|stream)\w{0,3}(?: \w{1,20}){0,2} ?stream|only supports non-?stream",
    re.IGNORECASE,
)
"""Words for a model that does not stream, or not for this organization."""

_JSON = re.compile(r"response_format|responseFormat|json_object|json mode|json_schema", re.IGNORECASE)
_REFUSED = {
    Extra.USAGE: re.compile(r"stream_options|include_usage|streamOptions", re.IGNORECASE),
    Extra.SCHEMA: _JSON,
    Extra.JSON: _JSON,
    Extra.MAX_TOKENS: re.compile(r"max_completion_tokens", re.IGNORECASE),
    Extra.EFFORT: re.compile(
        r"reasoning[ _.]?effort|enable_thinking|thinking_budget|chat_template_kwargs|\bthinking\.type"
        r"|\b(?:reasoning|thinking)\b.{0,40}\bnot (?:supported|allowed|enabled|available|permitted)"
        r"|not support (?:\w{1,20} ){0,3}['\"`]?(?:reasoning|thinking)",
        re.IGNORECASE,
    ),
    Extra.STREAM: STREAM_REFUSED,
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
"""That word is JSON: https://platform.openai.com/docs/guides/structured-outputs?api-mode=chat#json-mode"""


def refused_of(failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
    """Return what a failure refuses of what a request asked for; None where it refuses none of it.

    Where a server only says that something was not expected, and names none of the user's own parameters, it may be
    the wish for usage, which the user knows nothing of.
    """
    asked = _asked_for(request, without)
    if failure.kind not in MAY_REFUSE:
        return None
    if shorter := limit_in(failure, without):
        return shorter
    if extra := first_named(_REFUSED, asked, failure):
        return Concession(extra, lasts=_ONLY_THIS_PROMPT.search(failure.message) is None)
    unexpected = failure.kind is FailureKind.BAD_REQUEST and _UNNAMED.search(failure.message)
    is_the_users = any(name in failure.message for name in request.params)
    return Concession(Extra.USAGE) if unexpected and Extra.USAGE in asked and not is_the_users else None


def _asked_for(request: ChatRequest, without: Collection[str]) -> set[Extra]:
    """Return what a request asks for that it could do without, and that has not been left out yet."""
    asked = set()
    if request.streaming and Extra.STREAM not in without:
        asked |= {Extra.STREAM} if "stream_options" in request.params else {Extra.STREAM, Extra.USAGE}
    if (request.json or request.schema is not None) and "response_format" not in request.params:
        asked |= {Extra.JSON} if request.schema is None else {Extra.SCHEMA, Extra.JSON}
    if request.effort is not None:
        asked.add(Extra.EFFORT)
    if request.params.get("max_tokens") is not None and "max_completion_tokens" not in request.params:
        asked.add(Extra.MAX_TOKENS)
    return asked.difference(without)
