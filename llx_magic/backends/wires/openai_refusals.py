"""What a server's words refuse of the things that a request in OpenAI's form can do without."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from llx_magic.backends.wires.limits import limit_in
from llx_magic.backends.wires.refusals import Refusable, first_refused, has_json
from llx_magic.backends.wires.wire import Concession
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

STREAM_REFUSED = (
    r"verified to stream|parameter stream\b|['\"`]stream['\"`]|: stream: |"
    r"stream(?:ing|ed)?(?: mode| response| output)?s? (?:is |are |was )?(?:not|un)\s?"
    r"(?:supported|allowed|available|enabled)"
    r"|(?:not|n't|cannot) (?:support|allow|stream)\w{0,3}(?: \w{1,20}){0,2} ?stream|only supports non-?stream"
)
"""Words for a model that does not stream, or not for this organization."""

_JSON = "response_format|responseFormat|json_object|json mode|json_schema"
_REFUSABLE = {
    Extra.USAGE: Refusable(
        "stream_options|include_usage|streamOptions",
        lambda asked: asked.streaming and "stream_options" not in asked.params,
    ),
    Extra.SCHEMA: Refusable(_JSON, lambda asked: asked.schema is not None and "response_format" not in asked.params),
    Extra.JSON: Refusable(_JSON, lambda asked: has_json(asked) and "response_format" not in asked.params),
    Extra.MAX_TOKENS: Refusable(
        "max_completion_tokens",
        lambda asked: asked.params.get("max_tokens") is not None and "max_completion_tokens" not in asked.params,
    ),
    Extra.EFFORT: Refusable(
        r"reasoning[ _.]?effort|enable_thinking|thinking_budget|chat_template_kwargs|\bthinking\.type"
        r"|\b(?:reasoning|thinking)\b.{0,40}\bnot (?:supported|allowed|enabled|available|permitted)"
        r"|not support (?:\w{1,20} ){0,3}['\"`]?(?:reasoning|thinking)",
        lambda asked: asked.effort is not None,
    ),
    Extra.STREAM: Refusable(STREAM_REFUSED, lambda asked: asked.streaming),
}
"""What a request can do without, in the order in which it is looked for."""

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
    if failure.kind not in MAY_REFUSE:
        return None
    if shorter := limit_in(failure, without):
        return shorter
    if extra := first_refused(_REFUSABLE, failure, request, without):
        return Concession(extra, lasts=_ONLY_THIS_PROMPT.search(failure.message) is None)
    unexpected = failure.kind is FailureKind.BAD_REQUEST and _UNNAMED.search(failure.message)
    is_the_users = any(name in failure.message for name in request.params)
    may_be = Extra.USAGE not in without and _REFUSABLE[Extra.USAGE].is_asked(request) and not is_the_users
    return Concession(Extra.USAGE) if unexpected and may_be else None
