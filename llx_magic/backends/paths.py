"""Where below a base URL prompts are taken: as it says, or under ``/v1`` that it lacks, learnt from the server. No I/O.

A server that does not know the path is asked once more under ``/v1``, and the process remembers where it answered.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from llx_magic.backends.endpoint import Endpoint
    from llx_magic.core.reply import Answer

_VERSIONED = re.compile(r"/v[0-9][a-z0-9]{0,8}(?:/|$)", re.IGNORECASE)

_NO_SUCH_PATH = frozenset({404, 405})
"""405 is what a server of files says to a POST, wherever it goes."""

_WORDS_FOR_IT = re.compile(r"unexpected endpoint or method|a web page instead of a reply", re.IGNORECASE)
"""What LM Studio says under status 200 (lmstudio-ai/lmstudio-bug-tracker), and what comes of a front page."""

_learnt: dict[Endpoint, bool] = {}
"""Whether an endpoint takes prompts under ``/v1``, or nowhere."""


def url_at(endpoint: Endpoint) -> str:
    """Return where prompts are posted, as far as is known."""
    return _under_version(endpoint).url if _learnt.get(endpoint) else endpoint.url


def other_url(endpoint: Endpoint, failure: Failure) -> str | None:
    """Return where to ask again after a failure that says that the path is unknown, or None."""
    if endpoint in _learnt or not _is_no_such_path(failure) or _VERSIONED.search(endpoint.path):
        return None
    return _under_version(endpoint).url


def settled(endpoint: Endpoint, first: Failure, second: Answer | Failure) -> Answer | Failure:
    """Return what counts of both, and remember where the server takes prompts, as far as the second tells."""
    if isinstance(second, Failure):
        if _is_no_such_path(second):
            _learnt[endpoint] = False
            return first
        if second.status is None:
            return second  # no word from the server: it may be either way
    _learnt[endpoint] = True
    return second


def with_path(endpoint: Endpoint, failure: Failure) -> Failure:
    """Return the failure with the path that was asked in its message, where the server may not have known it."""
    if failure.status not in _NO_SUCH_PATH or failure.kind is FailureKind.NOT_SENT:
        return failure
    plain, versioned = (f"{endpoint.path}{version}/chat/completions" for version in ("", "/v1"))
    if _learnt.get(endpoint) is False:
        return replace(failure, message=f"{failure.message} (there is neither {plain} nor {versioned})")
    asked = versioned if _learnt.get(endpoint) else plain
    return replace(failure, message=f"{failure.message} (asked for {asked})")


def _is_no_such_path(failure: Failure) -> bool:
    return failure.status in _NO_SUCH_PATH or _WORDS_FOR_IT.search(failure.message) is not None


def _under_version(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, base_url=f"{endpoint.base_url.rstrip('/')}/v1")
