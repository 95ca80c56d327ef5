"""What kind of failure an error is, by its code, its words and its status: one judgement for all servers."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from llx_magic.backends.reading.errors import describe
from llx_magic.backends.reading.families import (
    ACCESS,
    CAPACITY,
    CONFLICT,
    CONTEXT,
    CRASH,
    FILTER,
    MISTAKE,
    NEVER_FITS,
    QUOTA,
    RATE,
    REQUEST,
    SERVER,
    Family,
)
from llx_magic.backends.reading.lenient import folded
from llx_magic.backends.reading.rates import told_by_headers
from llx_magic.backends.reading.waits import wait_asked_for, wait_in_words
from llx_magic.backends.wording import one_line
from llx_magic.core.failure import Failure, FailureKind
from llx_magic.core.rate_facts import longest_wait
from llx_magic.keys.redaction import LONGEST_READ

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llx_magic.backends.reading.errors import ServerError


class Verdict(NamedTuple):
    """What an error is; ``status`` is what it amounts to where it came without one. None: nothing known."""

    kind: FailureKind | None
    status: int | None = None
    quota_exhausted: bool = False


_CODES, _WORDS = "codes", "words"
_Step = tuple[str, tuple[Family, ...]]
"""Where to look next, and for what."""

_NARROW = (_CODES, (CONTEXT, FILTER, QUOTA, ACCESS, CAPACITY, RATE))
_REFUSED: tuple[_Step, ...] = (
    (_WORDS, (NEVER_FITS,)),
    _NARROW,
    (_WORDS, (CONTEXT, FILTER, QUOTA, ACCESS, CRASH)),
    (_CODES, (SERVER, CONFLICT)),
)
_BROKEN: tuple[_Step, ...] = (
    (_CODES, (CONTEXT, FILTER, QUOTA, ACCESS, RATE)),
    (_WORDS, (CONTEXT, FILTER, MISTAKE)),
)
_STEPS: dict[int, tuple[_Step, ...]] = {
    **dict.fromkeys((400, 413, 422), _REFUSED),
    **dict.fromkeys((401, 404, 408, 409, 425), ()),
    498: ((_WORDS, (FILTER,)),),
    402: ((_CODES, (QUOTA,)), (_WORDS, (QUOTA,))),
    403: ((_CODES, (FILTER, QUOTA, RATE)), (_WORDS, (FILTER, QUOTA))),
    429: ((_WORDS, (NEVER_FITS,)), (_CODES, (QUOTA, CAPACITY)), (_WORDS, (QUOTA, CAPACITY))),
}
"""What a status may turn out to be; one that stands with nothing says all by itself."""

_STRANGE: tuple[_Step, ...] = ((_CODES, (CONTEXT, FILTER, QUOTA, RATE)), (_WORDS, (FILTER, QUOTA)))
"""What a status that is not named and no fault of the server may turn out to be."""

_NO_STATUS: tuple[_Step, ...] = (
    (_WORDS, (CONTEXT, FILTER, QUOTA, MISTAKE, RATE)),
    (_CODES, (SERVER, CONFLICT)),
    (_WORDS, (ACCESS,)),
    (_CODES, (REQUEST,)),
    (_WORDS, (CRASH, SERVER, REQUEST)),
)

_KINDS = {
    **dict.fromkeys((400, 413, 422), FailureKind.BAD_REQUEST),
    **dict.fromkeys((401, 402, 403, 404), FailureKind.ACCESS),
    **dict.fromkeys((408, 424, 498, 499), FailureKind.SERVER),
    **dict.fromkeys((409, 425), FailureKind.CONFLICT),
    429: FailureKind.RATE_LIMIT,
}
"""What a status is by itself."""

_TELLING = frozenset((401, 402, 403, 413, 429))
"""Statuses that outweigh the response's own 400 or 5xx where its error names them, as gateways do."""


