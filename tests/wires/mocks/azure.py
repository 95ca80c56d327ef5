"""A resource of Azure OpenAI as a strict server: the stable address and the dated ones, each with what it refuses.

with serve() as server:
    ...  # the resource's root is root_of(server); the key is KEY, a token is TOKEN, the deployment is DEPLOYMENT
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.faults.server import Exchange, FaultServer
from tests.wires.mocks import openai, responses
from tests.wires.mocks.refused import Refused, root_of  # noqa: F401 - whoever asks the mock wants its root

KEY = "0123456789abcdef0123456789abcdef"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJtb2NrIn0.c2ln"
DEPLOYMENT = "our-gpt"
VERSIONS = {"2024-10-21", "2025-03-01-preview"}
TEXT = openai.TEXT

_DATED = re.compile(r"/openai/deployments/([^/]+)/chat/completions")


def serve() -> FaultServer:
    """Return a server on a free port of loopback; a context manager that closes it."""
    return FaultServer(answer)


def answer(exchange: Exchange) -> None:
    """Answer one request as the service does."""
    try:
        _answer(exchange)
    except Refused as refused:
        status, code, message = refused.args
        exchange.whole(status, json.dumps({"error": {"code": code, "message": message}}).encode())
    except responses.Refused as refused:
        exchange.whole(refused.status, json.dumps({"error": refused.error}).encode())


def _answer(exchange: Exchange) -> None:
    request = exchange.request
    url = urlsplit(request.path)
    version = parse_qs(url.query).get("api-version", [""])[0]
    is_stable = url.path.startswith("/openai/v1/")
    if request.method != "POST" or (not is_stable and not version):
        raise Refused(404, "404", "Resource not found")
    if is_stable and version:
        raise Refused(400, "BadRequest", "api-version query parameter is not allowed when using /v1 path")
    if not is_stable and version not in VERSIONS:
        raise Refused(400, "BadRequest", "API version not supported")
    _check_key(request.headers, is_stable=is_stable)
    body = request.json
    found = _DATED.fullmatch(unquote(url.path))
    named = found[1] if found else body.get("model")
    if found or url.path == "/openai/v1/chat/completions":
        _check_deployment(named)
        openai.check_body(body)
        openai.reply(exchange, filtered=True)
    elif url.path in ("/openai/v1/responses", "/openai/responses"):
        _check_deployment(named)
        responses.check_body(body)
        responses.reply(exchange)
    else:
        raise Refused(404, "404", "Resource not found")


def _check_key(headers: dict[str, str], *, is_stable: bool) -> None:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    if headers.get("api-key") == KEY or bearer == TOKEN or (is_stable and bearer == KEY):
        return
    raise Refused(401, "401", "Access denied due to invalid subscription key or wrong API endpoint.")


def _check_deployment(name: Any) -> None:
    if name != DEPLOYMENT:
        message = "The API deployment for this resource does not exist. If you created the deployment within the last "
        raise Refused(404, "DeploymentNotFound", message + "5 minutes, please wait a moment and try again.")
