"""What a backend can do to us and what must come of it: one table, written down before it is compared with anything.

`ROWS` holds the behaviour of one backend, asked first, while a good one stands behind it. `NOBODY` holds what must be
said where the second gives no answer either, and `CANCELLED` the points at which the user can stop a request.

N, the number of attempts per backend, is `ATTEMPTS` throughout.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.modes import find_mode
from tests.faults.server import Mode, status

ATTEMPTS = 3
FIRST_TEXT = "Grün ist ☂ gut,\u2028 über 😀.\nUnd \u0085 Schluss."
SECOND_TEXT = "The second answers, whole and alone."
FIRST_USAGE = (30, 4)

STREAM, WHOLE = "stream", "whole"
BOTH = (STREAM, WHOLE)


class Mark(enum.Enum):
    """What the first backend's failure leaves behind."""

    NOTHING = "neither counts nor cools down"
    COUNTS = "counts once on the breaker"
    COOLS = "cools down"


class Release(enum.Enum):
    """When a mode that holds may go on."""

    AT_ONCE = "it never holds"
    AFTER_TEXT = "when its text has been read"
    WHEN_REACHED = "a moment after it holds"
    NEVER = "it holds until the connection is closed"


class Place(enum.Enum):
    """Where the first backend's address leads."""

    SERVER = "to the fault server"
    REFUSED = "to a port where nothing listens"
    SILENT = "to a port that accepts connections and never says a word, over TLS"
    UNKNOWN = "to a name that cannot be resolved"
    NO_TLS = "to the fault server over https, which it does not speak"
    UNENCRYPTED = "to another machine without encryption"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What must come of a fault: attempts on the first backend, who answers (None: nobody), and what it leaves."""

    attempts: int
    mark: Mark
    answered_by: str | None = "second"
    restarted: bool = False


ANSWERED = Verdict(attempts=1, mark=Mark.NOTHING, answered_by="first")
ONCE = Verdict(attempts=1, mark=Mark.NOTHING)
ONCE_COUNTED = Verdict(attempts=1, mark=Mark.COUNTS)
REPEATED = Verdict(attempts=ATTEMPTS, mark=Mark.NOTHING)
REPEATED_COUNTED = Verdict(attempts=ATTEMPTS, mark=Mark.COUNTS)
ONCE_COOLED = Verdict(attempts=1, mark=Mark.COOLS)
REPEATED_COOLED = Verdict(attempts=ATTEMPTS, mark=Mark.COOLS)
WITHDRAWN = Verdict(attempts=1, mark=Mark.COUNTS, restarted=True)
REFUSED_FOR_GOOD = Verdict(attempts=1, mark=Mark.NOTHING, answered_by=None)
SKIPPED = Verdict(attempts=0, mark=Mark.NOTHING)
RECOVERED = Verdict(attempts=2, mark=Mark.NOTHING, answered_by="first")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant of a fault and all that must be seen of it.

    ``modes`` are what the first server does, request by request, the last one for ever; else the variant names it.
    ``says`` is a pattern that a note under the reply, or the error, holds. ``received`` is how many requests reach the
    first server where they are not as many as the attempts; ``warm`` lets one good request go before. ``limits`` are
    the first backend's own settings, ``settings`` those of the whole profile. ``slow`` variants are asked only once.
    """

    fault: str
    variant: str
    verdict: Verdict
    says: str
    modes: tuple[str | Mode, ...] = ()
    wires: tuple[str, ...] = BOTH
    release: Release = Release.AT_ONCE
    place: Place = Place.SERVER
    certificate: str | None = None
    trusted: bool = True
    received: int | None = None
    warm: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    whole_limits: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    cools: float | None = None
    text: str | None = None
    whole_text: str | None = None
    usage: bool = True
    finish: str | None = "stop"
    reasoning: str = ""
    partial: str = ""
    whole_says: str | None = None
    slow: bool = False

    @property
    def scripted(self) -> tuple[str | Mode, ...]:
        """What the first server does."""
        return self.modes or (self.variant,)

    @property
    def expected_requests(self) -> int:
        """How many requests the first server must have received, the warming one left out."""
        return self.verdict.attempts if self.received is None else self.received


