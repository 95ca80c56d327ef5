"""What a status that is no success means: the failure's kind, its one line, and when to come back. No I/O."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from llx_magic.backends.reading.errors import describe, read_error
from llx_magic.backends.reading.kinds import failure_of
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content", 529: "Overloaded"}
"""Phrases that differ between versions of Python, or that no standard names."""


def refused(status: int, headers: Mapping[str, str], body: bytes, *, name: str, wall_clock: float) -> Failure:
    """Return the failure that a status other than 2xx means.

    ``headers`` has names in lower case. ``name`` is the backend's. ``wall_clock`` is Unix time, for a ``Retry-After``
    that is a date where the response has no ``Date`` of its own.
    """
    if 300 <= status < 400:
        return Failure(kind=FailureKind.REDIRECT, status=status, message=_redirect(status, headers))
    error = read_error(body)
    if named := headers.get("x-amzn-errortype"):
        error.codes.add(named.partition(":")[0].casefold())
    message = _with_detail(status, describe(error))
    return failure_of(error, headers, status=status, message=message, name=name, wall_clock=wall_clock)


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


def _redirect(status: int, headers: Mapping[str, str]) -> str:
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
    return f"base-url redirects to {one_line(target, 200)}"
