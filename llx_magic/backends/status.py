"""What a status that is no success means: the failure's kind, its one line, and when to come back. No I/O."""

from __future__ import annotations

import email.utils
import http
import math
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from llx_magic.backends.wording import LONGEST_READ, Redactor, one_line
from llx_magic.core.failure import Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.core.values import JsonValue

LONGEST_WAIT = 1e9
"""The largest ``Retry-After`` that is told apart from a larger one, in seconds."""

_PHRASES = {413: "Content Too Large", 422: "Unprocessable Content", 529: "Overloaded"}
"""Phrases that differ between versions of Python, or that no standard names."""

_KINDS = {
    400: FailureKind.BAD_REQUEST,
    413: FailureKind.BAD_REQUEST,
    422: FailureKind.BAD_REQUEST,
    401: FailureKind.ACCESS,
    402: FailureKind.ACCESS,
    403: FailureKind.ACCESS,
    404: FailureKind.ACCESS,
    408: FailureKind.SERVER,
    409: FailureKind.CONFLICT,
    425: FailureKind.CONFLICT,
    429: FailureKind.RATE_LIMIT,
}

_CONTEXT_CODES = frozenset({
    "context_length_exceeded", "exceed_context_size_error", "context_window_exceeded", "string_above_max_length",
    "model_context_window_exceeded",
})  # fmt: skip

_CONTEXT_WORDS = re.compile(
    r"maximum context length|context (?:length|window|size) (?:is |was )?(?:exceeded|of only)"
    r"|exceed\w{0,4} (?:the |its )?(?:\w{1,30} ){0,3}context (?:length|window|size)"
    r"|maximum prompt length|prompt is too long|input is too long"
    r"|too many input tokens|input token count .{0,40}exceeds|reduce the length of the (?:messages|prompt)"
    r"|tokens .{0,12}max_new_tokens.{0,4} must be <=|context (?:the )?overflows",
    re.IGNORECASE,
)

_FILTER_CODES = frozenset({
    "content_filter", "content_policy_violation", "content_policy", "responsibleaipolicyviolation",
    "moderation_blocked", "data_inspection_failed",
})  # fmt: skip

_FILTER_WORDS = re.compile(
    r"content management policy|content[ _]policy violation|violat\w{1,6} (?:\w{1,30} ){0,3}content policy"
    r"|input was flagged|prompt was (?:flagged|filtered)",
    re.IGNORECASE,
)

_CALLER_MISTAKES = re.compile(r"(?:image|audio) input is not supported", re.IGNORECASE)
"""What llama.cpp answers with status 500 although the request is to blame."""

_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})

_TITLE = re.compile(r"<title[^<>]{0,200}>", re.IGNORECASE)
_TITLE_END = re.compile("</title", re.IGNORECASE)


class ErrorBody(msgspec.Struct, frozen=True):
    """What an error body says, however it is laid out: its text, its codes and types, and token counts."""

    text: str
    codes: frozenset[str] = frozenset()
    prompt_tokens: int | None = None
    window: int | None = None