def rows(fault: str, verdict: Verdict, variants: Mapping[str, str], **common: Any) -> tuple[Row, ...]:
    """Declare variants of one fault that have everything in common but what is said of them."""
    return tuple(
        Row(fault=fault, variant=name, verdict=verdict, says=says, **common) for name, says in variants.items()
    )


def row(fault: str, verdict: Verdict, variant: str, says: str, **facts: Any) -> tuple[Row, ...]:
    """Declare one variant."""
    return (Row(fault=fault, variant=variant, verdict=verdict, says=says, **facts),)


def refusing(code: int, headers: Mapping[str, str], error: object = None) -> tuple[Mode]:
    """Return the script of a server that always answers with this status and these headers."""
    return (status(code, headers, {"error": error or {"message": f"scripted: {code}"}}),)


def retry_after(value: str, **more: str) -> tuple[Mode]:
    """Return the script of a server that limits the rate and says when to come back."""
    return refusing(429, {"Retry-After": value, **more})


def should_retry(code: int, word: str) -> tuple[Mode]:
    """Return the script of a server that says itself whether to try again."""
    return refusing(code, {"X-Should-Retry": word})


REFUSED = "the request is refused"
CONTEXT = "the context is too long"
FILTER = "a content filter refuses"
ACCESS = "access is refused"
SERVER_FAULT = "a server fault that may pass"
OTHER_SERVER_FAULT = "another server fault"
OTHER_STATUS = "another status"
CONFLICT = "a conflict, or too early"
LIMIT_SHORT = "a rate limit with a short wait"
LIMIT_PLAIN = "a rate limit without a usable wait"
LIMIT_LONG = "a rate limit with a long or absurd wait"
QUOTA = "the quota is exhausted"
SHOULD_RETRY = "the server says whether to try again"
ASKED_WAIT = "a fault with a wait of its own"
NO_REPLY = "200, and yet no reply"
NO_CONNECTION = "no connection, or one that breaks"
TLS = "the certificate is refused"
STALE = "a pooled connection is dead"
SILENT = "no text in time"
NOT_SEEN = "broken off before any text"
SEEN = "broken off after some text"
FINISHED = "finished, then the connection breaks"
NOT_FINISHED = "text without a finish reason"
LENGTH = "cut at max_tokens"
DECODED = "an unusual form of a good reply"
EXTRA_REFUSED = "something is refused that a reply can do without"
REDIRECT = "a redirect"
TOO_MUCH = "more than is ever held"
NOT_READY = "nothing can be sent"
KEY_ECHO = "the server repeats the key"

FIRST_WORDS = "Grün ist "
LIMITED = r"first failed: 429 Too Many Requests: scripted"
IN_REPLY = r"first failed: the server reported an error: scripted"
CUT = r"connection closed before the reply was complete"
BROKE = r"first broke off after 2 words \({}\), restarted"
NO_TEXT = r"first failed: no text within 150 ms \(first_token_timeout_ms\)"
NO_WHOLE = r"first failed: no whole reply within 150 ms \(timeout_ms\)"
FIRST_TOKEN = {"first_token_timeout_ms": 150}
TOTAL = {"timeout_ms": 150}
FILTER_ON = {"failover_on_content_filter": True}
FOR_GOOD = r"; no further backend was asked \(failover_on_content_filter is false\)"

