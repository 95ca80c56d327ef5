"""A member that cannot be asked at all, so that those beside it can be."""

from __future__ import annotations

from typing import NoReturn

from llx_magic.core.failure import NotReady


class UnusableBackend:
    """Stands where a member's profile names what nobody can ask; it is passed over with the reason at each request."""

    def __init__(self, name: str, model: str, problem: str) -> None:
        self.name = name
        self.model = model
        self._problem = problem

    async def prepare(self) -> NoReturn:
        """Say why it cannot be asked.

        Raises:
            NotReady: always.
        """
        raise NotReady(self._problem)

    async def aclose(self) -> None:
        """Release nothing."""