def judge(error: ServerError, status: int | None) -> Verdict:
    """Return what an error is; ``status`` is None where it came inside a success.

    A narrow code outweighs words, both outweigh what the status is by itself, and of several kinds the narrowest is
    taken. A code that is a number counts as that status.
    """
    number = next(iter(error.statuses), None)
    if status is None:
        found = _first(error, (_REFUSED[0], _NARROW))
        if found is None and number is not None:
            return judge(error, number)
        found = found or _first(error, _NO_STATUS)
        return _verdict(found, number or found.status, error) if found else Verdict(None)
    if number in _TELLING and number != status and (status >= 500 or status == 400):
        return judge(error, number)._replace(status=status)
    found = _first(error, _STEPS.get(status, _BROKEN if status >= 500 else _STRANGE))
    if found is not None:
        return _verdict(found, status, error)
    kind = _KINDS.get(status, FailureKind.SERVER if status >= 500 else FailureKind.OTHER_STATUS)
    return Verdict(kind, status, kind is FailureKind.RATE_LIMIT and _is_daily(error))


def _first(error: ServerError, steps: Iterable[_Step]) -> Family | None:
    codes = {folded(code) for code in error.codes}
    words = error.text[:LONGEST_READ]
    for place, families in steps:
        for family in families:
            if codes & family.codes if place is _CODES else family.words and family.words.search(words):
                return family
    return None


def _verdict(found: Family, status: int, error: ServerError) -> Verdict:
    """A quota that is given anew in a moment (Google's for a minute) names its wait, and is not spent for long."""
    soon = bool(error.waits) or wait_in_words(error.text) is not None
    quota = found.quota or _first(error, ((_WORDS, (QUOTA,)),)) is not None
    spent = found.kind is FailureKind.RATE_LIMIT and ((quota and not soon) or _is_daily(error))
    return Verdict(found.kind, status, spent)


def _is_daily(error: ServerError) -> bool:
    return any("perday" in folded(code) for code in error.codes)


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
    wait = wait_asked_for(headers, error, wall_clock) if waits else None
    if wait is None and limited:
        wait = longest_wait(told_by_headers({**error.headers, **headers}, wall_clock))
    return Failure(
        kind=kind,
        message=message,
        status=status,
        amounts_to=verdict.status if status is None else None,
        retry_after=wait,
        should_retry=_should_retry(verdict.status, headers, kind),
        quota_exhausted=verdict.quota_exhausted,
    )


def _should_retry(status: int | None, headers: Mapping[str, str], kind: FailureKind) -> bool | None:
    said = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    if said is None and status is not None and status >= 500 and kind in (FailureKind.BAD_REQUEST, FailureKind.ACCESS):
        return False  # the status alone would have it sent again, and the same request can only be refused again
    return said


# --- a status that is no success --------------------------------------------------------------------------------------

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content", 529: "Overloaded"}
"""Phrases that no standard names, or that differ between versions of Python
(https://docs.python.org/3/library/http.html#http-status-codes).
"""


def refused(status: int, headers: Mapping[str, str], error: ServerError, *, name: str, wall_clock: float) -> Failure:
    """Return the failure that a status other than 2xx means, with the error that its body is.

    ``headers`` has names in lower case. ``name`` is the backend's. ``wall_clock`` is Unix time, for a ``Retry-After``
    that is a date where the response has no ``Date`` of its own.
    """
    if 300 <= status < 400:
        return Failure(kind=FailureKind.REDIRECT, status=status, message=_redirect(status, headers))
    # https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
    if named := headers.get("x-amzn-errortype"):
        error.codes.add(named.partition(":")[0].rpartition("#")[2].casefold())
    head, detail = status_line(status), describe(error)
    repeats = {head.casefold(), head.partition(" ")[2].casefold(), str(status), ""}
    message = head if detail.casefold().strip(" .!") in repeats else f"{head}: {detail}"
    return failure_of(error, headers, status=status, message=message, name=name, wall_clock=wall_clock)


def status_line(status: int) -> str:
    """Return the status and its standard phrase, such as ``401 Unauthorized``."""
    try:
        phrase = _PHRASES.get(status) or http.HTTPStatus(status).phrase
    except ValueError:
        return str(status)
    return f"{status} {phrase}"


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
