"""The quiet line under a reply."""

from __future__ import annotations

from llx_magic.core.reply import Reply
from llx_magic.core.text import one_line

NOTE_LENGTH = 100
"""How much of one remark the line shows; the trace shows all of it."""

FASTEST_SHOWN = 10_000
"""A rate in tokens per second above which the text came in one burst, so that it says nothing."""


def footer(reply: Reply) -> str:
    """Return who answered, how long it took, what it used and cost, and why others did not answer, on one line."""
    facts = [f"{reply.backend} ({reply.model})", _seconds(reply.seconds)]
    if reply.ttft is not None:
        facts.append(f"first token {_seconds(reply.ttft)}")
    if reply.usage is not None:
        facts.append(f"{reply.usage.prompt_tokens} + {reply.usage.completion_tokens} tokens")
    if (rate := reply.tokens_per_second) is not None and rate < FASTEST_SHOWN:
        facts.append(f"{rate:.0f} tokens/s")
    if reply.cost is not None:
        facts.append(f"cost {reply.cost:.4g}")
    return one_line(" · ".join([*facts, *(one_line(note, NOTE_LENGTH) for note in reply.notes)]), 1000)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
