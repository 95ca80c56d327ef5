"""Prompts in the store of replies: by what they are found there, and of whom they count."""

from __future__ import annotations

from llx_magic.engine.plan import Plan
from llx_magic.replies.key import Keys, asked_of


def keys_of(plan: Plan) -> Keys:
    """Return what makes the keys of prompts that are asked as a plan says, cells and rows alike."""
    schema = None if plan.shape is None else plan.shape.schema
    return Keys(schema=schema, effort=plan.effort, as_json=plan.shape is not None)


def asked_by(plan: Plan) -> dict[str, bytes]:
    """Return for each backend of a plan whom it asks: a stored reply counts where it was asked of one of them."""
    return {each.backend.name: asked_of(each.backend.model, each.params) for each in plan.candidates}
