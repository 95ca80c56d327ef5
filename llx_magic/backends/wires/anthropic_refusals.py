"""What Anthropic's service refuses of a request that the request can do without. No I/O."""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

from llx_magic.backends.wires.limits import at_most, limit_in
from llx_magic.backends.wires.refusals import Refusable, first_refused
from llx_magic.backends.wires.wire import Concession
from llx_magic.core.failure import FailureKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from llx_magic.core.failure import Failure
    from llx_magic.core.reply import ChatRequest


class Extra(enum.StrEnum):
    """Something that a request can do without; the value is what it is called in the request."""

    DISPLAY = "thinking.display"
    ADAPTIVE = "thinking.adaptive"
    """To be told by a word how much to think; without it, it is told in tokens."""
    DISABLED = "thinking.disabled"
    THINKING = "thinking"
    FORMAT = "output_config.format"
    VERSION = "anthropic-version"


def _thinks(request: ChatRequest) -> bool:
    return request.effort not in (None, "none") and "thinking" not in request.params


_REFUSABLE = {
    Extra.DISPLAY: Refusable(r"\bdisplay\b", _thinks),
    Extra.ADAPTIVE: Refusable(r"adaptive|\beffort\b|output_config: ", _thinks),
    Extra.DISABLED: Refusable(
        "thinking|disabled", lambda asked: asked.effort == "none" and "thinking" not in asked.params
    ),
    Extra.THINKING: Refusable("thinking|budget_tokens", _thinks),
    Extra.FORMAT: Refusable(
        r"output_config|output_format|json_schema|structured[ _]outputs?|\bschema\b",
        lambda asked: asked.schema is not None,
    ),
    Extra.VERSION: Refusable("anthropic[-_ ]version", lambda _asked: True),
}

_OF_THIS_SCHEMA = re.compile(r"\.schema|schema is|too complex", re.IGNORECASE)

_MAY_REFUSE = frozenset({FailureKind.BAD_REQUEST, FailureKind.ACCESS, FailureKind.SERVER})
"""Kinds that such a refusal comes as; some gateways break at what they do not know."""

_NO_ROOM = re.compile(r"max_tokens`? exceeds? context limit: (\d{1,9}) \+ (\d{1,9}) > (\d{1,9})")
_LEAST_ROOM = 256
"""Tokens of reply; where a prompt leaves less than this it is too long."""


def conceded(failure: Failure, request: ChatRequest, without: Collection[str]) -> Concession | None:
    """Return what a failure refuses of what a request asked for, and what it is to be instead, by its name.

    A reply that would be longer than the model can write, or than the prompt leaves room for, is asked for as long as
    it may be. Nothing is conceded where the service names a parameter of the user's own.
    """
    words = failure.message
    if shorter := limit_in(failure, without):
        return shorter
    if found := _NO_ROOM.search(words):
        room = int(found[3]) - int(found[1])
        return at_most(room, without, lasts=False) if _LEAST_ROOM <= room < int(found[2]) else None
    if failure.kind not in _MAY_REFUSE or any(re.search(rf"\b{re.escape(name)}\b", words) for name in request.params):
        return None
    extra = first_refused(_REFUSABLE, failure, request, without)
    lasts = extra != Extra.FORMAT or _OF_THIS_SCHEMA.search(words) is None
    return Concession(extra, lasts=lasts) if extra else None
