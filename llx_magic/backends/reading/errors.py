"""What a server says about an error, however it lays that out: its words, its codes, its waits."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llx_magic.backends.reading.lenient import NoJson, folded, read_json, read_json_at
from llx_magic.backends.wording import one_line
from llx_magic.keys.redaction import LONGEST_READ

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llx_magic.text.values import JsonValue

_DEEPEST = 8
"""How many objects within each other are looked into."""

_MOST_DETAILS = 3
"""How many of several errors are named."""

_CODES = ("code", "type", "status", "errorcode", "errortype", "reason", "statuscode", "httpcode", "quotaid", "name")
_NUMBERS = ("code", "status", "statuscode", "httpcode", "errorcode")
_ALONE = ("errors", "detail", "errorcode", "errormsg", "errormessage")
"""What says by its name alone that a document without choices is an error; Baidu's have nothing else."""

_ALL_IS_WELL = ("0", "ok", "success")
"""What stands in such a field where there is no error."""

_INNER = ("innererror", "details", "violations", "error", "errors", "metadata", "baseresp")
_WORDS = (
    "error", "message", "detail", "msg", "errors", "errormessage", "errormsg", "statusmsg", "errordescription",
    "description", "title", "baseresp", "fault", "faultstring", "reason",
)  # fmt: skip
_WAITS = {"retrydelay": 1.0, "retryafter": 1.0, "retryafterseconds": 1.0, "retryafterms": 0.001, "estimatedtime": 1.0}
"""What names a wait, and the unit of a bare number there, in seconds."""

_LARGEST = 1e15
"""A larger number is no wait and no count; Python's integers go beyond what a float can hold."""

_TITLE = re.compile(r"<(?:title|message)(?:\s[^<>]{0,200})?>", re.IGNORECASE)
_TITLE_END = re.compile("</(?:title|message)", re.IGNORECASE)
_EVENT_FIELDS = re.compile(r"(?:event:[^\n]{0,80}\n)?(?:data|error): ?")


@dataclass(slots=True)
class ServerError:
    """What an error says: its text, its codes and types in lower case, numbers that are statuses, and token counts.

    ``waits`` are the waits that it names, as text or as seconds. ``headers`` are those that it quotes. ``quotas`` are
    those that are used up by Google's names, with what each allows.
    """

    text: str = ""
    codes: set[str] = field(default_factory=set)
    statuses: list[int] = field(default_factory=list)
    waits: list[str | float] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    quotas: dict[str, str] = field(default_factory=dict)
    prompt_tokens: int | None = None
    window: int | None = None


def read_error(body: bytes) -> ServerError:
    """Return what a body says; HTML gives its title, XML its message, anything that is no JSON its text."""
    text = body.decode("utf-8", "replace").strip().removeprefix("\ufeff")
    if text.startswith("<"):
        return ServerError(text=_title(text) or ("an XML document" if text.startswith("<?xml") else "an HTML page"))
    framed = _EVENT_FIELDS.match(text)
    if framed:
        text = text[framed.end() :].partition("\n")[0]
    try:
        return error_of(read_json(text))
    except NoJson:
        return error_of(text)


def _title(page: str) -> str | None:
    begin = _TITLE.search(page)
    end = _TITLE_END.search(page, begin.end()) if begin else None
    return html.unescape(page[begin.end() : end.start()]) if begin and end else None


def error_of(document: JsonValue) -> ServerError:
    """Return what a decoded error says.

    Read are the layouts of OpenAI, Anthropic, Google, Mistral, Bedrock, Cloudflare, FastAPI (which says where),
    https://www.rfc-editor.org/rfc/rfc9457 and OpenRouter (whose ``metadata.raw`` holds the cause), plain strings, and
    JSON inside any of their texts.
    """
    error = ServerError()
    error.text = _words(document, error, 0)
    return error


def describe(error: ServerError) -> str:
    """Return the server's own words on one line, without keys, with the token counts where it gave them."""
    detail = one_line(error.text)
    if error.prompt_tokens is not None and error.window is not None:
        counted = f"{error.prompt_tokens} tokens of prompt, window of {error.window}"
        detail = f"{detail} ({counted})" if detail else counted
    return detail


def says_something(value: JsonValue) -> bool:
    """Return whether a field for an error holds one: null, false, 0 and what is empty throughout are none."""
    values = [value]
    while values:  # and no recursion: what can be decoded may be nested deeper than Python can call
        each = values.pop()
        if isinstance(each, dict):
            values += each.values()
        elif isinstance(each, list):
            values += each
        elif each.strip() if isinstance(each, str) else each:
            return True
    return False


