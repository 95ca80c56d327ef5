"""A model's reasoning above its answer, in a block that opens."""

from __future__ import annotations

import html
from typing import Literal

from llx_magic.observe.report import AS_WRITTEN
from llx_magic.text.markdown import contained, markdown_to_html
from llx_magic.text.screen import printable
from llx_magic.units import plural

ReasoningMode = Literal["folded", "shown", "hidden"]

LATEST = 2_000
"""How many characters of reasoning that still comes are shown: each drawing sends them once more."""

_LOOK = "color:var(--jp-ui-font-color2, #888)"


def reasoning_to_html(text: str, mode: ReasoningMode) -> str:
    """Return the whole reasoning of a reply, made as safe as the reply itself; empty where there is none to show."""
    if mode == "hidden" or not text.strip():
        return ""
    return _block(text, mode, contained(markdown_to_html(printable(text), coloured=False)))


def growing_reasoning_to_html(text: str, mode: ReasoningMode, *, has_answer: bool) -> str:
    """Return the reasoning that has come: its latest words, or only how much it is where it is folded for good."""
    if mode == "hidden" or not text.strip():
        return ""
    if has_answer and mode == "folded":
        return _block(text, mode, "")
    latest = text[-LATEST:]
    shown = f"…{latest}" if len(latest) < len(text) else latest
    return _block(text, mode, f'<div {AS_WRITTEN} style="white-space:pre-wrap">{html.escape(printable(shown))}</div>')


def _block(text: str, mode: ReasoningMode, inside: str) -> str:
    is_open = " open" if mode == "shown" else ""
    said = f"reasoning · {plural(len(text.split()), 'word')}"
    return f'<details style="{_LOOK}"{is_open}><summary>{said}</summary>{inside}</details>'
