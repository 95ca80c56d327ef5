"""What every client that is compared can do, and what all of them are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

COOL_DOWN_SECONDS = 1
KEY = "sk-benchmark"
MODEL = "some-model"
PROMPT = "Name a prime number."
MESSAGES = [{"role": "user", "content": PROMPT}]
BODY = {"model": MODEL, "messages": MESSAGES}


class Contender(Protocol):
    """One client, made from base URLs in the order in which they are to be tried.

    ``made_for`` says what is measured: ``calls``, ``stream``, ``failover`` (one attempt each and no breaker, so that
    the first is asked every time) or ``half-open`` (a breaker or cool-down that opens at once and ends after
    `COOL_DOWN_SECONDS`).
    """

    def __init__(self, urls: list[str], made_for: str) -> None: ...

    async def call(self) -> str:
        """Return the text of a whole reply."""

    def stream(self) -> AsyncIterator[str]:
        """Yield a reply's pieces."""

    async def aclose(self) -> None: ...
