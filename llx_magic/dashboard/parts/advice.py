"""What other settings would have made of the prompts, and what is left of the budget: a line where there is one."""

from __future__ import annotations

from html import escape

from llx_magic.core.snapshot import Snapshot
from llx_magic.dashboard.parts.part import Part, Piece, Scene, written
from llx_magic.observe.report import spent_in_words
from llx_magic.units import percent


def advice(snapshot: Snapshot, what_if: str) -> dict[str, str]:
    """Return the lines by what they are about."""
    lines = {}
    if what_if:
        lines["What if"] = what_if
    if snapshot.budget is not None:
        used = snapshot.spent.amount / snapshot.budget if snapshot.budget > 0 else 1.0
        left = "none is left" if used >= 1 else f"{percent(1 - used)} is left"
        lines["Budget"] = f"{spent_in_words(snapshot)} spent, {left}"
    return lines


def _draw(scene: Scene) -> dict[str, Piece]:
    lines = advice(scene.snapshot, scene.what_if)
    told = (f"<div class='ad'><b>{name}</b> {escape(words)}</div>" for name, words in lines.items())
    return {"advice": written("".join(told))}


PART = Part(
    name="advice",
    draw=_draw,
    style="""
.llx .ad{margin-top:8px;overflow-wrap:anywhere}
.llx .ad b{margin-right:8px}
""",
)
