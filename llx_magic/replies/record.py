"""One stored reply."""

from __future__ import annotations

from typing import Self

import msgspec

from llx_magic.core.reply import Reply, Usage
from llx_magic.text.shape import Read, Shape


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A reply as it lies in the store, or what was wrong with the prompt of a row, where ``error`` is set.

    ``backend`` gave it under the name that ``profile`` had for it. ``asked_model`` is the model that the profile names,
    ``model`` what answered, ``asked`` the whole of whom was asked (``asked_of``). ``seconds`` is from the call to the
    last byte, ``attempts`` counts every sending on every backend, ``at`` is in Unix seconds. ``cost`` is what it cost
    when it was asked, with ``cost_is_estimate`` in US dollars. ``error`` is one line, ``error_kind`` the value of its
    ``FailureKind``. ``prompt`` is there only where the user wants prompts kept.
    """

    text: str
    backend: str
    asked_model: str
    model: str
    at: float
    asked: bytes = b""
    profile: str = ""
    reasoning: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    attempts: int = 1
    cost: float | None = None
    cost_is_estimate: bool = False
    error: str | None = None
    error_kind: str | None = None
    prompt: str | None = None

    @classmethod
    def of(
        cls, reply: Reply, *, asked_model: str, asked: bytes, profile: str, at: float, prompt: str | None = None
    ) -> Self:
        """Return what is kept of a whole reply."""
        return cls(
            text=reply.text,
            backend=reply.backend,
            asked_model=asked_model,
            model=reply.model,
            at=at,
            asked=asked,
            profile=profile,
            reasoning=reply.reasoning,
            usage=reply.usage,
            finish_reason=reply.finish_reason,
            notes=reply.notes,
            seconds=reply.seconds,
            attempts=reply.attempts,
            cost=reply.cost,
            cost_is_estimate=reply.cost_is_estimate,
            prompt=prompt,
        )

    def reply(self, shape: Shape | None = None) -> Reply:
        """Return it as a reply; ``shape`` is what was asked for.

        It has no number and no trace: nobody was asked. Its seconds, attempts and cost are those of the time when it
        was.
        """
        return Reply(
            text=self.text,
            backend=self.backend,
            model=self.model,
            usage=self.usage,
            attempts=self.attempts,
            seconds=self.seconds,
            ttft=None,
            finish_reason=self.finish_reason,
            reasoning=self.reasoning,
            notes=self.notes,
            cost=self.cost,
            cost_is_estimate=self.cost_is_estimate,
            read=None if shape is None else Read.of(self.text, shape),
        )
