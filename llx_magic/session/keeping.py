"""Prompts in the store of replies: by what they are found there, of whom they count, and what is kept of them."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from llx_magic.core.reply import Delta, Reply, Thought
from llx_magic.engine.aside import aside
from llx_magic.engine.parts import Watch
from llx_magic.engine.plan import Plan
from llx_magic.errors import LlxError
from llx_magic.replies.key import Key, Keys, asked_of
from llx_magic.units import duration

if TYPE_CHECKING:
    from llx_magic.replies.record import Stored
    from llx_magic.replies.writer import Writer


def keys_of(plan: Plan) -> Keys:
    """Return what makes the keys of prompts that are asked as a plan says, cells and rows alike."""
    schema = None if plan.shape is None else plan.shape.schema
    return Keys(schema=schema, effort=plan.effort, as_json=plan.shape is not None)


def asked_by(plan: Plan) -> dict[str, bytes]:
    """Return for each backend of a plan whom it asks: a stored reply counts where it was asked of one of them."""
    return {each.backend.name: asked_of(each.backend.model, each.params) for each in plan.candidates}


def kept_prompt(plan: Plan) -> str | None:
    """Return the prompt as it lies in the store, images and files as notes in their places; None unless that is wanted.

    A conversation has a line with the role before each turn.
    """
    if not plan.candidates[0].settings.keep_prompts:
        return None
    if len(plan.messages) == 1:
        return plan.messages[0].noted()
    return "\n\n".join(f"[{message.role}]\n{message.noted()}" for message in plan.messages)


def stored_of(reply: Reply, plan: Plan, profile: str) -> Stored:
    """Return what is kept of a whole reply to a plan; now is when it came."""
    from llx_magic.replies.record import Stored

    models = {each.backend.name: each.backend.model for each in plan.candidates}
    return Stored.of(
        reply,
        asked_model=models[reply.backend],
        asked=asked_by(plan)[reply.backend],
        profile=profile,
        at=time.time(),
        prompt=kept_prompt(plan),
    )


def find(plan: Plan) -> Stored | None:
    """Return what the user's store has of a prompt; blocks for as long as that takes.

    Raises:
        UsageProblem: where the file of the store is none.
        StoreProblem: where it cannot be read.
    """
    from llx_magic.replies.store import ReplyStore

    key = _key(plan)
    with ReplyStore.open() as store:
        found = store.find([key], set(asked_by(plan).values())).get(key)
    return None if found is None or found.error is not None else found


async def from_store(profile: str, plan: Plan, watch: Watch, ask: Callable[[], Awaitable[Reply]]) -> Reply:
    """Return the reply that the user's store has, else the one that ``ask`` gives, which then is kept there.

    One that is not what was asked for is not kept. Where a reply cannot be kept, a note says so.

    Raises:
        UsageProblem: as ``find``; nothing was asked.
        StoreProblem: as ``find``; nothing was asked.
    """
    found = await aside(lambda: find(plan))
    if found is not None:
        if found.reasoning:
            watch(Thought(found.reasoning))
        watch(Delta(found.text))
        note = f"from the store, asked {duration(max(0.0, time.time() - found.at))} ago"
        reply = found.reply(plan.shape)
        return replace(reply, notes=(*reply.notes, note))
    reply = await ask()
    if reply.read is not None and reply.read.problem is not None:
        return reply
    problem = await aside(lambda: _keep(_key(plan), stored_of(reply, plan, profile)))
    return reply if problem is None else replace(reply, notes=(*reply.notes, f"not kept: {problem}"))


def _keep(key: Key, stored: Stored) -> LlxError | None:
    from llx_magic.replies.store import ReplyStore

    try:
        with ReplyStore.open() as store:
            went: list[LlxError | None] = []
            writer: Writer[None] = store.writer(lambda _tokens, problem: went.append(problem))
            writer.put(key, stored, None)
            writer.close()
    except LlxError as problem:
        return problem
    return went[0]


def _key(plan: Plan) -> Key:
    return keys_of(plan).of(plan.messages), 0
