"""The quiet line under a reply."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from llx_magic.core.events import RequestStarted
from llx_magic.core.reply import Reply, Usage
from llx_magic.observe.status.status import Status
from llx_magic.text.screen import one_line
from llx_magic.units import duration, money, number

NOTE_LENGTH = 100
"""How much of one remark the line of a notebook shows; the trace, to which it opens, shows all of it."""

SHELL_NOTE_LENGTH = 500
"""How much of one remark the command line shows, where there is no trace: also what to do about it."""

STATUS_LENGTH = 300
"""How much of a remark there is place for where the line says how the profile is."""

FooterMode = Literal["full", "status", "stable", "none"]

_VARYING = re.compile(
    r"\d[\d.,]*\s?(?:ms|s|min|h|d)\b(?: \d+ (?:s|min|h)\b)?|(?<=TPM )\S+|(?<=after )[\d,]+(?= words?)"
    r"|(?<=took )[\d,]+(?= tokens)"
)
"""What of a remark is another at each run: times, rates, and how much of a broken reply had come."""


def footer(reply: Reply, mode: FooterMode = "full", longest_note: int = NOTE_LENGTH) -> str:
    """Return who answered, how long it took, what it used and cost, and why others did not answer, on one line.

    The ``stable`` line leaves out what differs from run to run, so that a notebook that is kept under version control
    changes only where its replies do; the line of ``none`` is empty. ``with_status`` is for that of ``status``.
    """
    if mode == "none":
        return ""
    if mode == "status":
        longest_note = max(longest_note, STATUS_LENGTH)
    who = f"{reply.backend} ({reply.model})"
    notes = [one_line(note, longest_note) for note in reply.notes]
    if mode == "stable":
        finish = [] if reply.finish_reason is None else [f"finish {reply.finish_reason}"]
        facts, notes = [who, *finish], [_VARYING.sub("…", note) for note in notes]
    else:
        facts = [who, *_figures(reply)]
    return one_line(" · ".join([*facts, *notes]), 10 * longest_note)


def with_status(reply: Reply, status: Callable[[], Status]) -> Reply:
    """Return the reply with a remark on how the profile is, where the first backend in the order did not answer."""
    orders = (event.order for event in reply.trace if isinstance(event, RequestStarted))
    first = next((order[0] for order in orders if order), reply.backend)
    return reply if first == reply.backend else replace(reply, notes=(*reply.notes, status().sentence))


def tokens_in_words(usage: Usage) -> str:
    """Return the prompt's and the reply's tokens, and of which kinds they were: ``900 + 40 tokens (800 cached)``."""
    kinds = {"cached": usage.cached, "written to the cache": usage.cache_written, "reasoning": usage.reasoning}
    told = ", ".join(f"{number(count)} {kind}" for kind, count in kinds.items() if count)
    counts = f"{number(usage.prompt_tokens)} + {number(usage.completion_tokens)} tokens"
    return f"{counts} ({told})" if told else counts


def _figures(reply: Reply) -> list[str]:
    facts = [duration(reply.seconds)]
    if reply.ttft is not None:
        facts.append(f"first token {duration(reply.ttft)}")
    if reply.usage is not None:
        facts.append(tokens_in_words(reply.usage))
    if (rate := reply.tokens_per_second) is not None:
        facts.append(f"{number(rate)} tokens/s")
    if reply.cost is not None:
        facts.append(money(reply.cost, is_estimate=reply.cost_is_estimate))
    return facts