def read_error(body: bytes) -> ErrorBody:
    """Return what the body says; HTML gives its title, anything that is no JSON its text."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        return ErrorBody(text=_title(text) or "an HTML page")
    try:
        document: JsonValue = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return ErrorBody(text=text)
    return error_of(document)


def _title(page: str) -> str | None:
    begin = _TITLE.search(page)
    end = _TITLE_END.search(page, begin.end()) if begin else None
    return page[begin.end() : end.start()] if begin and end else None


def error_of(document: JsonValue) -> ErrorBody:
    """Return what a decoded error says, in the layouts of OpenAI, FastAPI, Mistral, Google and plain strings."""
    inner = document[0] if isinstance(document, list) and document else document
    codes: set[str] = set()
    while isinstance(inner, dict):
        codes |= {str(inner[key]).casefold() for key in ("code", "type", "status") if inner.get(key) is not None}
        deeper = inner.get("innererror")
        if isinstance(deeper, dict):
            codes.add(str(deeper.get("code")).casefold())
        document = inner
        inner = next((inner[key] for key in ("error", "message", "detail", "msg") if inner.get(key)), None)
        if isinstance(inner, list) and inner:
            inner = inner[0]
    counts = document if isinstance(document, dict) else {}
    return ErrorBody(
        text=inner if isinstance(inner, str) else "",
        codes=frozenset(codes),
        prompt_tokens=_count(counts.get("n_prompt_tokens")),
        window=_count(counts.get("n_ctx")),
    )


def _count(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def blamed_on_request(error: ErrorBody) -> FailureKind | None:
    """Return the kind where the error's own words blame the request's length or content, else None."""
    words = error.text[:LONGEST_READ]
    if error.codes & _CONTEXT_CODES or _CONTEXT_WORDS.search(words):
        return FailureKind.CONTEXT_LENGTH
    if error.codes & _FILTER_CODES or _FILTER_WORDS.search(words):
        return FailureKind.CONTENT_FILTER
    return None


def describe(error: ErrorBody, redact: Redactor) -> str:
    """Return the server's own words on one line, without the key, with the token counts where it gave them."""
    detail = one_line(redact(error.text))
    if error.prompt_tokens is not None and error.window is not None:
        counted = f"{error.prompt_tokens} tokens of prompt, window of {error.window}"
        detail = f"{detail} ({counted})" if detail else counted
    return detail


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
    kind = _kind(status, error)
    message = _with_detail(status, describe(error, redact))
    if kind is FailureKind.CONTENT_FILTER:
        message = f"filtered by {name}: {message}"
    return Failure(
        kind=kind,
        message=message,
        status=status,
        retry_after=retry_after(headers, wall_clock),
        should_retry=_should_retry(status, headers, kind),
        quota_exhausted=kind is FailureKind.RATE_LIMIT and bool(error.codes & _QUOTA_CODES),
    )


def _should_retry(status: int, headers: Mapping[str, str], kind: FailureKind) -> bool | None:
    said = {"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower())
    if said is None and status >= 500 and kind is FailureKind.BAD_REQUEST:
        return False  # the status alone would have it sent again, and the same request can only be refused again
    return said


def status_line(status: int) -> str:
    """Return the status and its standard phrase, such as ``401 Unauthorized``."""
    try:
        phrase = _PHRASES.get(status) or http.HTTPStatus(status).phrase
    except ValueError:
        return str(status)
    return f"{status} {phrase}"


def _kind(status: int, error: ErrorBody) -> FailureKind:
    if status >= 500:
        if _CALLER_MISTAKES.search(error.text[:LONGEST_READ]):
            return FailureKind.BAD_REQUEST
        return FailureKind.CONTEXT_LENGTH if error.codes & _CONTEXT_CODES else FailureKind.SERVER
    kind = _KINDS.get(status, FailureKind.OTHER_STATUS)
    if kind is FailureKind.BAD_REQUEST:
        return blamed_on_request(error) or kind
    if status == 403 and blamed_on_request(error) is FailureKind.CONTENT_FILTER:
        return FailureKind.CONTENT_FILTER
    return kind


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


def retry_after(headers: Mapping[str, str], wall_clock: float) -> float | None:
    """Return the seconds that the server asks to wait, or None where it names no usable time.

    Reads ``retry-after-ms``, then ``retry-after`` as seconds or as an HTTP date, which is taken relative to the
    response's own ``date`` so that a wrong clock on either side does not matter. A date that has passed means 0,
    a negative number nothing, and what is too large to count is kept as a large finite number.
    """
    in_ms = _number(headers.get("retry-after-ms"))
    if in_ms is not None:
        return min(in_ms / 1000, LONGEST_WAIT)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return min(seconds, LONGEST_WAIT)
    due = _date(value)
    if due is None:
        return None
    sent = _date(headers.get("date"))
    return min(max(0.0, due - (wall_clock if sent is None else sent)), LONGEST_WAIT)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return None if math.isnan(number) or number < 0 else number


def _date(value: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(value or "").timestamp()
    except (ValueError, OverflowError, OSError, TypeError):
        return None
