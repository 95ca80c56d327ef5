"""What a status that is no success means: the failure's kind, its one line, and when to come back. No I/O."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.backends.wire.errors import ServerError, describe, read_error
from llx_magic.backends.wire.kinds import judge
from llx_magic.backends.wire.waits import wait_asked_for
from llx_magic.backends.wording import Redactor, one_line
from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content", 529: "Overloaded"}
"""Phrases that differ between versions of Python, or that no standard names."""


def refused(
    status: int, headers: Mapping[str, str], body: bytes, *, redact: Redactor, name: str, wall_clock: float
) -> Failure:
    """Return the failure that a status other than 2xx means.

    ``headers`` has names in lower case. ``name`` is the backend's. ``wall_clock`` is Unix time, for a ``Retry-After``
    that is a date where the response has no ``Date`` of its own.
    """
    if 300 <= status < 400:
        return Failure(kind=FailureKind.REDIRECT, status=status, message=_redirect(status, headers, redact))
    error = read_error(body)
    if named := headers.get("x-amzn-errortype"):
        error.codes.add(named.partition(":")[0].casefold())
    message = _with_detail(status, describe(error, redact))
    return failure_of(error, headers, status=status, message=message, name=name, wall_clock=wall_clock)


def failure_of(
    error: ServerError, headers: Mapping[str, str], *, status: int | None, message: str, name: str, wall_clock: float
) -> Failure:
    """Return the failure that an error means, with its status or, where that is None, inside a success.

    Its kind, its wait and whether it is worth repeating are the same either way. An error inside a success that names
    nothing known is an unusable reply.
    """
    verdict = judge(error, status)
    kind = verdict.kind or FailureKind.BAD_REPLY
    if kind is FailureKind.CONTENT_FILTER:
        message = f"filtered by {name}: {message}"
    limited = kind is FailureKind.RATE_LIMIT
    waits = limited or kind in (FailureKind.SERVER, FailureKind.CONFLICT) or status is not None
    return Failure(
        kind=kind,
        message=message,
        status=status,
        amounts_to=verdict.status if status is None else None,
        retry_after=wait_asked_for(headers, error, wall_clock, limited=limited) if waits else None,
        should_retry=_should_retry(verdict.status, headers, kind),
        quota_exhausted=verdict.quota_exhausted,
    )


def _should_retry(status: int | None, headers: Mapping[str, str], kind: FailureKind) -> bool | None:
    said = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    if said is None and status is not None and status >= 500 and kind in (FailureKind.BAD_REQUEST, FailureKind.ACCESS):
        return False  # the status alone would have it sent again, and the same request can only be refused again
    return said


def status_line(status: int) -> str:
    """Return the status and its standard phrase, such as ``401 Unauthorized``."""
    try:
        phrase = _PHRASES.get(status) or http.HTTPStatus(status).phrase
    except ValueError:
        return str(status)
    return f"{status} {phrase}"


def _with_detail(status: int, detail: str) -> str:
    head = status_line(status)
    repeats = {head.casefold(), head.partition(" ")[2].casefold(), str(status), ""}
    return head if detail.casefold().strip(" .!") in repeats else f"{head}: {detail}"


def _redirect(status: int, headers: Mapping[str, str], redact: Redactor) -> str:
    location = headers.get("location", "")
    try:
        parts = urlsplit(location)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return f"base-url redirects to an address that cannot be read ({status_line(status)})"
    # A query or a user name could be a credential of the redirecting host.
    target = f"{parts.scheme}://{host}{parts.path}" if host else parts.path
    if not target:
        return f"base-url redirects to nowhere ({status_line(status)} without a Location)"
    return f"base-url redirects to {one_line(redact(target), 200)}"