def error_within(document: Mapping[str, JsonValue], *, has_choices: bool) -> bool:
    """Return whether a document that came with a success reports an error.

    Without choices whatever is laid out as an error is taken for one, whether or not it stands under ``error``.
    """
    if says_something(document.get("error")):
        return True
    result = document.get("base_resp")
    if isinstance(result, dict) and result.get("status_code") not in (None, 0, "0"):
        return True
    if has_choices:
        return False
    if "error" in (document.get("object"), document.get("type")) or document.get("success") is False:
        return True
    alone = (value for name, value in document.items() if folded(name) in _ALONE)
    if any(says_something(each) and not (isinstance(each, str) and folded(each) in _ALL_IS_WELL) for each in alone):
        return True
    named = {folded(name) for name, value in document.items() if value is not None}
    told = isinstance(document.get("message") or document.get("msg"), str)
    return told and (bool(named & {*_NUMBERS, "errortype", "type"}) or named <= {"message", "msg", "id", "requestid"})


def _words(value: JsonValue, error: ServerError, depth: int) -> str:
    """Return the words of an error or of a part of one, and note the facts beside them."""
    if depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return _unpacked(value, error, depth)
    if isinstance(value, list):
        told = [words for each in value[:20] if (words := _words(each, error, depth + 1))]
        return "; ".join(dict.fromkeys(told[:_MOST_DETAILS]))
    if not isinstance(value, dict):
        return ""
    fields = {folded(name): inner for name, inner in value.items()}
    _note(fields, error)
    for name in _INNER:
        inner = fields.get(name)
        if isinstance(inner, dict | list) and name not in _WORDS:
            _words(inner, error, depth + 1)
    return _placed(fields, _own_words(fields, error, depth), error, depth)


def _own_words(fields: Mapping[str, JsonValue], error: ServerError, depth: int) -> str:
    if isinstance(code := fields.get("error"), str) and isinstance(fields.get("message"), str):
        error.codes.add(code.casefold())
        return _words(fields["message"], error, depth + 1) or code
    for name in _WORDS:
        if words := _words(fields.get(name), error, depth + 1):
            title = fields.get("title")
            return f"{title}: {words}" if name == "detail" and isinstance(title, str) and title else words
    return ""


def _placed(fields: Mapping[str, JsonValue], words: str, error: ServerError, depth: int) -> str:
    """Add where in the request the error is, and the cause that a gateway passes on."""
    where = fields.get("loc")
    if isinstance(where, list) and words:
        place = ".".join(str(each) for each in where if each != "body")
        words = f"{place}: {words}" if place else words
    parameter = fields.get("param")
    if isinstance(parameter, str) and parameter and words and parameter not in words:
        words = f"{words} (parameter {parameter})"
    metadata = fields.get("metadata")
    cause = _words(metadata.get("raw"), error, depth + 1) if isinstance(metadata, dict) else ""
    return f"{words}: {cause}" if words and cause and cause not in words else words or cause


def _note(fields: Mapping[str, JsonValue], error: ServerError) -> None:
    """Note the codes, statuses, waits and counts of one object."""
    for name in _CODES:
        code = fields.get(name)
        if isinstance(code, str | int) and not isinstance(code, bool) and code != "":
            error.codes.add(str(code)[:200].casefold().rpartition("#")[2])  # AWS's stand behind a name space
    for name in _NUMBERS:
        if (status := _status(fields.get(name))) is not None:
            error.statuses.append(status)
    for name, unit in _WAITS.items():
        wait = fields.get(name)
        if isinstance(wait, str):
            error.waits.append(wait)
        elif isinstance(wait, int | float) and not isinstance(wait, bool):
            error.waits.append(min(wait, _LARGEST) * unit)
    quoted = fields.get("headers")
    if isinstance(quoted, dict):
        error.headers |= {name.lower(): str(value) for name, value in quoted.items()}
    if isinstance(quota := fields.get("quotaid"), str):
        error.quotas[quota[:200]] = str(fields.get("quotavalue", ""))[:20]
    error.prompt_tokens = _count(fields.get("nprompttokens"), error.prompt_tokens)
    error.window = _count(fields.get("nctx"), error.window)


def _status(code: JsonValue) -> int | None:
    digits = str(code) if isinstance(code, int | str) and not isinstance(code, bool) else ""
    return int(digits) if len(digits) == 3 and digits.isascii() and digits.isdigit() and int(digits) >= 400 else None


def _count(value: JsonValue, otherwise: int | None) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return value
    return otherwise


def _unpacked(text: str, error: ServerError, depth: int) -> str:
    """Return a text, or what the JSON inside it says: gateways pass on the body that they got as a text."""
    at = text.find("{", 0, LONGEST_READ)
    if at < 0:
        return text
    try:
        inner, _ = read_json_at(text, at)
    except NoJson:
        return text
    words = _words(inner, error, depth + 1)
    lead = text[:at].strip(" \t\r\n:-[('\"b")
    return text if not words else f"{lead}: {words}" if lead else words
