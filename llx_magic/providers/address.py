"""What a base URL means: an address as people paste it, cut to what comes before the path of a form. No I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

from llx_magic.errors import brief
from llx_magic.key_shapes import QUOTES, begins_like_a_key
from llx_magic.providers.find import provider_at
from llx_magic.providers.provider import ANTHROPIC, BEDROCK, COHERE, GEMINI, OLLAMA, OPENAI, Provider

_AROUND: Final = f" \t\r\n{QUOTES}<>,;"
"""What stands around an address that was copied out of a text, a shell or a file of settings."""

_ASSIGNMENT = re.compile(r"\A(?:export\s+|set\s+)?[A-Za-z_][A-Za-z0-9_]{0,60}\s{0,8}=")

_BARE = re.compile(
    r"(?:localhost|\[[0-9a-f:.]+\]|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9-]+(?=:[0-9]))(?::[0-9]{1,5})?(?:/\S*)?",
    re.IGNORECASE,
)
"""A host without ``http://`` before it: one with a dot or a port, an IPv6 address in brackets, or localhost."""

_ENDPOINT = re.compile(
    r"/(?:chat/completions|completions|embeddings|responses|messages(?:/count_tokens)?|models"
    r"|models/[^/]{1,200}:(?:stream)?generatecontent)$",
    re.IGNORECASE,
)
"""The part of a whole address that names what is asked for there."""

_ENDS: Final[Mapping[str, re.Pattern[str]]] = {
    ANTHROPIC: re.compile(
        r"(?:/v1/messages(?:/count_tokens)?|/models/[^/]{1,200}:(?:stream)?rawpredict)$", re.IGNORECASE
    ),
    OLLAMA: re.compile(r"/api(?:/(?:chat|generate|tags|show|version|embed|embeddings))?$", re.IGNORECASE),
    GEMINI: re.compile(
        r"/v1beta(?:/models(?:/[^/]{1,200})?)?$|(?:/publishers/google)?/models/[^/]{1,200}:(?:stream)?generatecontent$",
        re.IGNORECASE,
    ),
    BEDROCK: re.compile(
        r"/model/[^/]{1,400}/(?:converse|converse-stream|invoke|invoke-with-response-stream)$", re.IGNORECASE
    ),
    COHERE: re.compile(r"/v2(?:/chat)?$|(?<!/compatibility)/v1(?:/(?:chat|models))?$", re.IGNORECASE),
}
"""What follows the root of a service, for each form of its own, in a whole address."""

_STREAMED = re.compile(r"\?alt=(?:sse|json)$")
"""The query with which Gemini is asked for a stream."""

API_VERSION: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
DATED_VERSION: Final = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:-preview)?|preview|latest|v1)"
_API_VERSION = re.compile(rf"\?api-version=({DATED_VERSION})$", re.IGNORECASE)
"""The query with which Azure is asked for one version of its service."""

DEPLOYMENT: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_DEPLOYMENT = re.compile(rf"(?:/openai)?/deployments/({DEPLOYMENT})(?:/(?:chat/)?completions)?$", re.IGNORECASE)

_IN_PATHS: Final = "%!$&'()*+,;=:@\\"
"""What stays as it is in a path: https://www.rfc-editor.org/rfc/rfc3986#section-3.3, and what is refused later."""

LONGEST_ADDRESS: Final = 2_000
"""How many characters an address may have; servers take no longer ones."""

_OLLAMA_PORT: Final = 11434
_COMPATIBLE: Final = "/v1"
_PORTS_OF_LOCAL_SERVERS: Final = frozenset({_OLLAMA_PORT, 1234})
"""Where nothing but Ollama and LM Studio is; other servers' usual ports are everybody's."""


class AddressProblem(ValueError):
    """What is wrong with an address, as the end of a sentence; a possible credential in it is not repeated."""


