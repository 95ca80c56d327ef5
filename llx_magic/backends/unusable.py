"""A member that cannot be asked at all, so that those beside it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llx_magic.core.failure import BackendFailed, Failure, FailureKind

if TYPE_CHECKING:
    from llx_magic.core.ports import Progress
    from llx_magic.core.reply import Answer, ChatRequest


class UnusableBackend:
    """Stands where a member's profile names what nobody can ask; it is passed over with the reason at each request."""

    def __init__(self, name: str, model: str, problem: str) -> None:
        self.name = name
        self.model = model
        self._problem = problem

    async def obstacle(self) -> str:
        """Say in one line why it cannot be asked."""
        return self._problem

    async def answer(self, request: ChatRequest, progress: Progress) -> Answer:
        """Refuse; the engine does not get here past an obstacle.

        Raises:
            BackendFailed: always, of the kind that is not counted.
        """
        del request, progress
        raise BackendFailed(Failure(kind=FailureKind.NOT_SENT, message=self._problem))

    async def aclose(self) -> None:
        """Release nothing."""
