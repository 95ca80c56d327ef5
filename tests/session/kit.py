"""What tests of conversations share."""

from __future__ import annotations

from llx_magic.session.turns import Turn


def turn(cell: str | None, prompt: str = "", **changes) -> Turn:
    text = prompt or f"ask {cell}"
    given = {"cell": cell, "prompt": text, "reply": f"re: {text}", "backend": "groq", "model": "llama"}
    return Turn(**{**given, "at": "2026-01-02T03:04:05.000+00:00", **changes})