def tidied(given: str) -> str:
    """Return the address that a pasted text is.

    Quotes and brackets around it, a name and ``=`` before it, and a query that holds no secret are taken off. Scheme
    and host become lower case, and letters beyond ASCII what is sent of them. An address without a scheme is http on
    this machine and https elsewhere. A wildcard address, which servers print as theirs, becomes this machine's.

    Raises:
        AddressProblem: for anything that is not an http or https address, or may hold a credential.
    """
    if len(given) > LONGEST_ADDRESS:
        raise AddressProblem(f"must be an address of at most {LONGEST_ADDRESS} characters, got {len(given)}")
    text = _API_VERSION.sub("", _STREAMED.sub("", _bare(given)))
    _refuse_credentials(text)
    if "://" not in text and _BARE.fullmatch(text.lstrip("/")):
        text = f"https://{text.lstrip('/')}"
        text = "http" + text.removeprefix("https") if is_this_machine(_host(text)) else text
    parts = _parts(text)
    if parts is None:
        raise AddressProblem(f"must be an http:// or https:// address, got {brief(given)}")
    path = "".join(f"/{quote(segment, safe=_IN_PATHS)}" for segment in parts.path.split("/") if segment)
    return f"{parts.scheme}://{_netloc(parts)}{path}"


def api_version(given: str) -> str | None:
    """Return the version of Azure's service that a pasted address asks for, or None."""
    found = _API_VERSION.search(_bare(given))
    return found[1] if found else None


def apart_from_deployment(url: str) -> tuple[str, str | None]:
    """Return what comes before the deployment in an address of Azure's, and the deployment's name, if there is one."""
    found = _DEPLOYMENT.search(url)
    return (url[: found.start()], found[1]) if found else (url, None)


def _bare(given: str) -> str:
    return _ASSIGNMENT.sub("", given.strip(_AROUND)).strip(_AROUND)


def base_url(given: str, asked: Provider | None = None) -> str:
    """Return the base URL that a pasted address means to a provider; None stands for one of OpenAI's form.

    The endpoint at its end (``/chat/completions``, ``/models``, Ollama's ``/api/chat`` …) is taken off. At the host of
    a known provider a path that is missing, or only begun, becomes the provider's own. An address of another form's
    endpoint means the compatible endpoint beside it.

    Raises:
        AddressProblem: as in ``tidied``.
    """
    parts = urlsplit(tidied(given))
    origin = f"{parts.scheme}://{parts.netloc}"
    at_home = asked is not None and asked.own_host(origin)
    known = asked if at_home else provider_at(origin)
    return origin + _path(origin, parts, OPENAI if asked is None else asked.wire, known)


def is_this_machine(host: str) -> bool:
    """Return whether a host is this machine itself: 127.0.0.0/8, ::1, localhost, or the address of no host at all."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse_credentials(text: str) -> None:
    if "@" in text:
        raise AddressProblem("must not hold a user name, a password or @")
    if "?" in text or "#" in text:
        raise AddressProblem(
            "must not hold a query or a fragment ('?' or '#'); a key belongs in auth-key-env or auth-key-name"
        )
    if any(begins_like_a_key(segment) for segment in text.split("/")):
        raise AddressProblem("must not hold a key; it belongs in auth-key-env or auth-key-name")


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        parts.netloc.encode("idna")
    except ValueError:
        return None
    return parts if usable and text.isprintable() and " " not in text else None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _netloc(parts: SplitResult) -> str:
    """Return host and port; the wildcard on which a server listens becomes this machine's own address."""
    netloc = re.sub(r"^0\.0\.0\.0(?=:|$)", "127.0.0.1", parts.netloc.lower().encode("idna").decode())
    return re.sub(r"^\[::\](?=:|$)", "[::1]", netloc)


def _path(origin: str, parts: SplitResult, form: str, known: Provider | None) -> str:
    path = parts.path
    if form in _ENDS and _ENDS[form].search(path):
        return _ENDS[form].sub("", path)
    if form == OPENAI and _ENDS[OLLAMA].search(path) and (path.lower() != "/api" or parts.port == _OLLAMA_PORT):
        return _ENDS[OLLAMA].sub("", path) + _COMPATIBLE
    while (cut := _ENDPOINT.sub("", path)) != path:
        path = cut
    if not path and parts.port in _PORTS_OF_LOCAL_SERVERS:
        return _COMPATIBLE if form == OPENAI else ""
    own = known.own_url(origin) if known else None
    if known is None or own is None:
        return path
    if form == known.wire:
        return _completed(path, urlsplit(own).path)
    path = _ENDS[known.wire].sub("", path) if known.wire in _ENDS else path
    return _completed(path, urlsplit(known.compatible_url(own)).path)


def _completed(path: str, own: str) -> str:
    """Return the provider's own path where the given one is a beginning of it, or ``/v1`` where that is its end."""
    begun = path.lower() == own.lower() or own.lower().startswith(path.lower() + "/") or not path
    return own if begun or (path == _COMPATIBLE and own.endswith(_COMPATIBLE)) else path
