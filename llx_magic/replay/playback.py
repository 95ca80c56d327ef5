"""A backend that answers as it did: what a request met there is played back, and what it never met is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NoReturn, Self

from llx_magic.core.attempts import Attempted
from llx_magic.core.failure import BackendFailed, Failure, FailureKind, NotReady
from llx_magic.core.past import Course
from llx_magic.core.ports import Clock, Progress
from llx_magic.core.reply import Answer, ChatRequest, Usage

NEVER_SECONDS = 86_400.0
"""How long an attempt goes on of which nothing more is known, where no time-out ends it sooner."""

_NOBODY_KNOWS = Failure(kind=FailureKind.NETWORK, message="nothing is recorded that lasted so long")


@dataclass(slots=True)
class Drawn:
    """How many attempts a request made, and how many of them met what was drawn, as a whole or from some moment on."""

    attempts: int = 0
    drawn: int = 0


class Playback:
    """One backend for one request of the past; ``longest_pause`` is the longest silence within a reply, in seconds."""

    def __init__(
        self, name: str, course: Course, request: int, clock: Clock, drawn: Drawn, longest_pause: float = math.inf
    ) -> None:
        self.name = name
        self.model = name
        self._course = course
        self._request = request
        self._clock = clock
        self._count = drawn
        self._longest_pause = longest_pause
        self._made = 0

    async def prepare(self) -> Self:
        """Return itself, after as long as the request waited for it.

        Raises:
            NotReady: where the request found it so, and where nothing is known of it.
        """
        if why := self._course.why_not(self.name, self._request):
            raise NotReady(why)
        if seconds := self._course.past.ready_after(self.name, self._request):
            await self._clock.sleep(seconds)
        return self

    async def answer(self, _request: ChatRequest, progress: Progress) -> Answer:
        """Take as long as it took, and end as it ended.

        Raises:
            BackendFailed: where the attempt failed.
        """
        progress.on_sending(self.name)
        progress.on_connected()
        sent = self._clock.now()
        self._made += 1
        met, is_known = self._course.meets(self.name, self._request, self._made, sent)
        self._count.attempts += 1
        self._count.drawn += not is_known
        if met.is_cut:
            return await self._outlast(met, sent, progress, is_known=is_known)
        await self._play(met, sent, progress, has_begun=False)
        return _ending(met)

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""

    async def _outlast(self, cut: Attempted, sent: float, progress: Progress, *, is_known: bool) -> Answer:
        """Go on beyond the moment at which it was cut; how, is drawn."""
        await self._play(cut, sent, progress, has_begun=False)
        self._count.drawn += is_known
        longer = self._course.outlasting(self.name, cut, sent)
        if longer is None:
            await self._clock.sleep(NEVER_SECONDS)
            raise BackendFailed(_NOBODY_KNOWS)
        await self._play(longer, sent, progress, has_begun=cut.ttft is not None)
        return _ending(longer)

    async def _play(self, met: Attempted, sent: float, progress: Progress, *, has_begun: bool) -> None:
        """Let pass what has not passed yet of an attempt; its text comes in as few pieces as the limits allow."""
        end = sent + met.seconds
        has_text = met.ttft is not None or met.reply is not None
        if has_text and not has_begun:
            await self._until(sent + met.first_at)
            progress.on_text("text ")
        while (left := end - self._clock.now()) > 0:
            await self._clock.sleep(min(left, self._longest_pause if has_text else left))
            if has_text and left > self._longest_pause:
                progress.on_text("text ")

    async def _until(self, when: float) -> None:
        if when > self._clock.now():
            await self._clock.sleep(when - self._clock.now())


def _ending(met: Attempted) -> Answer:
    reply = met.reply
    if reply is None:
        _fail(met.failure or _NOBODY_KNOWS)
    usage = None
    if reply.prompt_tokens is not None and reply.completion_tokens is not None:
        usage = Usage(
            reply.prompt_tokens,
            reply.completion_tokens,
            reply.cached_tokens or 0,
            reply.cache_written_tokens or 0,
            reply.reasoning_tokens or 0,
        )
    return Answer(text="text", model=reply.model, usage=usage, finish_reason=reply.finish_reason)


def _fail(failure: Failure) -> NoReturn:
    raise BackendFailed(failure)