ROWS: tuple[Row, ...] = (
    # --- refused by status --------------------------------------------------------------------------------------------
    *rows(REFUSED, ONCE, {
        "400": r"first failed: 400 Bad Request: scripted",
        "413": r"first failed: 413 Content Too Large: scripted",
        "422": r"first failed: 422 Unprocessable Content: scripted",
        "image-500": r"first failed: 500 Internal Server Error: image input is not supported",
        "event-bad-request": r"first failed: the server reported an error: scripted \(parameter top_k\)",
        "tool-only": r"first failed: the reply asks for the tool look_up; llx_magic runs none",
    }),
    *rows(CONTEXT, ONCE, {
        "context-length": r"first failed: 400 Bad Request: too long for this model",
        "context-llamacpp": r"first failed: .*context size \(5000 tokens of prompt, window of 4096\)",
        "never-fits": r"first failed: 413 Content Too Large: Request too large for model",
        "llamacpp-500": r"first failed: 500 Internal Server Error: Context size has been exceeded\.",
        "event-too-long": r"first failed: the server reported an error: scripted",
        "error-field": r"first failed: the server reported an error: Context size has been exceeded\.",
    }),
    *rows(FILTER, REFUSED_FOR_GOOD, {"policy": r"filtered by first: 400 Bad Request: no" + FOR_GOOD}),
    *rows(FILTER, REFUSED_FOR_GOOD, {"filtered": r"filtered by first" + FOR_GOOD}),
    *rows(FILTER, REFUSED_FOR_GOOD, {
        "safety-in-words": r"filtered by first: 400 Bad Request: it was rejected by our safety system" + FOR_GOOD,
        "event-filter": r"filtered by first: the server reported an error: scripted" + FOR_GOOD,
    }),
    *rows(FILTER, REFUSED_FOR_GOOD, {
        "text-then-filter": r"filtered by first" + FOR_GOOD,
        "text-then-safety": r"filtered by first: SAFETY" + FOR_GOOD,
    }, partial=FIRST_WORDS),
    *row(FILTER, ONCE, "policy, failover asked for", r"first failed: filtered by first: 400 Bad Request: no",
         modes=("policy",), settings=FILTER_ON),
    *row(FILTER, ONCE, "filtered, failover asked for", r"first failed: filtered by first",
         modes=("filtered",), settings=FILTER_ON),
    *row(FILTER, Verdict(attempts=1, mark=Mark.NOTHING, restarted=True), "text-then-filter, failover asked for",
         BROKE.format("filtered by first"), modes=("text-then-filter",), settings=FILTER_ON),
    *rows(ACCESS, ONCE_COUNTED, {
        "401": r"first failed: 401 Unauthorized: scripted",
        "401-bare": r"first failed: 401 Unauthorized",
        "402": r"first failed: 402 Payment Required: scripted",
        "403": r"first failed: 403 Forbidden: scripted",
        "404": r"first failed: 404 Not Found: scripted",
        "key-as-400": r"first failed: 400 Bad Request: scripted: no such key",
        "event-access": r"first failed: the server reported an error: scripted",
    }),
    *rows(KEY_ECHO, ONCE_COUNTED, {
        "echo-key": r"first failed: 401 Unauthorized: bad key \*\*\* at",
        "echo-key-in-redirect": r"first failed: base-url redirects to https://elsewhere.example/\*\*\*",
    }),
    *rows(KEY_ECHO, WITHDRAWN, {"echo-key-in-stream": BROKE.format(r"the server reported an error: bad key \*\*\*")}),
    *rows(SERVER_FAULT, REPEATED_COUNTED, {
        "408": r"first failed: 408 Request Timeout: scripted",
        "500": r"first failed: 500 Internal Server Error: scripted",
        "502": r"first failed: 502 Bad Gateway: scripted",
        "503": r"first failed: 503 Service Unavailable: scripted",
        "504": r"first failed: 504 Gateway Timeout: scripted",
        "529": r"first failed: 529 Overloaded: scripted",
        "loading": r"first failed: 503 Service Unavailable: Loading model",
        "capacity-429": r"first failed: 429 Too Many Requests: Service tier capacity exceeded",
    }),
    *row(SERVER_FAULT, Verdict(attempts=1, mark=Mark.COUNTS), "slow-error", r"first failed: 503 Service Unavailable",
         settings={"failover_retry_count": 1}, release=Release.NEVER, slow=True),
    *row(SERVER_FAULT, RECOVERED, "503 once, then an answer", "", modes=("503", "ok")),
    *rows(OTHER_SERVER_FAULT, ONCE_COUNTED, {
        "501": r"first failed: 501 Not Implemented: scripted",
        "505": r"first failed: 505 HTTP Version Not Supported: scripted",
        "520": r"first failed: 520: scripted",
        "599": r"first failed: 599: scripted",
    }),
    *rows(OTHER_STATUS, ONCE, {
        "405": r"first failed: 405 Method Not Allowed: scripted",
        "418": r"first failed: 418 I'm a Teapot: scripted",
        "451": r"first failed: 451 Unavailable For Legal Reasons: scripted",
    }),
    *rows(CONFLICT, REPEATED, {
        "409": r"first failed: 409 Conflict: scripted",
        "425": r"first failed: 425 Too Early: scripted",
    }),
    # --- rate limits and what the server itself asks for --------------------------------------------------------------
    *row(LIMIT_SHORT, REPEATED_COOLED, "40 ms", LIMITED, modes=retry_after("0.04"), cools=0.04),
    *row(LIMIT_SHORT, REPEATED_COOLED, "in milliseconds", LIMITED, modes=refusing(429, {"Retry-After-Ms": "40"}),
         cools=0.04),
    *row(LIMIT_SHORT, REPEATED_COOLED, "0 s", LIMITED, modes=retry_after("0"), cools=0.0),
    *row(LIMIT_SHORT, REPEATED_COOLED, "a date that has passed", LIMITED,
         modes=retry_after("Tue, 14 Nov 2000 22:13:47 GMT"), cools=0.0),
    *row(LIMIT_SHORT, RECOVERED, "40 ms, then an answer", "", modes=(*retry_after("0.04"), "ok")),
    *row(LIMIT_PLAIN, REPEATED_COOLED, "429", LIMITED, cools=10.0),
    *row(LIMIT_PLAIN, REPEATED_COOLED, "negative", LIMITED, modes=retry_after("-5"), cools=10.0),
    *row(LIMIT_PLAIN, REPEATED_COOLED, "NaN", LIMITED, modes=retry_after("NaN"), cools=10.0),
    *row(LIMIT_PLAIN, REPEATED_COOLED, "in words", LIMITED, modes=retry_after("soon"), cools=10.0),
    *rows(LIMIT_PLAIN, REPEATED_COOLED, dict.fromkeys(("event-rate-limit", "event-429"), IN_REPLY), cools=10.0),
    *rows(LIMIT_PLAIN, REPEATED_COOLED, {"error-document-as-events": IN_REPLY + ": slow down"}, cools=10.0),
    *row(LIMIT_PLAIN, Verdict(attempts=1, mark=Mark.COOLS, restarted=True), "text-then-rate-limit",
         BROKE.format("the server reported an error: scripted"), cools=10.0),
    *row(LIMIT_SHORT, REPEATED_COOLED, "40 ms in words", LIMITED, cools=0.04,
         modes=refusing(429, {}, {"message": "scripted: Please try again in 40ms. Visit our pages."})),
    *row(LIMIT_LONG, ONCE_COOLED, "minutes in words", LIMITED, cools=83.5,
         modes=refusing(429, {}, {"message": "scripted: Please try again in 1m23.5s. Visit our pages."})),
    *row(LIMIT_LONG, ONCE_COOLED, "in the body", LIMITED, cools=38.0,
         modes=refusing(429, {}, {"message": "scripted", "details": [{"retryDelay": "38s"}]})),
    *row(LIMIT_LONG, ONCE_COOLED, "until the limit that is at 0 is reset", LIMITED, cools=62.0,
         modes=refusing(429, {"X-RateLimit-Remaining-Tokens": "0", "X-RateLimit-Reset-Tokens": "1m2s",
                              "X-RateLimit-Remaining-Requests": "9", "X-RateLimit-Reset-Requests": "8m"})),
    *rows(LIMIT_LONG, ONCE_COOLED, {"event-wait": IN_REPLY}, cools=38.0),
    *row(LIMIT_LONG, ONCE_COOLED, "6 s", LIMITED, modes=retry_after("6"), cools=6.0),
    *row(LIMIT_LONG, ONCE_COOLED, "120 s", LIMITED, modes=retry_after("120"), cools=120.0),
    *row(LIMIT_LONG, ONCE_COOLED, "1e30 s", LIMITED, modes=retry_after("1e30"), cools=3600.0),
    *row(LIMIT_LONG, ONCE_COOLED, "infinite", LIMITED, modes=retry_after("inf"), cools=3600.0),
    *row(LIMIT_LONG, ONCE_COOLED, "4,000 digits", LIMITED, modes=retry_after("9" * 4000), cools=3600.0),
    *row(LIMIT_LONG, ONCE_COOLED, "a date by the server's own clock", LIMITED, cools=180.0,
         modes=retry_after("Tue, 14 Nov 2000 22:16:47 GMT", Date="Tue, 14 Nov 2000 22:13:47 GMT")),
    *row(LIMIT_LONG, ONCE_COOLED, "a date far ahead", LIMITED, modes=retry_after("Sat, 14 Nov 2099 22:13:47 GMT"),
         cools=3600.0),
    *rows(QUOTA, ONCE_COOLED, {"quota": r"first failed: 429 Too Many Requests: You exceeded your quota"}, cools=3600.0),
    *row(QUOTA, ONCE_COOLED, "a short wait does not help", r"first failed: 429 Too Many Requests: spent", cools=3600.0,
         modes=refusing(429, {"Retry-After": "1"}, {"message": "spent", "type": "insufficient_quota"})),
    *rows(QUOTA, ONCE_COOLED, {"event-quota": IN_REPLY}, cools=3600.0),
    *rows(QUOTA, ONCE_COOLED, {"credit-as-400": r"first failed: 400 Bad Request: Your credit balance"}, cools=3600.0),
    *row(SHOULD_RETRY, REPEATED, "true on 400", r"first failed: 400 Bad Request", modes=should_retry(400, "true")),
    *row(SHOULD_RETRY, REPEATED_COUNTED, "true on 401", r"first failed: 401", modes=should_retry(401, "true")),
    *row(SHOULD_RETRY, REPEATED_COUNTED, "true on 501", r"first failed: 501", modes=should_retry(501, "true")),
    *row(SHOULD_RETRY, ONCE_COUNTED, "false on 503", r"first failed: 503", modes=should_retry(503, "false")),
    *row(SHOULD_RETRY, ONCE, "false on 409", r"first failed: 409", modes=should_retry(409, "false")),
    *row(SHOULD_RETRY, ONCE_COOLED, "false on 429", LIMITED, modes=should_retry(429, "false"), cools=10.0),
    *row(SHOULD_RETRY, REPEATED_COUNTED, "a word that is neither", r"first failed: 503",
         modes=should_retry(503, "perhaps")),
    *row(ASKED_WAIT, REPEATED_COUNTED, "a short one on 503", r"first failed: 503",
         modes=refusing(503, {"Retry-After": "0.01"})),
    *row(ASKED_WAIT, ONCE_COUNTED, "a long one on 503", r"first failed: 503",
         modes=refusing(503, {"Retry-After": "60"})),
    # --- 200, and yet no reply ----------------------------------------------------------------------------------------
    *rows(NO_REPLY, REPEATED_COUNTED, {
        "ok-error-body": r"first failed: the server reported an error: scripted: upstream is down",
        "ok-html": r"first failed: a web page instead of a reply: Bad gateway \| proxy",
        "ok-empty": r"first failed: an empty reply body",
        "page-as-events": r"first failed: a web page instead of a reply: Bad gateway \| proxy",
        "plain-text": r"first failed: an unusable reply: 'something went wrong'",
        "event-unknown": r"first failed: the server reported an error: scripted",
        "ok-bad-json": r"first failed: an unusable reply: ",
        "ok-wrong-shape": r"first failed: an unusable reply: ",
        "ok-no-choices": r"first failed: an unusable reply: it holds no choices",
        "stop-without-text": r"first failed: empty reply",
        "gzip-garbage": r"first failed: a reply that is not validly compressed",
        "unknown-encoding": r"first failed: a reply with the content encoding 'br', which was not asked for",
    }),
    *rows(NOT_SEEN, REPEATED_COUNTED, {
        "ok-empty-stream": r"first failed: the stream ended without a reply",
        "done-only": r"first failed: empty reply",
        "error-event": r"first failed: the server reported an error: scripted: overloaded",
        "named-error-event": r"first failed: the server reported an error: scripted: overloaded",
        "bad-event": r"first failed: an unusable piece of the stream: ",
        "unfinished-event": r"first failed: an unusable piece of the stream: ",
        "role-then-end": r"first failed: the stream ended without a reply",
        "role-then-reset": rf"first failed: {CUT}",
    }),
    # --- connections --------------------------------------------------------------------------------------------------
    *row(NO_CONNECTION, REPEATED_COUNTED, "refused", r"first failed: connection refused by 127\.0\.0\.1:\d+",
         modes=("ok",), place=Place.REFUSED, received=0),
    *row(NO_CONNECTION, REPEATED_COUNTED, "no such name", r"first failed: could not resolve host models\.invalid",
         modes=("ok",), place=Place.UNKNOWN, received=0),
    *row(NO_CONNECTION, ONCE_COUNTED, "refused, network errors not tried again", r"first failed: connection refused",
         modes=("ok",), place=Place.REFUSED, received=0, settings={"failover_on_network_errors": False}),
    *rows(NO_CONNECTION, REPEATED_COUNTED, {
        "close": r"first failed: connection closed by 127\.0\.0\.1:\d+ without a reply",
        "reset": r"first failed: connection (?:reset|closed) by 127\.0\.0\.1",
        "half-a-head": r"first failed: connection closed by 127\.0\.0\.1:\d+ without a reply",
        "short-body": rf"first failed: {CUT}",
        "bad-status-line": r"first failed: 127\.0\.0\.1:\d+ does not keep to HTTP",
        "duplicate-length": r"first failed: 127\.0\.0\.1:\d+ does not keep to HTTP",
        "bad-chunk-size": r"first failed: 127\.0\.0\.1:\d+ does not keep to HTTP",
        "endless-headers": r"first failed: 127\.0\.0\.1:\d+ does not keep to HTTP",
    }),
    *row(NO_CONNECTION, ONCE_COUNTED, "no connection in time", r"first failed: no connection to 127\.0\.0\.1:\d+ within"
         r" 150 ms", modes=("ok",), place=Place.SILENT, received=0, limits={"connect_timeout_ms": 150}),
    *rows(TLS, ONCE_COUNTED, {"expired": r"the certificate of 127\.0\.0\.1:\d+ was refused: certificate has expired"},
          modes=("ok",), certificate="expired", received=0),
    *rows(TLS, ONCE_COUNTED, {"wrong-host": r"the certificate of 127\.0\.0\.1:\d+ was refused: IP address mismatch"},
          modes=("ok",), certificate="wrong-host", received=0),
    *rows(TLS, ONCE_COUNTED, {"self-signed": r"the certificate of 127\.0\.0\.1:\d+ was refused: self.signed cert"},
          modes=("ok",), certificate="self-signed", trusted=False, received=0),
    *rows(TLS, ONCE_COUNTED, {"unknown authority": r"the certificate of 127\.0\.0\.1:\d+ was refused: unable to get"},
          modes=("ok",), certificate="trusted", trusted=False, received=0),
    *row(TLS, ONCE_COUNTED, "no TLS at all", r"first failed: no TLS connection to 127\.0\.0\.1:\d+: ",
         modes=("ok",), place=Place.NO_TLS, received=0),
    *row(STALE, ANSWERED, "closed", "", modes=("ok", "close", "ok"), warm=True, received=2),
    *row(STALE, ANSWERED, "reset", "", modes=("ok", "reset", "ok"), warm=True, received=2),
    # --- silence ------------------------------------------------------------------------------------------------------
    *rows(SILENT, ONCE_COUNTED, {
        "no-headers": NO_TEXT,
        "dripping-headers": NO_TEXT,
        "comments-only": NO_TEXT,
        "role-then-silence": NO_TEXT,
    }, release=Release.NEVER, limits=FIRST_TOKEN, whole_limits=TOTAL, whole_says=NO_WHOLE),
    # --- after some text ----------------------------------------------------------------------------------------------
    *rows(SEEN, WITHDRAWN, {
        "text-then-error": BROKE.format(r"the server reported an error: scripted: broke off"),
        "text-then-close": BROKE.format(CUT),
        "text-then-end": BROKE.format(r"the stream ended before the reply was complete"),
        "text-then-abort": BROKE.format(r"the server broke off with 'abort'"),
        "text-then-bad-event": BROKE.format(r"an unusable piece of the stream: .*"),
    }),
    *rows(SEEN, WITHDRAWN, {"text-then-reset": BROKE.format(CUT)}, release=Release.AFTER_TEXT),
    *rows(SEEN, WITHDRAWN, {"finish-each-then-reset": BROKE.format(CUT)}, release=Release.WHEN_REACHED),
    *rows(SEEN, WITHDRAWN, {"stall": BROKE.format(r"no further text within 150 ms \(stall_timeout_ms\)")},
          release=Release.NEVER, limits={"stall_timeout_ms": 150}, whole_limits={"timeout_ms": 500},
          whole_says=BROKE.format(r"no whole reply within 500 ms \(timeout_ms\)")),
    *rows(SEEN, WITHDRAWN, {"trickle": r"first broke off after [\d,]+ words? \(no whole reply within 500 ms"},
          release=Release.NEVER, limits={"timeout_ms": 500}, slow=True),
    # --- whole, whatever comes next -----------------------------------------------------------------------------------
    *rows(FINISHED, ANSWERED, {"finish-then-reset": ""}, release=Release.WHEN_REACHED, usage=False),
    *rows(FINISHED, ANSWERED, {"finish-without-done": ""}, usage=False),
    *rows(FINISHED, ANSWERED, {"finish-then-silence": ""}, release=Release.NEVER, usage=False),
    *rows(NOT_FINISHED, ANSWERED, {"done-without-finish": r"the backend did not say why it finished"}, finish=None,
          usage=False),
    *rows(NOT_FINISHED, ANSWERED, {"done-then-silence": r"the backend did not say why it finished"}, finish=None,
          release=Release.NEVER, usage=False),
    *rows(LENGTH, ANSWERED, {"length": r"cut at max_tokens"}, finish="length", text=FIRST_WORDS, whole_text=FIRST_TEXT,
          usage=False),
    *rows(LENGTH, ANSWERED, {"length-without-text": r"cut at max_tokens"}, finish="length", text="", usage=False),
    *rows(DECODED, ANSWERED, dict.fromkeys((
        "ok", "ok-close", "json-anyway", "stream-anyway", "cr", "crlf", "bom", "comments", "multiline-data", "gzipped",
        "raw-deflate", "byte-by-byte", "usage-each", "azure",
    ), "")),
    *rows(DECODED, ANSWERED, dict.fromkeys((
        "finish-each", "finish-then-another", "id-each", "heartbeats", "odd-fields", "halves", "events-as-json",
        "events-as-html", "events-without-a-type", "document-as-events", "document-as-text", "document-without-a-type",
        "document-with-end-mark", "json-lines", "json-array", "single-line-ends", "gzip-without-a-label",
        "gzip-that-is-none", "usage-in-choice", "usage-in-groq", "usage-of-gemini", "usage-as-text",
        "finish-in-capitals",
    ), "")),
    *rows(DECODED, ANSWERED, dict.fromkeys((
        "reasoning", "reasoning-content", "finish-reasoning", "thinking-parts", "reasoning-details", "think-tags",
    ), ""), reasoning="First think."),
    *rows(DECODED, ANSWERED, {"finish-unknown": r"the backend finished with 'escalation'"}, finish="escalation"),
    *rows(DECODED, ANSWERED, {"refusal": r"the model refused"}),
    *rows(DECODED, ANSWERED, {"text-and-tool": r"the reply asks for the tool look_up; llx_magic runs none"},
          finish="tool_calls"),
    *rows(LENGTH, ANSWERED, {"length-of-gemini": r"cut at max_tokens"}, finish="length"),
    *rows(EXTRA_REFUSED, ANSWERED, {"refuses-stream-options": ""}, received=2, wires=(STREAM,)),
    *rows(DECODED, ANSWERED, dict.fromkeys(("no-last-blank-line", "content-parts"), ""), usage=False),
    *rows(DECODED, ANSWERED, {"gzip-flushed": ""}, release=Release.AFTER_TEXT),
    *rows(DECODED, ANSWERED, {"ok-when-released": ""}, release=Release.WHEN_REACHED),
    # --- elsewhere, and too much --------------------------------------------------------------------------------------
    *rows(REDIRECT, ONCE_COUNTED, {"redirect": r"first failed: base-url redirects to https://elsewhere\.example/v1$"}),
    *row(REDIRECT, ONCE_COUNTED, "to another backend", r"first failed: base-url redirects to http://127\.0\.0\.1:\d+/",
         modes=(lambda exchange: status(307, {"Location": exchange.server.elsewhere})(exchange),)),
    *rows(TOO_MUCH, ONCE_COUNTED, {
        "endless-line": r"first failed: a reply with an endless line or event",
        "endless-comments": r"first failed: a reply with an endless line or event",
        "endless-body": r"first failed: a reply of more than 16 MiB",
        "gzip-bomb": r"first failed: a reply (?:of more than 16 MiB|with an endless line or event)",
    }),
    *rows(TOO_MUCH, WITHDRAWN, {"endless-text": r"first broke off after [\d,]+ words? \(a reply of more than 16 MiB\)"},
          slow=True),
    *rows(TOO_MUCH, REPEATED_COUNTED, {
        "huge-error": r"first failed: 500 Internal Server Error: scripted: too long again and",
    }),
    # --- nothing is sent at all ---------------------------------------------------------------------------------------
    *row(NOT_READY, SKIPPED, "no key", modes=("ok",),
         says=r"first skipped: no key for first: set the environment variable FAULTS_KEY_FIRST"),
    *row(NOT_READY, SKIPPED, "a key in the clear", r"first skipped: a key is never sent unencrypted",
         place=Place.UNENCRYPTED, modes=("ok",)),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Nobody:
    """What must be said where no backend answers: the error's beginning, what it names, and the partial text."""

    case: str
    first: str | Mode
    second: str | Mode
    begins: str
    names: tuple[str, ...]
    partial: str = ""


SECOND_WORDS = "The second "
DOWN = "no backend could answer"

NOBODY = (
    Nobody(case="all refuse: the first refusal is the error", first="400", second="422",
           begins=r"first refused the request: 400 Bad Request: scripted: Bad Request",
           names=(r"second: 422 Unprocessable Content",)),
    Nobody(case="all windows are too small", first="context-llamacpp", second="context-length",
           begins=r"first refused the request: 400 Bad Request: the request exceeds the available context size "
                  r"\(5000 tokens of prompt, window of 4096\)", names=(r"second: 400 Bad Request: too long",)),
    Nobody(case="a refusal and a fault: both are named", first="400", second="501", begins=DOWN,
           names=(r"first: 400 Bad Request: scripted", r"second: 501 Not Implemented: scripted")),
    Nobody(case="both deny access", first="401", second="403", begins=DOWN,
           names=(r"first: 401 Unauthorized", r"second: 403 Forbidden")),
    Nobody(case="both limit the rate: until when", first=retry_after("120")[0], second=retry_after("1e30")[0],
           begins=DOWN, names=(r"first: 429 .*\(may be tried again in (?:2 min|1 min 5\d s)\)",
                               r"second: 429 .*\(may be tried again in (?:1 h|59 min 5\d s)\)")),
    Nobody(case="one breaks off: its text is kept, marked", first="text-then-end", second="503", begins=DOWN,
           names=(r"first: the stream ended before", r"second: 503"), partial=FIRST_WORDS),
    Nobody(case="both break off: the longer text is kept", first="text-then-end", second="text-then-close",
           begins=DOWN, names=(r"first: the stream", r"second: connection closed"), partial=SECOND_WORDS),
    Nobody(case="a web page and an empty reply are no answers", first="ok-html", second="stop-without-text",
           begins=DOWN, names=(r"first: a web page", r"second: empty reply")),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A point at which the user stops a request: what the first backend is doing, and how the point is known."""

    phase: str
    mode: str
    knows_by: str
    place: Place = Place.SERVER
    settings: Mapping[str, Any] = field(default_factory=dict)


LONG_DELAY = {"failover_retry_delay_ms": 600_000}

CANCELLED = (
    Stopped(phase="connecting", mode="ok", knows_by="connection", place=Place.SILENT),
    Stopped(phase="waiting for headers", mode="no-headers", knows_by="reached"),
    Stopped(phase="reading headers", mode="dripping-headers", knows_by="reached"),
    Stopped(phase="waiting for text", mode="role-then-silence", knows_by="reached"),
    Stopped(phase="reading an error", mode="slow-error", knows_by="reached"),
    Stopped(phase="streaming", mode="trickle", knows_by="text"),
    Stopped(phase="stalled", mode="stall", knows_by="text"),
    Stopped(phase="waiting to try again", mode="503", knows_by="wait", settings=LONG_DELAY),
)


def modes_in_the_table() -> set[str]:
    """Return the name of every mode that some row uses."""
    named = {each for entry in ROWS for each in entry.scripted if isinstance(each, str)}
    return named | {each for entry in NOBODY for each in (entry.first, entry.second) if isinstance(each, str)}


def script(modes: tuple[str | Mode, ...]) -> tuple[Mode, ...]:
    """Return the modes as functions; a name that does not exist fails here."""
    return tuple(find_mode(each) if isinstance(each, str) else each for each in modes)
