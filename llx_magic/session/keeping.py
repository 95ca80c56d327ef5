"""Prompts in the store of replies: by what they are found there, of whom they count, and what is kept of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from llx_magic.core.events import AttemptFailed
from llx_magic.core.message import Message
from llx_magic.core.reply import Delta, Reply, Thought
from llx_magic.engine.loops import off_loop
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Candidate, Plan
from llx_magic.errors import AllBackendsFailed, LlxError
from llx_magic.key_shapes import without_key_shapes
from llx_magic.keys.redaction import LIVE_KEYS
from llx_magic.observe.frames.frames import reply_frame
from llx_magic.replies.key import Key, Keys, asked_of, judged_by
from llx_magic.replies.record import Stored
from llx_magic.replies.store import ReplyStore
from llx_magic.replies.writer import Writer
from llx_magic.text.shape import Read
from llx_magic.text.values import JsonValue
from llx_magic.units import duration


class Keeping:
    """What is asked by one plan, as the store knows it; the prompts of rows differ in their messages alone.

    ``keys`` makes the keys. ``asked`` says for each backend whom it asks: a stored reply counts where it was asked of
    one of them. ``judges`` is who finds that a row itself is at fault: all of them together, as they are set, so that
    what was too long for one profile is asked of another, and of a backend that is added.
    """

    def __init__(self, plan: Plan, profile: str) -> None:
        schema = None if plan.shape is None else plan.shape.schema
        self.keys = Keys(schema=schema, effort=plan.effort, as_json=plan.shape is not None)
        self.asked = {each.backend.name: asked_of(each.backend.model, each.params) for each in plan.candidates}
        self.judges = judged_by(profile, [_as_judge(each) for each in plan.candidates])
        self._models = {each.backend.name: each.backend.model for each in plan.candidates}
        self._keeps_prompts = plan.candidates[0].settings.keep_prompts
        self._profile = profile

    def reply(self, reply: Reply, messages: tuple[Message, ...]) -> Stored:
        """Return what is kept of a whole reply that has just come; one that does not fit is a fault of its prompt."""
        stored = Stored.of(
            reply,
            asked_model=self._models[reply.backend],
            asked=self.asked[reply.backend],
            profile=self._profile,
            at=time.time(),
            prompt=self._prompt(messages),
        )
        misfit = None if reply.read is None else reply.read.problem
        if misfit is None:
            return stored
        return msgspec.structs.replace(stored, error=str(misfit), error_kind="schema", asked=self.judges)

    def fault(
        self, refusal: AttemptFailed, messages: tuple[Message, ...], error: AllBackendsFailed, attempts: int
    ) -> Stored:
        """Return what is kept of a prompt that was refused for what it is; ``attempts`` were made."""
        return Stored(
            text=error.partial,
            backend=refusal.backend,
            asked_model=self._models[refusal.backend],
            model="",
            at=time.time(),
            asked=self.judges,
            profile=self._profile,
            attempts=attempts,
            error=error.what_happened,
            error_kind=refusal.failure.kind,
            prompt=self._prompt(messages),
        )

    def _prompt(self, messages: tuple[Message, ...]) -> str | None:
        """Return the prompt where it is to be kept, images and files as notes; a conversation names its speakers.

        Keys are taken out: a prompt may quote one, and here it would lie in a file.
        """
        if not self._keeps_prompts:
            return None
        told = [message.noted() for message in messages]
        if len(messages) > 1:
            told = [f"[{message.role}]\n{text}" for message, text in zip(messages, told, strict=True)]
        hidden = LIVE_KEYS.in_pieces()
        return without_key_shapes(hidden.feed("\n\n".join(told)) + hidden.rest())


def _as_judge(candidate: Candidate) -> JsonValue:
    """Return what of a candidate decides which prompts it refuses."""
    asked = asked_of(candidate.backend.model, candidate.params).hex()
    return [asked, candidate.window, candidate.settings.failover_on_content_filter]


def find(plan: Plan) -> Stored | None:
    """Return the reply that the user's store has to a prompt and that fits it; blocks for as long as that takes.

    One may fit no more: a class has rules that its schema does not tell.

    Raises:
        UsageProblem: where the file of the store is none.
        StoreProblem: where it cannot be read.
    """
    keeping = Keeping(plan, "")
    key = keeping.keys.of(plan.messages), 0
    with ReplyStore.open() as store:
        found = store.find([key], set(keeping.asked.values())).get(key)
    if found is None or found.error is not None or (plan.shape and Read.of(found.text, plan.shape).problem):
        return None
    return found


async def from_store(profile: str, plan: Plan, watch: Watch, ask: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return the reply that the user's store has, else the one that ``ask`` gives, which then is kept there.

    One that is not what was asked for is not kept. Where a reply cannot be kept, a note says so.

    Raises:
        UsageProblem: as ``find``; nothing was asked.
        StoreProblem: as ``find``; nothing was asked.
    """
    found = await off_loop(lambda: find(plan))
    if found is not None:
        if found.reasoning:
            watch(Thought(found.reasoning))
        watch(Delta(found.text))
        note = f"from the store, asked {duration(max(0.0, time.time() - found.at))} ago"
        reply = found.reply(plan.shape)
        return replace(reply, notes=(*reply.notes, note), to_frame=reply_frame)
    reply = await ask()
    keeping = Keeping(plan, profile)
    stored = keeping.reply(reply, plan.messages)
    problem = None if stored.error else await off_loop(lambda: _keep((keeping.keys.of(plan.messages), 0), stored))
    return reply if problem is None else replace(reply, notes=(*reply.notes, f"not kept: {problem}"))


def _keep(key: Key, stored: Stored) -> LlxError | None:
    """Write one reply; return what is wrong where that cannot be done."""
    went: list[LlxError | None] = []
    try:
        with ReplyStore.open() as store:
            writer: Writer[None] = store.writer(lambda _tokens, problem: went.append(problem))
            writer.put(key, stored, None)
            writer.close()
    except LlxError as problem:
        return problem
    return went[0]
