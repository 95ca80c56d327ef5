"""Asking a service which models it has: one GET for each page, with the credential and the connections of a prompt."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from llx_magic.backends.reading.errors import read_error
from llx_magic.backends.reading.kinds import refused
from llx_magic.backends.reading.lenient import NoJson, read_json
from llx_magic.backends.reading.listing import Listed, next_page, with_limits
from llx_magic.backends.reading.sse import BodyProblem
from llx_magic.core.failure import BackendFailed, Failure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llx_magic.backends.wires.wire import Wire
    from llx_magic.text.values import JsonValue

    _Get = Callable[[str, "Page"], Awaitable[JsonValue | Failure]]
    """Sends a GET for a path and returns the page that came, or why none did."""

LONGEST_LISTING = 20.0
"""How many seconds all pages may take."""

LARGEST_PAGE = 16 << 20
MOST_PAGES = 30
MOST_MODELS = 10_000


class Page:
    """One page of a list as far as it has come; it is read as a reply is."""

    done = whole_if_cut = False
    taken = 0
    patience = None

    def __init__(self, name: str) -> None:
        self._name = name
        self._body = bytearray()
        self._headers: Mapping[str, str] = {}
        self._wall_clock = 0.0

    def came_with(self, headers: Mapping[str, str], wall_clock: float) -> None:
        """Take the response's headers and the time of day."""
        self._headers, self._wall_clock = headers, wall_clock

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            BodyProblem: for more than any list can be.
        """
        self._body += data
        if len(self._body) > LARGEST_PAGE:
            raise BodyProblem(f"a list of models of more than {LARGEST_PAGE >> 20} MiB", FailureKind.TOO_LARGE)

    def flush(self) -> None:
        """Take that the body has ended."""

    def end(self) -> JsonValue:
        """Return the page.

        Raises:
            BackendFailed: where it is no JSON.
        """
        try:
            return read_json(self._body.decode("utf-8", "replace"))
        except NoJson:
            message = "what came is no list of models"
        raise BackendFailed(Failure(kind=FailureKind.BAD_REPLY, message=message))

    def refused(self, status: int, body: bytes) -> Failure:
        """Return what a status other than 2xx means."""
        return refused(status, self._headers, read_error(body), name=self._name, wall_clock=self._wall_clock)


async def all_models(wire: Wire, name: str, versions: tuple[str, ...], get: _Get) -> tuple[Listed, ...]:
    """Return the models that a service lists, on all pages.

    ``versions`` are what may stand before the path: the next is tried where a server does not know the one before.

    Raises:
        BackendFailed: where the list cannot be had.
    """
    found: dict[str, Listed] = {}
    try:
        async with asyncio.timeout(LONGEST_LISTING):
            for path in (wire.models_path, *wire.more_models_paths):
                await _list(wire, name, [version + path for version in versions], get, found)
    except TimeoutError:
        message = f"no list of models within {LONGEST_LISTING:.0f} s"
        raise BackendFailed(Failure(kind=FailureKind.TIMEOUT, message=message)) from None
    return tuple(found.values())


async def _list(wire: Wire, name: str, paths: list[str], get: _Get, found: dict[str, Listed]) -> None:
    outcome: JsonValue | Failure = None
    for path in paths:
        first = outcome
        outcome = await get(path, Page(name))
        if not isinstance(outcome, Failure):
            break
        if isinstance(first, Failure) and outcome.status in (404, 405):
            outcome = first
    asked: str | None = path
    for _ in range(MOST_PAGES):
        if isinstance(outcome, Failure):
            raise BackendFailed(outcome)
        before = len(found)
        found |= {each.name: each for each in with_limits(wire.models(outcome), outcome)}
        asked = next_page(path, outcome)
        if asked is None or len(found) == before or len(found) > MOST_MODELS:
            return
        outcome = await get(asked, Page(name))
